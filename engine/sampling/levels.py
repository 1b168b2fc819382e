"""Progress of one level of several takes that are sampled side by side: what is settled, what can go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.backends.protocol import Codes, LevelRunner
from engine.sampling.ahead import Ahead
from engine.sampling.plan import Window


@dataclass
class Group:
    """Windows that are sampled in step, one lane per take and window, takes outermost.

    ``noise`` float64 [lanes, tokens]; ``last`` int64 [lanes]: the token before the next one, None at position 0;
    ``lead`` int64 [lanes, overlap]: the tokens that stand beside others; ``done``: tokens sampled so far, those
    included.
    """

    windows: tuple[Window, ...]
    runner: LevelRunner
    noise: NDArray[np.float64]
    last: Codes | None
    lead: Codes
    done: int = 0
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """Tokens that every lane samples."""
        return self.noise.shape[1]


@dataclass
class LevelState:
    """``codes`` int64 [takes, total]; ``settled`` bool [total], the same for every take; ``windows`` by position.

    Codes that are not settled may be known (infill): they are when the last window is sampled. One thread writes;
    others read a code only once it is settled. ``unencoded``: tokens of prime that have yet to be encoded;
    ``leads``: what windows sampled beside the ones before them, int64 [takes, overlap] by its first token;
    ``leadless``: windows of an earlier run of which that is not known.
    """

    codes: Codes
    settled: NDArray[np.bool_]
    windows: tuple[Window, ...]
    waiting: list[int] = field(default_factory=list)  # indices of windows not yet begun, rising
    told: int = 0  # windows that were reported, which happens in their order
    group: Group | None = None
    seconds_of: dict[int, float] = field(default_factory=dict)
    runners: dict[int, LevelRunner] = field(default_factory=dict)  # by lanes
    resting: dict[int, LevelRunner] = field(default_factory=dict)  # second ones, which went ahead or are to
    ahead: Ahead | None = None
    steps: int = 0  # tokens of every take sampled in this run
    seconds: float = 0.0
    unencoded: int = 0
    leads: dict[int, Codes] = field(default_factory=dict)
    leadless: list[int] = field(default_factory=list)
    _filled: int = 0

    @property
    def filled(self) -> int:
        """Codes from position 0 on that are settled without a gap.

        Any thread may ask while another one settles codes, so nothing is looked at twice here.
        """
        filled = self._filled
        if filled < self.settled.size and self.settled[filled]:
            gap = int(self.settled[filled:].argmin())  # of the first that is not; the first one is: 0 is none
            filled = filled + gap if gap else self.settled.size
            self._filled = filled
        return filled

    @property
    def finished(self) -> bool:
        """Whether every window is sampled."""
        return not (self.waiting or self.leadless or self.group or self.unencoded)

    @property
    def steps_done(self) -> int:
        """Tokens of one take that are sampled, those of resumed windows included.

        Any thread may ask while another one samples, so the group is looked at once.
        """
        left = sum(self.windows[index].tokens for index in tuple(self.waiting))
        group = self.group
        if group is not None:
            left += sum(window.tokens - max(0, group.done - window.overlap) for window in group.windows)
        return sum(window.tokens for window in self.windows) - left

    def has(self, start: int, stop: int) -> bool:
        """Whether the codes of a span are settled."""
        return bool(self.settled[start:stop].all())

    def put_prime(self, codes: Codes) -> None:
        """Settle the prime's codes int64 [tokens], now that they are encoded."""
        self.codes[:, : codes.size] = codes
        self.settled[: codes.size] = True
        self.unencoded = 0

    def kept_before(self, prime: int) -> tuple[int, int]:
        """Tokens between the prime and the first window, which an earlier take gave."""
        return prime, self.windows[0].first_new if self.windows else self.codes.shape[1]

    def kept_after(self) -> tuple[int, int]:
        """Tokens behind the last window, which an earlier take gave."""
        return self.windows[-1].stop if self.windows else self.codes.shape[1], self.codes.shape[1]


def restore(
    total: int, windows: tuple[Window, ...], takes: Sequence[tuple[Codes, Codes | None]], unencoded: int = 0
) -> LevelState:
    """A level of ``total`` tokens that starts from known codes, a (known, done) pair per take.

    ``known``: codes from position 0 that a take starts from; ``done``: those of an earlier run of it, in which
    whole windows count. A window is finished when every take has it. ``unencoded``: tokens of prime that nobody
    knows yet.
    """
    reached = min(0 if done is None else done.size for _, done in takes)
    finished = sum(1 for window in windows if window.stop <= reached)
    codes = np.zeros((len(takes), total), dtype=np.int64)
    for row, (known, done) in zip(codes, takes, strict=True):
        row[: known.size] = known[:total]
        if done is not None and finished:
            row[: windows[finished - 1].stop] = done[: windows[finished - 1].stop]
    settled = np.ones(total, dtype=bool)
    for window in windows[finished:]:
        settled[window.first_new : window.stop] = False
    if finished < len(windows):  # what lies behind the last window is told when it is sampled
        settled[windows[-1].stop :] = False
    settled[:unencoded] = False
    leadless = [window.index for window in windows[:finished] if window.overlap]
    return LevelState(
        codes,
        settled,
        windows,
        waiting=list(range(finished, len(windows))),
        told=finished,
        unencoded=unencoded,
        leadless=leadless,
    )
