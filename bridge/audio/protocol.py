"""Messages between bridge and audio process: one JSON object each over a ``multiprocessing`` pipe (never
pickled).

Every command but :class:`Quit` carries a ``tag`` and is answered by exactly one report with that tag:
:class:`Done`, :class:`Opened`, :class:`Modules` or :class:`Failed`. The other reports come by themselves.
Frames are counted at the ring's rate, since the ring was made, unless said otherwise.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

MAX_GAIN = 4.0
MAX_FADE_MS = 10_000.0


class Message(BaseModel):
    """Base of everything that is sent. (Not ``engine.request.Frozen``: this process imports no engine
    code.)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Open(Message):
    """Open an output and keep it running, silent until something is played; answered by :class:`Opened`.

    ``device``: None for the best one there is, ``"NAME"`` or ``"NAME, HOST API"``, ``"file:PATH"`` for a
    WAV in real time, ``"none"`` for nothing but the clock. ``fallback``: the WAV that is written instead
    when ``device`` is None and there is no device at all. ``rate`` in Hz is what is preferred; a device
    that cannot do it runs at its own. ``block_frames``: 0 lets the device choose. ``append``: go on with an
    existing WAV.
    """

    kind: Literal["open"] = "open"
    tag: int = 0
    device: str | None = None
    fallback: str | None = None
    rate: Annotated[int, Field(ge=8_000, le=384_000)] = 44_100
    block_frames: Annotated[int, Field(ge=0, le=16_384)] = 0
    channels: Annotated[int, Field(ge=1, le=64)] = 2
    append: bool = False


class Play(Message):
    """Play a ring from its next unread frame on.

    Sound starts when ``prebuffer_frames`` (at most the ring's capacity counts) wait in the ring or the
    producer is done. After an underrun it starts again with ``resume_frames``. ``total_frames``: the frame
    at which the take ends, None if only the producer's ``finish`` tells. For the ring that is being played
    already, only these three numbers are taken over. ``fade_in``: start with a short fade, as in the middle
    of a take.
    """

    kind: Literal["play"] = "play"
    tag: int = 0
    ring: str
    prebuffer_frames: Annotated[int, Field(ge=0)] = 0
    resume_frames: Annotated[int, Field(ge=1)] = 4_410
    total_frames: Annotated[int, Field(ge=0)] | None = None
    fade_in: bool = False


class Stop(Message):
    """Fade out and let go of the ring; what was not read stays in it. Followed by :class:`Stopped`."""

    kind: Literal["stop"] = "stop"
    tag: int = 0
    fade_ms: Annotated[float, Field(ge=0, le=MAX_FADE_MS)] = 5.0


class Drain(Message):
    """Skip what waits in the ring that is being played."""

    kind: Literal["drain"] = "drain"
    tag: int = 0


class SetGain(Message):
    """Linear gain of the output, reached within one block."""

    kind: Literal["set_gain"] = "set_gain"
    tag: int = 0
    gain: Annotated[float, Field(ge=0, le=MAX_GAIN)]


class ListModules(Message):
    """Ask which Python modules the process has loaded; answered by :class:`Modules`."""

    kind: Literal["list_modules"] = "list_modules"
    tag: int = 0


class Quit(Message):
    """Finish; the process exits with status 0."""

    kind: Literal["quit"] = "quit"


class Ready(Message):
    """The process runs and takes commands."""

    kind: Literal["ready"] = "ready"
    pid: int


class Opened(Message):
    """An output runs. ``device``: its name, ``"file:PATH"`` or ``"none"``; ``latency_ms``: measured in its
    callback.

    ``reason``: why the fallback was taken, empty otherwise.
    """

    kind: Literal["opened"] = "opened"
    tag: int = 0
    device: str
    host_api: str
    rate: int
    channels: int
    latency_ms: float
    reason: str = ""

    @property
    def label(self) -> str:
        """How the output is named to people: with its host API, if it is a device."""
        return f"{self.device}, {self.host_api}" if self.host_api else self.device

    @property
    def audible(self) -> bool:
        """Whether a sound device plays, rather than a file."""
        return bool(self.host_api)


class Done(Message):
    """A command was carried out."""

    kind: Literal["done"] = "done"
    tag: int


class Modules(Message):
    """Names of the loaded modules."""

    kind: Literal["modules"] = "modules"
    tag: int
    names: list[str]


class Failed(Message):
    """A command failed, or (``tag`` 0) something that no command asked for."""

    kind: Literal["failed"] = "failed"
    tag: int
    code: int
    slug: str
    message: str


class Playing(Message):
    """The first frames of a ring went to the device; ``frame`` is the one it began with."""

    kind: Literal["playing"] = "playing"
    ring: str
    frame: int


class Underrun(Message):
    """The ring ran dry while playing; sent at most twice a second. ``count``: how often for this ring so
    far.
    """

    kind: Literal["underrun"] = "underrun"
    ring: str
    count: int


class Finished(Message):
    """Everything was played. ``frames``: the ring's read counter; ``underruns`` of this ring."""

    kind: Literal["finished"] = "finished"
    ring: str
    frames: int
    underruns: int


class Stopped(Message):
    """Playing ended by :class:`Stop`, before the end of the ring. ``frames``: the ring's read counter."""

    kind: Literal["stopped"] = "stopped"
    ring: str
    frames: int


class Lost(Message):
    """The device, the sound server or the audio process is gone; the bridge replaces the process."""

    kind: Literal["lost"] = "lost"
    reason: str


class Stats(Message):
    """Sent every 0.5 s while an output is open.

    ``state`` of the ring being played; ``fill`` and ``read`` in frames; ``played``: frames given to the
    device at its rate, silence not counted; ``underruns``: times a ring ran dry; ``late``: blocks that the
    device reported as too late; ``load``: share of a block's time spent computing it, 0 to 1.
    """

    kind: Literal["stats"] = "stats"
    state: Literal["idle", "waiting", "playing", "starved", "stopping"]
    ring: str
    fill: int
    read: int
    played: int
    underruns: int
    late: int
    load: float


Command = Annotated[
    Open | Play | Stop | Drain | SetGain | ListModules | Quit,
    Field(discriminator="kind"),
]
Report = Annotated[
    Ready | Opened | Done | Modules | Failed | Playing | Underrun | Finished | Stopped | Lost | Stats,
    Field(discriminator="kind"),
]

COMMANDS: TypeAdapter[Command] = TypeAdapter(Command)
REPORTS: TypeAdapter[Report] = TypeAdapter(Report)


def encode(message: Message) -> bytes:
    """One message as UTF-8 JSON."""
    return message.model_dump_json().encode()
