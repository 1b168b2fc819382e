"""What the cells came to: one validated value, as JSON and as tables beside the paper's figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.ablation.experiments import CELLS, Experiment, Row, cells_for, chosen
from engine.ablation.run import Scale, cell_folder, cell_state
from engine.evaluation.provenance import Provenance, provenance
from engine.request import Frozen
from engine.training.codec_trainer import level_folder
from engine.training.files import write_bytes
from engine.training.metrics import read_metrics

PAPER_STEPS = 384_618


class CellResult(Frozen):
    """One cell with one seed. ``curve``: (step, bits) of the entropy of its codebook's average use."""

    cell: str
    seed: int
    steps: int
    seconds: float
    finished: bool
    hardware: str
    sc_db: float
    entropy_bits: float
    codes_used: float
    curve: tuple[tuple[int, float], ...] = ()


class Results(Frozen):
    """All that is there so far. ``commands``: those that trained the cells, each once."""

    scale: Scale
    data: str
    seconds_of_audio: float
    commands: tuple[str, ...]
    provenance: Provenance
    cells: tuple[CellResult, ...]

    def of(self, cell: str) -> list[CellResult]:
        """The results of one cell, by seed."""
        return [found for found in self.cells if found.cell == cell]


def gather(out: Path, scale: Scale, names: Sequence[str]) -> Results:
    """Read what the runs in ``out`` left behind, of the cells of experiments ``names``."""
    found: list[CellResult] = []
    commands: dict[str, None] = {}
    data, audio = "", 0.0
    for cell in cells_for(names):
        for seed in scale.seeds:
            state = cell_state(out, cell, seed)
            if state is None or "sc_db" not in state["held_out"]:
                continue
            data, audio = state["data"], state["seconds_of_audio"]
            commands[state["command"]] = None
            rows = read_metrics(level_folder(cell_folder(out, cell, seed), cell.level) / "metrics.jsonl")
            found.append(
                CellResult(
                    cell=cell.name,
                    seed=seed,
                    steps=state["step"],
                    seconds=round(state["seconds"], 1),
                    finished=state["finished"],
                    hardware=state["hardware"],
                    curve=tuple(
                        (row["step"], row["codebook_bits"]) for row in rows if "codebook_bits" in row
                    ),
                    **state["held_out"],
                )
            )
    return Results(
        scale=scale,
        data=data,
        seconds_of_audio=audio,
        commands=tuple(commands),
        provenance=provenance(),
        cells=tuple(found),
    )


def figure_of(results: Results, experiment: Experiment, row: Row) -> tuple[float, float] | None:
    """Mean over seeds of what the experiment compares, and half its range; None where nothing is finished."""
    values = [getattr(found, experiment.figure) for found in results.of(row.cell) if found.finished]
    if not values:
        return None
    return sum(values) / len(values), (max(values) - min(values)) / 2


def in_words(figure: tuple[float, float] | None) -> str:
    """A figure as tables show it."""
    if figure is None:
        return "not done"
    mean, spread = figure
    return f"{mean:.2f} ± {spread:.2f}" if spread else f"{mean:.2f}"


def markdown(results: Results, names: Sequence[str]) -> str:
    """The report as Markdown: how it was made, then a table per experiment."""
    scale = results.scale
    budget = f"{scale.steps:,} steps" if scale.steps else f"{scale.minutes:g} minutes"
    hardware = ", ".join(sorted({found.hardware for found in results.cells})) or "nothing yet"
    lines = [
        "# The paper's codec tables at small scale",
        "",
        f"Every cell: {budget} of {scale.batch} crops ({', '.join(f'{crop:,}' for crop in scale.crops)} samples at "
        f"the bottom, middle, top), networks {scale.width} wide and {scale.depth} deep, seeds "
        f"{', '.join(map(str, scale.seeds))}; {results.seconds_of_audio / 60:.0f} min of audio ({results.data}). "
        f"The paper's ran for {PAPER_STEPS:,} steps of 256 clips of 9 s on all music. Held-out excerpts; "
        "± is half the range over seeds.",
        "",
        f"Trained on {hardware} ({results.provenance.machine.processor}), with:",
        "",
        "```",
        *(results.commands or ("(nothing yet)",)),
        "```",
        "",
        "The paper's figures are quoted from memory, without a copy to check them against.",
    ]
    for experiment in chosen(names):
        lines += ["", f"## {experiment.title} ({experiment.source})", "", *_table(results, experiment)]
        lines += ["", f"![{experiment.title}]({experiment.name}.png)"]
    return "\n".join(lines) + "\n"


def _table(results: Results, experiment: Experiment) -> list[str]:
    unit = "spectral convergence, dB" if experiment.figure == "sc_db" else "entropy, bits"
    heads = [*experiment.heads, unit, "the paper's", "codes used", "steps", "minutes"]
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for row in experiment.rows:
        lines.append("| " + " | ".join(cells_of(results, experiment, row)) + " |")
    return lines


def cells_of(results: Results, experiment: Experiment, row: Row) -> list[str]:
    """One line of a table, as words."""
    found = results.of(row.cell)
    bins = CELLS[row.cell].changes.get("bins", 2048)
    used = sum(one.codes_used for one in found) / len(found) / bins if found else 0.0
    quantised = CELLS[row.cell].variant != "unquantised"
    return [
        *row.words,
        in_words(figure_of(results, experiment, row)),
        "" if row.paper is None else f"{row.paper:.1f}",
        f"{100 * used:.0f} %" if found and quantised else "",
        ", ".join(sorted({f"{one.steps:,}" for one in found})),
        f"{sum(one.seconds for one in found) / 60:.0f}" if found else "",
    ]


def write(results: Results, names: Sequence[str], folder: Path) -> list[Path]:
    """Write ``ablate.json``, ``README.md`` and a picture per experiment into ``folder``."""
    from engine.ablation.plots import plot_experiment

    write_bytes(folder / "ablate.json", (results.model_dump_json(indent=1) + "\n").encode())
    write_bytes(folder / "README.md", markdown(results, names).encode())
    pictures = [folder / f"{experiment.name}.png" for experiment in chosen(names)]
    for experiment, picture in zip(chosen(names), pictures, strict=True):
        plot_experiment(results, experiment, picture)
    return [folder / "ablate.json", folder / "README.md", *pictures]
