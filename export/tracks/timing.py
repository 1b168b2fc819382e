"""What is known of a take's time: tempo, whole bars, where it lies in the song."""

from __future__ import annotations

from fractions import Fraction

from engine.take.take import TakeHead
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


def place_of(head: TakeHead) -> tuple[Fraction, bool]:
    """Seconds from the beginning of the song to the continuation, and whether that was stated.

    Where nobody stated it the song begins with the prime.
    """
    stated = head.request.place_seconds
    if stated is not None:
        return stated, True
    return Fraction(head.left_out + head.prime_frames, head.rate), False
