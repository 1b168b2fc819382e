"""Codec losses with data-set normalisation, and spectral convergence (facts/jukebox.md §1.4)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import torch
from torch import Tensor

from engine.codec.config import CodecConfig
from engine.request import Frozen

SINGLE_SCALE = (2048, 256, 1536)  # n_fft, hop, window: the scale of normalisation and spectral convergence
LOG_FLOOR = 1e-2  # magnitude under which the logarithm no longer tells quiet from silent
SILENCE = 2e-3  # Frobenius norm of a target spectrum under which convergence counts as 0


class Bandwidth(Frozen):
    """Scales of the training data: mean |x|, variance of x, mean Frobenius norm of the spectrum of a crop."""

    l1: float
    l2: float
    spec: float


@lru_cache(maxsize=16)
def _window(length: int, device: torch.device) -> Tensor:
    return torch.hann_window(length, periodic=True, device=device)


def spectrum(x: Tensor, scale: tuple[int, int, int]) -> Tensor:
    """Magnitude STFT float32 [N, bins, frames] of [N, T]; ``scale`` = (n_fft, hop, window), centred, reflected."""
    n_fft, hop, window = scale
    found = torch.stft(
        x.float(),
        n_fft,
        hop,
        window,
        _window(window, x.device),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    # sqrt has no gradient at 0, which digital silence reaches
    return torch.view_as_real(found).pow(2).sum(-1).clamp_min(1e-12).sqrt()


def measure_bandwidth(crops: Iterable[Tensor]) -> Bandwidth:
    """Scales over crops [T], all of the length that will be trained on (the spectral norm grows with it)."""
    count, total, absolute, square, norms = 0, 0.0, 0.0, 0.0, []
    for crop in crops:
        x = crop.double()
        count += x.numel()
        total += float(x.sum())
        absolute += float(x.abs().sum())
        square += float((x * x).sum())
        norms.append(float(spectrum(crop.unsqueeze(0), SINGLE_SCALE).norm()))
    if not count:
        raise ValueError("no audio to measure; give at least one crop")
    mean = total / count
    return Bandwidth(l1=absolute / count, l2=square / count - mean * mean, spec=sum(norms) / len(norms))


def _spectral_distance(target: Tensor, reconstruction: Tensor, scale: tuple[int, int, int]) -> Tensor:
    difference = spectrum(target, scale) - spectrum(reconstruction, scale)
    return difference.flatten(1).norm(dim=1)  # [N]


def _log_distance(target: Tensor, reconstruction: Tensor, scale: tuple[int, int, int]) -> Tensor:
    wanted, found = spectrum(target, scale), spectrum(reconstruction, scale)
    return ((wanted + LOG_FLOOR).log() - (found + LOG_FLOOR).log()).abs().mean()


def codec_loss(
    target: Tensor, reconstruction: Tensor, bandwidth: Bandwidth, config: CodecConfig
) -> dict[str, Tensor]:
    """Losses of one level between [N, T] and [N, T]: scalars ``loss`` (weighted), ``recons``, ``multispectral``, and
    where they count ``spectral`` and ``logspectral`` (mean distance of the log magnitudes in nepers).

    The commitment loss is the quantiser's and is not part of ``loss`` here.
    """
    residual = (target - reconstruction).float()
    square = residual * residual
    largest = square.topk(min(config.linf_k, square.shape[1]), dim=1).values
    recons = (
        config.lmix_l1 * residual.abs().mean() / bandwidth.l1
        + config.lmix_l2 * square.mean() / bandwidth.l2
        + config.lmix_linf * largest.mean() / bandwidth.l2
    )
    several = torch.stack([_spectral_distance(target, reconstruction, scale) for scale in config.stft])
    multispectral = (several.mean(0) / bandwidth.spec).mean()
    loss = recons + config.multispectral * multispectral
    parts = {"recons": recons, "multispectral": multispectral}
    if config.spectral:
        single = (_spectral_distance(target, reconstruction, SINGLE_SCALE) / bandwidth.spec).mean()
        loss = loss + config.spectral * single
        parts["spectral"] = single
    if config.logspectral:
        distances = [_log_distance(target, reconstruction, scale) for scale in config.stft]
        parts["logspectral"] = torch.stack(distances).mean()
        loss = loss + config.logspectral * parts["logspectral"]
    return {"loss": loss, **parts}


def spectral_convergence(target: Tensor, reconstruction: Tensor) -> Tensor:
    """||S_t - S_r|| / ||S_t|| for each row, linear, [N]; 0 for silent targets (20 log10 of the mean is in dB)."""
    wanted = spectrum(target, SINGLE_SCALE)
    norm = wanted.flatten(1).norm(dim=1)
    distance = (wanted - spectrum(reconstruction, SINGLE_SCALE)).flatten(1).norm(dim=1)
    return torch.where(norm <= SILENCE, torch.zeros_like(norm), distance / norm.clamp_min(SILENCE))
