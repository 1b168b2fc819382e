"""How much of a continuation is copied: the longest run of its codes that another piece of music has as well.

Runs are found by rolling hashes that double in length: of every length 4, 8, 16 ... the hashes of all runs of the query
are looked up in those of each song, as long as any is found; the longest are then followed token by token, so that
what is reported is exact. Songs are read one by one: memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

SHORTEST = 4  # tokens; shorter runs are found by chance alone
PAIRS = (
    4096  # candidates of a query and a song that are followed; more come from silence, the same everywhere
)
BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that powers of it never vanish modulo 2^64

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Run:
    """``length`` tokens (0: none of SHORTEST or more) of the query from ``at`` on, found in ``song`` from ``there``
    on."""

    length: int = 0
    at: int = 0
    song: str = ""
    there: int = 0


def longest_runs(
    queries: Sequence[ArrayLike],
    songs: Iterable[tuple[str, ArrayLike]],
    tick: Callable[[], None] = lambda: None,
) -> list[Run]:
    """The longest run that each of ``queries``, codes [n], shares with any of ``songs``, codes [m] by name; the first
    found of equal ones. ``tick`` is called after each song."""
    asked = [np.asarray(query).astype(np.int64) for query in queries]
    index = _index([_doubled(query) for query in asked])
    best = [Run() for _ in asked]
    for name, codes in songs:
        song = np.asarray(codes).astype(np.int64)
        for place, (ours, theirs) in _candidates(index, _doubled(song)).items():
            reached = _follow(asked[place], song, ours, theirs)
            longest = int(reached.argmax())
            if reached[longest] > max(best[place].length, SHORTEST - 1):
                best[place] = Run(int(reached[longest]), int(ours[longest]), name, int(theirs[longest]))
        tick()
    return best


def _doubled(codes: NDArray[np.int64]) -> list[Hashes]:
    """Hashes of all runs of 4, 8, 16 ... codes, as far as there are such runs."""
    current = codes.astype(np.uint64) + np.uint64(1)
    length, power, found = 1, BASE, []
    with np.errstate(over="ignore"):
        while 2 * length <= codes.size:
            current = current[:-length] * power + current[length:]
            length, power = 2 * length, power * power
            if length >= SHORTEST:
                found.append(current)
    return found


@dataclass(frozen=True, eq=False)
class _Level:
    """Hashes of all queries' runs of one length, each with its query and its place there: [n]."""

    hashes: Hashes
    owner: Places
    place: Places


def _index(doubled: Sequence[Sequence[Hashes]]) -> list[_Level]:
    levels = []
    for number in range(max(map(len, doubled), default=0)):
        parts = [(query, found[number]) for query, found in enumerate(doubled) if number < len(found)]
        owner = np.repeat([query for query, _ in parts], [len(hashes) for _, hashes in parts])
        place = np.concatenate([np.arange(len(hashes)) for _, hashes in parts])
        hashes = np.concatenate([hashes for _, hashes in parts])
        order = np.argsort(hashes, kind="stable")  # looked up in order they are found several times as fast
        levels.append(_Level(hashes[order], owner[order], place[order]))
    return levels


def _candidates(index: Sequence[_Level], song: Sequence[Hashes]) -> dict[int, tuple[Places, Places]]:
    """For each query that shares a run with the song: where in both its longest ones of a doubled length begin."""
    found: dict[int, tuple[Places, Places]] = {}
    for level, theirs in zip(index, song, strict=False):
        order = np.argsort(theirs, kind="stable")
        ranked = theirs[order]
        first = np.searchsorted(ranked, level.hashes, side="left")
        # The same hash on the right of the first of its kind: looked up only where there is one.
        hit = np.flatnonzero(
            (first < ranked.size) & (ranked[np.minimum(first, ranked.size - 1)] == level.hashes)
        )
        if not hit.size:
            break
        count = np.searchsorted(ranked, level.hashes[hit], side="right") - first[hit]
        for query in np.unique(level.owner[hit]):
            own = level.owner[hit] == query
            found[int(query)] = _pairs(level.place[hit[own]], first[hit[own]], count[own], order)
    return found


def _pairs(places: Places, first: Places, count: Places, order: Places) -> tuple[Places, Places]:
    """Every place with each of the ``count`` ranks from ``first`` on, up to PAIRS."""
    count = np.minimum(count, PAIRS)
    kept = int(np.searchsorted(np.cumsum(count), PAIRS)) + 1
    places, first, count = places[:kept], first[:kept], count[:kept]
    ours = np.repeat(places, count)
    within = np.arange(ours.size) - np.repeat(np.cumsum(count) - count, count)
    return ours, order[np.repeat(first, count) + within]


def _follow(query: Places, song: Places, ours: Places, theirs: Places) -> Places:
    """How many tokens agree from each pair of places on: int64 [pairs]."""
    reached = np.zeros(ours.size, np.int64)
    alive = np.arange(ours.size)
    while alive.size:
        at, there = ours[alive] + reached[alive], theirs[alive] + reached[alive]
        inside = (at < query.size) & (there < song.size)
        alive, at, there = alive[inside], at[inside], there[inside]
        alive = alive[query[at] == song[there]]
        reached[alive] += 1
    return reached
