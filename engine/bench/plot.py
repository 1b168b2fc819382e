"""Tokens a second over lanes, as a picture."""

from __future__ import annotations

from pathlib import Path

from engine.bench.report import BenchReport
from engine.bench.show import level_name
from engine.errors import BadArguments, PathNotAllowed


def require_plotting(path: Path) -> None:
    """Raises BadArguments for a file that is no PNG or where matplotlib is missing, before anything is measured."""
    from importlib.util import find_spec

    if path.suffix.lower() != ".png":
        raise BadArguments(f"the plot '{path}' is no PNG; give a name that ends in .png")
    if find_spec("matplotlib") is None:
        raise BadArguments("matplotlib, which draws plots, is not installed (pip install matplotlib)")


def plot_steps(report: BenchReport, path: Path) -> None:
    """A line a level: sampled tokens a second at each number of lanes; dashed: what real time needs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for level in sorted({row.level for row in report.steps}, reverse=True):
        rows = sorted((row for row in report.steps if row.level == level), key=lambda row: row.lanes)
        lanes = [row.lanes for row in rows]
        (line,) = axes.plot(
            lanes, [row.sample_tokens_per_second for row in rows], "o-", label=level_name(level)
        )
        axes.axhline(rows[0].needed_tokens_per_second, color=line.get_color(), linestyle="--", linewidth=0.8)
    ticks = sorted({row.lanes for row in report.steps})
    axes.set(xscale="log", yscale="log", xlabel="lanes", ylabel="tokens/s, all lanes together")
    axes.set_xticks(ticks, [str(lanes) for lanes in ticks])
    axes.minorticks_off()
    cut = f" ({report.shortened})" if report.shortened else ""
    axes.set_title(
        f"{report.model}{cut}, {report.backend} {report.precision} on {report.device}; dashed: real time"
    )
    axes.legend()
    try:
        FigureCanvasAgg(figure).print_png(str(path))
    except OSError as error:
        raise PathNotAllowed(
            f"the plot '{path}' cannot be written ({error.strerror}); give a file you may write to"
        ) from error
