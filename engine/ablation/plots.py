"""Pictures of the experiments: bars beside the paper's figures, and entropy over training."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from engine.ablation.experiments import CELLS, Experiment
from engine.ablation.results import Results, figure_of
from engine.training.files import writing_to

_COLOURS = {"bottom": "tab:blue", "middle": "tab:orange", "top": "tab:green"}
_BARS = 0.38


def plot_experiment(results: Results, experiment: Experiment, picture: Path) -> None:
    """Draw one experiment into ``picture`` (PNG)."""
    figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
    draw = _curves if experiment.figure == "entropy_bits" else _bars
    draw(axis, results, experiment)
    axis.set_title(f"{experiment.title} ({experiment.source})", fontsize=10)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.3)
    with writing_to(picture):
        picture.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(picture, dpi=100)
    plt.close(figure)


def _bars(axis: Axes, results: Results, experiment: Experiment) -> None:
    for place, row in enumerate(experiment.rows):
        found = figure_of(results, experiment, row)
        if found:
            label = "here" if place == 0 else None
            axis.bar(place - _BARS / 2, found[0], _BARS, yerr=found[1] or None, color="tab:blue", label=label)
        if row.paper is not None:
            label = "the paper" if place == 0 else None
            axis.bar(place + _BARS / 2, row.paper, _BARS, color="lightgrey", label=label)
    words = ["\n".join(filter(None, row.words)) for row in experiment.rows]
    axis.set_xticks(range(len(words)), words)
    axis.axhline(0.0, color="black", lw=0.8)
    axis.set_ylabel("spectral convergence, dB\n(lower is better)", fontsize=8)
    axis.legend(fontsize=8)


def _curves(axis: Axes, results: Results, experiment: Experiment) -> None:
    for row in experiment.rows:
        level, restarts = row.words
        for place, found in enumerate(results.of(row.cell)):
            if not found.curve:
                continue
            steps, bits = zip(*found.curve, strict=True)
            style = "-" if CELLS[row.cell].restarts else "--"
            name = f"{level}, {'with' if restarts == 'yes' else 'without'} restarts"
            axis.plot(steps, bits, style, color=_COLOURS[level], lw=1, label=None if place else name)
    axis.axhline(11.0, color="grey", lw=0.8, ls=":")
    axis.set_xlabel("step", fontsize=8)
    axis.set_ylabel("entropy, bits (of 11)", fontsize=8)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=7)
