"""The contact sheet as one HTML file: pictures are inside, sounds are links to the takes' own files.

It works from a disk, without a server and without a network: ``file://`` allows an ``<audio>`` element beside the
page's own folder, and nothing else is fetched.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

from engine.audio.durable import replacing
from engine.take.marks import MAX_RATING
from export.projects.pieces import ROOM
from export.sheet.cards import BANDS, COLUMNS, Card
from export.sheet.drawing import outline, png

WIDTH, HEIGHT = COLUMNS // 2, 46  # of a waveform's box

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="Segue">
<title>{title}</title>
<style>
{css}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p>{summary}</p>
<form role="search" onsubmit="return false">
<label><span class="aside">Find takes by any word: </span>
<input type="search" id="search" placeholder="Find: house, seed 7, 124 bpm"></label>
<label><input type="checkbox" id="kept-only"> kept only</label>
</form>
</header>
<main>
<p class="aside">Arrow up and down move between takes, space plays and pauses, left and right move within a take by a
bar, slash finds.</p>
<p id="said" class="aside" role="status" aria-live="polite"></p>
<ol aria-label="Primes and takes">
{rows}
</ol>
<p id="none" class="none" hidden>Nothing here has these words.</p>
<footer><kbd>space</kbd> plays, <kbd>↑</kbd> <kbd>↓</kbd> move, <kbd>←</kbd> <kbd>→</kbd> a bar back and forth,
<kbd>/</kbd> finds. Above each spectrogram the waveform, lines are bars. <em>Seam</em>: how far the sound changes where
a take begins, over how far it does elsewhere.</footer>
</main>
<script>
{script}</script>
</body>
</html>
"""


def write_page(cards: Sequence[Card], path: Path, title: str) -> None:
    """The page as ``path``, all or nothing. Raises as :func:`engine.audio.durable.writing`."""
    with replacing(path, ROOM) as file:
        file.write(page(cards, path.parent, title).encode("utf-8", "replace"))


def page(cards: Sequence[Card], folder: Path, title: str) -> str:
    """The HTML; ``folder``: where it will lie, from which sounds are linked."""
    here = files("export.sheet")
    return _PAGE.format(
        title=escape(title),
        summary=escape(summary(cards)),
        css=here.joinpath("page.css").read_text(encoding="utf-8"),
        script=here.joinpath("page.js").read_text(encoding="utf-8"),
        rows="\n".join(_row(number, card, folder) for number, card in enumerate(cards)),
    )


def summary(cards: Sequence[Card]) -> str:
    """How many of what."""
    takes = [card for card in cards if card.kind == "take"]
    kept = sum(card.kept for card in takes)
    minutes, seconds = divmod(round(sum(card.seconds for card in takes)), 60)
    count = f"{len(takes)} takes" if len(takes) != 1 else "1 take"
    return f"{count}, {kept} kept, {minutes}:{seconds:02d} min"


def _row(number: int, card: Card, folder: Path) -> str:
    classes = " ".join(["row", card.kind, *(["extra"] if card.extra else [])])
    text = f"{card.name} {card.recipe}".lower()
    bar = card.bars[0] if card.bars else 1.0
    return (
        f'<li class="{classes}" id="row{number}" tabindex="{0 if number == 0 else -1}" '
        f'style="--depth:{card.depth};--own:{card.color}" aria-label="{escape(_aloud(card))}" '
        f'data-name="{escape(card.name)}" data-text="{escape(text)}" data-kept="{int(card.kept)}" '
        f'data-bar="{bar:.6f}">\n{_who(card)}\n{_sound(card, folder)}\n{_figures(card)}</li>'
    )


def _aloud(card: Card) -> str:
    """What a screen reader says of a row."""
    kind = "Prime" if card.kind == "prime" else f"Take, generation {card.depth},"
    figures = ", ".join(f"{name} {value}" for name, value in card.figures)
    parts = [f"{kind} {card.name}", f"rated {card.rating} of {MAX_RATING}" if card.rating else ""]
    parts += ["kept" if card.kept else "", card.recipe, figures, card.problem]
    return ". ".join(part for part in parts if part)


def _who(card: Card) -> str:
    button = (
        ""
        if card.problem
        else f'<button type="button" tabindex="-1" aria-label="Play {escape(card.name)}"><span></span></button>'
    )
    stars = f'<span class="stars" aria-hidden="true">{"★" * card.rating}</span>' if card.rating else ""
    kept = '<span class="kept">kept</span>' if card.kept else ""
    marks = f"<div>{stars} {kept}</div>" if stars or kept else ""
    recipe = f'<p class="recipe">{escape(card.recipe)}</p>'
    return f'<div class="who"><h2>{button}{escape(card.name)}</h2>{marks}{recipe}</div>'


def _sound(card: Card, folder: Path) -> str:
    if card.envelope is None or card.spectrum is None:
        return f'<p class="problem">{escape(card.problem)}</p>'
    lines = "".join(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{HEIGHT}"/>'
        for x in (bar / card.seconds * WIDTH for bar in card.bars)
    )
    wave = outline(card.envelope, HEIGHT, WIDTH)
    image = base64.b64encode(png(card.spectrum[::-1])).decode()
    return (
        f'<div class="sound"><svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" aria-hidden="true">'
        f'{lines}<path d="{wave}"/></svg>'
        f'<img alt="" width="{COLUMNS}" height="{BANDS}" src="data:image/png;base64,{image}">'
        f'<div class="head"></div><audio preload="none" src="{escape(link(card.wav, folder))}"></audio></div>'
    )


def _figures(card: Card) -> str:
    told = [("length", f"{card.seconds:.2f} s"), *card.figures]
    return "<dl>" + "".join(f"<div><dt>{escape(n)}</dt><dd>{escape(v)}</dd></div>" for n, v in told) + "</dl>"


def link(wav: Path, folder: Path) -> str:
    """A sound's address relative to the page, so that both can be moved together."""
    try:
        relative = os.path.relpath(wav.resolve(), folder.resolve())
    except ValueError:  # another drive of Windows
        return wav.resolve().as_uri()
    return quote(relative.replace(os.sep, "/"), safe="/")
