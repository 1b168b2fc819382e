"""Alignments as people and programs read them: JSON, LRC with word stamps, a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from engine.alignment.attention import TakeAttention
from engine.alignment.path import POOL, Sung
from engine.request import Frozen

ROWS = 1200  # most time steps of a picture


class Character(Frozen):
    """One character of the cleaned text; ``seconds`` from the beginning of the continuation, None if never sung."""

    character: str
    seconds: float | None
    attention: float


class Word(Frozen):
    """One word; ``seconds`` is when its first character begins."""

    text: str
    line: int
    seconds: float | None


class Alignment(Frozen):
    """Character and word times of a take (facts/jukebox.md §5.4); ``layer`` and ``head`` whose attention was read."""

    schema_version: int = 1
    take: str
    model: str
    layer: int
    head: int
    text: str
    characters: tuple[Character, ...]
    words: tuple[Word, ...]


def describe(take: str, model: str, place: tuple[int, int], sung: Sequence[Sung]) -> Alignment:
    """The record of an alignment."""
    return Alignment(
        take=take,
        model=model,
        layer=place[0],
        head=place[1],
        text="".join(one.character for one in sung),
        characters=tuple(
            Character(
                character=one.character,
                seconds=None if one.seconds is None else round(one.seconds, 4),
                attention=round(one.attention, 5),
            )
            for one in sung
        ),
        words=tuple(_words(sung)),
    )


def _words(sung: Sequence[Sung]) -> Iterator[Word]:
    line = 0
    for blank, group in groupby(sung, lambda one: one.character.isspace()):
        run = list(group)
        if blank:
            line += sum(one.character == "\n" for one in run)
            continue
        seconds = next((one.seconds for one in run if one.seconds is not None), None)
        text = "".join(one.character for one in run)
        yield Word(text=text, line=line, seconds=None if seconds is None else round(seconds, 4))


def lrc_text(words: Sequence[Word]) -> str:
    """LRC with a stamp for every line and every word (enhanced LRC), of what is sung in the continuation."""
    lines = []
    for _, group in groupby(words, lambda word: word.line):
        sung = [(word.seconds, word.text) for word in group if word.seconds is not None and word.seconds >= 0]
        if sung:
            stamped = " ".join(f"<{_clock(at)}>{text}" for at, text in sung)
            lines.append(f"[{_clock(sung[0][0])}]{stamped}")
    return "\n".join(lines) + "\n" if lines else ""


def _clock(seconds: float) -> str:
    minutes, hundredths = divmod(round(seconds * 100), 6000)
    return f"{minutes:02d}:{hundredths // 100:02d}.{hundredths % 100:02d}"


def plot_alignment(found: TakeAttention, sung: Sequence[Sung], path: Path, title: str) -> Path:
    """Writes a PNG of attention, time across and text downwards, with the path that the times come from (the
    paper's figure 3); gives ``path`` back."""
    from matplotlib.figure import Figure

    pool = max(POOL, -(-len(found.matrix) // ROWS))
    edges = np.arange(0, len(found.matrix), pool)
    shown = np.add.reduceat(found.matrix, edges, axis=0).T / pool
    seconds = found.seconds
    figure = Figure(figsize=(11, 5.5), dpi=110, layout="constrained")
    axes = figure.subplots()
    figure.suptitle(title, fontsize=12)
    top = max(float(np.quantile(shown, 0.995)), 1e-6)
    extent = (float(seconds[0]), float(seconds[-1]), float(len(sung)), 0.0)
    image = axes.imshow(
        shown, aspect="auto", extent=extent, cmap="magma", vmin=0.0, vmax=top, interpolation="nearest"
    )
    timed = [(one.seconds, place + 0.5) for place, one in enumerate(sung) if one.seconds is not None]
    axes.plot([at for at, _ in timed], [place for _, place in timed], color="#00c2a8", linewidth=1.2)
    axes.axvline(0.0, color="white", linewidth=0.8, linestyle="--")
    _label(axes, sung)
    axes.set_xlabel("seconds from the seam")
    figure.colorbar(image, ax=axes, label="share of attention")
    figure.savefig(path)
    return path


def _label(axes: object, sung: Sequence[Sung]) -> None:
    """The words themselves beside the axis, as many as there is room for."""
    from matplotlib.axes import Axes

    assert isinstance(axes, Axes)
    starts = [
        place
        for place, one in enumerate(sung)
        if not one.character.isspace() and (place == 0 or sung[place - 1].character.isspace())
    ]
    text = "".join(one.character for one in sung)
    chosen = starts[:: max(1, -(-len(starts) // 32))]
    axes.set_yticks(
        [place + 0.5 for place in chosen], [text[place:].split(maxsplit=1)[0][:14] for place in chosen]
    )
    axes.tick_params(axis="y", labelsize=7)
