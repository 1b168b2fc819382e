"""Takes in a line: what made them, and what somebody thinks of them."""

from __future__ import annotations

from collections.abc import Iterator

from engine.request import Mode, Style
from engine.take import Take
from engine.take.marks import MAX_RATING, Marks
from export.tracks.timing import key_of, tempo_of


def shown(text: str) -> str:
    """``text`` in one line, without what cannot be printed; never empty."""
    return "".join(c if c.isprintable() else " " for c in text).strip() or "sound"


def style_name(style: Style) -> str:
    """``house 0.7 + lofi 0.3``; ``any style`` for none."""
    weights = style.genres | style.artists
    if len(weights) == 1:
        return next(iter(weights))
    total = sum(weights.values())
    return " + ".join(f"{name} {weight / total:.2g}" for name, weight in weights.items()) or "any style"


def recipe(take: Take, marks: Marks, *, before: str = "", asked: bool = True, brief: bool = False) -> str:
    """What a take was made of, in one line. ``before``: the name of what it goes on from or was made of.

    ``brief``: without what stands beside it on a sheet: length and rating.
    """
    return ", ".join(part for part in _parts(take, marks, before, asked, brief) if part)


def _parts(take: Take, marks: Marks, before: str, asked: bool, brief: bool) -> Iterator[str]:
    head = take.info.head
    request = head.request
    yield style_name(request.style)
    for change in request.style_changes:
        yield f"{style_name(change.style)} from {change.at_frame / head.rate:.1f} s on"
    if (tempo := tempo_of(head)) is not None:
        yield f"{tempo.bpm:g} bpm"
    yield key_of(head) or ""
    yield "" if brief else f"{take.info.seconds:.2f} s"
    yield f"seed {request.seed}"
    yield str(request.fidelity)
    yield f"model {request.model}"
    yield _made_of(take, before or head.parent or "")
    yield "cut short" if take.info.state == "partial" else ""
    yield f"rated {marks.rating} of {MAX_RATING}" if marks.rating and not brief else ""
    yield "" if asked else "here because a take goes on from it"


def _made_of(take: Take, before: str) -> str:
    head, name = take.info.head, before or "a take that is gone"
    request, rate = head.request, head.rate
    if request.mode is Mode.CONTINUE:
        return f"goes on from {name}"
    if request.mode is Mode.UPSAMPLE:
        return f"{name} made finer"
    if request.mode is Mode.INFILL and request.span is not None:
        return f"{name} anew from {request.span.start_frame / rate:.2f} to {request.span.stop_frame / rate:.2f} s"
    return ""
