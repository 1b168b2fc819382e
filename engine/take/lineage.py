"""Takes that go on from takes: what a child needs of its parents' codes and audio.

Position 0 of a take is the beginning of what its model saw of the prime; the seam lies ``prime_tokens`` top-level
hops behind it, less the overhang. A continuation of a take has its own position 0 later on, always on the parent's
grid of top-level tokens, so codes are handed down without being touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.audio import Waveform
from engine.errors import BadFormat, OutOfRange
from engine.take.take import Leads, Take

LEVEL_NAMES = ("bottom", "middle", "top")

Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Ancestor:
    """A take, or a chain of them, as one: ``codes`` int64 per level from position 0 of the first.

    ``prime``: the first one's prime; ``prime_tokens``: of the top level; ``overhang``, in samples, as in the
    first one's head; ``continuation``: float32 [frames], one after the other; ``leads``: codes beside ``codes``.
    """

    codes: dict[int, Codes]
    prime: Waveform
    prime_tokens: int
    overhang: int
    continuation: NDArray[np.float32]
    names: str
    leads: Leads = field(default_factory=dict)

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


def ancestor(takes: Sequence[Take], kept: Sequence[int | None], hops: tuple[int, ...]) -> Ancestor:
    """The chain of ``takes``, each the continuation of the one before; ``kept[i]``: frames used of take i.

    ``hops``: samples per token of each level. Only levels that all takes have are handed on. Raises OutOfRange
    when a take is shorter than what is kept of it, BadFormat when one is not the continuation of the one before.
    """
    top = len(hops) - 1
    one = _single(takes[0], kept[0], hops)
    for take, frames in zip(takes[1:], kept[1:], strict=True):
        child = _single(take, frames, hops)
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
        )
    return one


def _single(take: Take, frames: int | None, hops: tuple[int, ...]) -> Ancestor:
    info, top = take.info, len(hops) - 1
    if frames is not None and frames > info.frames:
        raise OutOfRange(
            f"the take '{take.folder}' has {info.frames} frames ({info.seconds:.2f} s); "
            f"{frames} ({frames / info.head.rate:.2f} s) cannot be kept of it"
        )
    prime_tokens = info.prime_tokens.get(top, 0)
    used = info.frames if frames is None else frames
    tokens = -(-(prime_tokens * hops[top] - info.head.overhang + used) // hops[top])
    codes = {level: array[: tokens * (hops[top] // hops[level])] for level, array in take.codes().items()}
    return Ancestor(
        {level: array for level, array in codes.items() if array.size},
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
    )
