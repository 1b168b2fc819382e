"""A straight piece of musical time: one moment, the beat it has, and how long a beat is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from engine.errors import OutOfRange

MINUTE_NS = 60 * 10**9
FINEST = 1 << 20  # denominators of tempi that were given as floats


@dataclass(frozen=True)
class Meter:
    """A time signature. Raises :class:`OutOfRange` for what is none."""

    numerator: int = 4
    denominator: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.numerator <= 64:
            raise OutOfRange(
                f"a bar has {self.numerator} counts; it must have from 1 to 64, such as 4 in 4/4"
            )
        if self.denominator not in (1, 2, 4, 8, 16, 32):
            raise OutOfRange(
                f"the signature's lower number is {self.denominator}; it must be 1, 2, 4, 8, 16 or 32"
            )

    @property
    def bar_beats(self) -> Fraction:
        """Length of a bar in beats (quarter notes): 7/8 is 3 1/2."""
        return Fraction(4 * self.numerator, self.denominator)


def exact_bpm(bpm: float | Fraction) -> Fraction:
    """The tempo that is meant by a float: 173.5, not its binary neighbour. Raises OutOfRange unless above 0."""
    if not (math.isfinite(bpm) and bpm > 0):
        raise OutOfRange(f"the tempo is {float(bpm):g} bpm; it must be a number above 0")
    return Fraction(bpm).limit_denominator(FINEST)


@dataclass(frozen=True)
class Timeline:
    """At ``at_ns`` (monotonic) it is ``beat`` (0: where the song begins), and a beat lasts ``beat_ns``.

    ``downbeat`` is a beat at which bar ``downbeat_bar`` begins (bars count from 1); the others follow by ``meter``.
    """

    beat: Fraction
    at_ns: Fraction
    beat_ns: Fraction
    meter: Meter = Meter()
    downbeat: Fraction = Fraction(0)
    downbeat_bar: int = 1

    @staticmethod
    def at_tempo(bpm: float | Fraction, at_ns: int, beat: Fraction = Fraction(0)) -> Timeline:
        """At ``at_ns`` it is ``beat``, in 4/4 at ``bpm``."""
        return Timeline(beat, Fraction(at_ns), MINUTE_NS / exact_bpm(bpm))

    @property
    def bpm(self) -> float:
        """Beats (quarter notes) a minute."""
        return float(MINUTE_NS / self.beat_ns)

    @property
    def bar_ns(self) -> Fraction:
        """How long a bar lasts."""
        return self.meter.bar_beats * self.beat_ns

    def beat_at(self, at_ns: int | Fraction) -> Fraction:
        """The beat it is at a moment."""
        return self.beat + (at_ns - self.at_ns) / self.beat_ns

    def ns_at(self, beat: Fraction | int) -> Fraction:
        """The moment of a beat."""
        return self.at_ns + (beat - self.beat) * self.beat_ns

    def bar_at(self, beat: Fraction | int) -> int:
        """Number of the bar in which a beat lies; a downbeat lies in the bar it begins."""
        return math.floor((beat - self.downbeat) / self.meter.bar_beats) + self.downbeat_bar

    def bar_start(self, bar: int) -> Fraction:
        """The beat at which a bar begins."""
        return self.downbeat + (bar - self.downbeat_bar) * self.meter.bar_beats

    def next_boundary(self, after: Fraction | int, step: Fraction | int) -> Fraction:
        """The first beat behind ``after`` (not at it) that lies a multiple of ``step`` beats from a downbeat.

        Steps are counted from :attr:`downbeat`: with 2 bars, from every second bar of the count.
        """
        return self.downbeat + (math.floor((after - self.downbeat) / step) + 1) * step

    def moved(self, at_ns: int) -> Timeline:
        """The same line, said of another moment."""
        return replace(self, beat=self.beat_at(at_ns), at_ns=Fraction(at_ns))

    def with_tempo(self, bpm: float | Fraction, at_ns: int) -> Timeline:
        """From ``at_ns`` on another tempo; the beat goes on from where it is."""
        return replace(self.moved(at_ns), beat_ns=MINUTE_NS / exact_bpm(bpm))

    def with_meter(self, meter: Meter, at_ns: int) -> Timeline:
        """Another signature from the bar on in which ``at_ns`` lies; the bars before keep their numbers."""
        bar = self.bar_at(self.beat_at(at_ns))
        return replace(self, meter=meter, downbeat=self.bar_start(bar), downbeat_bar=bar)
