"""Hold: while a pedal is down, the bar that plays comes again and again; then what it was taken from goes on."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bridge.session.clips import FOLDER, write_clip
from bridge.session.playback import Player
from bridge.session.transport import USUAL_BPM, MusicalTime
from bridge.session.voices import HOLD, Plan, Voice
from engine.errors import NoTake, NotReady
from engine.ring import Ring

FILE = "hold.wav"
REACTION_SECONDS = 0.1  # a bar whose end is nearer is not held any more, but the next one is
POLL_SECONDS = 0.01
FADE_MS = 5.0
SOON_NS = 60_000_000


@dataclass(frozen=True)
class _Loop:
    """What is repeated: ``voice``, for ``label`` that waits at its frame ``stop``; due at ``begin_ns``."""

    voice: Voice
    label: str
    stop: int
    begin_ns: int


class Holding:
    """The pedal."""

    def __init__(self, player: Player, clock: MusicalTime, folder: Path) -> None:
        self._player, self._clock, self._folder = player, clock, folder / FOLDER
        self._beginning: asyncio.Task[None] | None = None
        self._loop: _Loop | None = None

    def down(self) -> asyncio.Task[None]:
        """Repeat the bar that plays from its end on; the task fails when it cannot. Raises NoTake in silence."""
        voice = self._player.current
        if voice is None or voice.ident == HOLD:
            raise NoTake("nothing plays that could be held; play a take first")
        self.up()
        now = time.monotonic_ns()
        place = voice.place_at(now, self._player.stream)
        bpm = self._player.bpm_of(voice.ident) or self._clock.bpm or USUAL_BPM
        bar = float(self._clock.meter.bar_beats) * 60 / bpm * voice.rate
        number = math.floor((place + REACTION_SECONDS * voice.rate) / bar)
        start, stop = round(number * bar), min(voice.frames, round((number + 1) * bar))
        begin_ns = now + round((stop - place) * 1e9 / voice.rate)
        work = self._begin(voice, start, stop, begin_ns)
        self._beginning = asyncio.create_task(work)
        return self._beginning

    def up(self) -> None:
        """Go on after the bar, when it has come to its end; nothing if nothing is held."""
        if self._beginning is not None:
            self._beginning.cancel()
            self._beginning = None
        loop, self._loop = self._loop, None
        if loop is None:
            return
        length = loop.voice.frames / loop.voice.rate
        soon = time.monotonic_ns() + SOON_NS
        times = max(0, math.ceil((soon - loop.begin_ns) / (length * 1e9)))
        begun, stream = loop.voice.begun, self._player.stream
        frame = None
        if begun is not None and stream is not None:
            frame = begun[1] + round(times * length * stream.rate)
        plan = Plan(at_ns=loop.begin_ns + round(times * length * 1e9), at_frame=frame, fade_ms=FADE_MS)
        self._player.resume(loop.label, loop.stop, plan)

    async def _begin(self, voice: Voice, start: int, stop: int, begin_ns: int) -> None:
        samples = await self._bar(voice, start, stop, begin_ns)
        path = self._folder / FILE
        await asyncio.to_thread(write_clip, path, samples, voice.rate)
        if self._player.current is not voice:
            raise NotReady("what was to be held has ended; press again")
        self._player.keep(voice.label)
        frame = voice.frame_of(stop, self._player.stream)
        plan = Plan(at_ns=begin_ns, at_frame=frame, takes_over=True, fade_ms=FADE_MS)
        held = self._player.play_file(HOLD, str(path), stop - start, voice.rate, plan, loop=True)
        self._loop, self._beginning = _Loop(held, voice.label, stop, begin_ns), None

    async def _bar(self, voice: Voice, start: int, stop: int, begin_ns: int) -> npt.NDArray[np.float32]:
        """The frames of a bar, as soon as all of it was made. Raises NotReady when that is too late."""
        if voice.ring is None:
            return await asyncio.to_thread(_read, voice.file, start, stop)
        out = np.empty(stop - start, np.float32)
        while not _copy(voice.ring, start, out):
            if time.monotonic_ns() > begin_ns - 30_000_000:
                raise NotReady("the bar that plays is still being made; press again a little later")
            await asyncio.sleep(POLL_SECONDS)
        return out


def _copy(ring: Ring, start: int, out: npt.NDArray[np.float32]) -> bool:
    """Copy frames that may have been read already; False where not all of them are there."""
    while start >= ring.written - ring.capacity and start + len(out) <= ring.written:
        read = ring.read
        ring.peek_into(out, start - read)
        if ring.read == read:  # (else the player went on meanwhile, and with it what this counts from)
            return True
    return False


def _read(path: str, start: int, stop: int) -> npt.NDArray[np.float32]:
    import soundfile

    samples, _ = soundfile.read(path, frames=stop - start, start=start, dtype="float32", always_2d=True)
    return np.ascontiguousarray(samples.mean(axis=1, dtype=np.float32))
