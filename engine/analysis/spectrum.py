"""Short-time spectra: the common ground of onsets, chroma and pictures."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.errors import BadFormat, TooShort

BLOCK_FRAMES = 1024  # frames per FFT batch: bounds memory on long files


def checked(samples: ArrayLike, rate: int, min_seconds: float, what: str) -> NDArray[np.float32]:
    """`samples` as float32 [T]; `what` names the purpose in messages.

    Raises BadFormat unless it is one finite channel, TooShort below `min_seconds`.
    """
    signal = np.asarray(samples, dtype=np.float32)
    if signal.ndim != 1:
        raise BadFormat(f"{what} needs one channel of samples, not an array of shape {signal.shape}")
    if signal.size < min_seconds * rate:
        raise TooShort(f"{what} needs at least {min_seconds:g} s of audio, not {signal.size / rate:.2f} s")
    if not np.isfinite(signal).all():
        raise BadFormat(f"{what} needs finite samples, but the audio holds NaN or infinity")
    return signal


def magnitude_blocks(signal: NDArray[np.float32], n_fft: int, hop: int) -> Iterator[NDArray[np.float32]]:
    """Magnitudes float32 [frames, n_fft/2+1] of Hann windows centred at 0, hop, 2 hop, ..., block by block.

    A sine of amplitude 1 has magnitude 0.5 at its bin. The ends are padded with zeros.
    """
    frames = 1 + signal.size // hop
    padded = np.zeros((frames - 1) * hop + n_fft, dtype=np.float32)
    start = n_fft // 2
    used = min(signal.size, padded.size - start)
    padded[start : start + used] = signal[:used]
    window = np.hanning(n_fft + 1)[:-1].astype(np.float32)
    window /= window.sum()
    views = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    for first in range(0, frames, BLOCK_FRAMES):
        block = views[first : first + BLOCK_FRAMES] * window
        yield np.abs(np.fft.rfft(block, axis=1)).astype(np.float32)


def mel_bank(rate: int, n_fft: int, bands: int, low: float, high: float) -> NDArray[np.float32]:
    """Triangular filters float32 [bands, n_fft/2+1] spaced evenly on the mel scale from `low` to `high` Hz.

    Each filter sums to 1, and covers at least its nearest bin even where bins are wider than bands.
    """
    edges_mel = np.linspace(mel(low), mel(min(high, rate / 2)), bands + 2)
    edges = 700.0 * (10.0 ** (edges_mel / 2595.0) - 1.0)
    bins = np.arange(n_fft // 2 + 1) * rate / n_fft
    rising = (bins[None, :] - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins[None, :]) / np.diff(edges)[1:, None]
    bank = np.maximum(0.0, np.minimum(rising, falling))
    for band in np.flatnonzero(bank.sum(axis=1) == 0):
        bank[band, np.argmin(np.abs(bins - edges[band + 1]))] = 1.0
    return (bank / bank.sum(axis=1, keepdims=True)).astype(np.float32)


def mel(hertz: float) -> float:
    """Pitch in mel (the 2595 log10 form) of a frequency in Hz."""
    return float(2595.0 * np.log10(1.0 + hertz / 700.0))


def mel_spectrogram(
    signal: NDArray[np.float32], rate: int, n_fft: int, hop: int, bands: int, low: float, high: float
) -> NDArray[np.float32]:
    """Mel power float32 [bands, frames], frames `hop` samples apart."""
    bank = mel_bank(rate, n_fft, bands, low, high)
    return np.concatenate([bank @ (block**2).T for block in magnitude_blocks(signal, n_fft, hop)], axis=1)


def decibels(power: NDArray[np.float32], span: float = 80.0) -> NDArray[np.float32]:
    """Power in dB below its own maximum, floored at `-span`; all `-span` when there is no power at all."""
    top = float(power.max(initial=0.0))
    if top <= 0.0:
        return np.full(power.shape, -span, dtype=np.float32)
    return np.maximum(10.0 * np.log10(np.maximum(power / top, 1e-20)), -span).astype(np.float32)
