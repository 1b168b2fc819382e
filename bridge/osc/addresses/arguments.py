"""How arguments are written in the table."""

from __future__ import annotations

from bridge.osc.table import Argument, Kind

MOST_LISTED = 250  # entries of an answer; it is sent in one go, and all others wait meanwhile


def number(name: str, low: float, high: float, unit: str = "", optional: bool = False) -> Argument:
    """A number from ``low`` to ``high``."""
    return Argument(name, Kind.NUMBER, low, high, unit=unit, optional=optional)


def whole(name: str, low: int, high: int, unit: str = "", optional: bool = False) -> Argument:
    """A whole number from ``low`` to ``high``."""
    return Argument(name, Kind.WHOLE, low, high, unit=unit, optional=optional)


def text(name: str, optional: bool = False, choices: tuple[str, ...] = ()) -> Argument:
    """A text, one of ``choices`` if there are any."""
    return Argument(name, Kind.TEXT, choices=choices, optional=optional)


def take_id() -> Argument:
    """A take by its number or its name."""
    return Argument("id", Kind.TEXT, number_too=True)


def page() -> tuple[Argument, Argument]:
    """Which entries of a list are wanted: so many (``limit``) from ``offset`` on."""
    return whole("offset", 0, 1_000_000, optional=True), whole("limit", 1, MOST_LISTED, optional=True)
