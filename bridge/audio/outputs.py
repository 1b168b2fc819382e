"""What a player plays into: a device, or a clock that paces it into a WAV or into nothing."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bridge.audio.anchor import Anchor, Anchoring
from bridge.audio.capture import MAX_BLOCK
from bridge.audio.devices import Device, find_device, portaudio, scan
from bridge.audio.heartbeat import Heartbeat
from bridge.audio.player import Player
from bridge.audio.protocol import Open, Opened
from bridge.audio.wav import WavSink
from engine.errors import NoDevice, SegueError
from engine.ring import Samples

LATENCY_SECONDS = 0.05  # asked of drivers that can choose; JACK gives its period
FILE_PREFIX = "file:"
_START_SECONDS = 2.0
_CLOSE_SECONDS = 1.0
_PACED_BLOCK = 1_024
_IDLE_BLOCKS = 3  # of silence that a clock without a device lets pass at a time: costs less
_DOZE_SECONDS = 0.05  # of silence may pass without a heartbeat and an anchor: costs less
_SLEPT_NS = 1_000_000_000


class Output(Protocol):
    """A running output."""

    opened: Opened
    player: Player
    late: int
    busy_ns: int

    @property
    def anchor(self) -> Anchor | None:
        """A frame of the stream and the moment it is heard at."""

    @property
    def stopped(self) -> bool:
        """Whether the driver says that it asks for no sound any more, as it does when a sound server ends."""

    @property
    def failure(self) -> SegueError | None:
        """What went wrong since the last call."""

    def close(self) -> bool:
        """Stop; False if the driver did not come back, and this process had better be killed."""


def resolve(command: Open) -> Device | Path | None:
    """What ``command.device`` means: a device, a WAV's path, or None for the clock alone.

    Raises :class:`NoDevice`. Only "any device" falls back to a file; a device that was named must exist.
    """
    wanted = command.device
    if wanted == "none":
        return None
    if wanted is not None and wanted.startswith(FILE_PREFIX):
        path = wanted[len(FILE_PREFIX) :].strip()
        if not path:
            raise NoDevice("'file:' names no file; write 'file:PATH', as in 'file:segue.wav'")
        return Path(path).expanduser()
    try:
        return find_device(wanted, scan())
    except NoDevice:
        if wanted is None and command.fallback:
            return Path(command.fallback)
        raise


def open_output(command: Open, target: Device | Path | None, heart: Heartbeat) -> Output:
    """Start the output that :func:`resolve` found; sound blocks are asked for when this returns."""
    if isinstance(target, Device):
        return DeviceOutput(command, target, heart)
    return PacedOutput(command, target, heart)


class DeviceOutput:
    """A PortAudio stream. Its callback copies, counts and beats; nothing else."""

    failure: SegueError | None = None

    def __init__(self, command: Open, device: Device, heart: Heartbeat) -> None:
        sound = portaudio()
        self._heart = heart
        self.late = self.busy_ns = 0
        self._latency = -1.0
        self._mono: Samples = np.zeros(MAX_BLOCK, np.float32)
        self._dozed = self._doze = 0  # silent blocks since one was looked at closely, and how many may be
        self._silence = memoryview(bytes(MAX_BLOCK * 8))
        first = command.first_channel - 1
        channels = min(command.channels, device.channels - first)
        if channels < 1:
            raise NoDevice(
                f"'{device.label}' has {device.channels} output(s) and no channel {command.first_channel}; "
                "choose another"
            )
        self._first = first
        settings = {"device": device.index, "channels": first + channels}
        rate = command.rate
        try:
            try:
                sound.check_output_settings(samplerate=rate, dtype="float32", **settings)
            except sound.PortAudioError:
                rate = device.rate
            self.player = Player(rate)
            self._anchoring = Anchoring(rate)
            self._channels = first + channels
            self._stream = sound.RawOutputStream(
                samplerate=rate,
                blocksize=command.block_frames,
                dtype="float32",
                latency=LATENCY_SECONDS,
                callback=self._callback,
                **settings,
            )
            self._stream.start()
        except sound.PortAudioError as error:
            raise NoDevice(
                f"'{device.label}' cannot be opened ({error}); free it or choose another device"
            ) from None
        self._await_first_block(device)
        self.opened = Opened(
            tag=command.tag,
            device=device.name,
            host_api=device.host_api,
            rate=rate,
            channels=channels,
            first_channel=command.first_channel,
            latency_ms=round(1000 * self._latency, 2),
            **_beginning(self._anchoring.anchor),
        )

    @property
    def anchor(self) -> Anchor | None:
        """See :class:`Output`."""
        return self._anchoring.anchor

    @property
    def stopped(self) -> bool:
        """See :class:`Output`."""
        return not self._stream.active

    def close(self) -> bool:
        """See :class:`Output`. A stream whose server died hangs when it is closed (facts/rig.md §1)."""
        self._heart.rest_output()
        if not self._stream.active:
            return False
        closer = threading.Thread(target=self._play_out, daemon=True)
        closer.start()
        closer.join(_CLOSE_SECONDS)
        return not closer.is_alive()

    def _play_out(self) -> None:
        self._stream.stop()  # unlike close, lets what the device holds be heard
        self._stream.close()

    def _await_first_block(self, device: Device) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while self._latency < 0:
            if time.monotonic() > deadline:
                self.close()
                raise NoDevice(f"'{device.label}' was opened but asks for no sound; choose another device")
            time.sleep(0.002)

    def _callback(self, raw: Any, frames: int, timing: Any, status: Any) -> None:
        if self.player.silent and len(raw) <= len(self._silence) and not status and self._latency >= 0:
            self._dozed += 1
            if self._dozed >= self._doze:
                self._look(time.monotonic_ns(), timing)
            raw[:] = self._silence[: len(raw)]
            self.player.frame += frames
            return
        begin = time.monotonic_ns()
        ahead = self._look(begin, timing)
        if self._latency < 0:
            self._latency = ahead
            self._doze = int(_DOZE_SECONDS * self.player.rate / frames)
        elif status:
            self.late += 1
        out = np.frombuffer(raw, np.float32).reshape(frames, self._channels)
        if self._first:
            out[:, : self._first] = 0
        done = 0
        while done < frames:
            count = min(frames - done, MAX_BLOCK)
            mono = self._mono[:count]
            self.player.render(mono)
            out[done : done + count, self._first :] = mono[:, None]
            done += count
        self.busy_ns += time.monotonic_ns() - begin

    def _look(self, now_ns: int, timing: Any) -> float:
        """Note that a block is asked for, and when it is heard; returns in how many seconds."""
        self._dozed = 0
        self._heart.beat_output(now_ns)
        ahead = max(0.0, timing.outputBufferDacTime - timing.currentTime)
        self._anchoring.update(self.player.frame, now_ns + round(ahead * 1e9))
        return ahead


def _beginning(anchor: Anchor | None) -> dict[str, int]:
    return {} if anchor is None else {"frame": anchor.frame, "dac_ns": anchor.at_ns}


class PacedOutput:
    """A thread that asks the player for blocks at the pace of the clock, and writes what is played to a
    WAV.
    """

    def __init__(self, command: Open, path: Path | None, heart: Heartbeat) -> None:
        self._heart = heart
        self.late = self.busy_ns = 0
        self.player = Player(command.rate)
        self._anchoring = Anchoring(command.rate)
        self._sink = None if path is None else WavSink(path, command.rate, append=command.append)
        self._block: Samples = np.zeros(command.block_frames or _PACED_BLOCK, np.float32)
        self._failure: SegueError | None = None
        fell_back = path is not None and command.device is None
        self.opened = Opened(
            tag=command.tag,
            device="none" if path is None else f"{FILE_PREFIX}{path}",
            host_api="",
            rate=command.rate,
            channels=1,
            latency_ms=round(1000 * len(self._block) / command.rate, 2),
            reason="there is no sound device" if fell_back else "",
        )
        self._due_ns = time.monotonic_ns()
        self._anchoring.update(0, self._due_ns)
        self.opened = self.opened.model_copy(update=_beginning(self._anchoring.anchor))
        self._stop = threading.Event()
        heart.beat_output(time.monotonic_ns())
        self._thread = threading.Thread(target=self._run, name="pace", daemon=True)
        self._thread.start()

    @property
    def anchor(self) -> Anchor | None:
        """See :class:`Output`."""
        return self._anchoring.anchor

    @property
    def stopped(self) -> bool:
        """See :class:`Output`."""
        return not self._thread.is_alive()

    @property
    def failure(self) -> SegueError | None:
        """See :class:`Output`."""
        failure, self._failure = self._failure, None
        return failure

    def close(self) -> bool:
        """See :class:`Output`."""
        self._stop.set()
        self._thread.join()
        self._heart.rest_output()
        if self._sink is not None:
            self._sink.close()
        return True

    def _run(self) -> None:
        period = len(self._block) * 1_000_000_000 // self.player.rate
        due = self._due_ns
        while not self._stop.wait(max(0, due - time.monotonic_ns()) / 1e9):
            begin = time.monotonic_ns()
            self._heart.beat_output(begin)
            self._anchoring.update(self.player.frame, due)
            if self.player.silent:
                self.player.frame += _IDLE_BLOCKS * len(self._block)
                due += _IDLE_BLOCKS * period
            else:
                start, stop = self.player.render(self._block)
                self._write(self._block[start:stop])
                due += period
            self.busy_ns += time.monotonic_ns() - begin
            if (
                time.monotonic_ns() - due > _SLEPT_NS
            ):  # the machine slept: a device would not have caught up either
                self.late += 1
                due = time.monotonic_ns()

    def _write(self, live: Samples) -> None:
        if self._sink is None or not len(live):
            return
        try:
            self._sink.write(live)
        except SegueError as failure:
            self._failure = failure
            self._sink.close()
            self._sink = None
