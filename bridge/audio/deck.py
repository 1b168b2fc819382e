"""The control loop's side of what plays: opens voices, hands them to the player, tells what became of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bridge.audio.files import FileSource
from bridge.audio.outputs import Output
from bridge.audio.protocol import Disarmed, Finished, Message, Play, Playing, Stopped, Underrun
from bridge.audio.source import Source, open_source
from bridge.audio.voice import State, Voice
from engine.ring import Ring

_HANDOVER_SECONDS = 1.0  # within which the callback takes a voice, or lets go of one
_UNDERRUN_PERIOD = 0.5
_STATE_NAMES: dict[State, Literal["waiting", "playing", "starved", "stopping"]] = {
    State.WAITING: "waiting",
    State.PLAYING: "playing",
    State.STARVED: "starved",
    State.STOPPING: "stopping",
}


@dataclass
class _Track:
    play: Play
    voice: Voice
    told_begun: bool = False
    told_underruns: int = 0
    next_underrun: float = 0.0


class Deck:
    """The voices of one output. ``alive`` is called while it waits for the callback."""

    def __init__(self, output: Output, tell: Callable[[Message], None], alive: Callable[[], None]) -> None:
        self._output = output
        self._tell = tell
        self._alive = alive
        self._tracks: list[_Track] = []
        self._underruns = 0

    @property
    def busy(self) -> bool:
        """Whether something plays or is armed."""
        return bool(self._tracks)

    @property
    def underruns(self) -> int:
        """Times that a ring ran dry."""
        return self._underruns + sum(track.voice.underruns for track in self._tracks)

    @property
    def current(self) -> tuple[Play, Voice] | None:
        """What sounds or is about to."""
        track = self._track_of(self._output.player.voice)
        return None if track is None else (track.play, track.voice)

    @property
    def armed(self) -> str:
        """The label of the voice that is armed, or empty."""
        track = self._track_of(self._output.player.armed)
        return "" if track is None else track.play.name

    @property
    def state(self) -> Literal["idle", "waiting", "playing", "starved", "stopping"]:
        """Of what sounds or is about to."""
        voice = self._output.player.voice
        return "idle" if voice is None else _STATE_NAMES.get(voice.state, "idle")

    def play(self, play: Play) -> None:
        """Play or arm it, or change the numbers of what plays already. Raises :class:`NoFile`, :class:`BadFormat`."""
        for track in [track for track in self._tracks if track.play.name == play.name]:
            if self._changed(track, play):
                return
            if not play.file:  # a ring has one reader at a time
                self._drop(track)
        rate = self._output.player.rate
        voice = Voice(
            self._open(play, rate),
            play.prebuffer_frames,
            play.resume_frames,
            play.fade_in,
            at_frame=-1 if play.at_frame is None else play.at_frame,
            cross_frames=round(play.fade_ms * rate / 1000),
        )
        self._tracks.append(_Track(play, voice))
        self._output.player.post(voice)
        self._await(lambda: not self._output.player.posted)

    def disarm(self) -> None:
        """Take back the voice that is armed, unless it begins just now."""
        armed = self._output.player.armed
        if armed is not None:
            armed.disarmed = True

    def stop(self, fade_ms: float) -> None:
        """Fade out what sounds."""
        frames = round(fade_ms * self._output.player.rate / 1000)
        for voice in (self._output.player.voice, self._output.player.leaving):
            if voice is not None:
                voice.stop_frames = frames

    def drain(self) -> None:
        """Skip what waits to be played."""
        if self._output.player.voice is not None:
            self._output.player.voice.drain = True

    def watch(self) -> None:
        """Tell what happened since the last time."""
        now = time.monotonic()
        for track in list(self._tracks):
            self._tell_begun(track)
            over = track.voice.gone
            if track.voice.underruns > track.told_underruns and (over or now >= track.next_underrun):
                track.told_underruns = track.voice.underruns
                track.next_underrun = now + _UNDERRUN_PERIOD
                self._say(Underrun, track, count=track.voice.underruns)
            if over:
                self._tell_end(track)

    def fade_out(self, fade_ms: float, seconds: float) -> None:
        """Stop, and wait at most ``seconds`` until nothing sounds."""
        self.stop(fade_ms)
        player = self._output.player
        self._await(lambda: player.voice is None and player.leaving is None, seconds)

    def clear(self, kept: set[str]) -> int:
        """Let go of everything at once; returns where what sounded was. ``kept``: labels whose end is not told."""
        current, position = self._output.player.voice, 0
        for track in self._tracks:
            track.voice.dismissed = True
        self._await(lambda: all(track.voice.gone for track in self._tracks))
        for track in list(self._tracks):
            self._tell_begun(track)
            if track.voice is current:
                position = track.voice.source.position
            if track.play.name in kept:
                self._forget(track)
            else:
                self._tell_end(track)
        return position

    def _open(self, play: Play, rate: int) -> Source:
        if play.file:
            return FileSource(
                Path(play.file).expanduser(),
                rate,
                from_frame=play.from_frame,
                total_frames=play.total_frames,
                loop=play.loop,
            )
        return open_source(Ring.attach(play.ring), play.total_frames, rate, play.skip_frames)

    def _changed(self, track: _Track, play: Play) -> bool:
        """Take over numbers for what is played or armed already; False if it is something else."""
        voice, player = track.voice, self._output.player
        same = (track.play.ring, track.play.file) == (play.ring, play.file)
        going = voice.state < State.STOPPING and voice.stop_frames < 0 and not voice.disarmed
        if not same or not going or voice not in (player.voice, player.armed):
            return False
        voice.prebuffer_frames, voice.resume_frames = play.prebuffer_frames, play.resume_frames
        voice.source.total_frames = play.total_frames
        if not voice.begun:
            voice.at_frame = -1 if play.at_frame is None else play.at_frame
            voice.cross_frames = round(play.fade_ms * player.rate / 1000)
        track.play = play
        return True

    def _drop(self, track: _Track) -> None:
        track.voice.dismissed = True
        self._await(lambda: track.voice.gone)
        self._tell_begun(track)
        self._tell_end(track)

    def _tell_begun(self, track: _Track) -> None:
        voice = track.voice
        if not voice.begun or track.told_begun:
            return
        track.told_begun = True
        anchor = self._output.anchor
        self._say(
            Playing,
            track,
            frame=voice.start_frame,
            stream_frame=voice.stream_frame,
            dac_ns=0 if anchor is None else anchor.ns_at(voice.stream_frame),
            late_frames=voice.late_frames,
        )

    def _tell_end(self, track: _Track) -> None:
        voice = track.voice
        frames = self._forget(track)
        if voice.state == State.FINISHED:
            self._say(Finished, track, frames=frames, underruns=voice.underruns)
        elif voice.begun or voice.state == State.STOPPED:
            self._say(Stopped, track, frames=frames)
        else:
            self._say(Disarmed, track)

    def _forget(self, track: _Track) -> int:
        self._tracks.remove(track)
        self._underruns += track.voice.underruns
        return track.voice.source.close()

    def _say(self, report: type[Message], track: _Track, **fields: int) -> None:
        self._tell(report.model_validate({"ring": track.play.ring, "label": track.play.name, **fields}))

    def _track_of(self, voice: Voice | None) -> _Track | None:
        return next((track for track in self._tracks if track.voice is voice), None)

    def _await(self, done: Callable[[], bool], seconds: float = _HANDOVER_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not done() and time.monotonic() < deadline:
            self._alive()
            time.sleep(0.002)
