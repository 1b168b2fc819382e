"""What is heard: takes while they are being made, and takes and primes from their files.

One voice sounds. Jobs that were asked for without a clock follow one after the other; what is to begin on the grid, or
goes on from what sounds, takes over with a cross-fade. Of several that would take over, the last one does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bridge.clock import Launch, StreamClock
from bridge.session.leaving import Leaving, give_back
from bridge.session.notices import Notices
from bridge.session.prebuffer import LEAST_SECONDS, Pace, Prebuffer
from bridge.session.transport import MusicalTime
from bridge.session.voices import ENOUGH_SECONDS, FADE_MS, HOLD, Output, Plan, Stage, Voice
from engine.ring import Ring, ring_name
from presets import Quantum

log = logging.getLogger("segue.play")

TICK_SECONDS = 0.05
ARMED_TICK_SECONDS = 0.015
TELL_SECONDS = 0.1
RENEW_NS = 150_000_000  # before its time, a place on the grid is computed once more
LATE_NS = 50_000_000  # what is not in hand so long before its time is put off
MAX_CAPACITY = 1 << 22  # frames; 95 s at 44.1 kHz, longer takes wait in the engine for room
MIN_CAPACITY = 1 << 15
QUEUED_CAPACITY = 1 << 20  # of rings that wait behind another one: shared memory may be as small as 64 MiB
FIRST_DELAY = 0.35  # seconds from a job to its first sound, until one was measured


class Player:
    """Owns the rings. ``on_change`` is called when something begins or ends; ``quantum`` gives the grid chosen.

    ``bpm_of`` gives the tempo of what is called by an ident, 0 where none is known.
    """

    def __init__(
        self,
        output: Output,
        notices: Notices,
        on_change: Callable[[], None],
        clock: MusicalTime,
        quantum: Callable[[], Quantum] = Quantum,
    ) -> None:
        self._output, self._notices, self._on_change = output, notices, on_change
        self._clock, self._quantum = clock, quantum
        self.bpm_of: Callable[[str], float] = lambda _: 0.0
        self._voices: dict[str, Voice] = {}  # by label
        self._leaving = Leaving(notices)
        self._plans: dict[str, Plan] = {}  # of jobs that have not begun
        self._next: Voice | None = None  # will take over
        self._current: Voice | None = None
        self._paces: dict[str, Pace] = {}
        self._ticker: asyncio.Task[None] | None = None
        self._told_at = 0.0
        self._count = 0
        self.first_delay = FIRST_DELAY
        self.on_begin: list[Callable[[Voice], None]] = []
        clock.on_move.append(self._moved)

    # -- what is heard --------------------------------------------------------------------------------------------

    @property
    def playing(self) -> bool:
        """Whether sound comes out."""
        return self._current is not None

    @property
    def current(self) -> Voice | None:
        """What sounds."""
        return self._current

    @property
    def stream(self) -> StreamClock | None:
        """Which frame of the output is heard when; None before any was."""
        return self._clock.output

    @property
    def coming(self) -> Voice | None:
        """What will take over."""
        return self._next

    @property
    def fill_seconds(self) -> float:
        """Audio in hand of what plays or plays next."""
        voice = self._current or next(iter(self._voices.values()), None)
        return voice.ring.fill / voice.ring.rate if voice is not None and voice.ring is not None else 0.0

    # -- jobs -----------------------------------------------------------------------------------------------------

    def plan(self, job: str, plan: Plan) -> None:
        """Say how the sound of a job is to begin, before :meth:`open`."""
        self._plans[job] = plan

    def open(self, job: str, frames: int, rate: int, kind: str) -> str:
        """Make the ring of a job's first take, unless there is one; returns its name. ``kind``: jobs of one kind are
        made at one pace."""
        voice = self._voices.get(job)
        if voice is None:
            most = QUEUED_CAPACITY if self._voices else MAX_CAPACITY
            capacity = min(most, max(MIN_CAPACITY, 1 << (frames - 1).bit_length()))
            self._count += 1
            ring = Ring.create(ring_name(f"take{self._count}"), capacity, rate)
            plan = self._plans.pop(job, Plan())
            prebuffer = Prebuffer(frames / rate, time.monotonic(), self._paces.get(kind))
            voice = Voice(job, job, frames, rate, plan, ring=ring, kind=kind, prebuffer=prebuffer)
            self._enter(voice)
        assert voice.ring is not None
        return voice.ring.name

    def written(self, job: str) -> int:
        """Frames of the continuation that the engine has put into the job's ring."""
        voice = self._voices.get(job)
        return voice.ring.written if voice is not None and voice.ring is not None else 0

    def drop(self, job: str) -> None:
        """The job will not go on: stop what plays of it."""
        self._plans.pop(job, None)
        voice = self._voices.get(job)
        if voice is not None:
            self._silence(voice)

    def ends_at(self, job: str, frames: int) -> None:
        """No more than ``frames`` of a job will be made: it is played to there."""
        voice = self._voices.get(job)
        if voice is None or voice.ring is None or voice.frames <= frames:
            return
        voice.frames = frames
        if voice.stage is not Stage.WAITING:
            self._play(voice)

    # -- files ----------------------------------------------------------------------------------------------------

    def play_file(
        self, ident: str, path: str, frames: int, rate: int, plan: Plan, *, start: int = 0, loop: bool = False
    ) -> Voice:
        """Play a WAV of ``frames`` at ``rate`` Hz in place of what sounds, from frame ``start`` on."""
        self._count += 1
        plan = replace(plan, takes_over=True)
        label = f"{ident}@{self._count}"
        voice = Voice(ident, label, frames, rate, plan, file=path, from_frame=start, loop=loop)
        self._enter(voice)
        self._look_at(voice)
        return voice

    def keep(self, label: str) -> None:
        """What is called ``label`` waits where it is when another voice takes over, until :meth:`resume`."""
        voice = self._voices.get(label)
        if voice is not None:
            voice.kept = True

    def resume(self, label: str, frame: int, plan: Plan) -> None:
        """Play on from ``frame`` of a voice that was kept, in place of what sounds."""
        voice = self._voices.get(label)
        if voice is None or not voice.kept:
            return
        voice.kept = False
        if self._next is not None:
            self._silence(self._next)
        if voice.sounding:  # the other one has not begun
            return
        voice.plan = replace(plan, takes_over=True)
        voice.skipped, voice.late_ns, voice.from_frame = frame, 0, frame
        self._next = voice
        self._look_at(voice)

    def stop(self, fade_ms: float = FADE_MS) -> None:
        """End what sounds, and what would take over from it; jobs that wait play then."""
        for voice in (self._next, self._current):
            if voice is not None:
                self._silence(voice, fade_ms)

    def stop_all(self) -> None:
        """Silence: nothing of what has been made so far is played any more."""
        self.stop()
        waiting, self._voices = list(self._voices.values()), {}
        self._leaving.stop(waiting)
        self._on_change()

    # -- what the audio process says ------------------------------------------------------------------------------

    def began(self, label: str, frame: int, stream_frame: int, late_frames: int) -> None:
        """A voice is heard from its frame ``frame`` on, at frame ``stream_frame`` of the stream."""
        voice = self._voices.get(label)
        if voice is None:
            return
        voice.begun = (frame, stream_frame)
        if late_frames:
            log.info("%s began %d frames late", voice.ident, late_frames)
        if voice.sounding:
            return
        voice.stage = Stage.SOUNDING
        self._current, before = voice, self._current
        if self._next is voice:
            self._next = None
        if before is not None and before.label not in self._voices:
            self._notices.publish("/segue/sounding", before.ident, "stopped", before.seconds_played)
        self._notices.publish("/segue/sounding", voice.ident, "start", float(voice.in_hand))
        for call in self.on_begin:
            call(voice)
        self._on_change()

    def finished(self, label: str, frames: int, underruns: int) -> None:
        """A voice was played to its end: ``frames`` of it, having run dry ``underruns`` times."""
        voice = self._voices.get(label)
        if voice is not None:
            log.info("played %d frames of %s, %d underrun(s)", frames, voice.ident, underruns)
            self._forget(voice, "end")

    def stopped(self, label: str) -> None:
        """A voice ended before its end, for another one took over."""
        voice = self._voices.get(label)
        if voice is not None and voice.kept:
            voice.stage = Stage.WAITING
            return
        self.unplayable(label)

    def unplayable(self, label: str) -> None:
        """The audio process could not take a voice up."""
        voice = self._voices.get(label)
        if voice is not None:
            self._forget(voice, "stopped")

    def close(self) -> None:
        """Remove all rings."""
        if self._ticker is not None:
            self._ticker.cancel()
        for voice in self._voices.values():
            give_back(voice)
        self._voices.clear()
        self._leaving.close()

    # -- voices ---------------------------------------------------------------------------------------------------

    def _enter(self, voice: Voice) -> None:
        if voice.plan.takes_over:
            if self._next is not None:  # the last wish counts
                self._silence(self._next)
            self._next = voice
        self._voices[voice.label] = voice
        if self._ticker is None or self._ticker.done():
            self._ticker = asyncio.create_task(self._tick())

    def _silence(self, voice: Voice, fade_ms: float = FADE_MS) -> None:
        if voice.sounding:
            self._output.stop(fade_ms)
        elif voice.stage is Stage.ARMED:
            # (With nothing else sounding, what is armed is all there is.)
            self._output.disarm()
            if self._current is None:
                self._output.stop(fade_ms)
        self._forget(voice, "stopped")

    def _forget(self, voice: Voice, how: str) -> None:
        del self._voices[voice.label]
        if self._current is voice:
            self._current = None
        if self._next is voice:
            self._next = None
        for held in [other for other in self._voices.values() if other.kept and voice.ident == HOLD]:
            if held.sounding:  # the repeat had not begun, so it plays on as before
                held.kept = False
            else:
                self._forget(held, "stopped")
        self._leaving.end(voice, how)
        self._on_change()

    async def _tick(self) -> None:
        while self._voices:
            for voice in list(self._voices.values()):
                if voice.label in self._voices:
                    self._look_at(voice)
            self._tell_place()
            await asyncio.sleep(TICK_SECONDS if self._next is None else ARMED_TICK_SECONDS)

    def _tell_place(self) -> None:
        """``/segue/playing id beats``, ten times a second."""
        now, voice = time.monotonic(), self._current
        if voice is None or now - self._told_at < TELL_SECONDS * 0.9:
            return
        self._told_at = now
        seconds = voice.place_at(time.monotonic_ns(), self._clock.output) / voice.rate
        bpm = self.bpm_of(voice.ident) or self._clock.bpm or 60.0
        self._notices.publish("/segue/playing", voice.ident, float(seconds * bpm / 60))

    def _beat_seconds(self, voice: Voice) -> float:
        bpm = self.bpm_of(voice.ident) or self._clock.bpm
        return 60 / bpm if bpm else 0.0

    def _look_at(self, voice: Voice) -> None:
        self._observe(voice)
        if voice.sounding or not self._has_its_turn(voice):
            return
        now = time.monotonic_ns()
        due = voice.due_ns(self._clock.output)
        left = None if due is None else due - now
        if voice.stage is Stage.WAITING:
            if voice.plan.aligned:
                if voice.catch_up(now, self._beat_seconds(voice)):
                    self._play(voice)
            elif voice.may_start:
                self._play(voice)
            elif left is not None and left < LATE_NS:
                self._put_off(voice)
        elif left is not None:
            self._keep_in_time(voice, left)

    def _observe(self, voice: Voice) -> None:
        if voice.ring is None or voice.prebuffer is None:
            return
        # (what is coarser than asked for is held back for as long as it may be replaced)
        made, now = voice.made, time.monotonic()
        voice.prebuffer.observe(now, made / voice.rate)
        if made >= voice.frames and not voice.learned and voice.frames <= voice.ring.capacity:
            # (a take longer than its ring may wait for the listener, so its pace says nothing)
            voice.learned = True
            self._paces[voice.kind] = voice.prebuffer.pace()
        delay = voice.prebuffer.first_delay
        if delay:
            self.first_delay = delay

    def _has_its_turn(self, voice: Voice) -> bool:
        if voice is self._next or voice.kept:
            return not voice.kept
        if voice.plan.takes_over or self._next is not None or self._current not in (None, voice):
            return False
        queue = (other for other in self._voices.values() if not other.plan.takes_over)
        return next(queue, None) is voice

    def _play(self, voice: Voice) -> None:
        """Hand a voice to the audio process, or tell it other numbers for one that it has."""
        at = voice.stream_frame(self._clock.output)
        voice.armed_at = at
        if voice.stage is Stage.WAITING:
            voice.stage, voice.in_hand = Stage.ARMED, voice.made / voice.rate
        if voice.ring is None:
            self._output.play_file(
                Path(voice.file),
                from_frame=voice.from_frame,
                loop=voice.loop,
                at_frame=at,
                fade_ms=voice.plan.fade_ms,
                label=voice.label,
            )
            return
        least = ENOUGH_SECONDS if voice.plan.aligned else LEAST_SECONDS
        ahead = min(voice.frames, round(least * voice.rate))
        self._output.play(
            voice.ring.name,
            ahead,
            voice.frames,
            at_frame=at,
            fade_ms=voice.plan.fade_ms,
            skip_frames=voice.skipped,
            label=voice.label,
        )

    # -- time -----------------------------------------------------------------------------------------------------

    def _keep_in_time(self, voice: Voice, left: int) -> None:
        """An armed voice: its place is computed anew shortly before."""
        if voice.plan.launch is not None and not voice.renewed and left <= RENEW_NS:
            voice.renewed = True
            found = self._clock.renewed(voice.plan.launch)
            if found is None:
                self._put_off(voice)
            else:
                self._move(voice, found)

    def _put_off(self, voice: Voice) -> None:
        """What is not there in time, or whose place is gone, begins at the next place; without a grid at once."""
        voice.renewed = False
        place = voice.plan.launch
        if place is None:
            voice.plan = replace(voice.plan, at_ns=None, at_frame=None)
            return
        self._move(voice, self._clock.launch(self._quantum(), LATE_NS / 1e9))

    def _move(self, voice: Voice, launch: Launch | None) -> None:
        voice.plan = replace(voice.plan, launch=launch, at_ns=None)
        if voice.stage is Stage.ARMED and voice.stream_frame(self._clock.output) != voice.armed_at:
            self._play(voice)

    def _moved(self) -> None:
        """The song has started, stopped or jumped."""
        voice = self._next
        if voice is None or voice.plan.launch is None or voice.sounding:
            return
        found = self._clock.renewed(voice.plan.launch)
        if found is None:
            self._put_off(voice)
        else:
            self._move(voice, found)
