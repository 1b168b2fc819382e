"""Live input: always recorded, and the last bars of it kept as the prime when a pad is hit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bridge.audio.capture import CaptureRing, NoInput, NotYet
from bridge.audio.reports import InputOpened, Stats
from bridge.osc.peer import Peer
from bridge.session.clips import FOLDER, write_clip
from bridge.session.notices import Notices
from bridge.session.primes import PrimeDesk
from bridge.session.properties import Properties
from bridge.session.sound import Sound
from bridge.session.transport import MusicalTime
from engine.errors import SegueError
from engine.host.protocol import Command, Foresee, Ready
from engine.request import PrimeRef
from engine.ring import ring_name

RATE = 44_100
HELD_SECONDS = 90.0  # of the input: 16 bars at 60 bpm, and what was played since
POLL_SECONDS = 0.005
MOST_WAIT = 3.0
AHEAD_SECONDS = 0.45  # before a downbeat, the engine is given what there is of the bars that end there
NEAR_FRAMES = 44  # a millisecond: the clock knows no better where a bar ends


class NoTempo(SegueError):
    """Bars were asked for and nobody knows how long they are."""

    code, slug = 409, "no_tempo"


@dataclass(frozen=True)
class InputSetup:
    """``device`` as ``OpenInput`` takes it, None for no input; ``everywhere``: ReaStream of other hosts too."""

    device: str | None = None
    everywhere: bool = False


@dataclass(frozen=True)
class _Span:
    """Frames of the capture ring, and the name of the file they become."""

    start: int
    stop: int
    name: str


class Capturing:
    """The input of a session. ``engine_ready`` raises NotReady unless a model is loaded; ``folder``: of takes;
    ``bars``: how many are kept where nobody says; ``free``: whether the engine has nothing else to do; ``send``: to it.
    """

    def __init__(
        self,
        setup: InputSetup,
        *,
        sound: Sound,
        clock: MusicalTime,
        primes: PrimeDesk,
        notices: Notices,
        properties: Properties,
        engine_ready: Callable[[], Ready],
        folder: Path,
        bars: Callable[[], float],
        free: Callable[[], bool],
        send: Callable[[Command], None],
        tell: Callable[[str], None],
    ) -> None:
        self._setup, self._sound, self._clock, self._primes = setup, sound, clock, primes
        self._notices, self._properties, self._engine_ready = notices, properties, engine_ready
        self._folder, self._bars, self._tell = folder / FOLDER, bars, tell
        self._free, self._send = free, send
        self._foreseen: tuple[Fraction, tuple[int, int]] | None = None
        self._files = 0
        self._ring: CaptureRing | None = None
        self._opened: InputOpened | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        properties.add("/segue/input/device", self._input)
        properties.add("/segue/input/latency", lambda: (self._opened.latency_ms if self._opened else 0.0,))

    # -- the input ------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open the input that the session was started with, if any."""
        if self._setup.device is not None:
            self._spawn(self._open_at_start(self._setup.device))

    async def _open_at_start(self, device: str) -> None:
        try:
            await self.open(device)
        except SegueError as error:
            self._tell(f"the input is not recorded: {error.message}")

    async def open(self, device: str, first_channel: int = 1) -> None:
        """Record this input from now on, from that channel; ``""`` none. Raises NoDevice, and keeps what was recorded
        before."""
        if not device:
            await self._sound.close_input()
            self._set_input(None)
        else:
            if self._ring is None:
                self._ring = CaptureRing.create(ring_name("input"), HELD_SECONDS, RATE)
                self._spawn(self._look_ahead())
            opened = await self._sound.open_input(
                device,
                capture=self._ring.name,
                first_channel=first_channel,
                everywhere=self._setup.everywhere,
            )
            self._set_input(opened)

    def opened(self, report: InputOpened) -> None:
        """What is recorded from now on does not join on to what was."""
        self._clock.input_lost()
        self._set_input(report)

    def lost(self, reason: str) -> None:
        """Nothing is recorded until it is back."""
        self._set_input(None)
        self._notices.publish("/segue/input/lost", reason)

    def _set_input(self, opened: InputOpened | None) -> None:
        if opened != self._opened:
            self._opened = opened
            for name in ("device", "latency"):
                self._properties.publish(f"/segue/input/{name}")

    def _input(self) -> tuple[str, int]:
        opened = self._opened
        return ("", 1) if opened is None else (opened.device, opened.first_channel)

    def stats(self, stats: Stats) -> None:
        """Figures of the audio process."""
        if stats.adc_ns and self._ring is not None:
            self._clock.input_heard(self._ring.rate, stats.in_frame, stats.adc_ns)

    def close(self) -> None:
        """Remove the ring."""
        for task in self._tasks:
            task.cancel()
        if self._ring is not None:
            self._ring.close()
            self._ring.unlink()
            self._ring = None

    # -- ahead of need ---------------------------------------------------------------------------------------------

    async def _look_ahead(self) -> None:
        """A little before every downbeat, have the engine encode what there is of the bars that end there."""
        while True:
            count = Fraction(self._bars()).limit_denominator(96)
            recording = self._ring is not None and self._sound.input is not None
            coming = self._clock.coming_span(count) if recording else None
            if coming is None:
                await asyncio.sleep(0.25)
            elif coming[0] > AHEAD_SECONDS:
                await asyncio.sleep(min(0.25, coming[0] - AHEAD_SECONDS + 0.002))
            else:
                await self._foresee(count, coming[1])
                await asyncio.sleep(coming[0])

    async def _foresee(self, count: Fraction, span: tuple[int, int]) -> None:
        ring, self._foreseen = self._ring, None
        if ring is None or not self._free():
            return
        try:
            if self._engine_ready().rate != ring.rate:
                return
            samples = ring.read(span[0], min(span[1], ring.written))
            self._files += 1  # (the engine may be reading the one before)
            path = self._folder / f"coming{self._files % 2}.wav"
            await asyncio.to_thread(write_clip, path, samples, ring.rate)
            self._send(Foresee(prime=PrimeRef(path=str(path)), frames=span[1] - span[0]))
            self._foreseen = (count, span)
        except SegueError:
            return  # too little was recorded, or there is no engine: nothing is lost

    def _as_foreseen(self, count: Fraction, span: tuple[int, int]) -> tuple[int, int]:
        """The span that the engine knows of, if it is the same but for what the clock learned since."""
        known = self._foreseen
        if known is not None and known[0] == count:
            away = max(abs(known[1][0] - span[0]), abs(known[1][1] - span[1]))
            if away <= NEAR_FRAMES:
                return known[1]
        return span

    # -- captures -------------------------------------------------------------------------------------------------

    def capture_bars(self, bars: float | None, peer: Peer, tag: str, address: str) -> None:
        """Keep the last whole bars. Raises NoInput, :class:`NoTempo`, RingTooShort."""
        count = Fraction(self._bars() if bars is None else bars).limit_denominator(96)
        ring = self._recording()
        bpm = self._clock.bpm
        if bpm is None:
            raise NoTempo(
                "no tempo is known, so bars have no length; set /segue/tempo, follow a clock, "
                "or use /segue/prime/capture/seconds"
            )
        span = self._clock.capture_span(count)
        if span is None:  # a tempo without a place in the song
            stop = ring.written
            length = count * self._clock.meter.bar_beats * 60 * ring.rate / Fraction(bpm)
            span = (stop - round(length), stop)
        span = self._as_foreseen(count, span)
        self._take(ring, span, f"{float(count):g}bars_{bpm:.2f}bpm", peer, tag, address)

    def capture_seconds(self, seconds: float, peer: Peer, tag: str, address: str) -> None:
        """Keep the last seconds. Raises NoInput, RingTooShort."""
        ring = self._recording()
        stop = ring.written
        self._take(ring, (stop - round(seconds * ring.rate), stop), f"{seconds:g}s", peer, tag, address)

    def _recording(self) -> CaptureRing:
        if self._ring is None or self._sound.input is None or self._ring.written == 0:
            raise NoInput("no input is recorded; choose one with /segue/input/device, or start with --input")
        self._engine_ready()
        return self._ring

    def _take(
        self, ring: CaptureRing, span: tuple[int, int], name: str, peer: Peer, tag: str, address: str
    ) -> None:
        start, stop = span
        ring.read(
            start, min(stop, ring.written)
        )  # what is there of it is there in one piece, or it is refused now
        stamp = f"{datetime.now():%Y-%m-%d_%H%M%S_%f}"[:-3]
        wanted = _Span(start, stop, f"{stamp}_{name}.wav")
        self._notices.publish("/segue/prime/capturing", 1)
        self._spawn(self._keep(ring, wanted, peer, tag, address))

    async def _keep(self, ring: CaptureRing, span: _Span, peer: Peer, tag: str, address: str) -> None:
        """Wait for the end of a span that is still to come, write it, and make it the prime."""
        try:
            samples = await _whole(ring, span)
            path = self._folder / span.name
            await asyncio.to_thread(write_clip, path, samples, ring.rate)
            prime = self._primes.take(PrimeRef(path=str(path)), peer, tag, address)
            self._primes.submit(prime)
        except SegueError as error:
            self._notices.fail(peer, tag, address, error)
        finally:
            self._notices.publish("/segue/prime/capturing", 0)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _whole(ring: CaptureRing, span: _Span) -> npt.NDArray[np.float32]:
    """The frames of a span, as soon as all of them are there. Raises RingTooShort, or NotYet if they do not come."""
    end = time.monotonic() + MOST_WAIT
    while True:
        try:
            return ring.read(span.start, span.stop)
        except NotYet:
            if time.monotonic() > end:
                raise
        await asyncio.sleep(POLL_SECONDS)
