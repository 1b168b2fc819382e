"""Progressions and lead rhythms that several genres share."""

from __future__ import annotations

MINOR_POP = ("i bVI bVII i", "i bVII bVI bVII", "i iv bVI v", "i bVI iv bVII")
MAJOR_POP = ("I V vi IV", "I vi IV V", "I IV I V", "I IV vi V")

CALM = (
    "x---x---x-------x---x-x-x-------",
    "x-----x-x-------....x---x-x-----",
    "..x-x---x-----x-x---------......",
)
BUSY = (
    "x-x-x-..x-x-x---x-x-..x-x---....",
    "x--x--x-x-x-....x--x--x-x---....",
    "x.xx.x.xx---....x.xx.x.xx-x-....",
)
HOOK = (
    "x---x--x--x-x---x---x--x--x-----",
    "x--x--x--x--x-x-x--x--x-x-------",
    "x-x---x-x---x---x-x---x-x-------",
)
