"""What the audio process says: its half of ``protocol``, which tells how frames are counted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Message(BaseModel):
    """Base of everything that is sent. (Not ``engine.request.Frozen``: this process imports no engine
    code.)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Ready(Message):
    """The process runs and takes commands."""

    kind: Literal["ready"] = "ready"
    pid: int


class Opened(Message):
    """An output runs. ``device``: its name, ``"file:PATH"`` or ``"none"``; ``latency_ms``: measured in its
    callback. Frame ``frame`` of the new stream is heard at ``dac_ns``.

    ``reason``: why the fallback was taken, empty otherwise.
    """

    kind: Literal["opened"] = "opened"
    tag: int = 0
    device: str
    host_api: str
    rate: int
    channels: int
    latency_ms: float
    first_channel: int = 1
    frame: int = 0
    dac_ns: int = 0
    reason: str = ""

    @property
    def label(self) -> str:
        """How the output is named to people: with its host API, if it is a device."""
        return f"{self.device}, {self.host_api}" if self.host_api else self.device

    @property
    def audible(self) -> bool:
        """Whether a sound device plays, rather than a file."""
        return bool(self.host_api)


class InputOpened(Message):
    """An input is recorded. ``device``: its name or ``"reastream:PORT"``; ``rate``: its own (0: not yet known).

    Frame ``frame`` of the capture ring is the first one of it. ``client``: our name on the JACK server, where it is a
    client of that.
    """

    kind: Literal["input_opened"] = "input_opened"
    tag: int = 0
    device: str
    host_api: str
    rate: int
    channels: int
    latency_ms: float
    frame: int
    first_channel: int = 1
    client: str = ""

    @property
    def label(self) -> str:
        """How the input is named to people: with its host API, if it is a device."""
        return f"{self.device}, {self.host_api}" if self.host_api else self.device


class InputLost(Message):
    """The input has stopped; it is opened again when it is back. The output plays on."""

    kind: Literal["input_lost"] = "input_lost"
    reason: str


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


class OfVoice(Message):
    """Something that happened to a voice: its ``ring``, empty for a file, and its ``label``."""

    ring: str
    label: str = ""


class Playing(OfVoice):
    """The first frames of a voice went to the device.

    It began with its own frame ``frame`` at frame ``stream_frame`` of the stream, heard at ``dac_ns``, ``late_frames``
    of the stream after the ``at_frame`` that was asked for.
    """

    kind: Literal["playing"] = "playing"
    frame: int
    stream_frame: int = 0
    dac_ns: int = 0
    late_frames: int = 0


class Underrun(OfVoice):
    """The ring ran dry while playing; sent at most twice a second. ``count``: how often for this ring so
    far.
    """

    kind: Literal["underrun"] = "underrun"
    count: int


class Finished(OfVoice):
    """Everything was played. ``frames``: the ring's read counter; ``underruns`` of this ring."""

    kind: Literal["finished"] = "finished"
    frames: int
    underruns: int


class Stopped(OfVoice):
    """Playing ended before the end, by ``Stop``, because another voice took over, or because it could not be brought
    back after a loss. ``frames``: the ring's read counter, 0 if it is not known.
    """

    kind: Literal["stopped"] = "stopped"
    frames: int


class Disarmed(OfVoice):
    """An armed voice will not sound: it was taken back, or another one was armed instead."""

    kind: Literal["disarmed"] = "disarmed"


class Lost(Message):
    """The device, the sound server or the audio process is gone; the bridge replaces the process."""

    kind: Literal["lost"] = "lost"
    reason: str


class Stats(Message):
    """Sent every 0.5 s while an output is open, every 0.1 s while something plays or is armed.

    ``state``, ``ring`` and ``label`` of the voice that sounds; ``fill`` and ``read`` in its frames; ``armed``: the
    label of the one that is armed, or empty; ``played``: frames given to the device at its rate, silence not counted;
    ``underruns``: times a ring ran dry; ``late``: blocks that the device reported as too late; ``in_late``: the same
    of the input; ``bad_packets``: of ReaStream's, dropped; ``load``: share of a block's time spent computing it,
    0 to 1.

    Frame ``frame`` of the stream is heard at ``dac_ns``; frame ``in_frame`` of the capture ring was recorded at
    ``adc_ns`` (0: nothing was). ``in_peak``, ``out_peak``: the largest magnitudes since the last report.
    """

    kind: Literal["stats"] = "stats"
    state: Literal["idle", "waiting", "playing", "starved", "stopping"]
    ring: str
    label: str = ""
    armed: str = ""
    fill: int
    read: int
    played: int
    underruns: int
    late: int
    load: float
    frame: int = 0
    dac_ns: int = 0
    in_frame: int = 0
    adc_ns: int = 0
    in_late: int = 0
    bad_packets: int = 0
    in_peak: float = 0.0
    out_peak: float = 0.0


class Meters(Message):
    """Largest magnitudes of the last 0.1 s, sent ten times a second while :class:`Meter` is on. 1.0 is full scale."""

    kind: Literal["meters"] = "meters"
    in_left: float
    in_right: float
    out_left: float
    out_right: float


class DeviceInfo(Message):
    """A device that exists now. ``inputs``, ``outputs``: its channels; ``rate``: its own, in Hz.

    ``default_input``, ``default_output``: whether it is taken when none is named.
    """

    name: str
    host_api: str
    inputs: int
    outputs: int
    rate: int
    default_input: bool
    default_output: bool

    @property
    def label(self) -> str:
        """How it is named in messages and on the command line."""
        return f"{self.name}, {self.host_api}"


Report = Annotated[
    Ready
    | Opened
    | InputOpened
    | InputLost
    | Done
    | Modules
    | Failed
    | Playing
    | Underrun
    | Finished
    | Stopped
    | Disarmed
    | Lost
    | Stats
    | Meters,
    Field(discriminator="kind"),
]
