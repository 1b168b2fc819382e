"""OSC address patterns (facts/daw.md §1.1), matched without regular expressions: no pattern can be slow.

``? * [a-z] [!a-z] {one,other}`` within a part of an address, and OSC 1.1's ``//`` for any number of parts between.
The time is bounded by the length of the pattern times that of the address.
"""

from __future__ import annotations

from collections.abc import Callable

WILDCARDS = frozenset("?*[{")
ANY_PARTS = "//"

Step = Callable[[str, set[int]], set[int]]  # from the places reached in a text to those reached next


def is_pattern(address: str) -> bool:
    """Whether an address holds wildcards."""
    return not WILDCARDS.isdisjoint(address) or ANY_PARTS in address


def wildcards_in(address: str) -> int:
    """How many."""
    return sum(character in WILDCARDS for character in address) + address.count(ANY_PARTS)


def matches(pattern: str, address: str) -> bool:
    """Whether a pattern reaches an address. One that is not closed (``[a`` or ``{a``) reaches nothing."""
    return matcher(pattern)(address)


def matcher(pattern: str) -> Callable[[str], bool]:
    """A pattern, read once, to be asked for many addresses."""
    wanted = [_part(part) for part in pattern.split("/")[1:]]

    def reaches(address: str) -> bool:
        parts = address.split("/")[1:]
        reached = {0}
        for part in wanted:
            if not reached:
                return False
            if part is None:
                reached = set(range(min(reached), len(parts) + 1))
            else:
                reached = {at + 1 for at in reached if at < len(parts) and part(parts[at])}
        return len(parts) in reached

    return reaches


def _part(pattern: str) -> Callable[[str], bool] | None:
    """What one part of an address must be; None for ``//``."""
    if not pattern:
        return None
    if WILDCARDS.isdisjoint(pattern):
        return pattern.__eq__
    steps = _steps(pattern)
    if steps is None:
        return lambda text: False

    def fits(text: str) -> bool:
        reached = {0}
        for step in steps:
            reached = step(text, reached)
            if not reached:
                return False
        return len(text) in reached

    return fits


def _steps(pattern: str) -> list[Step] | None:
    """A pattern's pieces in order; None when a bracket or brace is not closed."""
    steps: list[Step] = []
    at = 0
    while at < len(pattern):
        head = pattern[at]
        if head in "[{":
            end = pattern.find("]" if head == "[" else "}", at + 1)
            if end < 0:
                return None
            inner = pattern[at + 1 : end]
            steps.append(_class(inner) if head == "[" else _words(inner.split(",")))
            at = end
        else:
            steps.append(_anything if head == "*" else _one if head == "?" else _words([head]))
        at += 1
    return steps


def _anything(text: str, reached: set[int]) -> set[int]:
    return set(range(min(reached), len(text) + 1)) if reached else reached


def _one(text: str, reached: set[int]) -> set[int]:
    return {at + 1 for at in reached if at < len(text)}


def _words(alternatives: list[str]) -> Step:
    words = set(alternatives)
    return lambda text, reached: {
        at + len(word) for at in reached for word in words if text.startswith(word, at)
    }


def _class(inner: str) -> Step:
    negated = inner.startswith("!")
    wanted = inner[negated:]
    ranges = []
    at = 0
    while at < len(wanted):
        if wanted[at + 1 : at + 2] == "-" and at + 2 < len(wanted):
            ranges.append((wanted[at], wanted[at + 2]))
            at += 3
        else:
            ranges.append((wanted[at], wanted[at]))
            at += 1
    return lambda text, reached: {
        at + 1
        for at in reached
        if at < len(text) and any(low <= text[at] <= high for low, high in ranges) is not negated
    }
