"""What plays: the ring of a job or a file, how it begins, and where in it the listener is."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from bridge.clock import Launch, StreamClock
from bridge.session.prebuffer import Prebuffer
from engine.ring import Ring

FADE_MS = 5.0
HOLD = "hold"  # the name of a bar that is repeated
ENOUGH_SECONDS = 0.06  # of an aligned voice in hand: it goes on at the pace of a running job
FAR_BEHIND_SECONDS = 1.2
REACTION_NS = 40_000_000  # from an order to the audio process to its sound, at most
DRIFT_SECONDS = 0.15  # what plays behind its place by more than that has run dry meanwhile


class Output(Protocol):
    """The audio process as playback sees it (bridge/session/sound.py says what the arguments are)."""

    def play(
        self,
        ring: str,
        prebuffer_frames: int,
        total_frames: int | None,
        *,
        at_frame: int | None = None,
        fade_ms: float = FADE_MS,
        skip_frames: int = 0,
        label: str = "",
    ) -> None:
        """Play a ring, or arm it."""

    def play_file(
        self,
        path: Path,
        *,
        from_frame: int = 0,
        loop: bool = False,
        at_frame: int | None = None,
        fade_ms: float = FADE_MS,
        label: str = "",
    ) -> None:
        """Play a WAV, or arm it."""

    def disarm(self) -> None:
        """Take back what is armed."""

    def stop(self, fade_ms: float = FADE_MS) -> None:
        """Fade out and stop."""


@dataclass(frozen=True)
class Plan:
    """How something begins.

    ``launch``: at this place on the grid, else ``at_ns``: at this moment, else as soon as it may; ``at_frame``: the
    frame of the stream that is meant by it, where that is known better than by the clock. ``takes_over``: in
    place of what sounds, with a cross-fade of ``fade_ms``; else after it. ``aligned``: it goes on from what sounds, so
    what of it comes too late is left out and not played late.
    """

    launch: Launch | None = None
    at_ns: int | None = None
    at_frame: int | None = None
    takes_over: bool = False
    aligned: bool = False
    fade_ms: float = FADE_MS


class Stage(Enum):
    """How far a voice has come."""

    WAITING = "waiting"
    ARMED = "armed"
    SOUNDING = "sounding"


@dataclass
class Voice:
    """``ident``: what people are told of (a job, or a take by its number); ``label``: what the audio process is.

    ``frames`` in all, at ``rate`` Hz; ``begun``: (its own frame, that of the stream) at which it began to sound.
    """

    ident: str
    label: str
    frames: int
    rate: int
    plan: Plan
    ring: Ring | None = None
    kind: str = ""
    prebuffer: Prebuffer | None = None
    file: str = ""
    from_frame: int = 0
    loop: bool = False
    stage: Stage = Stage.WAITING
    learned: bool = False
    kept: bool = False  # when another takes over from it, it waits to be resumed
    renewed: bool = False
    skipped: int = 0  # frames left out at its beginning
    late_ns: int = 0  # so much after the time that was planned it begins
    armed_at: int | None = None
    in_hand: float = 0.0  # seconds that there were of it when it was handed over
    begun: tuple[int, int] | None = field(default=None, repr=False)

    @property
    def sounding(self) -> bool:
        """Whether it is heard."""
        return self.stage is Stage.SOUNDING

    @property
    def made(self) -> int:
        """Frames that there are of it."""
        return self.frames if self.ring is None else self.ring.promised

    @property
    def may_start(self) -> bool:
        """Whether so much is in hand that it will not run dry."""
        ring = self.ring
        if ring is None:
            return True
        assert self.prebuffer is not None
        # (A full ring takes no more until it is played: then waiting on would be waiting for ever.)
        return self.prebuffer.may_start or self.made >= self.frames or ring.fill >= ring.capacity

    @property
    def seconds_played(self) -> float:
        """How much of it was given to the device."""
        if self.ring is not None:
            return self.ring.read / self.ring.rate
        return 0.0

    def due_ns(self, stream: StreamClock | None) -> int | None:
        """When it is to begin; None: as soon as it may."""
        if self.plan.launch is not None:
            due = self.plan.launch.at_ns
        elif self.plan.at_ns is not None:
            due = self.plan.at_ns
        else:
            return None
        return due + self.late_ns

    def catch_up(self, now_ns: int, beat_seconds: float) -> bool:
        """Whether an aligned voice can begin: what should have been heard by now is left out, and more is there.
        One that is far behind leaves out the rest of a beat only, so that the beat at least goes on.
        """
        due = self.due_ns(None)
        late_ns = 0 if due is None else max(0, now_ns + REACTION_NS - due)
        late = (self.late_ns + late_ns) / 1e9
        if late > FAR_BEHIND_SECONDS:
            late = late % beat_seconds if beat_seconds else 0.0
        skipped = round(late * self.rate)
        if self.made < min(self.frames, skipped + round(ENOUGH_SECONDS * self.rate)):
            return False
        self.late_ns, self.skipped = self.late_ns + late_ns, skipped
        return True

    def stream_frame(self, stream: StreamClock | None) -> int | None:
        """The frame of the stream at which it is to begin; None: as soon as it may."""
        if stream is None or not stream.seen:
            return None
        if self.plan.at_frame is not None:
            frame = self.plan.at_frame
        elif self.plan.launch is not None:
            frame = self.plan.launch.frame
        elif self.plan.at_ns is not None:
            frame = round(stream.frame_at(self.plan.at_ns))
        else:
            return None
        return max(0, frame + round(Fraction(self.late_ns * stream.rate, 10**9)))

    def frame_of(self, place: int, stream: StreamClock | None) -> int | None:
        """The frame of the stream at which its frame ``place`` is heard, for one that sounds and has not run dry."""
        if self.begun is None or stream is None:
            return None
        own, begin = self.begun
        return begin + round(Fraction((place - own) * stream.rate, self.rate))

    def place_at(self, at_ns: int, stream: StreamClock | None) -> int:
        """Its frame that is heard at ``at_ns``, for one that sounds."""
        read = self.ring.read if self.ring is not None else self.from_frame
        if self.begun is None or stream is None or not stream.seen:
            return read
        own, begin = self.begun
        place = own + float(stream.frame_at(at_ns) - begin) * self.rate / stream.rate
        if self.loop and self.frames > self.from_frame:
            return self.from_frame + round(place - self.from_frame) % (self.frames - self.from_frame)
        return max(own, min(self.frames, round(place)))
