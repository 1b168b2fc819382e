"""A session goes on where the last one ended: its state is read at the start and kept up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bridge.session.aside import Aside
from bridge.session.choices import Choosing
from bridge.session.exporting import Exporting
from bridge.session.notices import NOBODY, Notices
from bridge.session.noticing import Noticing
from bridge.session.performing import Levels, Performing
from bridge.session.primes import PrimeDesk
from bridge.session.shelf import read_shelf
from bridge.session.state import Memory, SessionState, read_state
from bridge.session.takes import TakeBook
from bridge.session.transport import MusicalTime
from engine.errors import SegueError
from engine.shelf.index import Index

OWN_CLOCKS = ("internal", "osc")  # whose tempo is the session's own


@dataclass(frozen=True)
class MemorySetup:
    """``path``: the state's file, None for a session that keeps nothing; ``fresh``: what is in it is not used."""

    path: Path | None = None
    fresh: bool = False


class Remembering:
    """Reads before the engine is started, gives the prime back when it is ready, and the takes when they are read."""

    def __init__(
        self,
        setup: MemorySetup,
        *,
        notices: Notices,
        choosing: Choosing,
        primes: PrimeDesk,
        takes: TakeBook,
        time: MusicalTime,
        performing: Performing,
        exporting: Exporting,
        aside: Aside,
        tell: Callable[[str], None],
        index: Index,
        noticing: Noticing,
    ) -> None:
        self._index, self._noticing = index, noticing
        self.problems: tuple[str, ...] = ()  # found at the start, when hardly anybody listens
        self._setup, self._tell = setup, tell
        self._choosing, self._primes, self._takes = choosing, primes, takes
        self._time, self._performing, self._exporting = time, performing, exporting
        self._state = SessionState()
        self._shelf: asyncio.Task[None] | None = None
        self._prime_given = setup.path is None
        self._memory = Memory(setup.path, self._now, notices, aside, tell)

    async def begin(self) -> None:
        """Put back what was chosen; then begin to read the takes of the folder, which goes on beside."""
        self._takes.expect()
        if self._setup.path is not None and not self._setup.fresh:
            state, problem = await asyncio.to_thread(read_state, self._setup.path)
            if problem:
                self._complain(problem)
            self._restore(state or SessionState())
        self._shelf = asyncio.create_task(self._read_takes())

    def engine_ready(self) -> None:
        """The engine can read the prime of the last session, unless there is another one by now."""
        ref, given, self._prime_given = self._state.prime, self._prime_given, True
        if given or ref is None or self._primes.current is not None:
            return
        self._primes.submit(self._primes.take(ref, NOBODY, ""))

    def close(self) -> None:
        """Keep what has changed last."""
        self._noticing.close()
        if self._shelf is not None:
            self._shelf.cancel()
        self._memory.close()

    def _complain(self, sentence: str) -> None:
        self.problems += (sentence,)
        self._tell(sentence)

    async def _read_takes(self) -> None:
        shelf = await asyncio.to_thread(read_shelf, self._index)
        self._takes.take_up(shelf)
        self._noticing.start()
        if shelf.problems:
            more = f" ({len(shelf.problems) - 1} more like it)" if shelf.problems[1:] else ""
            self._complain(shelf.problems[0] + more)
        entry = self._takes.of_folder(self._state.take) if self._state.take else None
        if entry is not None and self._takes.current is None:
            self._takes.select(entry)

    def _now(self) -> SessionState:
        """The state as it is. A prime that was not given back yet, or a take that was not read, is still meant."""
        time, levels, prime, take = (
            self._time,
            self._performing.levels,
            self._primes.current,
            self._takes.current,
        )
        waiting = self._shelf is None or not self._shelf.done()
        ref = None if prime is None or prime.error is not None or prime.take is not None else prime.ref
        return SessionState.of(
            self._choosing.now,
            prime=ref if self._prime_given else self._state.prime,
            take=take.folder if take is not None else (self._state.take if waiting else ""),
            clock=time.source,
            tempo=time.bpm or 0.0 if time.source in OWN_CLOCKS else 0.0,
            signature=(time.meter.numerator, time.meter.denominator),
            key=time.key,
            song_bars=time.song_bars,
            mix=levels.mix,
            gain_db=levels.gain_db,
            monitor_db=levels.monitor_db,
            exports=self._exporting.chosen,
        )

    def _restore(self, state: SessionState) -> None:
        self._state = state
        chosen = state.choices()
        self._exporting.choose(state.exports)
        self._choosing.change(
            step=False,
            settings=chosen.settings,
            style=chosen.style,
            lyrics=chosen.lyrics,
            quantum=chosen.quantum,
        )
        try:
            self._time.set_key(state.key)
            self._time.set_song_bars(state.song_bars)
            self._time.set_meter(*state.signature)
            if Levels(state.mix, state.gain_db, state.monitor_db) != self._performing.levels:
                self._performing.set_levels(mix=state.mix, gain_db=state.gain_db, monitor_db=state.monitor_db)
            if state.clock and self._time.source == "none":
                self._time.follow(state.clock)
            if state.tempo:
                self._time.set_tempo(state.tempo)
        except SegueError as error:
            self._complain(f"not all of the last session could be put back: {error.message}")
