"""Pictures of a run: training curves, and a held-out excerpt beside its reconstruction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from engine.training.files import writing_to
from engine.training.metrics import read_metrics

_PANELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("loss", ("loss", "recons", "multispectral")),
    ("bits per token", ("held_out_bits_per_token", "held_out_train_bits_per_token")),
    ("spectral convergence, dB", ("held_out_sc_db",)),
    ("codebook", ("usage", "used_in_batch", "restarts", "held_out_codes_used")),
    ("gradient norm", ("grad_norm",)),
    ("learning rate", ("lr",)),
)
_LEVELS = {"held_out_unigram_bits": "unigram baseline"}


def plot_curves(metrics: Path, picture: Path, title: str) -> None:
    """Draw every known figure of ``metrics.jsonl`` over the steps into ``picture`` (PNG)."""
    records = read_metrics(metrics)
    panels = [(name, [key for key in keys if any(key in row for row in records)]) for name, keys in _PANELS]
    panels = [(name, keys) for name, keys in panels if keys]
    rows = -(-len(panels) // 2)
    figure, axes = plt.subplots(rows, 2, figsize=(11, 2.8 * rows), squeeze=False, layout="constrained")
    for axis, (name, keys) in zip(axes.flat, panels, strict=False):
        _panel(axis, records, keys)
        axis.set_title(name, fontsize=9)
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    figure.suptitle(title)
    _save(figure, picture)


def _panel(axis: Axes, records: list[dict[str, Any]], keys: Sequence[str]) -> None:
    for key in keys:
        points = [(row["step"], row[key]) for row in records if key in row]
        steps, values = zip(*points, strict=True)
        label = key.removeprefix("held_out_").replace("_", " ")
        held_out = key.startswith("held_out_")
        axis.plot(
            steps,
            values,
            marker="o" if held_out else None,
            ms=3,
            lw=1,
            label=f"{label} (held-out)" if held_out else label,
        )
    for key, label in _LEVELS.items():
        baseline = [row[key] for row in records if key in row]
        if baseline and "bits" in "".join(keys):
            axis.axhline(baseline[-1], color="grey", ls="--", lw=1, label=label)
    axis.set_xlabel("step", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7)


def plot_reconstruction(
    target: NDArray[np.float32], reconstruction: NDArray[np.float32], rate: int, picture: Path, title: str
) -> None:
    """Spectrograms (dB, 70 dB deep) of an original [T] and its reconstruction [T] at ``rate`` Hz."""
    figure, axes = plt.subplots(2, 1, figsize=(9, 6), sharex=True, sharey=True, layout="constrained")
    peak = 0.0
    for axis, samples, name in zip(
        axes, (target, reconstruction), ("original", "reconstructed"), strict=True
    ):
        frames = np.lib.stride_tricks.sliding_window_view(samples, 1024)[::256] * np.hanning(1024)
        spectrum = 20 * np.log10(np.abs(np.fft.rfft(frames)).T + 1e-6)
        peak = peak or float(spectrum.max())
        extent = (0.0, len(samples) / rate, 0.0, rate / 2000)
        axis.imshow(
            spectrum, origin="lower", aspect="auto", extent=extent, vmin=peak - 70, vmax=peak, cmap="magma"
        )
        axis.set_ylabel("kHz")
        axis.set_title(name, fontsize=9)
    axes[-1].set_xlabel("seconds")
    figure.suptitle(title)
    _save(figure, picture)


def _save(figure: Any, picture: Path) -> None:
    with writing_to(picture):
        figure.savefig(picture, dpi=100)
    plt.close(figure)
