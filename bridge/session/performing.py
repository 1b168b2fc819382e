"""Playing takes from their files: from the next bar on, beside the prime, in a loop; how loud, and beside the input."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from bridge.session.aside import Aside
from bridge.session.entries import TakeEntry
from bridge.session.launching import Launching
from bridge.session.notices import Notices
from bridge.session.playback import Player
from bridge.session.primes import PrimeDesk
from bridge.session.properties import Properties
from bridge.session.sound import Sound
from bridge.session.takes import TakeBook
from bridge.session.voices import Plan, Voice
from engine.errors import NoPrime, NoTake, SegueError

PRIME = "prime"
AB_FADE_MS = 50.0
STOP_FADE_MS = 30.0
SILENT_DB = -60.0


@dataclass(frozen=True)
class Levels:
    """``mix``: 0 the input, 1 the takes; ``gain_db``: of the output; ``monitor_db``: of the input beside the takes,
    whatever the mix. -60 and below is silence."""

    mix: float = 1.0
    gain_db: float = 0.0
    monitor_db: float = SILENT_DB

    @property
    def output(self) -> float:
        """Linear gain of what is played."""
        part = 1.0 if self.mix >= 1.0 else math.sin(self.mix * math.pi / 2)
        return _linear(self.gain_db) * part

    @property
    def monitor(self) -> float:
        """Linear gain of the input."""
        part = 0.0 if self.mix >= 1.0 else math.cos(self.mix * math.pi / 2)
        return max(part, _linear(self.monitor_db))


def _linear(gain_db: float) -> float:
    return 0.0 if gain_db <= SILENT_DB else float(10 ** (gain_db / 20))


@dataclass(frozen=True)
class _Side:
    """One side of the comparison: a file, and where in it one was."""

    ident: str
    file: str
    frames: int
    rate: int
    place: int = 0


class Performing:
    """What pads do with takes that have been made."""

    def __init__(
        self,
        *,
        player: Player,
        takes: TakeBook,
        primes: PrimeDesk,
        launching: Launching,
        sound: Sound,
        aside: Aside,
        notices: Notices,
        properties: Properties,
    ) -> None:
        self.levels = Levels()
        self._player, self._takes, self._primes, self._launching = player, takes, primes, launching
        self._sound, self._aside, self._notices, self._properties = sound, aside, notices, properties
        properties.add("/segue/param/mix", lambda: (float(self.levels.mix),))
        properties.add("/segue/param/gain_db", lambda: (float(self.levels.gain_db),))
        properties.add("/segue/param/monitor_db", lambda: (float(self.levels.monitor_db),))

    # -- takes ----------------------------------------------------------------------------------------------------

    def play(self, wanted: int | float | str, quantised: bool = True, at_ns: int | None = None) -> TakeEntry:
        """Play a take in place of what sounds, from the next place on the grid. Raises NoTake."""
        take = self._takes.find(wanted)
        plan = self._launching.plan(at_ns, quantised)
        self._player.play_file(str(take.number), take.wav, take.frames, take.rate, plan)
        if plan.launch is not None:
            self._notices.publish("/segue/take/armed", take.number, plan.launch.bar)
        self._takes.select(take)
        return take

    def stop(self) -> None:
        """Fade out what sounds; jobs go on."""
        self._player.stop(STOP_FADE_MS)

    def ab(self, done: Callable[[str], None], failed: Callable[[SegueError], None]) -> None:
        """The prime if a take sounds, and the take again if the prime does, at the same place counted from the
        beginning; ``done`` gets the name of what is heard now. Raises NoTake while there is neither.
        """
        voice = self._player.current
        take = self._take_of(voice)
        if voice is not None and voice.ident == PRIME:
            side = _Side(str(take.number), take.wav, take.frames, take.rate)
            self._switch(side, voice)
            done(take.name)
            return

        def found(side: _Side) -> None:
            # (What sounded may have ended while the prime was looked for.)
            self._switch(side, voice if voice is self._player.current else None)
            done(PRIME)

        self._aside.run(lambda: _side_of(take.prime), found, failed)

    def _take_of(self, voice: Voice | None) -> TakeEntry:
        """The take that sounds, or did."""
        if voice is not None and voice.ident.isdigit():
            return self._takes.find(voice.ident)
        if voice is not None and voice.ident != PRIME:
            made = self._takes.of_job(voice.ident)
            if made is None:
                raise NoTake("the take that plays is still being made; compare it when it is done")
            return made
        last = self._takes.current
        if last is None:
            raise NoTake("there is no take to compare with the prime; none has been made yet")
        return last

    def _switch(self, side: _Side, voice: Voice | None) -> None:
        place = 0
        if voice is not None:
            seconds = voice.place_at(time.monotonic_ns(), self._player.stream) / voice.rate
            place = round(seconds * side.rate) % max(1, side.frames)
        plan = Plan(takes_over=True, fade_ms=AB_FADE_MS)
        self._player.play_file(
            side.ident, side.file, side.frames, side.rate, plan, start=place, loop=side.ident == PRIME
        )

    # -- levels ---------------------------------------------------------------------------------------------------

    def set_levels(self, **parts: float) -> None:
        """``mix`` from 0 to 1, ``gain_db`` and ``monitor_db`` from -60 to 6."""
        self.levels = replace(self.levels, **parts)
        self._sound.set_gain(self.levels.output)
        self._sound.set_monitor(self.levels.monitor)


def _side_of(path: str) -> _Side:
    """The prime as a take's folder holds it. Raises NoPrime where it has gone."""
    import soundfile

    try:
        info = soundfile.info(path)
    except (OSError, RuntimeError) as error:
        raise NoPrime(f"the prime {path} cannot be read; give it again") from error
    return _Side(PRIME, path, info.frames, info.samplerate)
