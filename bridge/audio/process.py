"""The audio process: takes commands, keeps one output running, reports. Started by ``supervisor`` with spawn.

It can be killed at any moment: what was played is counted in the ring, which belongs to the bridge.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from typing import Literal

from pydantic import ValidationError

from bridge.audio.heartbeat import Heartbeat
from bridge.audio.outputs import Output, open_output, resolve
from bridge.audio.player import FADE_SECONDS, State, Voice
from bridge.audio.protocol import (
    COMMANDS,
    Command,
    Done,
    Drain,
    Failed,
    Finished,
    ListModules,
    Lost,
    Message,
    Modules,
    Open,
    Opened,
    Play,
    Playing,
    Quit,
    Ready,
    SetGain,
    Stats,
    Stop,
    Stopped,
    Underrun,
    encode,
)
from bridge.audio.source import open_source
from engine.errors import NotReady, SegueError
from engine.ring import Ring

SILENCE_LIMIT = 1.0  # seconds without a sound block after which the device counts as lost
_SWITCH_INTERVAL = 0.0005  # keeps a busy thread from delaying the callback (facts/rig.md §1)
_STATS_PERIOD = 0.5
_TICK_IDLE, _TICK_BUSY = 0.2, 0.01
_DETACH_SECONDS, _LEAVE_SECONDS = 1.0, 0.2
_STATE_NAMES: dict[State, Literal["waiting", "playing", "starved", "stopping"]] = {
    State.WAITING: "waiting",
    State.PLAYING: "playing",
    State.STARVED: "starved",
    State.STOPPING: "stopping",
}


def main(connection: Connection, heart: Heartbeat) -> None:
    """Serve until told to quit or until the bridge is gone; never returns."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the bridge, which ends this process
    sys.setswitchinterval(_SWITCH_INTERVAL)
    gc.collect()
    gc.freeze()
    status = 1
    try:
        AudioProcess(connection, heart).serve()
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)  # no exit handlers: PortAudio's hangs if the sound server died


