"""Setting everything as it was for a take: what it went on from, style, words, seed and parameters."""

from __future__ import annotations

from bridge.osc.endpoint import Peer
from bridge.session.choices import Choices, difference
from bridge.session.desk import Desk
from bridge.session.entries import TakeEntry
from bridge.session.lyrics import LyricSheet
from bridge.session.settings import Settings
from bridge.session.styles import UNKNOWN, StyleChoice
from engine.request import Mode, PrimeRef, Request, Style
from engine.shelf.listed import mix_name


def recall(desk: Desk, entry: TakeEntry, peer: Peer, request_tag: str = "") -> None:
    """Choose what made a take, and take what was heard before it as the prime; one step of undo.

    The prime is the take's own copy, so the file that it came from may have gone; or the take that it continued.
    """
    before, prime = desk.choosing.now, desk.primes.current
    chosen = recalled(before, entry)

    def take_prime() -> None:
        parent = _parent(desk, entry.request)
        if parent is not None:
            desk.primes.go_on_from(*parent, peer, request_tag)
        elif entry.from_nothing:
            desk.primes.back_to(None)
        else:
            desk.primes.submit(desk.primes.take(PrimeRef(path=entry.prime), peer, request_tag))

    old, new = difference(before, chosen)
    desk.choosing.restore(new)
    take_prime()

    def undo() -> None:
        desk.choosing.restore(old)
        desk.primes.back_to(prime)

    def redo() -> None:
        desk.choosing.restore(new)
        take_prime()

    desk.history.add(f"recall {entry.name}", undo, redo)


def _parent(desk: Desk, request: Request) -> tuple[TakeEntry, int | None] | None:
    """The take that was continued, and how much of it, if the session knows it."""
    if request.mode is not Mode.CONTINUE:
        return None
    parent = desk.takes.of_folder(request.parents[0].folder)
    return None if parent is None else (parent, request.parents[0].frames)


def recalled(now: Choices, entry: TakeEntry) -> Choices:
    """The choices that gave a take; what a take does not know of stays as it is."""
    request = entry.request
    lines = request.lyrics or "\n".join(line.text for line in request.lyric_times)
    return Choices(
        _settings(now.settings, request, entry.rate), _style(request.style), LyricSheet(lines), now.quantum
    )


def _settings(now: Settings, request: Request, rate: int) -> Settings:
    top = request.sampling.top
    return now.model_copy(
        update={
            "levels": request.sampling,
            "temperature": top.temperature,
            "top_p": top.top_p or 1.0,
            "top_k": top.top_k or 0,
            "bars": request.bars or now.bars,
            "seconds": 0.0 if request.bars else request.frames / rate,
            "bars_asked": request.bars is not None,
            "bpm": request.bpm or 0.0,
            "takes": 1,
            "seed": request.seed,
            "seed_lock": 1,
            "fidelity": str(request.fidelity),
        }
    )


def _style(style: Style) -> StyleChoice:
    """A style under the name that a mix of its parts has."""
    return StyleChoice(mix_name(style.genres, style.artists) or UNKNOWN, 0, style)
