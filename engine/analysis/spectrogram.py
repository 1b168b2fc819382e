"""Pictures: a waveform over a log-mel spectrogram, the seam between prime and continuation marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.analysis.spectrum import checked, decibels, mel, mel_spectrogram
from engine.errors import OutOfRange

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

LOW_HZ, HIGH_HZ = 30.0, 16000.0
BANDS = 128
COLUMNS = 900  # time steps of a picture
TICKS_HZ = (100, 300, 600, 1000, 2000, 5000, 10000)
SEAM, INK, BEAT = "#00c2a8", "#23303b", "#d1495b"


@dataclass(frozen=True)
class Picture:
    """One piece of a contact sheet: mono `samples` float32 [T] and, if there is one, where its seam lies."""

    title: str
    samples: NDArray[np.float32]
    seam_seconds: float | None = None


@dataclass(frozen=True)
class BeatGrid:
    """Beats of `beat` seconds, the first of a bar at `downbeat` seconds from the seam (any of them)."""

    beat: float
    downbeat: float
    beats_per_bar: int = 4

    def between(self, first: float, last: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Times of the beats in [first, last], and which of them begin a bar."""
        numbers = np.arange(
            np.ceil((first - self.downbeat) / self.beat), np.floor((last - self.downbeat) / self.beat) + 1
        )
        return self.downbeat + numbers * self.beat, np.mod(numbers, self.beats_per_bar) == 0


def plot_continuation(
    prime: ArrayLike,
    continuation: ArrayLike,
    rate: int,
    path: str | Path,
    title: str,
    grid: BeatGrid | None = None,
) -> Path:
    """Writes a PNG of prime [T] and continuation [T], joined, with the seam marked; gives `path` back. `grid`: beats
    that are drawn over both, as the prime has them.

    Time 0 is the seam. Raises TooShort or BadFormat for audio that cannot be shown.
    """
    from matplotlib.figure import Figure

    first = checked(prime, rate, 0.1, "a picture of the prime")
    second = checked(continuation, rate, 0.1, "a picture of the continuation")
    joined = np.concatenate([first, second])
    seam = first.size / rate
    figure = Figure(figsize=(11, 5), dpi=110, layout="constrained")
    wave, mel = figure.subplots(2, 1, sharex=True, height_ratios=(1, 3))
    figure.suptitle(title, color=INK, fontsize=12)
    _draw_wave(wave, joined, rate, seam)
    image = _draw_mel(mel, joined, rate, seam)
    for axes in (wave, mel):
        axes.axvline(0.0, color=SEAM, linewidth=1.6)
    for x, text, side in ((-0.01, "prime", "right"), (0.01, "continuation", "left")):
        transform = wave.get_xaxis_transform()
        wave.text(x * joined.size / rate, 1.04, text, transform=transform, ha=side, color=INK, fontsize=9)
    if grid is not None:
        _draw_beats((wave, mel), grid, -seam, joined.size / rate - seam)
    mel.set_xlabel(
        "seconds from the seam" if grid is None else "seconds from the seam; lines: beats and bars"
    )
    figure.colorbar(image, ax=mel, label="dB below the maximum", pad=0.01)
    return _saved(figure, path)


def plot_contact_sheet(
    pictures: Sequence[Picture], rate: int, path: str | Path, title: str, columns: int = 4
) -> Path:
    """Writes a PNG with the log-mel spectrogram of every picture in a grid; gives `path` back.

    Raises OutOfRange for no pictures at all.
    """
    from matplotlib.figure import Figure

    if not pictures:
        raise OutOfRange("a contact sheet needs at least one piece of audio, not none")
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    figure = Figure(figsize=(3.6 * columns, 2.1 * rows + 0.4), dpi=100, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    figure.suptitle(title, color=INK, fontsize=12)
    for axes, picture in zip(grid.flat, pictures, strict=False):
        signal = checked(picture.samples, rate, 0.1, f"a picture of {picture.title}")
        _draw_mel(axes, signal, rate, 0.0)
        if picture.seam_seconds is not None:
            axes.axvline(picture.seam_seconds, color=SEAM, linewidth=1.4)
        axes.set_title(picture.title, fontsize=8, color=INK)
        axes.set_ylabel("")
        axes.tick_params(labelsize=6)
    for axes in list(grid.flat)[len(pictures) :]:
        axes.set_visible(False)
    return _saved(figure, path)


def _draw_beats(both: tuple[Axes, Axes], grid: BeatGrid, first: float, last: float) -> None:
    """Thin lines at beats, over the bottom of the spectrogram; full ones where a bar begins."""
    times, bars = grid.between(first, last)
    for time, bar in zip(times, bars, strict=True):
        both[0].axvline(time, color=BEAT, linewidth=1.0 if bar else 0.5, alpha=0.9 if bar else 0.5, zorder=0)
        both[1].axvline(time, ymax=1.0 if bar else 0.12, color="white", linewidth=0.6, alpha=0.7)


def _draw_wave(axes: Axes, signal: NDArray[np.float32], rate: int, seam: float) -> None:
    step = max(1, signal.size // (2 * COLUMNS))
    used = signal[: signal.size // step * step].reshape(-1, step)
    times = np.arange(used.shape[0]) * step / rate - seam
    axes.fill_between(times, used.min(axis=1), used.max(axis=1), color=INK, linewidth=0)
    peak = max(float(np.abs(signal).max()), 1e-3)
    axes.set_ylim(-1.05 * peak, 1.05 * peak)
    axes.set_ylabel("amplitude")
    axes.margins(x=0)


def _draw_mel(axes: Axes, signal: NDArray[np.float32], rate: int, seam: float) -> AxesImage:
    hop = max(64, signal.size // COLUMNS)
    high = min(HIGH_HZ, rate / 2)
    level = decibels(mel_spectrogram(signal, rate, 4096, hop, BANDS, LOW_HZ, high))
    extent = (-seam, signal.size / rate - seam, mel(LOW_HZ), mel(high))
    image = axes.imshow(level, origin="lower", aspect="auto", extent=extent, cmap="magma")
    ticks = [hz for hz in TICKS_HZ if LOW_HZ <= hz <= high]
    axes.set_yticks([mel(hz) for hz in ticks], [f"{hz // 1000}k" if hz >= 1000 else str(hz) for hz in ticks])
    axes.set_ylabel("Hz")
    return image


def _saved(figure: Figure, path: str | Path) -> Path:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path
