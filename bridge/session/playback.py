"""Playing the first take of every job from a ring, one job after the other, while it is still being made."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bridge.session.notices import Notices
from bridge.session.prebuffer import LEAST_SECONDS, Pace, Prebuffer
from engine.ring import Ring, ring_name

log = logging.getLogger("segue.play")

TICK_SECONDS = 0.05
MAX_CAPACITY = 1 << 22  # frames; 95 s at 44.1 kHz, longer takes wait in the engine for room
MIN_CAPACITY = 1 << 15
QUEUED_CAPACITY = 1 << 20  # of rings that wait behind another one: shared memory may be as small as 64 MiB


class Output(Protocol):
    """The audio process (bridge/audio/supervisor.py) as playback sees it."""

    def play(self, ring: str, prebuffer_frames: int, total_frames: int | None) -> None:
        """Play a ring from its read position on."""

    def stop(self) -> None:
        """Fade out and stop."""


@dataclass
class Track:
    """What plays of one job."""

    job: str
    ring: Ring
    frames: int
    kind: str
    prebuffer: Prebuffer
    playing: bool = False
    learned: bool = False


class Player:
    """Owns the rings. The oldest track plays; ``on_change`` is called when playback starts or ends."""

    def __init__(self, output: Output, notices: Notices, on_change: Callable[[], None]) -> None:
        self._output = output
        self._notices = notices
        self._on_change = on_change
        self._tracks: dict[str, Track] = {}
        self._paces: dict[str, Pace] = {}
        self._ticker: asyncio.Task[None] | None = None
        self._count = 0

    @property
    def playing(self) -> bool:
        """Whether sound comes out."""
        return any(track.playing for track in self._tracks.values())

    @property
    def idle(self) -> bool:
        """Whether nothing plays or waits to be played."""
        return not self._tracks

    @property
    def fill_seconds(self) -> float:
        """Audio in hand of the track that plays or plays next."""
        track = next(iter(self._tracks.values()), None)
        return track.ring.fill / track.ring.rate if track else 0.0

    def open(self, job: str, frames: int, rate: int, kind: str) -> str:
        """Make the ring of a job's first take, unless there is one; returns its name. ``kind``: jobs of one kind are
        made at one pace."""
        track = self._tracks.get(job)
        if track is None:
            most = QUEUED_CAPACITY if self._tracks else MAX_CAPACITY
            capacity = min(most, max(MIN_CAPACITY, 1 << (frames - 1).bit_length()))
            self._count += 1
            ring = Ring.create(ring_name(f"take{self._count}"), capacity, rate)
            prebuffer = Prebuffer(frames / rate, time.monotonic(), self._paces.get(kind))
            track = self._tracks[job] = Track(job, ring, frames, kind, prebuffer)
            if self._ticker is None or self._ticker.done():
                self._ticker = asyncio.create_task(self._tick())
        return track.ring.name

    def written(self, job: str) -> int:
        """Frames of the continuation that the engine has put into the job's ring."""
        return self._tracks[job].ring.written if job in self._tracks else 0

    def drop(self, job: str) -> None:
        """The job will not go on: stop what plays of it."""
        track = self._tracks.get(job)
        if track is None:
            return
        if track.playing:
            self._output.stop()
        self._forget(track, "stopped")

    def stop_all(self) -> None:
        """Silence: nothing of what has been made so far is played any more."""
        for job in list(self._tracks):
            self.drop(job)

    def finished(self, ring: str, frames: int, underruns: int) -> None:
        """The audio process has played a ring to its end: ``frames`` of it, having run dry ``underruns`` times."""
        track = next((t for t in self._tracks.values() if t.ring.name == ring), None)
        if track is not None:
            log.info("played %d frames of %s, %d underrun(s)", frames, track.job, underruns)
            self._forget(track, "end")

    def unplayable(self, ring: str) -> None:
        """The audio process could not take a ring up."""
        for track in [track for track in self._tracks.values() if track.ring.name == ring]:
            self._forget(track, "stopped")

    def close(self) -> None:
        """Remove all rings."""
        if self._ticker is not None:
            self._ticker.cancel()
        for track in self._tracks.values():
            track.ring.close()
            track.ring.unlink()
        self._tracks.clear()

    def _forget(self, track: Track, how: str) -> None:
        del self._tracks[track.job]
        seconds = track.ring.read / track.ring.rate
        track.ring.close()
        track.ring.unlink()
        self._notices.publish("/segue/playing", track.job, how, float(seconds))
        self._on_change()

    async def _tick(self) -> None:
        while self._tracks:
            for position, track in enumerate(list(self._tracks.values())):
                self._look_at(track, is_first=position == 0)
            await asyncio.sleep(TICK_SECONDS)

    def _look_at(self, track: Track, is_first: bool) -> None:
        made = (
            track.ring.promised
        )  # (what is coarser than asked for is held back for as long as it may be replaced)
        track.prebuffer.observe(time.monotonic(), made / track.ring.rate)
        if made >= track.frames and not track.learned and track.frames <= track.ring.capacity:
            track.learned = (
                True  # (a take longer than its ring may wait for the listener, so its pace says nothing)
            )
            self._paces[track.kind] = track.prebuffer.pace()
        # (A full ring takes no more until it is played: then waiting on would be waiting for ever.)
        may_start = (
            track.prebuffer.may_start or made >= track.frames or track.ring.fill >= track.ring.capacity
        )
        if is_first and not track.playing and may_start:
            track.playing = True
            ahead = min(track.frames, round(LEAST_SECONDS * track.ring.rate))
            self._output.play(track.ring.name, ahead, track.frames)
            self._notices.publish("/segue/playing", track.job, "start", float(made / track.ring.rate))
            self._on_change()
