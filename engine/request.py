"""A request: everything that determines a take (DESIGN.md §1 and §4.1).

A take is a pure function of its request. All models here are frozen and check their own arithmetic; a
violated rule raises :class:`pydantic.ValidationError` with one sentence that names the right value.
"""

from __future__ import annotations

import math
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MAX_SEED = 2**31 - 1  # OSC carries 32-bit signed integers (facts/daw.md §1.9)
MAX_SECONDS = 600.0
MAX_LYRICS = 20_000  # characters: more than twice what the fastest rap of that length holds
MIN_BPM, MAX_BPM = 20.0, 400.0


class Frozen(BaseModel):
    """Base of every value that is written to disk or sent between processes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Fidelity(StrEnum):
    """How far down the levels a take is decoded from (DESIGN.md §1)."""

    DRAFT = "draft"
    FINE = "fine"
    FULL = "full"

    @property
    def level(self) -> int:
        """The lowest level that is sampled: draft 2 (top), fine 1 (middle), full 0 (bottom)."""
        return {Fidelity.DRAFT: 2, Fidelity.FINE: 1, Fidelity.FULL: 0}[self]


class Mode(StrEnum):
    """What a take starts from (facts/jukebox.md §5.1).

    ``primed``: audio, which is encoded and continued. ``ancestral``: nothing. ``continue``: the codes of an
    earlier take, which are continued without being encoded again. ``upsample``: the codes of earlier takes, one
    the continuation of the other; the levels they lack are sampled. ``infill``: an earlier take, of which a span
    is sampled again.
    """

    PRIMED = "primed"
    ANCESTRAL = "ancestral"
    CONTINUE = "continue"
    UPSAMPLE = "upsample"
    INFILL = "infill"


class Style(Frozen):
    """A weighted mix of artists and genres; weights are positive and are normalised to sum to 1 when used.

    An empty mapping means "unknown" (label id 0).
    """

    artists: dict[str, float] = {}
    genres: dict[str, float] = {}

    @field_validator("artists", "genres")
    @classmethod
    def _positive(cls, weights: dict[str, float]) -> dict[str, float]:
        for name, weight in weights.items():
            if not (math.isfinite(weight) and weight > 0):
                raise ValueError(f"the weight of '{name}' is {weight}; it must be a number above 0")
        return weights


class StyleChange(Frozen):
    """From sample ``at_frame`` of the continuation on (0 is the seam), ``style`` holds instead of the one before."""

    at_frame: Annotated[int, Field(ge=0)]
    style: Style


NOTES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
KEYS = tuple(f"{note} {mode}" for mode in ("major", "minor") for note in NOTES)


class Pulse(Frozen):
    """What is known of the pulse that a take shall keep; what is left out is heard in the prime.

    ``downbeat_frame``: a sample of the continuation at which a bar begins (0 is the seam, below it the prime);
    ``key`` such as ``F# minor``.
    """

    bpm: Annotated[float, Field(ge=MIN_BPM, le=MAX_BPM)] | None = None
    downbeat_frame: int | None = None
    key: str | None = None

    @field_validator("key")
    @classmethod
    def _known(cls, key: str | None) -> str | None:
        if key is not None and key not in KEYS:
            raise ValueError(f"'{key}' is no key; write a note and a mode, such as 'C major' or 'F# minor'")
        return key


class Place(Frozen):
    """Where on the DAW's time line the first sample of a continuation lies: ``beat`` quarter notes of the request's
    tempo after the beginning of the song, or ``seconds`` after it. It changes nothing of what is made."""

    beat: Annotated[float, Field(ge=0.0, le=1e6)] | None = None
    seconds: Annotated[float, Field(ge=0.0, le=1e6)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Place:
        if (self.beat is None) == (self.seconds is None):
            raise ValueError("a place is given as a beat or in seconds; give one of the two")
        return self


class TimedText(Frozen):
    """A line or a word of lyrics that begins ``seconds`` after the beginning of the song."""

    seconds: Annotated[float, Field(ge=0.0, le=MAX_SECONDS)]
    text: str


class LevelSampling(Frozen):
    """How tokens of one level are drawn. ``top_k`` and ``top_p`` exclude each other (facts/jukebox.md §5.3).

    ``strand``: how many windows of a lower level follow on one another until one begins anew; strands are sampled
    side by side. None: every window sees the one before it, as in the paper. ``overlap_fraction``: the part of a
    window that a strand begins before the one before it ends; there the audio of both is cross-faded.
    """

    temperature: Annotated[float, Field(gt=0.0, le=2.0)] = 0.98
    top_k: Annotated[int, Field(ge=1, le=2048)] | None = None
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    hop_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    strand: Annotated[int, Field(ge=1, le=1024)] | None = None
    overlap_fraction: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0625

    @model_validator(mode="after")
    def _one_filter(self) -> LevelSampling:
        if self.top_k is not None and self.top_p is not None:
            raise ValueError("top_k and top_p exclude each other; set one of them")
        return self


class Sampling(Frozen):
    """Sampling of the three levels: ``bottom`` is level 0, ``top`` level 2.

    ``prime_seconds``: of the prime the model is given at most so much; None: all that the first window has room for.
    """

    # Side by side: no worse to the ear where windows meet, and several times as fast (`segue seams`).
    bottom: LevelSampling = LevelSampling(strand=1)
    middle: LevelSampling = LevelSampling()
    top: LevelSampling = LevelSampling(hop_fraction=0.25)  # more context where the music is decided
    prime_seconds: Annotated[float, Field(gt=0.0, le=MAX_SECONDS)] | None = None

    @model_validator(mode="after")
    def _one_strand(self) -> Sampling:
        if self.top.strand is not None:
            raise ValueError(
                "the top level has nothing above it that could hold strands together; leave its strand out"
            )
        return self

    def level(self, level: int) -> LevelSampling:
        """The settings of one level (0 bottom, 1 middle, 2 top)."""
        return (self.bottom, self.middle, self.top)[level]


class PrimeRef(Frozen):
    """A prime by reference: a file and the span of it that is continued (facts/daw.md §3.6)."""

    path: str
    start_seconds: Annotated[float, Field(ge=0.0)] = 0.0
    length_seconds: Annotated[float, Field(gt=0.0)] | None = None


class TakeRef(Frozen):
    """An earlier take by its folder, and how much of its continuation is used (``frames``; None: all of it)."""

    folder: str
    frames: Annotated[int, Field(ge=1)] | None = None


class Span(Frozen):
    """The samples ``[start_frame, stop_frame)`` of a continuation, and how many versions of them to choose from."""

    start_frame: Annotated[int, Field(ge=0)]
    stop_frame: Annotated[int, Field(ge=1)]
    candidates: Annotated[int, Field(ge=1, le=64)] = 4

    @model_validator(mode="after")
    def _not_empty(self) -> Span:
        if self.stop_frame <= self.start_frame:
            raise ValueError(
                f"the span from frame {self.start_frame} to {self.stop_frame} is empty; it must end after it starts"
            )
        return self


class SongPosition(Frozen):
    """Where the prime lies in the song, for the priors' time signal (facts/jukebox.md §4.1).

    ``ending``: the continuation ends where the song ends, wherever that puts the prime.
    """

    total_seconds: Annotated[float, Field(gt=0.0, le=MAX_SECONDS)]
    prime_at_seconds: Annotated[float, Field(ge=0.0)] = 0.0
    ending: bool = False

    @model_validator(mode="after")
    def _inside(self) -> SongPosition:
        if self.prime_at_seconds >= self.total_seconds:
            raise ValueError(
                f"the prime starts at {self.prime_at_seconds} s, at or after the end of the song "
                f"({self.total_seconds} s); it must start before it"
            )
        return self


class Request(Frozen):
    """Everything that determines a take.

    ``frames`` is the length of the continuation in samples at the model's rate, prime not included.
    ``style_changes``, in order of time, replace ``style`` one after the other. ``lyrics`` are spread evenly over
    the song; ``lyric_times`` says instead when each line or word begins (give one of the two).

    ``meter``: the time signature, such as (6, 8); ``place``: where on the time line it lies, where that is known.

    ``mode`` says what it starts from: ``prime`` when primed, else the takes in ``parents`` (one, or a chain of
    them to upsample), or nothing. ``span``: what is sampled again in infill. Requests of schema 1 had no mode
    and were all primed.
    """

    schema_version: int = 2
    model: str = "starter"
    mode: Mode = Mode.PRIMED
    prime: PrimeRef | None = None
    parents: tuple[TakeRef, ...] = ()
    span: Span | None = None
    style: Style = Style()
    style_changes: tuple[StyleChange, ...] = ()
    lyrics: str = ""
    lyric_times: tuple[TimedText, ...] = ()
    frames: Annotated[int, Field(ge=1)]
    bpm: Annotated[float, Field(ge=MIN_BPM, le=MAX_BPM)] | None = None
    bars: Annotated[float, Field(gt=0.0)] | None = None
    meter: tuple[Annotated[int, Field(ge=1, le=64)], Literal[1, 2, 4, 8, 16, 32]] = (4, 4)
    place: Place | None = None
    song: SongPosition | None = None
    pulse: Pulse | None = None
    sampling: Sampling = Sampling()
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    fidelity: Fidelity = Fidelity.FULL

    @property
    def place_seconds(self) -> Fraction | None:
        """Seconds from the beginning of the song to the continuation, exactly; None where nobody has said."""
        if self.place is None:
            return None
        if self.place.seconds is not None:
            return Fraction(self.place.seconds).limit_denominator(1 << 32)
        if self.place.beat is None or self.bpm is None:
            return None
        return Fraction(self.place.beat).limit_denominator(1 << 16) * 60 / exact_bpm(self.bpm)

    @model_validator(mode="after")
    def _starts_from_something(self) -> Request:
        if (self.prime is None) == (self.mode is Mode.PRIMED):
            raise ValueError(
                "prime is missing"
                if self.prime is None
                else f"a take of mode {self.mode} has no prime; give the prime only when it is primed"
            )
        wanted = {Mode.CONTINUE: 1, Mode.INFILL: 1, Mode.UPSAMPLE: max(1, len(self.parents))}.get(
            self.mode, 0
        )
        if len(self.parents) != wanted:
            raise ValueError(
                f"a take of mode {self.mode} has {wanted or 'no'} parent takes, not {len(self.parents)}"
            )
        return self

    @model_validator(mode="after")
    def _within_the_take(self) -> Request:
        if (self.span is None) == (self.mode is Mode.INFILL):
            raise ValueError("a span is given for infill, and for nothing else")
        if self.span is not None and self.span.stop_frame > self.frames:
            raise ValueError(
                f"the span ends at frame {self.span.stop_frame}, after the take's end; "
                f"it must end at {self.frames} or before"
            )
        at = -1
        for change in self.style_changes:
            if not at < change.at_frame < self.frames:
                raise ValueError(
                    f"a style change is at frame {change.at_frame}; changes come in order of time, "
                    f"before the end at frame {self.frames}"
                )
            at = change.at_frame
        return self

    @model_validator(mode="after")
    def _one_kind_of_lyrics(self) -> Request:
        if self.lyrics and self.lyric_times:
            raise ValueError(
                "lyrics and lyric_times exclude each other; give the text once, with or without times"
            )
        count = len(self.lyrics) + sum(len(piece.text) for piece in self.lyric_times)
        if max(count, len(self.lyric_times)) > MAX_LYRICS:
            raise ValueError(
                f"the lyrics have {count} characters; at most {MAX_LYRICS} can be sung in {MAX_SECONDS:g} s, "
                "so give those of this song only"
            )
        return self


def frames_of_bars(bars: float, bpm: float, rate: int, beats_per_bar: int | Fraction = 4) -> int:
    """Length of ``bars`` in samples, from exact fractions (DESIGN.md §4.5); ``bpm`` beats a minute, ``rate`` Hz."""
    return frames_of_beats(Fraction(bars).limit_denominator(1 << 16) * beats_per_bar, bpm, rate)


def frames_of_beats(beats: Fraction, bpm: float, rate: int) -> int:
    """Length of ``beats`` quarter notes in samples, rounded once."""
    return round(beats * 60 * rate / exact_bpm(bpm))


def exact_bpm(bpm: float) -> Fraction:
    """A tempo as the fraction that all lengths are computed with."""
    return Fraction(bpm).limit_denominator(1 << 20)
