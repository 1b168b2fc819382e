"""Clients: who is told what, when is it all done, and what goes on inside."""

from __future__ import annotations

from bridge.osc.addresses.arguments import text, whole
from bridge.osc.table import Entry, notice

ENTRIES = (
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
        "/segue/listen",
        "Tell (1) or no longer tell (0) the sender what changes at the addresses that a pattern reaches; "
        "properties are told at once too",
        arguments=(text("pattern"), whole("on", 0, 1)),
        handler="listen",
    ),
    Entry(
        "/segue/refresh",
        "Answers the value of everything in bundles, then /segue/refresh.end n",
        handler="refresh",
        press=True,
    ),
    Entry(
        "/segue/sync",
        "Answers /segue/synced n when all your earlier requests have ended",
        arguments=(whole("n", -(2**31), 2**31 - 1),),
        handler="sync",
    ),
    Entry(
        "/segue/debug/dump",
        "Show what comes in on the terminal: 0 nothing, 1 messages, 2 bytes, 3 both",
        arguments=(whole("level", 0, 3),),
        handler="debug_dump",
        local_only=True,
    ),
    Entry(
        "/segue/debug/pauses",
        "Watch (1) or not (0) how long the bridge keeps anybody waiting; answers "
        "/segue/debug/pauses.reply longest_ms own_ms seconds received malformed connections clients since it was last "
        "asked; own_ms: the longest that was spent computing, and not waiting for a busy machine",
        arguments=(whole("on", 0, 1, optional=True),),
        handler="debug_pauses",
        local_only=True,
    ),
    notice("/segue/done", "address ... [#req]: a request was carried out"),
    notice("/segue/fail", "address code:i slug:s message:s [#req]: a request was refused or failed"),
    notice("/segue/late", "address late_ms:f: the time tag had passed, so it was carried out at once"),
    notice("/segue/refresh.end", "n:i: that many values were sent"),
    notice("/segue/synced", "n"),
    notice("/segue/debug/pauses.reply", "see /segue/debug/pauses"),
    notice("/segue/heartbeat", "1 and 0 in turn, every second"),
    notice("/segue/error", "message: one line for people"),
)
REPLIES = frozenset(
    {"/segue/done", "/segue/fail", "/segue/late", "/segue/synced"}
)  # and *.reply, *.item, *.end
