"""Which known name is written most like another: quick enough to be asked for every packet of a flood."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 64  # characters that are looked at


def _pairs(name: str) -> frozenset[str]:
    """Neighbouring characters, with the beginning and the end."""
    text = f"^{name[:LONGEST].lower()}$"
    return frozenset(text[at : at + 2] for at in range(len(text) - 1))


class Nearest:
    """Compares names by the pairs of characters they share (Sørensen-Dice)."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = [(name, _pairs(name)) for name in names]

    def to(self, name: str) -> str:
        """The nearest of the names; "" when there are none."""
        wanted = _pairs(name)
        best, best_score = "", -1.0
        for known, pairs in self._names:
            score = len(wanted & pairs) / (len(wanted) + len(pairs))
            if score > best_score:
                best, best_score = known, score
        return best
