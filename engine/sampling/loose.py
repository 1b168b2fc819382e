"""The loose ends of takes that are called off: what was sampled and nobody was told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.events import LeadCodes, PrimeEncoded, WindowDone
from engine.sampling.scheduler import Scheduler, TakeEvent


class Loose:
    """Sees what is told, window by window, and knows what is there besides: windows that were cut short."""

    def __init__(self, schedulers: Sequence[Scheduler]) -> None:
        self._schedulers = tuple(schedulers)
        self._told: dict[tuple[int, int], int] = {}  # codes told of a level, by a scheduler's first take
        for scheduler in self._schedulers:
            for level, state in scheduler.levels.items():
                left = state.windows[state.told :]
                begin = left[0].first_new if left else state.codes.shape[1]
                self._told[scheduler.numbers.start, level] = -1 if state.unencoded else begin

    def seen(self, events: Sequence[TakeEvent]) -> Sequence[TakeEvent]:
        """The events, once they are noted."""
        for take, event in events:
            for level, end in _ends(event):
                if (take, level) in self._told:
                    self._told[take, level] = end
        return events

    def ends(self) -> Iterator[TakeEvent]:
        """All codes that are settled without a gap and were not told; levels have stopped."""
        for scheduler in self._schedulers:
            for level, state in scheduler.levels.items():
                if state.unencoded:
                    continue
                told, known = self._told[scheduler.numbers.start, level], scheduler.plan.known[level]
                for row, take in enumerate(scheduler.numbers):
                    codes = state.codes[row, : state.filled]
                    if told < 0:
                        yield take, PrimeEncoded({level: codes[:known].copy()}, scheduler.prime.seconds)
                    for start, leads in sorted(state.leads.items()):
                        yield take, LeadCodes(level, start, leads[row].copy())
                    begin = max(told, known)
                    if begin < codes.size:
                        yield take, WindowDone(level, state.told, begin, codes[begin:].copy(), 0.0)


def _ends(event: object) -> Iterator[tuple[int, int]]:
    """(level, codes from position 0 that are told once the event is)."""
    if isinstance(event, PrimeEncoded):
        yield from ((level, codes.size) for level, codes in event.codes.items())
    elif isinstance(event, WindowDone):
        yield event.level, event.start + event.codes.size
