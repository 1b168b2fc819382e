"""Audio in memory: samples together with the rate that gives them a length."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Waveform:
    """``samples``: float32 [frames, channels], full scale is ±1; ``rate``: Hz, above 0."""

    samples: NDArray[np.float32]
    rate: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.dtype != np.float32:
            raise ValueError(
                f"samples are {self.samples.dtype} {list(self.samples.shape)}; "
                "float32 [frames, channels] is wanted"
            )
        if self.rate <= 0:
            raise ValueError(f"the rate is {self.rate} Hz; it must be above 0")

    @classmethod
    def of_mono(cls, samples: NDArray[np.float32], rate: int) -> Waveform:
        """A one-channel waveform from float32 [frames]."""
        return cls(np.asarray(samples, dtype=np.float32).reshape(-1, 1), rate)

    @property
    def frames(self) -> int:
        """Number of sample frames."""
        return int(self.samples.shape[0])

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[1])

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self.rate

    @property
    def peak(self) -> float:
        """Largest absolute sample of all channels, linear; 0 for an empty waveform."""
        return float(np.max(np.abs(self.samples))) if self.samples.size else 0.0

    def mono(self) -> Waveform:
        """The mean of all channels, as one channel."""
        if self.channels == 1:
            return self
        return Waveform(self.samples.mean(axis=1, dtype=np.float32, keepdims=True), self.rate)

    def mono_samples(self) -> NDArray[np.float32]:
        """The mean of all channels, float32 [frames], contiguous."""
        return np.ascontiguousarray(self.mono().samples[:, 0])

    def resample(self, rate: int) -> Waveform:
        """The same sound at ``rate`` Hz (soxr, quality VHQ); itself when the rate is right already."""
        if rate == self.rate:
            return self
        resampled = soxr.resample(self.samples, self.rate, rate, quality="VHQ")
        return Waveform(np.ascontiguousarray(resampled, dtype=np.float32), rate)

    def slice(self, start: int, stop: int | None = None) -> Waveform:
        """Frames ``start`` to ``stop`` (not included; the end when None), without copying.

        Raises ValueError when they do not lie inside the waveform in this order.
        """
        end = self.frames if stop is None else stop
        if not 0 <= start <= end <= self.frames:
            raise ValueError(f"frames {start} to {end} do not lie inside a waveform of {self.frames} frames")
        return Waveform(self.samples[start:end], self.rate)


def dbfs(linear: float) -> float:
    """A linear peak as dB relative to full scale; -inf for 0."""
    return 20.0 * math.log10(linear) if linear > 0 else -math.inf
