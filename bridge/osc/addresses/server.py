"""The server itself: is it there, who is told what, what it says."""

from __future__ import annotations

from bridge.osc.addresses.arguments import whole
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
    Entry(
        "/segue/notify",
        "Subscribe (1) or not (0) to notices, at the sender's port or the one given; messages renew the lease",
        arguments=(
            whole("on", 0, 1),
            whole("port", 1, 65535, optional=True),
            whole("lease_s", 5, 86400, "s", optional=True),
        ),
        handler="notify",
    ),
    Entry(
        "/segue/sync",
        "Answers /segue/synced n when all your earlier requests have ended",
        arguments=(whole("n", -(2**31), 2**31 - 1),),
        handler="sync",
    ),
    Entry("/segue/quit", "Ends the session", handler="quit", press=True, local_only=True),
    notice("/segue/done", "address ... [#req]: a request was carried out"),
    notice("/segue/fail", "address code:i slug:s message:s [#req]: a request was refused or failed"),
    notice("/segue/version.reply", "name version protocol:i commit"),
    notice("/segue/status.reply", "see /segue/status"),
    notice("/segue/synced", "n"),
    notice("/segue/state", "starting|loading|idle|generating|streaming|restarting|failed"),
    notice("/segue/error", "message: one line for people"),
)