class AudioProcess:
    """The control loop. The sound itself is made by the output's own thread."""

    def __init__(self, connection: Connection, heart: Heartbeat) -> None:
        self._connection = connection
        self._heart = heart
        self._output: Output | None = None
        self._voice: Voice | None = None
        self._play = Play(ring="none")
        self._opened_by: Open | None = None
        self._gain = 1.0
        self._told_begun = False
        self._told_underruns = 0
        self._told_lost = False
        self._underruns_before = 0
        self._next_stats = self._next_underrun = 0.0
        self._measured = (0, 0)  # when the load was last taken, and the output's busy time then, both in ns

    def serve(self) -> None:
        """Run until :class:`Quit` or the end of the pipe."""
        self._send(Ready(pid=os.getpid()))
        while True:
            self._heart.beat_control()
            try:
                if self._connection.poll(_TICK_BUSY if self._voice else _TICK_IDLE):
                    command = self._receive()
                    if isinstance(command, Quit):
                        break
                    if command is not None:
                        self._answer(command)
                self._watch()
            except (EOFError, BrokenPipeError, ConnectionResetError):
                break
        self._leave()

    def _receive(self) -> Command | None:
        data = self._connection.recv_bytes()
        try:
            return COMMANDS.validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            message = f"the audio process does not understand a command ({where}: {first['msg']})"
            self._send(Failed(tag=0, code=400, slug="bad_args", message=message))
            return None

    def _answer(self, command: Command) -> None:
        try:
            self._send(self._carry_out(command))
        except SegueError as error:
            tag = 0 if isinstance(command, Quit) else command.tag
            self._send(Failed(tag=tag, code=error.code, slug=error.slug, message=error.message))

    def _carry_out(self, command: Command) -> Message:
        match command:
            case Open():
                return self._open(command)
            case Play():
                self._start(command)
            case Stop(fade_ms=fade_ms) if self._voice and self._output:
                self._voice.stop_frames = round(fade_ms * self._output.player.rate / 1000)
            case Drain() if self._voice:
                self._voice.drain = True
            case SetGain(gain=gain):
                self._gain = gain
                if self._output:
                    self._output.player.gain = gain
            case ListModules(tag=tag):
                return Modules(tag=tag, names=sorted(sys.modules))
            case _:
                pass
        return Done(tag=0 if isinstance(command, Quit) else command.tag)

    def _open(self, command: Open) -> Message:
        """Change the output; what plays goes on in the new one. If that cannot be opened, the old one is
        again.
        """
        resumed = self._play.model_copy(update={"fade_in": True}) if self._voice else None
        self._detach()
        previous = self._opened_by
        if self._output is not None and not self._output.close():
            self._told_lost = True
            self._send(Lost(reason=f"'{self._output.opened.device}' does not come back when it is closed"))
            raise NotReady("the audio process is being replaced; try again in a second")
        self._output = self._opened_by = None
        try:
            opened = self._start_output(command)
        except SegueError:
            if previous is not None:
                self._start_output(previous.model_copy(update={"append": True}))
            raise
        finally:
            if resumed is not None and self._output is not None:
                self._resume(resumed)
        return opened

    def _resume(self, play: Play) -> None:
        """Go on in a new output, unless the ring has gone meanwhile."""
        try:
            self._attach(play)
        except SegueError as error:
            self._send(Failed(tag=0, code=error.code, slug=error.slug, message=error.message))

    def _start_output(self, command: Open) -> Opened:
        self._output = open_output(command, resolve(command), self._heart)
        self._output.player.gain = self._gain
        self._opened_by = command
        self._told_lost = False
        self._measured = (time.monotonic_ns(), 0)
        self._next_stats = time.monotonic() + _STATS_PERIOD
        return self._output.opened

    def _start(self, play: Play) -> None:
        voice = self._voice
        if voice and play.ring == self._play.ring and voice.state < State.STOPPING and voice.stop_frames < 0:
            voice.prebuffer_frames, voice.resume_frames = play.prebuffer_frames, play.resume_frames
            voice.source.total_frames = play.total_frames
            self._play = play
            return
        if voice:
            self._end_voice(voice)
        self._attach(play)

    def _attach(self, play: Play) -> None:
        if self._output is None:
            raise NotReady("no output is open; open one before playing")
        source = open_source(Ring.attach(play.ring), play.total_frames, self._output.player.rate)
        self._voice = Voice(source, play.prebuffer_frames, play.resume_frames, play.fade_in)
        self._play = play
        self._told_begun, self._told_underruns = False, 0
        self._output.player.voice = self._voice

    def _detach(self) -> int:
        """Take the voice from the player and let go of its ring; returns the ring's read counter."""
        voice, output = self._voice, self._output
        if voice is None or output is None:
            return 0
        output.player.voice = None
        deadline = time.monotonic() + _DETACH_SECONDS
        while output.player.current is voice and time.monotonic() < deadline:
            self._heart.beat_control()
            time.sleep(0.002)
        self._voice = None
        self._underruns_before += voice.underruns
        return voice.source.close()

    def _watch(self) -> None:
        """Report what happened since the last time."""
        output, now = self._output, time.monotonic()
        if output is None:
            return
        if self._voice:
            self._watch_voice(self._voice, now)
        failure = output.failure
        if failure is not None:
            self._send(Failed(tag=0, code=failure.code, slug=failure.slug, message=failure.message))
        if self._heart.output_age > SILENCE_LIMIT and not self._told_lost:
            self._told_lost = True
            self._send(
                Lost(reason=f"'{output.opened.device}' has asked for no sound for {SILENCE_LIMIT:.0f} s")
            )
        if now >= self._next_stats:
            self._next_stats = now + _STATS_PERIOD
            self._send(self._stats(output))

    def _watch_voice(self, voice: Voice, now: float) -> None:
        if voice.begun and not self._told_begun:
            self._told_begun = True
            self._send(Playing(ring=self._play.ring, label=self._play.name, frame=voice.start_frame))
        ended = voice.state >= State.FINISHED
        if voice.underruns > self._told_underruns and (ended or now >= self._next_underrun):
            self._told_underruns = voice.underruns
            self._next_underrun = now + _STATS_PERIOD
            self._send(Underrun(ring=self._play.ring, label=self._play.name, count=voice.underruns))
        if ended:
            self._end_voice(voice)

    def _end_voice(self, voice: Voice) -> None:
        finished = voice.state == State.FINISHED
        frames = self._detach()
        if finished:
            self._send(
                Finished(
                    ring=self._play.ring, label=self._play.name, frames=frames, underruns=voice.underruns
                )
            )
        else:
            self._send(Stopped(ring=self._play.ring, label=self._play.name, frames=frames))

    def _stats(self, output: Output) -> Stats:
        now, busy = time.monotonic_ns(), output.busy_ns
        since, before = self._measured
        self._measured = (now, busy)
        voice = self._voice
        return Stats(
            state=_STATE_NAMES.get(voice.state, "idle") if voice else "idle",
            ring=self._play.ring if voice else "",
            fill=voice.source.ring.fill if voice else 0,
            read=voice.source.ring.read if voice else 0,
            played=output.player.played,
            underruns=self._underruns_before + (voice.underruns if voice else 0),
            late=output.late,
            load=round((busy - before) / max(1, now - since), 4),
        )

    def _leave(self) -> None:
        """Fade out, and close the output if its driver still answers."""
        voice, output = self._voice, self._output
        if output is None:
            return
        if voice:
            voice.stop_frames = round(FADE_SECONDS * output.player.rate)
            deadline = time.monotonic() + _LEAVE_SECONDS
            while voice.state < State.FINISHED and time.monotonic() < deadline:
                time.sleep(0.002)
            self._detach()
        if self._heart.output_age < SILENCE_LIMIT:
            output.close()

    def _send(self, report: Message) -> None:
        self._connection.send_bytes(encode(report))
