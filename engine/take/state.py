"""What a journal adds up to: codes, audio and times of a growing take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.errors import BadFormat
from engine.take.journal import Kind, Record
from engine.take.take import Leads, PlannedWindow


@dataclass
class Growth:
    """The state of a growing take: pieces of codes per level, what belongs to the prime, times."""

    prime_tokens: dict[int, int] = field(default_factory=dict)
    prime_complete: bool = False
    prime_seconds: float = 0.0
    plan: list[PlannedWindow] = field(default_factory=list)
    runs: int = 0
    audio_frames: int = 0
    elapsed: float = 0.0
    first_audio_ms: float = math.nan
    first_final_ms: float = math.nan  # not in the journal: known of takes made in one run
    leads: Leads = field(default_factory=dict)
    _pieces: dict[int, list[NDArray[np.int64]]] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Sequence[Record]) -> Growth:
        """Adds up a journal. Raises :class:`BadFormat` when its windows leave a gap."""
        growth = cls()
        for record in records:
            growth.add(record)
        return growth

    def add(self, record: Record) -> None:
        """Takes in one record, which must go on where its level ends."""
        if record.kind is Kind.RUN:
            self.runs += 1
        elif record.kind is Kind.PRIME:
            self._pieces[record.level] = [record.codes]
            self.prime_tokens[record.level] = record.codes.size
            self.prime_seconds = record.seconds
            self.prime_complete = record.index == 0
        elif record.kind in (Kind.WINDOW, Kind.KEPT):
            fresh = self.fresh_tokens(record.level, record.start, record.codes)
            start = self.tokens(record.level)
            self._pieces.setdefault(record.level, []).append(fresh)
            if record.kind is Kind.WINDOW:
                self.plan.append(
                    PlannedWindow(level=record.level, start=start, tokens=fresh.size, seconds=record.seconds)
                )
        elif record.kind is Kind.LEAD:
            self.leads.setdefault(record.level, {})[record.start] = record.codes
        self.audio_frames = max(self.audio_frames, record.audio_frames)
        self.elapsed = max(self.elapsed, record.elapsed)
        self.first_audio_ms = record.first_audio_ms

    def tokens(self, level: int) -> int:
        """Codes known of a level, the prime's included."""
        return sum(piece.size for piece in self._pieces.get(level, []))

    def codes(self, level: int) -> NDArray[np.int64]:
        """Codes of a level from the beginning of the prime, int64 [tokens]."""
        return np.concatenate([np.zeros(0, np.int64), *self._pieces.get(level, [])])

    def all_codes(self) -> dict[int, NDArray[np.int64]]:
        """:meth:`codes` of every level that has some."""
        return {level: self.codes(level) for level in sorted(self._pieces)}

    def settled_leads(self) -> Leads:
        """The leads that a code of their own window follows, by level: the others lead nowhere yet."""
        kept = {
            level: {start: lead for start, lead in own.items() if start + lead.size < self.tokens(level)}
            for level, own in self.leads.items()
        }
        return {level: own for level, own in kept.items() if own}

    def fresh_tokens(self, level: int, start: int, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """The part of a window that is not known yet: int64 [tokens], possibly empty.

        Raises :class:`BadFormat` when tokens before it are missing or the known ones differ.
        """
        known = self.tokens(level)
        if start > known:
            raise BadFormat(
                f"tokens {known} to {start} of level {level} are missing; a take grows without gaps"
            )
        overlap = min(known - start, codes.size)
        if overlap and not np.array_equal(self.codes(level)[start : start + overlap], codes[:overlap]):
            raise BadFormat(
                f"level {level} differs from what was sampled before from token {start} on; "
                "a take can only be resumed with the same model and request"
            )
        return codes[overlap:]

    def sampled(self) -> tuple[dict[int, int], dict[int, float]]:
        """Tokens sampled and seconds taken, per level."""
        tokens: dict[int, int] = {}
        seconds: dict[int, float] = {}
        for window in self.plan:
            tokens[window.level] = tokens.get(window.level, 0) + window.tokens
            seconds[window.level] = seconds.get(window.level, 0.0) + window.seconds
        return tokens, seconds
