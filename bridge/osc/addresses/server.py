"""The server itself: is it there, what does it do, and its end."""

from __future__ import annotations

from bridge.osc.table import Entry, notice

ENTRIES = (
    Entry("/segue/test", 'Answers /segue/test "ok"', handler="test", press=True),
    Entry(
        "/segue/version",
        "Answers /segue/version.reply name version protocol commit",
        handler="version",
        press=True,
    ),
    Entry(
        "/segue/status",
        "Answers /segue/status.reply state model device queue running_job progress eta_s fill_s xruns vram_gb",
        handler="status",
        press=True,
    ),
    Entry("/segue/quit", "Ends the session", handler="quit", press=True, local_only=True),
    notice("/segue/version.reply", "name version protocol:i commit"),
    notice("/segue/status.reply", "see /segue/status"),
    notice("/segue/state", "starting|loading|idle|generating|streaming|restarting|failed"),
)
