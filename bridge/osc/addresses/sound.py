"""What is heard."""

from __future__ import annotations

from bridge.osc.table import Entry, notice

ENTRIES = (
    Entry("/segue/panic", "Silence now; jobs go on", handler="panic", press=True),
    notice("/segue/sounding", "id start|end|stopped seconds:f: a job or take begins to sound, or has ended"),
    notice("/segue/playing", "id beats:f: where in it the listener is, ten times a second"),
)
