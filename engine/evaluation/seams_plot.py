"""A picture of the ways to sample side by side: their figures, and what their seams look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from engine.analysis.spectrum import decibels, magnitude_blocks
from engine.evaluation.seams import Made, WayRow

SHOWN_SECONDS = 0.6
LIMIT = 1.1  # what a way may cost: seams a tenth worse than the sequential take's


def plot_ways(rows: Sequence[WayRow], shown: Mapping[str, Made], rate: int, path: Path) -> Path:
    """Writes a PNG: bars of metric and speed, and of every way the spectrogram around a seam; gives ``path`` back.

    ``shown``: a take in every way, all of the same song.
    """
    from matplotlib.figure import Figure

    path.parent.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(12, 2.6 + 1.9 * -(-len(rows) // 4)), dpi=110, layout="constrained")
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=(2.6, 1.9 * -(-len(rows) // 4)))
    above, below = np.asarray(parts)[:, 0]
    metric, speed = above.subplots(1, 2, sharey=True)
    names, places = [row.name for row in rows], np.arange(len(rows))
    metric.barh(
        places,
        [row.metric for row in rows],
        color=["#00c2a8" if r.metric <= LIMIT else "#d1495b" for r in rows],
    )
    metric.axvline(LIMIT, color="#23303b", linewidth=1, linestyle=":")
    metric.set_yticks(places, names, fontsize=8)
    metric.invert_yaxis()
    metric.set_xlabel(f"jump at the seams over the sequential take's there, level {rows[0].level}")
    speed.barh(places, [row.speed for row in rows], color="#7d8ca3")
    speed.set_xlabel("tokens a second over the sequential plan's")
    grid = below.subplots(-(-len(rows) // 4), 4, squeeze=False).reshape(-1)
    for axes, row in zip(grid, rows, strict=False):
        made = shown[row.name]
        at = made.seams[len(made.seams) // 2] if made.seams else made.audio.size // 2
        half = round(SHOWN_SECONDS * rate / 2)
        piece = np.ascontiguousarray(made.audio[max(0, at - half) : at + half])
        image = decibels(np.concatenate(list(magnitude_blocks(piece, 1024, 128))) ** 2).T
        axes.imshow(
            image,
            origin="lower",
            aspect="auto",
            extent=(-half / rate, half / rate, 0, rate / 2e3),
            cmap="magma",
        )
        axes.axvline(0.0, color="#00c2a8", linewidth=0.8, linestyle=":")
        axes.set_title(row.name, fontsize=8)
        axes.tick_params(labelsize=6)
    for axes in grid[len(rows) :]:
        axes.set_visible(False)
    figure.savefig(path)
    return path
