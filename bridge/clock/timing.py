"""What a launch tells the model about time: where bars begin, how fast they go by, where in the song it is."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from bridge.clock.launch import Launch
from bridge.clock.timeline import MINUTE_NS
from engine.request import MAX_BPM, MAX_SECONDS, MIN_BPM, Pulse, SongPosition


@dataclass(frozen=True)
class Timing:
    """Fields of a :class:`~engine.request.Request`: ``request.model_copy(update=timing.fields())``."""

    pulse: Pulse | None
    song: SongPosition | None

    def fields(self) -> dict[str, Pulse | SongPosition]:
        """What is known, by the names of the request's fields."""
        named = {"pulse": self.pulse, "song": self.song}
        return {name: value for name, value in named.items() if value is not None}


def timing_of(
    start: Launch,
    *,
    rate: int,
    prime_seconds: float = 0.0,
    heard_seconds: float = 0.0,
    song_bars: float | None = None,
    key: str | None = None,
) -> Timing:
    """The timing of a continuation whose first sample is heard at ``start``, at the model's ``rate`` (Hz).

    ``Pulse.downbeat_frame`` is the first downbeat at or after the seam, in samples of the continuation: 0 when it is
    launched on a bar. ``song_bars``: length of the song; with it the prime, ``prime_seconds`` long, is placed so that
    the continuation lies where the song is, and never so late that the song would end before it does
    (``heard_seconds``: prime and continuation together). None outside 20 to 400 bpm.
    """
    line = start.timeline
    if not MIN_BPM <= line.bpm <= MAX_BPM:
        return Timing(None, None)
    bar = line.bar_at(start.beat)
    downbeat = line.bar_start(bar if line.bar_start(bar) == start.beat else bar + 1)
    frames = (downbeat - start.beat) * line.beat_ns * rate / 10**9
    pulse = Pulse(bpm=line.bpm, downbeat_frame=round(frames), key=key)
    return Timing(pulse, _place(start, song_bars, prime_seconds, max(heard_seconds, prime_seconds)))


def _place(
    start: Launch, song_bars: float | None, prime_seconds: float, heard_seconds: float
) -> SongPosition | None:
    if song_bars is None:
        return None
    line = start.timeline
    second = Fraction(MINUTE_NS, 60)
    total = min(MAX_SECONDS, float(Fraction(song_bars) * line.bar_ns / second))
    at = float(start.beat * line.beat_ns / second) - prime_seconds
    latest = total - heard_seconds
    if latest < 0 or total <= prime_seconds:
        return None
    return SongPosition(total_seconds=total, prime_at_seconds=max(0.0, min(at, latest)))
