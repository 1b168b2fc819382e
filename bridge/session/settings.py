"""Parameters of the next request, and how they become a :class:`~engine.request.Request`.

Temperature, top_p and top_k steer the top level, where the music is decided; the lower levels keep the model's
own settings (facts/jukebox.md §5.3: notebook practice).
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from pathlib import PurePath

from pydantic import Field

from engine.errors import OutOfRange
from engine.request import (
    MAX_BPM,
    MAX_SECONDS,
    MAX_SEED,
    MIN_BPM,
    Fidelity,
    Frozen,
    LevelSampling,
    Mode,
    PrimeRef,
    Request,
    Sampling,
    Style,
    TakeRef,
    frames_of_bars,
)

DEFAULT_BARS = 4.0
DEFAULT_SECONDS = 8.0  # when bars were not asked for and no tempo is known
_BPM_IN_NAME = re.compile(r"(?<![\d.])(\d{2,3}(?:\.\d+)?)[ _-]?bpm(?![a-z])", re.IGNORECASE)


def fresh_seed() -> int:
    """A seed nobody has asked for, small enough that ``seed + k`` stays in range."""
    return secrets.randbelow(MAX_SEED - 1024)


class Settings(Frozen):
    """What ``/segue/param/*`` sets (units and limits: bridge/osc/addresses.py).

    ``seconds`` 0 means "use bars"; ``bars`` 0 means "use seconds"; ``bpm`` 0 means "that of the prime".
    ``bars_asked``: bars were set by somebody, so a missing tempo is an error and not a reason for 8 seconds.
    """

    temperature: float = Sampling().top.temperature
    top_p: float = 1.0
    top_k: int = 0
    seconds: float = 0.0
    bars: float = DEFAULT_BARS
    bpm: float = 0.0
    takes: int = 1
    capture_bars: float = DEFAULT_BARS
    seed: int = Field(default_factory=fresh_seed)
    seed_lock: int = 0
    fidelity: str = str(Fidelity.FULL)
    bars_asked: bool = False
    levels: Sampling = Sampling()  # as the preset has it; the parameters above come before its top level
    usual_bpm: float = 0.0  # the preset's own, where no tempo is known

    def with_value(self, name: str, value: int | float | str) -> Settings:
        """A copy with one parameter set and those that follow from it. Raises :class:`OutOfRange`."""
        if name == "bpm" and value != 0 and not MIN_BPM <= float(value) <= MAX_BPM:
            raise OutOfRange(
                f"bpm is {value:g}; it must be 0 (that of the prime) or from {MIN_BPM:g} to {MAX_BPM:g}"
            )
        if name == "overlap":
            top = self.levels.top.model_copy(update={"hop_fraction": 1.0 - float(value)})
            return self.model_copy(update={"levels": self.levels.model_copy(update={"top": top})})
        follow: dict[str, int | float | bool] = {}
        if name == "bars":
            follow = {"seconds": 0.0, "bars_asked": value != 0}
        elif name == "seed":
            follow = {"seed_lock": 1}
        elif name == "top_p" and value != 1.0:
            follow = {"top_k": 0}
        elif name == "top_k" and value != 0:
            follow = {"top_p": 1.0}
        return self.model_copy(update={name: value, **follow})

    @property
    def overlap(self) -> float:
        """The part of a top-level window that the next one sees again."""
        return 1.0 - self.levels.top.hop_fraction

    def after_job(self) -> Settings:
        """The settings once a job has taken its seed: another seed, unless it is locked."""
        return self if self.seed_lock else self.model_copy(update={"seed": fresh_seed()})

    def sampling(self) -> Sampling:
        """Sampling of the three levels."""
        usual = self.levels
        top = LevelSampling(
            temperature=self.temperature,
            top_k=self.top_k or None,
            top_p=self.top_p if self.top_p < 1.0 else None,
            hop_fraction=usual.top.hop_fraction,
        )
        return usual.model_copy(update={"top": top})


def tempo_of(path: str, asked: float | None, estimated: float | None) -> float | None:
    """Beats a minute: as asked for, else as in the file's name ("..._112bpm.wav"), else as estimated."""
    if asked:
        return asked
    named = _BPM_IN_NAME.search(PurePath(path).stem)
    if named and MIN_BPM <= float(named[1]) <= MAX_BPM:
        return float(named[1])
    return estimated


@dataclass(frozen=True)
class Length:
    """How long a continuation is to be: ``frames`` at the model's rate, and ``bars`` when it was counted in bars."""

    frames: int
    bars: float | None


def length_of(seconds: float | None, bars: float | None, bpm: float | None, rate: int) -> Length:
    """Length in samples: ``seconds`` if given, else ``bars`` of 4/4, else 4 bars when a tempo is known, else 8 s.

    Raises :class:`OutOfRange` for bars without a tempo and for a length above 600 s.
    """
    if seconds:
        if not 0 < seconds <= MAX_SECONDS:
            raise OutOfRange(f"the length is {seconds:g} s; it must be above 0 and at most {MAX_SECONDS:g} s")
        return Length(max(1, round(seconds * rate)), None)
    if bpm is None:
        if bars is not None:
            raise OutOfRange(
                "a length in bars needs a tempo and none was found in the prime; give the bpm, or seconds"
            )
        return Length(round(DEFAULT_SECONDS * rate), None)
    count = DEFAULT_BARS if bars is None else bars
    if not count > 0:
        raise OutOfRange(f"the length is {count:g} bars; it must be above 0")
    frames = frames_of_bars(count, bpm, rate)
    if frames > MAX_SECONDS * rate:
        longest = MAX_SECONDS * bpm / 240
        raise OutOfRange(
            f"{count:g} bars at {bpm:g} bpm last {frames / rate:.0f} s; "
            f"at most {MAX_SECONDS:g} s ({longest:.0f} bars) can be made"
        )
    return Length(max(1, frames), count)


def build_request(
    settings: Settings,
    *,
    model: str,
    rate: int,
    origin: PrimeRef | TakeRef,
    bpm: float | None,
    style: Style,
    seconds: float | None,
    lyrics: str = "",
) -> Request:
    """The request of a job that continues ``origin``. ``bpm``: its tempo or None; ``seconds``: length given with the
    verb itself.

    Raises :class:`OutOfRange`.
    """
    if settings.seed + settings.takes - 1 > MAX_SEED:
        highest = MAX_SEED - settings.takes + 1
        raise OutOfRange(
            f"the seed is {settings.seed}; for {settings.takes} takes it can be at most {highest}"
        )
    prime = origin if isinstance(origin, PrimeRef) else None
    tempo = tempo_of(prime.path if prime else "", settings.bpm or None, bpm) or settings.usual_bpm or None
    asked_bars = settings.bars if settings.bars_asked else None
    length = length_of(seconds or settings.seconds or None, asked_bars, tempo, rate)
    return Request(
        model=model,
        mode=Mode.CONTINUE if prime is None else Mode.PRIMED,
        prime=prime,
        parents=() if isinstance(origin, PrimeRef) else (origin,),
        style=style,
        lyrics=lyrics,
        frames=length.frames,
        bpm=tempo,
        bars=length.bars,
        sampling=settings.sampling(),
        seed=settings.seed,
        fidelity=Fidelity(settings.fidelity),
    )
