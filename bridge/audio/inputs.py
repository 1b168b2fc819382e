"""What is recorded: a device's input, or ReaStream's packets."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Any, Protocol

import numpy as np

from bridge.audio import reastream
from bridge.audio.anchor import Anchor, Anchoring
from bridge.audio.capture import MAX_BLOCK, CaptureRing
from bridge.audio.devices import Device, jack_client_name, portaudio
from bridge.audio.heartbeat import Heartbeat
from bridge.audio.monitor import Monitor
from bridge.audio.protocol import InputOpened, OpenInput
from bridge.audio.recording import Recording, Tap, mix
from engine.errors import BadFormat, Busy, NoDevice
from engine.ring import Ring, Samples

LATENCY_SECONDS = 0.05
_REASTREAM = "reastream"
_START_SECONDS, _CLOSE_SECONDS, _SILENT_SECONDS = 2.0, 1.0, 1.5
_PAUSE = 0.02
_BATCH_SECONDS = (
    0.04  # of small blocks are taken at a time, unless they are to be heard or seen at once: costs less
)
_SILENCE_NS = 300_000_000  # ReaStream sends all the time; after so long it has been switched off


class Input(Protocol):
    """A running input. ``late``: blocks that the device lost; ``bad``: packets that were dropped."""

    opened: InputOpened
    late: int
    bad: int

    @property
    def silent(self) -> bool:
        """Whether the device has stopped giving blocks."""

    @property
    def anchor(self) -> Anchor | None:
        """A frame of the capture ring and the moment it was recorded at."""

    metering: bool

    def peaks(self) -> tuple[float, float]:
        """The largest magnitudes, left and right, since the last call (the mean of both unless ``metering``)."""

    def close(self) -> bool:
        """Stop; False if the driver did not come back, and this process had better be killed."""


def reastream_port(device: str | None) -> int | None:
    """The port of ``"reastream"`` or ``"reastream:PORT"``, None for everything else. Raises :class:`NoDevice`."""
    name, _, port = (device or "").strip().partition(":")
    if name.casefold() != _REASTREAM:
        return None
    if not port:
        return reastream.PORT
    if not port.isdecimal() or not 1 <= int(port) <= 65_535:
        raise NoDevice(f"'{device}' names no port of ReaStream; write 'reastream:{reastream.PORT}'")
    return int(port)


class DeviceInput:
    """A PortAudio stream. Its callback copies, mixes, counts and beats; rates are converted by a thread.

    ``rate`` in Hz is what is preferred: that of the output, so that the monitor needs no conversion.
    """

    bad = 0

    def __init__(
        self, command: OpenInput, device: Device, heart: Heartbeat, rate: int, monitor: Monitor
    ) -> None:
        sound = portaudio()
        self._heart = heart
        self.late = 0
        self._latency = -1.0
        first = command.first_channel - 1
        channels = min(command.channels, device.channels - first)
        if channels < 1:
            raise NoDevice(
                f"'{device.label}' has {device.channels} input(s) and no channel {command.first_channel}; "
                "choose another"
            )
        settings = {"device": device.index, "channels": first + channels}
        self._first = first
        self._mono: Samples = np.zeros(MAX_BLOCK, np.float32)
        self.metering = False
        self._high: Samples = np.zeros(channels, np.float32)
        self._extreme: Samples = np.zeros(channels, np.float32)
        self._peaks_to = 0
        self._channels = first + channels
        self._frame = 0
        try:
            rate = _possible_rate(sound, rate, device.rate, settings)
            self._recording = Recording(CaptureRing.attach(command.capture), rate)
            self._tap = Tap(rate, monitor)
            self._anchoring = Anchoring(rate)
            self._batch, self._batch_size = 0, int(_BATCH_SECONDS * rate) * 4 * self._channels
            self._stash = bytearray(self._batch_size)
            self._stashed = 0
            self._raw = Ring.local(1 << (2 * rate - 1).bit_length(), rate)
            self._stop = threading.Event()
            self._converts = self._recording.converts or self._tap.converts
            self._thread = threading.Thread(target=self._convert, name="input", daemon=True)
            self._stream = sound.RawInputStream(
                samplerate=rate, dtype="float32", latency=LATENCY_SECONDS, callback=self._callback, **settings
            )
            self._stream.start()
        except sound.PortAudioError as error:
            raise NoDevice(
                f"'{device.label}' cannot be opened for recording ({error}); free it or choose another input"
            ) from None
        self._await_first_block(device)
        if self._converts:
            self._thread.start()
        self.opened = InputOpened(
            tag=command.tag,
            device=device.name,
            host_api=device.host_api,
            rate=rate,
            channels=channels,
            latency_ms=round(1000 * self._latency, 2),
            frame=self._recording.first,
            first_channel=command.first_channel,
            client=jack_client_name() if device.host_api.startswith("JACK") else "",
        )

    @property
    def silent(self) -> bool:
        """See :class:`Input`."""
        return self._heart.input_age > _SILENT_SECONDS

    @property
    def anchor(self) -> Anchor | None:
        """See :class:`Input`."""
        return self._recording.anchor

    def peaks(self) -> tuple[float, float]:
        """See :class:`Input`."""
        if not self.metering:
            self._peaks_to, peak = self._recording.peak_since(self._peaks_to)
            return peak, peak
        left, right = float(self._high[0]), float(self._high[min(1, len(self._high) - 1)])
        self._high[:] = 0
        return left, right

    def close(self) -> bool:
        """See :class:`Input`. A stream whose server died hangs when it is closed (facts/rig.md §1)."""
        self._heart.rest_input()
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        if not self._stream.active:
            return False
        closer = threading.Thread(target=self._stream.close, daemon=True)
        closer.start()
        closer.join(_CLOSE_SECONDS)
        if closer.is_alive():
            return False
        self._recording.ring.close()
        return True

    def _await_first_block(self, device: Device) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while self._latency < 0:
            if time.monotonic() > deadline:
                self.close()
                raise NoDevice(f"'{device.label}' was opened but gives no sound; choose another input")
            time.sleep(0.002)

    def _callback(self, raw: Any, frames: int, timing: Any, status: Any) -> None:
        end = self._stashed + len(raw)
        if end < self._batch and not self.metering and not self._tap.monitor.on:
            self._stash[self._stashed : end] = raw
            self._stashed = end
            self._frame += frames
            return
        now = time.monotonic_ns()
        self._heart.beat_input(now)
        ago = max(0.0, timing.currentTime - timing.inputBufferAdcTime)
        if self._latency < 0:
            self._latency = ago
            self._batch = self._batch_size
        elif status.input_overflow:
            self.late += 1
        if self._anchoring.update(self._frame, now - round(ago * 1e9)) and self._anchoring.anchor is not None:
            anchor = self._anchoring.anchor
            self._recording.anchor_at(anchor.frame, anchor.at_ns)
        if self._stashed:
            self._take(np.frombuffer(self._stash, np.float32, self._stashed // 4))
            self._stashed = 0
        self._take(np.frombuffer(raw, np.float32))
        self._frame += frames

    def _take(self, samples: Samples) -> None:
        used = samples.reshape(-1, self._channels)[:, self._first :]
        if self.metering:
            np.max(used, axis=0, out=self._extreme)
            np.maximum(self._high, self._extreme, out=self._high)
            np.min(used, axis=0, out=self._extreme)
            np.negative(self._extreme, out=self._extreme)
            np.maximum(self._high, self._extreme, out=self._high)
        for at in range(0, len(used), MAX_BLOCK):
            part = used[at : at + MAX_BLOCK]
            mono = self._mono[: len(part)]
            mix(part, mono)
            if not self._recording.converts:
                self._recording.push(mono)
            if not self._tap.converts:
                self._tap.push(mono)
            if self._converts:
                self._raw.write(mono)

    def _convert(self) -> None:
        portion = np.empty(MAX_BLOCK, np.float32)
        while not self._stop.is_set():
            count = self._raw.read_into(portion)
            if not count:
                self._stop.wait(_PAUSE)
                continue
            if self._recording.converts:
                self._recording.push(portion[:count])
            if self._tap.converts:
                self._tap.push(portion[:count])


def _possible_rate(sound: Any, rate: int, own: int, settings: dict[str, int]) -> int:
    try:
        sound.check_input_settings(samplerate=rate, dtype="float32", **settings)
    except sound.PortAudioError:
        return own
    return rate


class ReaStreamInput:
    """Listens for packets. The first sender is recorded until it falls silent; others meanwhile count as bad."""

    late = 0
    silent = False
    metering = False  # it always does

    def __init__(self, command: OpenInput, port: int, monitor: Monitor) -> None:
        self.bad = 0
        self._monitor = monitor
        self._ring = CaptureRing.attach(command.capture)
        self._recording: Recording | None = None
        self._tap: Tap | None = None
        self._sender: tuple[bytes, str, int] | None = None
        self._heard_ns = 0
        self._peaks = [0.0, 0.0]
        self._stop = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            self._socket.bind(("" if command.everywhere else "127.0.0.1", port))
        except OSError:
            self._socket.close()
            self._ring.close()
            raise Busy(
                f"port {port} is taken, so no ReaStream can be heard; close what uses it or name another"
            ) from None
        self._socket.settimeout(0.2)
        self.opened = InputOpened(
            tag=command.tag,
            device=f"{_REASTREAM}:{port}",
            host_api="",
            rate=0,
            channels=command.channels,
            latency_ms=0.0,
            frame=self._ring.written,
        )
        self._thread = threading.Thread(target=self._listen, name="reastream", daemon=True)
        self._thread.start()

    @property
    def anchor(self) -> Anchor | None:
        """See :class:`Input`."""
        return None if self._recording is None else self._recording.anchor

    def peaks(self) -> tuple[float, float]:
        """See :class:`Input`."""
        left, right = self._peaks
        self._peaks = [0.0, 0.0]
        return left, right

    def close(self) -> bool:
        """See :class:`Input`."""
        self._stop.set()
        self._thread.join()
        self._socket.close()
        self._ring.close()
        return True

    def _listen(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                data, address = self._socket.recvfrom(reastream.MAX_PACKET + 1)
                try:
                    self._take(reastream.decode(data), address[0], time.monotonic_ns())
                except BadFormat:
                    self.bad += 1

    def _take(self, packet: reastream.Packet, host: str, now: int) -> None:
        sender = (packet.identifier, host, packet.rate)
        silent = now - self._heard_ns > _SILENCE_NS
        if sender != self._sender and not silent:
            raise BadFormat("another ReaStream is being recorded; stop that one first")
        if self._recording is None or sender != self._sender:
            self._sender = sender
            self._recording = Recording(self._ring, packet.rate)
            self._tap = Tap(packet.rate, self._monitor)
        elif silent:
            self._recording.restart()
        self._heard_ns = now
        mono = packet.samples.mean(axis=0) if len(packet.samples) > 1 else packet.samples[0]
        self._recording.anchor_at(self._recording.pushed, now - len(mono) * 1_000_000_000 // packet.rate)
        self._recording.push(mono)
        if self._tap is not None:
            self._tap.push(mono)
        for side in (0, 1):
            channel = packet.samples[min(side, len(packet.samples) - 1)]
            self._peaks[side] = max(self._peaks[side], float(np.abs(channel).max()))
