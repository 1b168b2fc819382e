"""Messages between bridge and audio process: one JSON object each over a ``multiprocessing`` pipe (never
pickled). Here are the commands; the reports are those of ``reports``.

Every command but :class:`Quit` carries a ``tag`` and is answered by exactly one report with that tag:
:class:`Done`, :class:`Opened`, :class:`InputOpened`, :class:`Modules` or :class:`Failed`. The other reports come
by themselves.

Three counts of frames: *of a ring or file*, at its own rate, since it was made or from its beginning; *of the stream*,
at the device's rate, since the output was opened (``at_frame``, ``stream_frame``, ``Stats.frame``); *of the input*, as
the capture ring counts (``in_frame``). Moments are nanoseconds of ``time.monotonic_ns()``.

What plays is a voice, known by its ``label``. One sounds; one more may be armed to take over from it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, model_validator

from bridge.audio.reports import (
    DeviceInfo,
    Disarmed,
    Done,
    Failed,
    Finished,
    InputLost,
    InputOpened,
    Lost,
    Message,
    Meters,
    Modules,
    Opened,
    Playing,
    Ready,
    Report,
    Stats,
    Stopped,
    Underrun,
)

__all__ = [
    "COMMANDS",
    "MAX_FADE_MS",
    "MAX_GAIN",
    "REPORTS",
    "CloseInput",
    "Command",
    "DeviceInfo",
    "Disarm",
    "Disarmed",
    "Done",
    "Drain",
    "Failed",
    "Finished",
    "InputLost",
    "InputOpened",
    "ListModules",
    "Lost",
    "Message",
    "Meter",
    "Meters",
    "Modules",
    "Open",
    "OpenInput",
    "Opened",
    "Play",
    "Playing",
    "Quit",
    "Ready",
    "Report",
    "SetGain",
    "SetMonitor",
    "Stats",
    "Stop",
    "Stopped",
    "Underrun",
    "encode",
]

MAX_GAIN = 4.0
MAX_FADE_MS = 10_000.0


class Open(Message):
    """Open an output and keep it running, silent until something is played; answered by :class:`Opened`.

    ``device``: None for the best one there is, ``"NAME"`` or ``"NAME, HOST API"``, ``"file:PATH"`` for a
    WAV in real time, ``"none"`` for nothing but the clock. ``fallback``: the WAV that is written instead
    when ``device`` is None and there is no device at all. ``rate`` in Hz is what is preferred; a device
    that cannot do it runs at its own. ``block_frames``: 0 lets the device choose. ``channels`` of the device are
    played on, from ``first_channel`` (from 1) on: 2 from 3 are its outputs 3 and 4. ``append``: go on with an existing
    WAV.
    """

    kind: Literal["open"] = "open"
    tag: int = 0
    device: str | None = None
    fallback: str | None = None
    rate: Annotated[int, Field(ge=8_000, le=384_000)] = 44_100
    block_frames: Annotated[int, Field(ge=0, le=16_384)] = 0
    channels: Annotated[int, Field(ge=1, le=64)] = 2
    first_channel: Annotated[int, Field(ge=1, le=256)] = 1
    append: bool = False


class Play(Message):
    """Play a ring from its next unread frame on, or a WAV (``file``) from ``from_frame`` on, over and over if ``loop``.

    Sound starts when ``prebuffer_frames`` (at most the ring's capacity counts) wait or the producer is done, and not
    before frame ``at_frame`` of the stream, to the sample; None: as soon as it may. After an underrun it starts again
    with ``resume_frames``. ``skip_frames`` of the ring, counted since it was made, are left out. ``total_frames``: the
    frame at which the take ends, None if only the producer's ``finish`` tells. ``fade_in``: start with a short fade,
    as in the middle of a take.

    When another voice sounds, this one is armed, instead of any that is: the other plays on until this one starts,
    then there is an equal-power cross-fade of ``fade_ms``. For a label that plays already only the numbers of frames
    are taken over, for one that is armed ``at_frame`` and ``fade_ms`` too.
    """

    kind: Literal["play"] = "play"
    tag: int = 0
    ring: str = ""
    file: str | None = None
    from_frame: Annotated[int, Field(ge=0)] = 0
    loop: bool = False
    label: str = ""
    prebuffer_frames: Annotated[int, Field(ge=0)] = 0
    resume_frames: Annotated[int, Field(ge=1)] = 4_410
    total_frames: Annotated[int, Field(ge=0)] | None = None
    skip_frames: Annotated[int, Field(ge=0)] = 0
    at_frame: Annotated[int, Field(ge=0)] | None = None
    fade_ms: Annotated[float, Field(ge=0, le=MAX_FADE_MS)] = 5.0
    fade_in: bool = False

    @model_validator(mode="after")
    def _one_source(self) -> Play:
        if bool(self.ring) == bool(self.file):
            raise ValueError("exactly one of ring and file is played; name that one and leave the other out")
        return self

    @property
    def name(self) -> str:
        """What the voice is called in reports: its label, else its ring or file."""
        return self.label or self.ring or str(self.file)


class Disarm(Message):
    """Take back the voice that is armed, if any; told as :class:`Disarmed`."""

    kind: Literal["disarm"] = "disarm"
    tag: int = 0


class Stop(Message):
    """Fade out what sounds and let go of its ring; what was not read stays in it. Followed by :class:`Stopped`.

    An armed voice stays armed.
    """

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


class SetMonitor(Message):
    """Linear gain at which the input is heard through the output; 0: not at all."""

    kind: Literal["set_monitor"] = "set_monitor"
    tag: int = 0
    gain: Annotated[float, Field(ge=0, le=MAX_GAIN)]


class Meter(Message):
    """Whether :class:`Meters` are sent."""

    kind: Literal["meter"] = "meter"
    tag: int = 0
    on: bool


class OpenInput(Message):
    """Record an input all the time into the capture ring of the name ``capture``; answered by :class:`InputOpened`.

    ``device``: None for the best one there is, ``"NAME"`` or ``"NAME, HOST API"``, or ``"reastream"`` /
    ``"reastream:PORT"`` for ReaStream's packets (facts/daw.md §3.6), from this machine only unless ``everywhere``.
    ``channels`` from ``first_channel`` (from 1) on are mixed to one. Another rate than the capture ring's is converted.
    """

    kind: Literal["open_input"] = "open_input"
    tag: int = 0
    capture: str
    device: str | None = None
    channels: Annotated[int, Field(ge=1, le=64)] = 2
    first_channel: Annotated[int, Field(ge=1, le=256)] = 1
    everywhere: bool = False


class CloseInput(Message):
    """Record no more; what the capture ring holds stays in it."""

    kind: Literal["close_input"] = "close_input"
    tag: int = 0


class ListModules(Message):
    """Ask which Python modules the process has loaded; answered by :class:`Modules`."""

    kind: Literal["list_modules"] = "list_modules"
    tag: int = 0


class Quit(Message):
    """Finish; the process exits with status 0."""

    kind: Literal["quit"] = "quit"


Command = Annotated[
    Open
    | Play
    | Disarm
    | Stop
    | Drain
    | SetGain
    | SetMonitor
    | Meter
    | OpenInput
    | CloseInput
    | ListModules
    | Quit,
    Field(discriminator="kind"),
]
COMMANDS: TypeAdapter[Command] = TypeAdapter(Command)
REPORTS: TypeAdapter[Report] = TypeAdapter(Report)


def encode(message: Message) -> bytes:
    """One message as UTF-8 JSON."""
    return message.model_dump_json().encode()
