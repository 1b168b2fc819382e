"""Takes that go on from takes: what a child needs of its parents' codes and audio.

Position 0 of a take is the beginning of what its model saw of the prime; the seam lies ``prime_tokens`` top-level
hops behind it, less the overhang. A continuation of a take has its own position 0 later on, always on the parent's
grid of top-level tokens, so codes are handed down without being touched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from engine.audio import Waveform
from engine.errors import BadFormat, OutOfRange
from engine.request import Pulse
from engine.take.take import Leads, Take

LEVEL_NAMES = ("bottom", "middle", "top")

Codes = NDArray[np.int64]
Samples = NDArray[np.float32]
Hear = Callable[[Codes, int, int, int, dict[int, Codes]], Samples]
"""Decodes codes of a level: ``hear(codes, level, first sample, frames, leads)``, as :func:`engine.sampling.decode`."""


@dataclass(frozen=True, eq=False)
class Ancestor:
    """A take, or a chain of them, as one: ``codes`` int64 per level from position 0 of the first.

    ``prime``: the first one's prime; ``prime_tokens``: of the top level; ``overhang`` and ``left_out``, in samples, as
    in the first one's head; ``continuation``: float32 [frames], one after the other; ``leads``: codes beside ``codes``.
    """

    codes: dict[int, Codes]
    prime: Waveform
    prime_tokens: int
    overhang: int
    continuation: NDArray[np.float32]
    names: str
    leads: Leads = field(default_factory=dict)
    left_out: int = 0
    pulse: Pulse | None = None  # of the last one, whose ``last`` frames are used
    last: int = 0
    whole: bool = True  # whether none was cut short

    def seam(self, hop: int) -> int:
        """Samples from position 0 to the beginning of the continuation; ``hop``: of the top level."""
        return self.prime_tokens * hop - self.overhang

    def require(self, level: int, tokens: int) -> None:
        """Raises BadFormat when fewer than ``tokens`` codes of ``level`` are there."""
        held = self.codes.get(level, np.zeros(0, np.int64)).size
        if held == 0:
            lacks = f"no codes of level {level} ({LEVEL_NAMES[level]})"
            right = (
                "upsample it first" if level < max(self.codes, default=2) else "give a take that was finished"
            )
            raise BadFormat(f"{self.names} holds {lacks}; {right}")
        if held < tokens:
            raise BadFormat(
                f"{self.names} holds {held} of {tokens} codes of level {level}; resume it before it is used"
            )


def ancestor(
    takes: Sequence[Take], kept: Sequence[int | None], hops: tuple[int, ...], hear: Hear | None = None
) -> Ancestor:
    """The chain of ``takes``, each the continuation of the one before; ``kept[i]``: frames used of take i.

    ``hops``: samples per token of each level; ``hear``: decodes what of a partial take is held in codes only. Only
    levels that all takes have are handed on. Raises OutOfRange when a take is shorter than what is kept of it,
    BadFormat when one is not the continuation of the one before.
    """
    top = len(hops) - 1
    one = _single(takes[0], kept[0], hops, hear)
    for take, frames in zip(takes[1:], kept[1:], strict=True):
        child = _single(take, frames, hops, hear)
        one = _complete_levels(one, hops)
        levels = one.codes.keys() & child.codes.keys()
        joined = {}
        leads = {level: dict(own) for level, own in one.leads.items() if level in levels}
        for level in levels:
            known = child.prime_tokens * (hops[top] // hops[level])
            before = one.codes[level]
            if known > before.size or not np.array_equal(
                before[before.size - known :], child.codes[level][:known]
            ):
                raise BadFormat(
                    f"{child.names} does not continue {one.names}; give takes in the order they were made"
                )
            joined[level] = np.concatenate([before, child.codes[level][known:]])
            for start, codes in child.leads.get(level, {}).items():
                leads.setdefault(level, {})[before.size - known + start] = codes
        one = Ancestor(
            joined,
            one.prime,
            one.prime_tokens,
            one.overhang,
            np.concatenate([one.continuation, child.continuation]),
            child.names,
            leads,
            one.left_out,
            child.pulse,
            child.last,
            child.whole,
        )
    return one


def _complete_levels(one: Ancestor, hops: tuple[int, ...]) -> Ancestor:
    """The same without the levels that end before the top one does."""
    top = len(hops) - 1
    tokens = one.codes.get(top, np.zeros(0, np.int64)).size
    kept = {
        level: array
        for level, array in one.codes.items()
        if array.size >= tokens * (hops[top] // hops[level])
    }
    return replace(one, codes=kept)


def _single(take: Take, frames: int | None, hops: tuple[int, ...], hear: Hear | None) -> Ancestor:
    info, top = take.info, len(hops) - 1
    held = info.frames if hear is None else info.held
    if frames is not None and frames > held:
        raise OutOfRange(
            f"the take '{take.folder}' has {held} frames ({held / info.head.rate:.2f} s); "
            f"{frames} ({frames / info.head.rate:.2f} s) cannot be kept of it"
        )
    prime_tokens = info.prime_tokens.get(top, 0)
    used = (info.frames or held) if frames is None else frames
    tokens = -(-(prime_tokens * hops[top] - info.head.overhang + used) // hops[top])
    codes = {level: array[: tokens * (hops[top] // hops[level])] for level, array in take.codes().items()}
    codes = {level: array for level, array in codes.items() if array.size}
    found = Ancestor(
        codes,
        take.prime(),
        prime_tokens,
        info.head.overhang,
        take.audio().mono_samples()[:used],
        f"the take '{take.folder}'",
        {
            level: {start: lead for start, lead in own.items() if start + lead.size <= codes[level].size}
            for level, own in take.leads().items()
            if level in codes
        },
        info.head.left_out,
        info.head.pulse,
        used,
        info.state == "complete",
    )
    return found if hear is None or used <= info.frames else _heard_on(found, used, tokens, hops, hear)


def _heard_on(one: Ancestor, used: int, tokens: int, hops: tuple[int, ...], hear: Hear) -> Ancestor:
    """The same with ``used`` frames of continuation: what lacks is decoded from the finest level that has it."""
    top, made = len(hops) - 1, one.continuation.size
    one.require(top, tokens)
    level = min(n for n, array in one.codes.items() if array.size >= tokens * (hops[top] // hops[n]))
    leads = one.leads.get(level, {})
    rest = hear(one.codes[level], level, one.seam(hops[top]) + made, used - made, leads)
    return replace(one, continuation=np.concatenate([one.continuation, rest]))
