"""What is known of a take's time: tempo, whole bars, where it lies in the song, where its windows meet."""

from __future__ import annotations

import math
from fractions import Fraction

from engine.request import Request, exact_bpm
from engine.take.take import TakeHead, TakeInfo
from export.tracks.track import Tempo


def tempo_of(head: TakeHead) -> Tempo | None:
    """The tempo that a take was asked for in, else the one that its model was told; None in free time."""
    request = head.request
    told = (request.bpm, request.pulse and request.pulse.bpm, head.pulse and head.pulse.bpm)
    bpm = next((bpm for bpm in told if bpm), None)
    return None if bpm is None else Tempo(bpm, *request.meter)


def key_of(head: TakeHead) -> str | None:
    """The key that was stated, or that the model was told."""
    stated = head.request.pulse and head.request.pulse.key
    return stated or (head.pulse.key if head.pulse else None)


def place_of(head: TakeHead, tempo: Tempo | None) -> tuple[Fraction, bool]:
    """Seconds from the beginning of the song to the continuation, and whether that was stated.

    Where nobody stated it the song begins with the prime.
    """
    stated = stated_place(head.request, tempo)
    if stated is not None:
        return stated, True
    return Fraction(head.left_out + head.prime_frames, head.rate), False


def stated_place(request: Request, tempo: Tempo | None) -> Fraction | None:
    """Seconds from the beginning of the song as a request has them, None where it does not say."""
    place = request.place
    if place is None:
        return None
    if place.seconds is not None:
        return Fraction(place.seconds).limit_denominator(1 << 32)
    if place.beat is None or tempo is None:
        return None
    return Fraction(place.beat).limit_denominator(1 << 16) * 60 / exact_bpm(tempo.bpm)


def window_starts(info: TakeInfo, level: int) -> list[int]:
    """Samples of the continuation at which windows of a level begin, but for the first; none where that is unknown."""
    hop = _hop(info, level)
    if not hop:
        return []
    top = max(info.tokens)
    seam = info.prime_tokens.get(top, 0) * info.head.hop - info.head.overhang
    starts = sorted({window.start * hop - seam for window in info.plan if window.level == level})
    return [start for start in starts[1:] if 0 < start < info.frames]


def _hop(info: TakeInfo, level: int) -> int:
    """Samples a token: levels differ by powers of two."""
    top = max(info.tokens, default=level)
    if not info.head.hop or not info.tokens.get(level) or not info.tokens.get(top):
        return 0
    return info.head.hop >> round(math.log2(info.tokens[level] / info.tokens[top]))
