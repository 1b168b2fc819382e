"""Losses against scipy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch

from engine.codec.config import CodecConfig, for_spectra
from engine.codec.losses import Bandwidth, codec_loss, measure_bandwidth, spectral_convergence, spectrum

UNIT = Bandwidth(l1=1.0, l2=1.0, spec=1.0)


def test_spectrum_is_scipys() -> None:
    x = np.random.default_rng(0).standard_normal(4096).astype(np.float32)
    window = np.zeros(1024)
    window[212:812] = scipy.signal.get_window("hann", 600, fftbins=True)  # padded to n_fft, centred
    padded = np.pad(x, 512, mode="reflect")
    frames = np.stack([padded[i : i + 1024] * window for i in range(0, 4096 + 1, 120)])
    expected = np.abs(np.fft.rfft(frames, axis=1)).T
    got = spectrum(torch.from_numpy(x)[None], (1024, 120, 600))[0].numpy()
    np.testing.assert_allclose(got, expected, atol=2e-3)


def test_recons_is_the_lmix_of_the_facts() -> None:
    """1.0 * l2 + 0.02 * linf with linf the mean of the 2048 largest squares (facts/jukebox.md §1.4)."""
    rng = np.random.default_rng(1)
    target, guess = rng.standard_normal((2, 1, 8192)).astype(np.float32)
    square = (target - guess).astype(np.float64) ** 2
    expected = square.mean() / 0.25 + 0.02 * np.sort(square[0])[-2048:].mean() / 0.25
    found = codec_loss(
        torch.from_numpy(target), torch.from_numpy(guess), Bandwidth(l1=1, l2=0.25, spec=1e9), CodecConfig()
    )
    assert float(found["recons"]) == pytest.approx(expected, rel=1e-5)


def test_perfect_reconstruction_costs_nothing_and_silence_costs_the_norm() -> None:
    x = torch.randn(2, 8192)
    assert float(codec_loss(x, x.clone(), UNIT, CodecConfig())["loss"]) == pytest.approx(0, abs=1e-4)
    assert float(spectral_convergence(x, torch.zeros_like(x)).mean()) == pytest.approx(1.0, abs=1e-3)  # 0 dB
    assert torch.equal(spectral_convergence(torch.zeros(1, 8192), x[:1]), torch.zeros(1))
    half = 20 * np.log10(float(spectral_convergence(x, x * 0.5).mean()))
    assert half == pytest.approx(-6.02, abs=0.02)


def test_half_as_loud_is_log_2_away_at_every_pitch() -> None:
    """The logarithm counts a quiet band as much as a loud one: of noise 40 dB apart the distance is the same."""
    config = CodecConfig(logspectral=0.5)
    noise = torch.randn(1, 8192, generator=torch.Generator().manual_seed(0))
    for loud in (1.0, 100.0):
        found = codec_loss(noise * loud, noise * loud / 2, UNIT, config)
        assert float(found["logspectral"]) == pytest.approx(np.log(2), abs=0.01)
    without = codec_loss(noise, noise / 2, UNIT, CodecConfig())
    assert "logspectral" not in without
    found = codec_loss(noise, noise / 2, UNIT, config)
    assert float(found["loss"] - without["loss"]) == pytest.approx(0.5 * np.log(2), abs=0.01)


def test_for_spectra_counts_phase_for_less() -> None:
    """A tone with another phase is nearer than silence for spectra, farther for the waveform."""
    times = torch.arange(8192) / 44100
    tone, shifted = (torch.sin(2 * torch.pi * 441 * times + phase)[None] for phase in (0.0, 2.5))
    scales = Bandwidth(l1=2 / np.pi, l2=0.5, spec=float(spectrum(tone, (2048, 256, 1536)).norm()))
    paper, spectra = CodecConfig(), for_spectra(CodecConfig())

    def cost(guess: torch.Tensor, config: CodecConfig) -> float:
        return float(codec_loss(tone, guess, scales, config)["loss"])

    assert cost(shifted, spectra) < cost(torch.zeros_like(tone), spectra)
    assert cost(shifted, paper) > cost(torch.zeros_like(tone), paper)


def test_silence_has_a_gradient_without_nan() -> None:
    guess = torch.zeros(1, 8192, requires_grad=True)
    codec_loss(torch.zeros(1, 8192), guess, UNIT, CodecConfig())["loss"].backward()
    assert guess.grad is not None and torch.isfinite(guess.grad).all()


def test_bandwidth_of_a_known_signal() -> None:
    """A full-scale sine has mean |x| = 2/pi and variance 1/2."""
    sine = torch.sin(2 * torch.pi * 441 * torch.arange(44100) / 44100)
    found = measure_bandwidth([sine])
    assert found.l1 == pytest.approx(2 / np.pi, rel=1e-3)
    assert found.l2 == pytest.approx(0.5, rel=1e-3)
    with pytest.raises(ValueError, match="no audio to measure"):
        measure_bandwidth([])
