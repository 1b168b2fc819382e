"""The player: what one block of output holds. Runs in the audio callback, so it neither allocates, locks
nor logs.

Playing itself alters nothing: at gain 1, what a device gets is what the ring held, bit for bit. Around gaps
there are fades of 5 ms: where sound breaks off, the last value decays to zero *after* the last frame, so
that no frame is touched or lost; where it comes back after a gap, its first 5 ms are faded in (facts/daw.md
§3.4). From one voice to the next there is an equal-power cross-fade: the squares of the two gains add up to 1.
"""

from __future__ import annotations

import numpy as np

from bridge.audio.capture import MAX_BLOCK
from bridge.audio.monitor import Monitor
from bridge.audio.voice import State, Voice
from engine.ring import Samples

FADE_SECONDS = 0.005
_TAILS = 3  # voices that can have broken off within 5 ms
_QUARTER = np.pi / 2


class Player:
    """Fills blocks of mono float32 at ``rate`` Hz: one voice sounds, another may fade out, a third may be armed.

    The control loop hands voices over by :meth:`post` and takes them back by ``dismissed``; which place a voice has is
    the callback's business alone. ``frame``: frames rendered, silence included; ``played``: without it.
    """

    def __init__(self, rate: int) -> None:
        self.rate = rate
        fade = max(1, round(FADE_SECONDS * rate))
        phase = (np.arange(fade, dtype=np.float32) + 0.5) / fade * _QUARTER
        self._rise: Samples = (np.sin(phase) ** 2).astype(np.float32)
        self._fall: Samples = (np.cos(phase) ** 2).astype(np.float32)
        self._fade = fade
        self._steps: Samples = np.arange(1, MAX_BLOCK + 1, dtype=np.float32)
        self._work: Samples = np.empty(MAX_BLOCK, np.float32)
        self._other: Samples = np.empty(MAX_BLOCK, np.float32)
        self._tail_at = [
            fade
        ] * _TAILS  # how far the decay of a last value has come; fade: over; negative: to come
        self._tail_from = [0.0] * _TAILS
        self._gain = self.gain = 1.0
        self._asleep = False  # no voice, no tail
        self._posted: Voice | None = None
        self._voice: Voice | None = None
        self._leaving: Voice | None = None
        self._armed: Voice | None = None
        self._cross_at = self._cross_frames = 0  # of the cross-fade in progress; equal: none is
        self._cross_from = 1.0  # gain of the leaving voice when it began
        self.monitor: Monitor | None = None
        self.peak = 0.0  # since somebody set it to 0
        self.frame = self.played = 0

    def post(self, voice: Voice) -> None:
        """Hand a voice over: it sounds if no other does and it has no ``at_frame``, else it is armed (control loop).

        One at a time: the callback must have run since the last one (:attr:`posted`).
        """
        self._posted = voice

    @property
    def posted(self) -> bool:
        """Whether the last voice that was handed over is still to be taken."""
        return self._posted is not None

    @property
    def voice(self) -> Voice | None:
        """The voice that sounds or is about to."""
        return self._voice

    @property
    def leaving(self) -> Voice | None:
        """The voice that fades out under it."""
        return self._leaving

    @property
    def armed(self) -> Voice | None:
        """The voice that is to take over."""
        return self._armed

    def render(self, block: Samples) -> tuple[int, int]:
        """Fill ``block`` (shape [frames], at most ``MAX_BLOCK``); which of its frames ``[start, stop)`` are playback.

        Playback includes the silence of an underrun, but not waiting, and not what follows the end.
        """
        count = len(block)
        if self.silent:
            block.fill(0)
            self.frame += count
            return 0, 0
        self._take_posted()
        self._release()
        at = -1 if self._armed is None else self._due(self._armed, count)
        if at < 0:
            start, stop = 0, self._segment(block)
        else:
            start = stop = self._segment(block[:at]) if at else 0
            if self._armed is not None:
                self._take_over(self._armed, self.frame)
            live = self._segment(block[at:])
            start, stop = (0 if start else at), (at + live if live else stop)
        self._release()
        none = self._voice is None and self._leaving is None and self._armed is None
        self._asleep = none and min(self._tail_at) >= self._fade
        if self.monitor is not None:
            self.monitor.add_to(block)
        self.peak = max(self.peak, float(block.max()), -float(block.min()))
        return start, stop

    @property
    def silent(self) -> bool:
        """Whether there is nothing to be done for a block but to fill it with silence and count its frames."""
        return self._asleep and self._posted is None and (self.monitor is None or not self.monitor.on)

    # -- which voice has which place -----------------------------------------------------------------------

    def _take_posted(self) -> None:
        voice, self._posted = self._posted, None
        if voice is None:
            return
        if voice.at_frame < 0 and (self._voice is None or self._voice.state >= State.FINISHED):
            self._voice = voice
            return
        if self._armed is not None:
            self._armed.gone = True
        self._armed = voice

    def _release(self) -> None:
        """Let go of voices that are over or were taken back."""
        voice, leaving, armed = self._voice, self._leaving, self._armed
        if voice is not None and (voice.dismissed or voice.state >= State.FINISHED):
            self._break_off(voice)
            self._voice = None
        if leaving is not None and (leaving.dismissed or leaving.state >= State.FINISHED):
            self._break_off(leaving)
            self._leaving = None
        if armed is not None and (armed.dismissed or armed.disarmed):
            armed.gone = True
            self._armed = None

    def _break_off(self, voice: Voice) -> None:
        if voice.sounding:
            self._start_tail(voice.last, 0)
            voice.sounding = False
        voice.gone = True

    def _due(self, voice: Voice, count: int) -> int:
        """Where in a block of ``count`` frames an armed voice begins; -1: not in this one."""
        ready = voice.source.ready(voice.prebuffer_frames)
        if not ready or voice.at_frame >= self.frame + count:
            return -1
        return max(0, voice.at_frame - self.frame)

    def _take_over(self, voice: Voice, frame: int) -> None:
        """An armed voice begins; what sounds fades out meanwhile."""
        if self._leaving is not None:  # cross-faded with the voice that leaves now, and not yet done
            self._break_off(self._leaving)
            self._leaving = None
        before, self._voice, self._armed = self._voice, voice, None
        if before is not None and before.sounding and voice.cross_frames:
            crossing = self._cross_at < self._cross_frames
            self._cross_from = (
                float(np.sin(_QUARTER * self._cross_at / self._cross_frames)) if crossing else 1.0
            )
            self._leaving = before
            self._cross_at, self._cross_frames = 0, voice.cross_frames
            voice.fade_at = -1
        else:
            self._cross_at = self._cross_frames = 0
            if before is not None:
                before.gone = True
                before.sounding = False
        self._begin(voice, frame)

    def _begin(self, voice: Voice, frame: int) -> None:
        voice.start_frame = voice.source.position
        voice.stream_frame = frame
        voice.late_frames = max(0, frame - voice.at_frame) if voice.at_frame >= 0 else 0
        voice.state, voice.begun = State.PLAYING, True

    # -- sound ---------------------------------------------------------------------------------------------

    def _segment(self, part: Samples) -> int:
        """Fill ``part``, in which no voice begins to take over; how many of its first frames are playback."""
        voice, leaving, count = self._voice, self._leaving, len(part)
        sounded = self._sounds()
        heard = live = 0
        if voice is not None:
            heard, live = self._pull(voice, part)
        part[heard:] = 0
        if self._cross_at < self._cross_frames:
            self._cross(voice, leaving, part, heard)
        elif voice is not None:
            self._note_end(voice, part, heard)
        self._add_tails(part)
        if not sounded:
            self._gain = self.gain  # nothing sounded yet that a jump could make click
        self._apply_gain(part)
        self.played += max(heard, live if leaving is not None else 0)
        self.frame += count
        return count if leaving is not None else live

    def _sounds(self) -> bool:
        voice, leaving = self._voice, self._leaving
        return (
            (voice is not None and voice.sounding)
            or (leaving is not None and leaving.sounding)
            or min(self._tail_at) < self._fade
        )

    def _pull(self, voice: Voice, out: Samples) -> tuple[int, int]:
        """Frames taken from the voice into ``out``, and frames of it that are playback."""
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
                return 0, len(out) if starved else 0
            if voice.begun:
                voice.state = State.PLAYING
            else:
                self._begin(voice, self.frame)
            voice.fade_at = 0 if starved else voice.fade_at
        wanted = len(out) if voice.stop_left < 0 else min(len(out), voice.stop_left)
        count = source.read_into(out[:wanted])
        self._fade_in(voice, out[:count])
        if voice.state == State.STOPPING:
            return self._fade_out(voice, out[:count], wanted)
        if source.exhausted:
            voice.state = State.FINISHED
        elif count < len(out):
            voice.state = State.STARVED
            voice.underruns += 1
            return count, len(out)
        return count, count

    def _note_end(self, voice: Voice, part: Samples, heard: int) -> None:
        """Remember how a voice's part of a block ended, and let the last value decay where it broke off."""
        if heard == len(part):
            voice.sounding, voice.last = True, float(part[-1])
        elif heard or voice.sounding:
            self._start_tail(float(part[heard - 1]) if heard else voice.last, heard)
            voice.sounding = False

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
        np.multiply(work, _QUARTER / max(1, voice.stop_frames), out=work)
        np.sin(work, out=work)
        np.multiply(work, work, out=work)
        np.multiply(heard, work, out=heard)
        voice.stop_left -= count
        if voice.stop_left == 0 or count < wanted:
            voice.state = State.STOPPED
        return count, count

    def _cross(self, voice: Voice | None, leaving: Voice | None, part: Samples, heard: int) -> None:
        """Go on with a cross-fade: the new voice, already in ``part``, rises by a sine, the old falls by a cosine."""
        count = min(len(part), self._cross_frames - self._cross_at)
        work = self._work[:count]
        angle = _QUARTER / self._cross_frames
        np.add(self._steps[:count], self._cross_at - 0.5, out=work)
        np.multiply(work, angle, out=work)
        np.sin(work, out=work)
        np.multiply(part[:count], work, out=part[:count])
        if voice is not None:
            self._note_end(voice, part, heard)
        if leaving is not None:
            other = self._other[:count]
            there, _ = self._pull(leaving, other)
            work = self._work[:there]
            np.add(self._steps[:there], self._cross_at - 0.5, out=work)
            np.multiply(work, angle, out=work)
            np.cos(work, out=work)
            np.multiply(work, self._cross_from, out=work)
            np.multiply(other[:there], work, out=other[:there])
            self._note_end(leaving, other, there)
            np.add(part[:there], other[:there], out=part[:there])
        self._cross_at += count
        if self._cross_at == self._cross_frames and leaving is not None:
            leaving.sounding = False  # it has come down to nothing
            if leaving.state < State.FINISHED:
                leaving.state = State.STOPPED

    def _apply_gain(self, part: Samples) -> None:
        target, count = self.gain, len(part)
        if self._gain == target == 1.0 or count == 0:
            self._gain = target
            return
        work = self._work[:count]
        np.multiply(self._steps[:count], (target - self._gain) / count, out=work)
        np.add(work, self._gain, out=work)
        np.multiply(part, work, out=part)
        self._gain = target

    def _start_tail(self, value: float, offset: int) -> None:
        """Let ``value`` decay from ``offset`` frames after the beginning of this part (or the next) on."""
        furthest = max(range(_TAILS), key=self._tail_at.__getitem__)
        self._tail_from[furthest] = value
        self._tail_at[furthest] = -offset

    def _add_tails(self, part: Samples) -> None:
        count = len(part)
        for tail in range(_TAILS):
            at = self._tail_at[tail]
            if at >= self._fade:
                continue
            start, begin = max(0, -at), max(0, at)
            length = min(count - start, self._fade - begin)
            if length > 0:
                work = self._work[:length]
                np.multiply(self._fall[begin : begin + length], self._tail_from[tail], out=work)
                np.add(part[start : start + length], work, out=part[start : start + length])
            self._tail_at[tail] = at + count
