"""A minute and a change: what becomes of loudness over a long continuation, and of the music when the style changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from engine.analysis.loudness import integrated_loudness, loudness_drift
from engine.evaluation.continuations import Pair
from engine.evaluation.kept import Maker
from engine.evaluation.musical import dead_shares
from engine.evaluation.style import StyleJudge
from engine.request import MAX_SECONDS, Frozen, Request, SongPosition, Style, StyleChange
from engine.sampling.song import fitted

END_SECONDS = 10.0


class LongTake(Frozen):
    """A long continuation. ``drift``: LU from its beginning to its end by the slope of its loudness, ``end``: how much
    louder than the prime its last 10 s are; None where silent. ``dead``: share of its time that is silent or stands
    still. ``song_drift``: of the song itself over ``song_seconds`` after the prime, None where that is under 10 s."""

    song: str
    seconds: float
    drift: float | None
    end: float | None
    dead: float
    song_drift: float | None
    song_seconds: float


class Change(Frozen):
    """A continuation whose style changes half way, at ``at_seconds``: what was asked for and what is heard of both
    halves."""

    song: str
    at_seconds: float
    before: str
    after: str
    heard_before: str
    heard_after: str


def take_long(
    maker: Maker,
    pair: Pair,
    request: Request,
    seconds: float,
    progress: Callable[[float], None] = lambda fraction: None,
) -> LongTake:
    """Makes and measures a continuation of ``seconds``, as ``request`` asks for but for its length."""
    rate = maker.backend.config.rate
    long = request.model_copy(
        update={"frames": round(seconds * rate), "song": _long_enough(maker, pair, request, seconds)}
    )
    made = maker.make(long, pair.prime, progress).audio
    rest = pair.song.samples[pair.start + pair.prime.size :][: made.size]
    before = integrated_loudness(pair.prime, rate)
    end = integrated_loudness(made[-round(END_SECONDS * rate) :], rate) - before
    return LongTake(
        song=pair.song.name,
        seconds=round(made.size / rate, 3),
        drift=loudness_drift(made, rate),
        end=end if np.isfinite(end) else None,
        dead=sum(dead_shares(made, rate)),
        song_drift=loudness_drift(rest, rate) if rest.size >= END_SECONDS * rate else None,
        song_seconds=round(rest.size / rate, 3),
    )


def _long_enough(maker: Maker, pair: Pair, request: Request, seconds: float) -> SongPosition | None:
    """A song that does not end within the continuation: its ending would be quieter."""
    if request.song is None:
        return None
    prime = pair.prime.size / maker.backend.config.rate
    needed = min(request.song.prime_at_seconds + prime + seconds + END_SECONDS, MAX_SECONDS)
    longer = request.song.model_copy(update={"total_seconds": max(request.song.total_seconds, needed)})
    return fitted(maker.backend.config, longer, prime)


def other_genre(genre: str, genres: Sequence[str], turn: int) -> str:
    """A genre to change to: another of ``genres``, a different one each ``turn``."""
    rest = [name for name in genres if name != genre]
    return rest[turn * 5 % len(rest)]


def change_style(
    maker: Maker,
    judge: StyleJudge,
    pair: Pair,
    request: Request,
    after: str,
    progress: Callable[[float], None] = lambda fraction: None,
) -> Change:
    """Makes the continuation again with the genre ``after`` from its middle on, and says what is heard of it."""
    rate = maker.backend.config.rate
    half = request.frames // 2
    change = StyleChange(at_frame=half, style=Style(genres={after: 1.0}))
    made = maker.make(request.model_copy(update={"style_changes": (change,)}), pair.prime, progress).audio
    return Change(
        song=pair.song.name,
        at_seconds=round(half / rate, 3),
        before=pair.song.genres[0],
        after=after,
        heard_before=judge.name(made[:half], rate),
        heard_after=judge.name(made[half:], rate),
    )
