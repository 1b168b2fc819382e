"""Taking back what was done."""

from __future__ import annotations

from bridge.osc.table import Entry, readout

ENTRIES = (
    Entry(
        "/segue/undo",
        "Take the last change of choices, marks or takes back; answers /segue/done /segue/undo label",
        handler="undo",
        press=True,
    ),
    Entry(
        "/segue/redo",
        "Do what was undone last again; answers /segue/done /segue/redo label",
        handler="redo",
        press=True,
    ),
    readout("/segue/history", "undo:i redo:i label: how many steps there are, and the next one to undo"),
)
