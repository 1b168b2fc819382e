"""Takes in a line: what made them, and what somebody thinks of them."""

from __future__ import annotations

from collections.abc import Iterator

from engine.request import Mode, Style
from engine.take import Take
from engine.take.marks import MAX_RATING, Marks


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


def recipe(take: Take, marks: Marks, *, asked: bool = True) -> str:
    """What a take was made of, in one line."""
    return ", ".join(_parts(take, marks, asked))


def _parts(take: Take, marks: Marks, asked: bool) -> Iterator[str]:
    head = take.info.head
    request = head.request
    yield style_name(request.style)
    for change in request.style_changes:
        yield f"{style_name(change.style)} from {change.at_frame / head.rate:.1f} s on"
    if request.bpm is not None:
        yield f"{request.bpm:g} bpm"
    if (request.pulse and request.pulse.key) or (head.pulse and head.pulse.key):
        yield (request.pulse and request.pulse.key) or (head.pulse and head.pulse.key) or ""
    yield f"{take.info.seconds:.2f} s"
    yield f"seed {request.seed}"
    yield str(request.fidelity)
    yield f"model {request.model}"
    if request.mode is not Mode.PRIMED:
        yield str(request.mode) + (f" of {head.parent}" if head.parent else "")
    if take.info.state == "partial":
        yield "cut short"
    if marks.rating:
        yield f"rated {marks.rating} of {MAX_RATING}"
    if not asked:
        yield "here because a take goes on from it"
