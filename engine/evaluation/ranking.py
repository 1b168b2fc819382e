"""Which continuations are weak: so that the worst are looked at and listened to, not the best."""

from __future__ import annotations

from collections.abc import Sequence

from engine.evaluation.musical import CLOSE, Comparison

LOUDNESS_LIMIT = 6.0  # LU, from which a continuation is as far off as counts
TIMBRE_LIMIT = 20.0  # dB


def weakness(found: Comparison, style_right: bool | None = None) -> float:
    """How much a continuation misses, from 0 (nothing) to 1 (everything): the mean of what it misses of tempo, beat,
    key, loudness, timbre, life and, where it was judged, style, each from 0 to 1."""
    missed = [
        _tempo(found),
        1.0 if found.beat_offset is None else 2.0 * abs(found.beat_offset),
        0.0 if (found.key_true or found.key) in ("same", "relative") else 1.0,
        1.0
        if found.loudness_difference is None
        else min(abs(found.loudness_difference) / LOUDNESS_LIMIT, 1.0),
        min(found.timbre_db / TIMBRE_LIMIT, 1.0),
        min(found.silent + found.frozen, 1.0),
    ]
    if style_right is not None:
        missed.append(0.0 if style_right else 1.0)
    return sum(missed) / len(missed)


def _tempo(found: Comparison) -> float:
    if found.tempo_error_percent is not None and found.tempo_error_percent <= 100 * CLOSE:
        return 0.0
    return 0.5 if found.tempo in ("same", "octave") else 1.0


def spread_ranks(weak: Sequence[float], count: int) -> list[int]:
    """Up to ``count`` places of ``weak``, from the strongest to the weakest, both of which are among them."""
    ranked = sorted(range(len(weak)), key=lambda place: weak[place])
    count = min(count, len(ranked))
    if count == 1:
        return ranked[-1:]
    return [ranked[round(turn * (len(ranked) - 1) / (count - 1))] for turn in range(count)]
