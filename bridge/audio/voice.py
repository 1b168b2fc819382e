"""A voice: one ring or file being played, as the callback and the control loop share it."""

from __future__ import annotations

from enum import IntEnum

from bridge.audio.source import Source


class State(IntEnum):
    """What becomes of a voice."""

    WAITING = 0
    PLAYING = 1
    STARVED = 2
    STOPPING = 3
    FINISHED = 4
    STOPPED = 5


class Voice:
    """Written by the callback, but for the numbers of ``Play``, ``drain``, ``stop_frames``, and ``dismissed`` (at once,
    whatever it is doing) and ``disarmed`` (unless it has begun).

    ``gone``: the callback does not use it any more. ``stream_frame``: where in the stream its first frame was put.
    """

    __slots__ = (
        "at_frame",
        "begun",
        "cross_frames",
        "disarmed",
        "dismissed",
        "drain",
        "fade_at",
        "gone",
        "last",
        "late_frames",
        "prebuffer_frames",
        "resume_frames",
        "sounding",
        "source",
        "start_frame",
        "state",
        "stop_frames",
        "stop_left",
        "stream_frame",
        "underruns",
    )

    def __init__(
        self,
        source: Source,
        prebuffer_frames: int = 0,
        resume_frames: int = 1,
        fade_in: bool = False,
        *,
        at_frame: int = -1,
        cross_frames: int = 0,
    ) -> None:
        self.source = source
        self.prebuffer_frames = prebuffer_frames
        self.resume_frames = resume_frames
        self.at_frame = at_frame  # of the stream; -1: as soon as it is ready
        self.cross_frames = cross_frames  # length of the fade from another voice to this one
        self.drain = self.dismissed = self.disarmed = self.gone = False
        self.stop_frames = -1  # set to the length of the fade to stop
        self.stop_left = -1
        self.state = State.WAITING
        self.begun = False
        self.start_frame = self.stream_frame = self.late_frames = 0
        self.underruns = 0
        self.fade_at = 0 if fade_in else -1  # how far the fade-in has come; -1: none
        self.sounding = False  # whether it filled its part of the last block to the end
        self.last = 0.0  # and with which value, before the gain
