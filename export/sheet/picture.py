"""The contact sheet as one PNG."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from text_unidecode import unidecode

from engine.audio.durable import replacing
from engine.errors import BadArguments
from export.projects.pieces import ROOM
from export.sheet.cards import BANDS, COLUMNS, Card
from export.sheet.drawing import palette
from export.sheet.page import summary

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, SOFT, PAPER, LINE = "#1d2730", "#66727e", "#f6f5f1", "#dedcd4"
LEFT, INDENT, ROW, HEAD, MARGIN = 300, 26, 126, 76, 24  # in pixels
WAVE, GAP = 42, 4
DPI = 100
FONT = "DejaVu Sans"  # which comes with matplotlib
MOST_ROWS = 200  # of one picture: more are for the page


def require_plotting() -> None:
    """Raises BadArguments where matplotlib is missing, before anything is measured."""
    if find_spec("matplotlib") is None:
        raise BadArguments(
            "matplotlib, which draws the PNG, is not installed (pip install matplotlib); the HTML page needs nothing"
        )


def write_picture(cards: Sequence[Card], path: Path, title: str) -> None:
    """The picture as ``path``, all or nothing. Raises BadArguments for more rows than one picture holds."""
    if len(cards) > MOST_ROWS:
        raise BadArguments(
            f"{len(cards)} rows are too many for one picture; name up to {MOST_ROWS - 1} takes, or make the HTML page"
        )
    from matplotlib import rc_context

    with rc_context({"font.family": FONT}):
        data = picture(cards, title)
    with replacing(path, ROOM) as file:
        file.write(data)


def picture(cards: Sequence[Card], title: str) -> bytes:
    """The PNG. One canvas of pixels for all waveforms and spectrograms: an axes for each would take minutes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    depth = max((card.depth for card in cards), default=0)
    width = MARGIN + depth * INDENT + LEFT + COLUMNS + MARGIN
    height = HEAD + ROW * len(cards) + MARGIN
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = _rgb(PAPER)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    left = width - MARGIN - COLUMNS
    for number, card in enumerate(cards):
        top = HEAD + ROW * number
        x = MARGIN + card.depth * INDENT
        canvas[top : top + ROW - 14, x : x + 5] = _rgb(card.color)
        if card.envelope is not None and card.spectrum is not None:
            _draw(canvas, card, left, top)
        _write(axes, card, x + 16, top, left)
    axes.imshow(canvas, extent=(0, width, height, 0), interpolation="nearest", aspect="auto")
    axes.text(MARGIN, 34, _plain(title), color=INK, fontsize=15, fontweight="bold", va="center")
    axes.text(MARGIN, 58, summary(cards), color=SOFT, fontsize=9, va="center")
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _draw(canvas: NDArray[np.uint8], card: Card, left: int, top: int) -> None:
    assert card.envelope is not None and card.spectrum is not None
    canvas[top : top + WAVE, left : left + COLUMNS] = 255
    for bar in card.bars:
        x = left + min(COLUMNS - 1, round(bar / card.seconds * COLUMNS))
        canvas[top : top + WAVE, x] = _rgb(LINE)
    peak = max(float(np.abs(card.envelope).max()), 1e-4)
    middle = (WAVE - 1) / 2
    high = np.rint(middle - card.envelope[:, 1] / peak * middle).astype(int)
    low = np.rint(middle - card.envelope[:, 0] / peak * middle).astype(int)
    rows = np.arange(WAVE)[:, None]
    inside = (rows >= np.minimum(high, low)) & (rows <= np.maximum(high, low))
    canvas[top : top + WAVE, left : left + COLUMNS][inside] = _rgb(card.color)
    below = top + WAVE + GAP
    canvas[below : below + BANDS, left : left + COLUMNS] = palette()[card.spectrum[::-1]]


def _write(axes: Axes, card: Card, x: int, top: int, left: int) -> None:
    room = left - x - 14
    stars = "★" * card.rating
    name = _cut(_plain(card.name), room // 9 - len(stars) - 2)
    axes.text(x, top + 10, f"{name}  {stars}", color=INK, fontsize=11, fontweight="bold", va="center")
    if card.kept:
        axes.text(
            left - 14,
            top + 10,
            "kept",
            color=card.color,
            fontsize=8,
            va="center",
            ha="right",
            fontweight="bold",
        )
    told = _lines(_plain(card.recipe), room // 6, 3)
    figures = [f"{card.seconds:.2f} s", *(f"{name} {value}" for name, value in card.figures)]
    told += _lines(", ".join(figures), room // 6, 2)
    for number, line in enumerate(told):
        axes.text(x, top + 30 + 16 * number, line, color=SOFT, fontsize=8, va="center")
    if card.problem:
        lines = _lines(_plain(card.problem), COLUMNS // 7, 3)
        axes.text(left, top + 20, "\n".join(lines), color="#a3363a", fontsize=9, va="top")


def _lines(text: str, width: int, most: int) -> list[str]:
    """The text in lines of up to ``width`` characters, the last of which may be cut."""
    lines = textwrap.wrap(text, max(10, width))
    return lines if len(lines) <= most else [*lines[: most - 1], _cut(" ".join(lines[most - 1 :]), width)]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= max(4, width) else text[: max(4, width) - 1] + "…"


def _plain(text: str) -> str:
    """In letters that the font has, and without what matplotlib would take for mathematics."""
    letters = _letters()
    return "".join(c if ord(c) in letters else unidecode(c) or "□" for c in text).replace("$", r"\$")


@lru_cache(maxsize=1)
def _letters() -> frozenset[int]:
    """What the font of the picture can draw."""
    from matplotlib.font_manager import findfont
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(findfont(FONT)).get_charmap())


def _rgb(color: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue
