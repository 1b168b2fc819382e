"""From attention to times: the likeliest way through the text that never goes back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

POOL = 16  # tokens a step: 46 ms at the top level, finer than anyone sings
SKIP_COST = 2.0  # nats a character that is passed over
FLOOR = 1e-4  # attention below this is noise


@dataclass(frozen=True)
class Sung:
    """When one character begins: ``seconds`` from the beginning of the continuation (below 0 in the prime), None if
    it is never reached; ``attention``: the share it had then, 0 for one that was passed over."""

    character: str
    seconds: float | None
    attention: float


def monotone_path(matrix: NDArray[np.float32]) -> NDArray[np.int64]:
    """The character sung at every step of ``matrix`` [S, F], never falling: int64 [S].

    Maximises the sum of log attention less SKIP_COST for every character passed over.
    """
    score = np.log(np.maximum(matrix.astype(np.float64), FLOOR))
    steps, characters = score.shape
    places = np.arange(characters)
    slope = SKIP_COST * places
    best = score[0].copy()
    origin = np.zeros((steps, characters), np.int32)
    for step in range(1, steps):
        # From any earlier character: the running best, less a cost for each one between (none for the next one).
        lifted = best + slope
        running = np.maximum.accumulate(lifted)
        leader = np.maximum.accumulate(np.where(lifted >= running, places, 0))
        moved = running[:-1] - slope[1:] + SKIP_COST
        stays = best[1:] >= moved
        origin[step, 1:] = np.where(stays, places[1:], leader[:-1])
        best[1:] = np.where(stays, best[1:], moved)
        best += score[step]
    path = np.empty(steps, np.int64)
    path[-1] = int(best.argmax())
    for step in range(steps - 1, 0, -1):
        path[step - 1] = origin[step, path[step]]
    return path


def sung_characters(
    text: str, matrix: NDArray[np.float32], seconds: NDArray[np.float64], pool: int = POOL
) -> tuple[Sung, ...]:
    """When each character of ``text`` is sung, from attention [T, F] at ``seconds`` [T] of its tokens.

    A character that the path passes over lies between its neighbours in time; those before the path's first and
    after its last have no time.
    """
    if matrix.shape != (seconds.size, len(text)):
        raise ValueError(
            f"attention {matrix.shape} does not fit {seconds.size} tokens and {len(text)} characters"
        )
    edges = np.arange(0, len(matrix), pool)
    pooled = np.add.reduceat(matrix, edges, axis=0) / np.diff([*edges, len(matrix)])[:, None]
    seen = np.flatnonzero(pooled.any(axis=0))  # no window held the others
    if not seen.size:
        return tuple(Sung(character, None, 0.0) for character in text)
    low, high = int(seen[0]), int(seen[-1]) + 1
    path = low + monotone_path(pooled[:, low:high].astype(np.float32))
    reached, first = np.unique(path, return_index=True)
    times = np.interp(np.arange(len(text)), reached, seconds[edges][first])
    shares = np.zeros(len(text))
    shares[reached] = pooled[first, reached]
    return tuple(
        Sung(
            character,
            float(times[place]) if reached[0] <= place <= reached[-1] else None,
            float(shares[place]),
        )
        for place, character in enumerate(text)
    )
