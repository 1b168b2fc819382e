"""What is heard."""

from __future__ import annotations

from bridge.osc.table import Entry, notice

ENTRIES = (
    Entry("/segue/panic", "Silence now; jobs go on", handler="panic", press=True),
    notice("/segue/playing", "job start|end|stopped seconds:f"),
)
