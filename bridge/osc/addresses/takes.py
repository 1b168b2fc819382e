"""Takes."""

from __future__ import annotations

from bridge.osc.table import notice

ENTRIES = (notice("/segue/take", "id:i name parent seconds:f bpm:f seed:i rating:i state path"),)
