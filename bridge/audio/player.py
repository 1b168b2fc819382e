"""The player: what one block of output holds. Runs in the audio callback, so it neither allocates, locks
nor logs.

Playing itself alters nothing: at gain 1, what a device gets is what the ring held, bit for bit. Around gaps
there are fades of 5 ms: where sound breaks off, the last value decays to zero *after* the last frame, so
that no frame is touched or lost; where it comes back after a gap, its first 5 ms are faded in (facts/daw.md
§3.4).
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from bridge.audio.source import Source
from engine.ring import Samples

FADE_SECONDS = 0.005
MAX_BLOCK = 16_384


class State(IntEnum):
    """What becomes of a voice."""

    WAITING = 0
    PLAYING = 1
    STARVED = 2
    STOPPING = 3
    FINISHED = 4
    STOPPED = 5


class Voice:
    """One ring being played. Written by the callback, but for the numbers of ``Play``, ``drain`` and
    ``stop_frames``.
    """

    __slots__ = (
        "begun",
        "drain",
        "fade_at",
        "prebuffer_frames",
        "resume_frames",
        "source",
        "start_frame",
        "state",
        "stop_frames",
        "stop_left",
        "underruns",
    )

    def __init__(self, source: Source, prebuffer_frames: int, resume_frames: int, fade_in: bool) -> None:
        self.source = source
        self.prebuffer_frames = prebuffer_frames
        self.resume_frames = resume_frames
        self.drain = False
        self.stop_frames = -1  # set to the length of the fade to stop
        self.stop_left = -1
        self.state = State.WAITING
        self.begun = False
        self.start_frame = source.ring.read
        self.underruns = 0
        self.fade_at = 0 if fade_in else -1  # how far the fade-in has come; -1: none


class Player:
    """Fills blocks of mono float32 at ``rate`` Hz from at most one voice."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        fade = max(1, round(FADE_SECONDS * rate))
        phase = (np.arange(fade, dtype=np.float32) + 0.5) / fade * (np.pi / 2)
        self._rise: Samples = (np.sin(phase) ** 2).astype(np.float32)
        self._fall: Samples = (np.cos(phase) ** 2).astype(np.float32)
        self._fade = fade
        self._steps: Samples = np.arange(1, MAX_BLOCK + 1, dtype=np.float32)
        self._work: Samples = np.empty(MAX_BLOCK, np.float32)
        self._tail_at = fade  # how far the decay of the last value has come; fade: over
        self._tail_from = 0.0
        self._last = 0.0
        self._sounding = False
        self._gain = self.gain = 1.0
        self._voice: Voice | None = None
        self.voice: Voice | None = None
        self.played = 0

    @property
    def current(self) -> Voice | None:
        """The voice that the callback uses; follows ``voice`` at the next block."""
        return self._voice

    def render(self, block: Samples) -> int:
        """Fill ``block`` (shape [frames], at most ``MAX_BLOCK``) and return how many of its first frames
        are playback.

        Playback includes the silence of an underrun, but not waiting, and not what follows the end.
        """
        voice = self.voice
        if voice is None and not self._sounding and self._tail_at >= self._fade:
            self._voice, self._last = None, 0.0
            block.fill(0)
            return 0
        broke_off = voice is not self._voice and self._sounding
        self._voice = voice
        heard = live = 0
        if voice is not None and voice.state < State.FINISHED:
            heard, live = self._pull(voice, block)
        self.played += heard
        block[heard:] = 0
        if not self._sounding:
            self._gain = self.gain  # nothing sounds yet that a jump could make click
        self._apply_gain(block[:heard])
        if broke_off:
            self._start_tail(self._last)
        self._add_tail(block[:heard])
        if heard < len(block):
            if heard or (self._sounding and not broke_off):
                self._start_tail(float(block[heard - 1]) if heard else self._last)
            self._add_tail(block[heard:])
        self._sounding = heard == len(block)
        self._last = float(block[-1])
        return live

    def _pull(self, voice: Voice, block: Samples) -> tuple[int, int]:
        """Frames taken from the voice into ``block``, and frames of it that are playback."""
        source = voice.source
        if voice.drain:
            voice.drain = False
            source.drain()
            if voice.state == State.PLAYING:
                voice.state, voice.fade_at = State.WAITING, 0
        if voice.stop_frames >= 0 and voice.state != State.STOPPING:
            if voice.state != State.PLAYING:
                voice.state = State.STOPPED
                return 0, 0
            voice.state, voice.stop_left = State.STOPPING, voice.stop_frames
        if voice.state in (State.WAITING, State.STARVED):
            starved = voice.state == State.STARVED
            if not source.ready(voice.resume_frames if starved else voice.prebuffer_frames):
                return 0, len(block) if starved else 0
            voice.state, voice.begun = State.PLAYING, True
            voice.fade_at = 0 if starved else voice.fade_at
        wanted = len(block) if voice.stop_left < 0 else min(len(block), voice.stop_left)
        count = source.read_into(block[:wanted])
        self._fade_in(voice, block[:count])
        if voice.state == State.STOPPING:
            return self._fade_out(voice, block[:count], wanted)
        if source.exhausted:
            voice.state = State.FINISHED
        elif count < len(block):
            voice.state = State.STARVED
            voice.underruns += 1
            return count, len(block)
        return count, count

    def _fade_in(self, voice: Voice, heard: Samples) -> None:
        at = voice.fade_at
        if at < 0:
            return
        count = min(len(heard), self._fade - at)
        np.multiply(heard[:count], self._rise[at : at + count], out=heard[:count])
        voice.fade_at = at + count if at + count < self._fade else -1

    def _fade_out(self, voice: Voice, heard: Samples, wanted: int) -> tuple[int, int]:
        count = len(heard)
        work = self._work[:count]
        np.subtract(voice.stop_left + 0.5, self._steps[:count], out=work)
        np.multiply(work, np.pi / 2 / max(1, voice.stop_frames), out=work)
        np.sin(work, out=work)
        np.multiply(work, work, out=work)
        np.multiply(heard, work, out=heard)
        voice.stop_left -= count
        if voice.stop_left == 0 or count < wanted:
            voice.state = State.STOPPED
        return count, count

    def _apply_gain(self, heard: Samples) -> None:
        target, count = self.gain, len(heard)
        if self._gain == target == 1.0 or count == 0:
            self._gain = target
            return
        work = self._work[:count]
        np.multiply(self._steps[:count], (target - self._gain) / count, out=work)
        np.add(work, self._gain, out=work)
        np.multiply(heard, work, out=heard)
        self._gain = target

    def _start_tail(self, value: float) -> None:
        self._tail_from = value
        self._tail_at = 0

    def _add_tail(self, part: Samples) -> None:
        at = self._tail_at
        count = min(len(part), self._fade - at)
        if count <= 0:
            return
        work = self._work[:count]
        np.multiply(self._fall[at : at + count], self._tail_from, out=work)
        np.add(part[:count], work, out=part[:count])
        self._tail_at = at + count
