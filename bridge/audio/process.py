"""The audio process: takes commands, keeps one output running, reports. Started by ``supervisor`` with spawn.

It can be killed at any moment: what was played is counted in the ring, which belongs to the bridge.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import cast

from pydantic import ValidationError

from bridge.audio.anchor import Anchor
from bridge.audio.deck import Deck
from bridge.audio.devices import find_device, known, scan
from bridge.audio.heartbeat import Heartbeat
from bridge.audio.inputs import DeviceInput, Input, ReaStreamInput, reastream_port
from bridge.audio.monitor import Monitor
from bridge.audio.outputs import Output, open_output, resolve
from bridge.audio.player import FADE_SECONDS
from bridge.audio.protocol import (
    COMMANDS,
    CloseInput,
    Command,
    Disarm,
    Done,
    Drain,
    Failed,
    InputLost,
    InputOpened,
    ListModules,
    Lost,
    Message,
    Meter,
    Meters,
    Modules,
    Open,
    Opened,
    OpenInput,
    Play,
    Quit,
    Ready,
    Report,
    SetGain,
    SetMonitor,
    Stats,
    Stop,
    Stopped,
    encode,
)
from bridge.audio.wanted import Wanted
from engine.errors import NotReady, SegueError

SILENCE_LIMIT = 1.0  # seconds without a sound block after which the device counts as lost
_SWITCH_INTERVAL = 0.0005  # keeps a busy thread from delaying the callback (facts/rig.md §1)
_STATS_PERIOD, _BUSY_STATS_PERIOD, _METER_PERIOD = 0.5, 0.1, 0.1
_TICK_IDLE, _TICK_METERING, _TICK_BUSY = 0.2, 0.05, 0.01
_LEAVE_SECONDS = 0.2


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
        self._deck: Deck | None = None
        self._input: Input | None = None
        self._monitor: Monitor | None = None
        self._wanted = Wanted()
        self._told_lost = self._told_input_lost = False
        self._underruns_before = 0
        self._next_stats = self._next_meters = 0.0
        self._peaks = [
            (0.0, 0.0, 0.0),
            (0.0, 0.0, 0.0),
        ]  # in left, in right, out: since the last stats, meters
        self._measured = (0, 0)  # when the load was last taken, and the output's busy time then, both in ns

    def serve(self) -> None:
        """Run until :class:`Quit` or the end of the pipe."""
        self._send(Ready(pid=os.getpid()))
        while True:
            self._heart.beat_control()
            try:
                if self._connection.poll(self._tick):
                    command = self._receive()
                    if isinstance(command, Quit):
                        break
                    if command is not None:
                        self._answer(command)
                self._watch()
            except (EOFError, BrokenPipeError, ConnectionResetError):
                break
        self._leave()

    @property
    def _tick(self) -> float:
        if self._deck is not None and self._deck.busy:
            return _TICK_BUSY
        return _TICK_METERING if self._wanted.metering else _TICK_IDLE

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
                self._play(command)
            case Disarm() if self._deck:
                self._deck.disarm()
            case Stop(fade_ms=fade_ms) if self._deck:
                self._deck.stop(fade_ms)
            case Drain() if self._deck:
                self._deck.drain()
            case SetGain() | SetMonitor() | Meter():
                self._set(command)
            case OpenInput():
                return self._open_input(command)
            case CloseInput():
                self._close_input()
            case ListModules(tag=tag):
                return Modules(tag=tag, names=sorted(sys.modules))
            case _:
                pass
        return Done(tag=0 if isinstance(command, Quit) else command.tag)

    def _set(self, command: SetGain | SetMonitor | Meter) -> None:
        match command:
            case SetGain(gain=gain):
                self._wanted.gain = gain
                if self._output:
                    self._output.player.gain = gain
            case SetMonitor(gain=gain):
                self._wanted.monitor = gain
                if self._monitor:
                    self._monitor.gain = gain
            case Meter(on=on):
                self._wanted.metering = on
                if self._input:
                    self._input.metering = on

    def _play(self, play: Play) -> None:
        if self._deck is None:
            raise NotReady("no output is open; open one before playing")
        self._deck.play(play)
        self._wanted.plays(play)
        self._next_stats = min(self._next_stats, time.monotonic() + _BUSY_STATS_PERIOD)

    # -- the output ----------------------------------------------------------------------------------------

    def _open(self, command: Open) -> Message:
        """Change the output; what plays goes on in the new one, and the input is opened anew, for devices can only be
        looked for while no stream is open. If that output cannot be opened, the old one is again.
        """
        before, playing = self._close_output()
        recorded, self._wanted.input = self._wanted.input, None
        self._end_input()
        previous, self._wanted.open = self._wanted.open, None
        try:
            opened = self._start_output(command, before, playing)
        except SegueError:
            if previous is not None:
                self._start_output(previous.model_copy(update={"append": True}), before, playing)
            raise
        finally:
            if recorded is not None:
                self._reopen_input(recorded)
        return opened

    def _close_output(self) -> tuple[Anchor | None, Wanted]:
        """End the output; returns an anchor of its stream and what was playing in it."""
        playing = replace(self._wanted)
        if self._output is None or self._deck is None:
            return None, playing
        kept = {play.name for play in (playing.play, playing.armed) if play is not None}
        before = self._output.anchor
        position = self._deck.clear(kept)
        left = self._wanted.take_leaving()
        if left is not None:
            self._send(left)
        playing = replace(self._wanted)  # something may have begun meanwhile
        playing.position = position or playing.position
        self._underruns_before += self._deck.underruns
        if not self._output.close():
            self._told_lost = True
            self._send(Lost(reason=f"'{self._output.opened.device}' does not come back when it is closed"))
            raise NotReady("the audio process is being replaced; try again in a second")
        self._output = self._deck = self._monitor = None
        return before, playing

    def _start_output(self, command: Open, before: Anchor | None, playing: Wanted) -> Opened:
        output = self._output = open_output(command, resolve(command), self._heart)
        self._monitor = output.player.monitor = Monitor(output.player.rate)
        self._deck = Deck(output, self._tell, self._heart.beat_control)
        self._wanted.open = command
        self._wanted.play = self._wanted.armed = None
        self._told_lost = False
        self._measured = (time.monotonic_ns(), 0)
        self._next_stats = time.monotonic() + _STATS_PERIOD
        for again in playing.restored(before, output.opened):
            try:
                self._carry_out(again)
            except SegueError as error:  # what is to be played has gone meanwhile
                self._send(Failed(tag=0, code=error.code, slug=error.slug, message=error.message))
                if isinstance(again, Play):
                    self._send(Stopped(ring=again.ring, label=again.name, frames=0))
        return output.opened

    # -- the input -----------------------------------------------------------------------------------------

    def _open_input(self, command: OpenInput) -> InputOpened:
        self._close_input()
        monitor = self._monitor or Monitor(44_100)
        port = reastream_port(command.device)
        if port is not None:
            self._input = ReaStreamInput(command, port, monitor)
        else:
            inputs = scan("input") if self._output is None else known("input")
            device = find_device(command.device, inputs, "input")
            self._input = DeviceInput(command, device, self._heart, monitor.rate, monitor)
        self._wanted.input = command
        self._input.metering = self._wanted.metering
        self._told_input_lost = False
        return self._input.opened

    def _reopen_input(self, command: OpenInput) -> None:
        try:
            self._send(self._open_input(command).model_copy(update={"tag": 0}))
        except SegueError as error:
            self._send(InputLost(reason=error.message))

    def _close_input(self) -> None:
        self._wanted.input = None
        self._end_input()

    def _end_input(self) -> None:
        input_, self._input = self._input, None
        if input_ is not None and not input_.close():
            self._told_lost = True
            self._send(Lost(reason=f"'{input_.opened.device}' does not come back when it is closed"))
            raise NotReady("the audio process is being replaced; try again in a second")

    # -- reports -------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Report what happened since the last time."""
        now = time.monotonic()
        if (
            self._input is not None
            and self._input.silent
            and not self._told_input_lost
            and not self._output_silent
        ):
            self._told_input_lost = True
            self._send(
                InputLost(
                    reason=f"'{self._input.opened.device}' has given no sound for {SILENCE_LIMIT:.0f} s"
                )
            )
        if self._wanted.metering and now >= self._next_meters:
            self._next_meters = max(now, self._next_meters + _METER_PERIOD)
            self._send(self._meters())
        output, deck = self._output, self._deck
        if output is None or deck is None:
            return
        deck.watch()
        failure = output.failure
        if failure is not None:
            self._send(Failed(tag=0, code=failure.code, slug=failure.slug, message=failure.message))
        if (self._output_silent or output.stopped) and not self._told_lost:
            self._told_lost = True
            how = "has stopped" if output.stopped else f"has asked for no sound for {SILENCE_LIMIT:.0f} s"
            self._send(Lost(reason=f"'{output.opened.device}' {how}"))
        if now >= self._next_stats:
            self._next_stats = now + (_BUSY_STATS_PERIOD if deck.busy else _STATS_PERIOD)
            self._send(self._stats(output, deck))

    @property
    def _output_silent(self) -> bool:
        return self._heart.output_age > SILENCE_LIMIT

    def _stats(self, output: Output, deck: Deck) -> Stats:
        now, busy = time.monotonic_ns(), output.busy_ns
        since, before = self._measured
        self._measured = (now, busy)
        current, anchor = deck.current, output.anchor
        source = None if current is None else current[1].source
        recorded = None if self._input is None else self._input.anchor
        left, right, out_peak = self._take_peaks(0)
        return Stats(
            state=deck.state,
            ring="" if current is None else current[0].ring,
            label="" if current is None else current[0].name,
            armed=deck.armed,
            fill=0 if source is None else source.fill,
            read=0 if source is None else source.position,
            played=output.player.played,
            underruns=self._underruns_before + deck.underruns,
            late=output.late,
            load=round((busy - before) / max(1, now - since), 4),
            frame=0 if anchor is None else anchor.frame,
            dac_ns=0 if anchor is None else anchor.at_ns,
            in_frame=0 if recorded is None else recorded.frame,
            adc_ns=0 if recorded is None else recorded.at_ns,
            in_late=0 if self._input is None else self._input.late,
            bad_packets=0 if self._input is None else self._input.bad,
            in_peak=max(left, right),
            out_peak=out_peak,
        )

    def _meters(self) -> Meters:
        left, right, out = self._take_peaks(1)
        return Meters(in_left=left, in_right=right, out_left=out, out_right=out)

    def _take_peaks(self, reader: int) -> tuple[float, float, float]:
        """What was loudest since this reader (0: stats, 1: meters) asked last."""
        left, right = (0.0, 0.0) if self._input is None else self._input.peaks()
        out = 0.0
        if self._output is not None:
            out, self._output.player.peak = self._output.player.peak, 0.0
        self._peaks = [(max(a, left), max(b, right), max(c, out)) for a, b, c in self._peaks]
        taken, self._peaks[reader] = self._peaks[reader], (0.0, 0.0, 0.0)
        return taken

    def _leave(self) -> None:
        """Fade out, and close what is open if its driver still answers."""
        output, deck = self._output, self._deck
        if self._input is not None and not self._input.silent:
            self._input.close()
        if output is None or deck is None:
            return
        deck.disarm()
        deck.fade_out(1_000 * FADE_SECONDS, _LEAVE_SECONDS)
        deck.clear(set())
        if self._heart.output_age < SILENCE_LIMIT:
            output.close()

    def _tell(self, report: Message) -> None:
        """Send what became of a voice."""
        self._wanted.hears(cast(Report, report))
        self._send(report)

    def _send(self, report: Message) -> None:
        self._connection.send_bytes(encode(report))
