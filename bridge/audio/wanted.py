"""What should be the case in the audio process, whichever process that is: a fresh one is brought to it."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.audio.anchor import Anchor, moved
from bridge.audio.protocol import (
    Command,
    Disarmed,
    Finished,
    InputOpened,
    Meter,
    Open,
    Opened,
    OpenInput,
    Play,
    Playing,
    Report,
    SetGain,
    SetMonitor,
    Stats,
    Stopped,
)


@dataclass
class Wanted:
    """``play`` sounds or is about to, ``begun`` if it was heard; ``armed`` takes over from it, ``leaving`` fades out
    under it. ``position``: the frame of its file, if it plays one.
    """

    open: Open | None = None
    input: OpenInput | None = None
    play: Play | None = None
    begun: bool = False
    position: int = 0
    armed: Play | None = None
    leaving: Play | None = None
    gain: float = 1.0
    monitor: float = 0.0
    metering: bool = False

    @property
    def idle(self) -> bool:
        """Whether nothing sounds or is going to."""
        return self.play is None and self.armed is None

    def plays(self, play: Play) -> None:
        """``play`` was asked for; the audio process decides by the same rule what becomes of it."""
        if self.play is not None and play.name == self.play.name:
            self.play = play
        elif (
            (self.armed is not None and play.name == self.armed.name)
            or self.play is not None
            or play.at_frame is not None
        ):
            self.armed = play
        else:
            self.play, self.begun, self.position = play, False, play.from_frame

    def hears(self, report: Report) -> None:
        """Follow what the process says of its voices."""
        match report:
            case Playing(label=label) if self.armed is not None and self.armed.name == label:
                self.leaving = self.play
                self.play, self.begun, self.position = self.armed, True, report.frame
                self.armed = None
            case Playing():
                self.begun = True
            case Finished(label=label) | Stopped(label=label) if self.play and self.play.name == label:
                self.play = None
            case Finished(label=label) | Stopped(label=label) if self.leaving and self.leaving.name == label:
                self.leaving = None
            case Disarmed(label=label) if self.armed is not None and self.armed.name == label:
                self.armed = None
            case Stats(label=label) if self.play is not None and self.play.name == label:
                self.position = report.read
            case InputOpened() if self.input is not None and self.input.device is None:
                # When it is lost, this very input is waited for, not whichever is the best one then.
                self.input = self.input.model_copy(update={"device": report.label})
            case _:
                pass

    def take_leaving(self) -> Stopped | None:
        """What is to be told of the voice that faded out when the output went, if one did: it is not brought back."""
        play, self.leaving = self.leaving, None
        return None if play is None else Stopped(ring=play.ring, label=play.name, frames=0)

    def restored(self, before: Anchor | None, opened: Opened) -> list[Command]:
        """What brings a process that has just opened the output to all the rest.

        What has begun goes on where it was; what was to begin at a frame does so at the same moment of the new stream.
        """
        commands: list[Command] = [
            SetGain(gain=self.gain),
            SetMonitor(gain=self.monitor),
            Meter(on=self.metering),
        ]
        after = Anchor(opened.frame, opened.dac_ns, opened.rate)
        if self.play is not None:
            commands.append(self._continued(self.play, before, after))
        if self.armed is not None:
            commands.append(_moved(self.armed, before, after))
        return commands

    def _continued(self, play: Play, before: Anchor | None, after: Anchor) -> Play:
        if not self.begun:
            return _moved(play, before, after)
        return play.model_copy(
            update={
                "prebuffer_frames": play.resume_frames,
                "from_frame": self.position,
                "at_frame": None,
                "fade_in": True,
            }
        )


def _moved(play: Play, before: Anchor | None, after: Anchor) -> Play:
    return play.model_copy(update={"at_frame": moved(play.at_frame, before, after)})
