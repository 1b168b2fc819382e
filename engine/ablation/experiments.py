"""The experiments as data: what varies, what is compared, and what the paper found.

The paper's figures are quoted from memory (facts/jukebox.md §7.3 marks them so; those of table 3 and of the two lower
rows of table 1 are not even there): no copy of the paper was at hand to check them against. They come from another
scale altogether, so signs and orders are compared, never sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import model_validator

from engine.request import Frozen

Variant = Literal["plain", "unquantised", "single"]
Name = Literal["restarts", "bins", "loss", "entropy"]
BOTTOM, MIDDLE, TOP = 0, 1, 2


class Cell(Frozen):
    """One training run: a level of the codec, and in what it differs from the usual ``segue train codec``.

    ``changes``: fields of CodecConfig; ``restarts``: whether unused codes are replaced; ``variant``: another
    structure (engine/ablation/variants.py).
    """

    name: str
    level: int
    changes: dict[str, Any] = {}
    restarts: bool = True
    variant: Variant = "plain"


class Row(Frozen):
    """One line of a table: its words, the cell that answers it, and the paper's figure where there is one."""

    words: tuple[str, ...]
    cell: str
    paper: float | None = None


class Experiment(Frozen):
    """One table or figure. ``figure``: what is compared, a held-out figure of the cells' runs."""

    name: Name
    title: str
    source: str
    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    figure: Literal["sc_db", "entropy_bits"] = "sc_db"

    @model_validator(mode="after")
    def _known(self) -> Experiment:
        for row in self.rows:
            if row.cell not in CELLS:
                raise ValueError(f"experiment '{self.name}' names the cell '{row.cell}', which there is not")
            if len(row.words) != len(self.heads):
                raise ValueError(f"experiment '{self.name}' has {len(self.heads)} columns of words")
        return self


# In the order in which they are run: what tells most comes first, should time run out.
CELLS: dict[str, Cell] = {
    cell.name: cell
    for cell in (
        Cell(name="bottom", level=BOTTOM),
        Cell(name="bottom-no-restarts", level=BOTTOM, restarts=False),
        Cell(name="bottom-256-codes", level=BOTTOM, changes={"bins": 256}),
        Cell(name="bottom-unquantised", level=BOTTOM, variant="unquantised"),
        Cell(name="top", level=TOP),
        Cell(name="top-no-restarts", level=TOP, restarts=False),
        Cell(name="top-no-spectral-loss", level=TOP, changes={"multispectral": 0.0}),
        Cell(name="top-single-autoencoder", level=TOP, variant="single"),
        Cell(name="middle", level=MIDDLE),
        Cell(name="middle-no-restarts", level=MIDDLE, restarts=False),
    )
}

EXPERIMENTS: dict[Name, Experiment] = {
    experiment.name: experiment
    for experiment in (
        Experiment(
            name="restarts",
            title="Hop length, with and without restarts of unused codes",
            source="table 1",
            heads=("level", "hop", "restarts"),
            rows=(
                Row(words=("bottom", "8", "no"), cell="bottom-no-restarts", paper=-21.1),
                Row(words=("bottom", "8", "yes"), cell="bottom", paper=-23.0),
                Row(words=("middle", "32", "no"), cell="middle-no-restarts", paper=-12.4),
                Row(words=("middle", "32", "yes"), cell="middle", paper=-12.4),
                Row(words=("top", "128", "no"), cell="top-no-restarts", paper=-8.3),
                Row(words=("top", "128", "yes"), cell="top", paper=-8.3),
            ),
        ),
        Experiment(
            name="bins",
            title="Size of the codebook, bottom level",
            source="table 2",
            heads=("codes",),
            rows=(
                Row(words=("256",), cell="bottom-256-codes", paper=-15.9),
                Row(words=("2048",), cell="bottom", paper=-23.0),
                Row(words=("not quantised",), cell="bottom-unquantised", paper=-40.5),
            ),
        ),
        Experiment(
            name="loss",
            title="Spectral loss and separate autoencoders, top level",
            source="table 3",
            heads=("what is taken away",),
            rows=(
                Row(words=("nothing",), cell="top", paper=-8.3),
                Row(words=("the spectral loss",), cell="top-no-spectral-loss", paper=-6.3),
                Row(words=("separate autoencoders",), cell="top-single-autoencoder", paper=2.9),
            ),
        ),
        Experiment(
            name="entropy",
            title="Entropy of the codes, with and without restarts",
            source="figure 5",
            heads=("level", "restarts"),
            rows=tuple(
                Row(words=(level, word), cell=level if word == "yes" else f"{level}-no-restarts")
                for level in ("bottom", "middle", "top")
                for word in ("no", "yes")
            ),
            figure="entropy_bits",
        ),
    )
}


def chosen(names: Sequence[str]) -> list[Experiment]:
    """The experiments of these names, in the paper's order."""
    return [experiment for name, experiment in EXPERIMENTS.items() if name in names]


def cells_for(names: Sequence[str]) -> list[Cell]:
    """The cells that the experiments of these names need, each once, in the order in which they are run."""
    wanted = {row.cell for experiment in chosen(names) for row in experiment.rows}
    return [cell for cell in CELLS.values() if cell.name in wanted]
