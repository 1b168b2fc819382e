"""Jobs: asking for takes and calling them off."""

from __future__ import annotations

from bridge.osc.addresses.arguments import number, text
from bridge.osc.table import Entry, notice
from engine.request import MAX_SECONDS

ENTRIES = (
    Entry(
        "/segue/generate",
        "Continue the prime; answers /segue/done /segue/generate job, then /segue/job notices",
        arguments=(number("seconds", 0.1, MAX_SECONDS, "s", optional=True),),
        handler="generate",
        press=True,
        starts_job=True,
    ),
    Entry(
        "/segue/cancel",
        "Cancel a job, or the running one",
        arguments=(text("job", optional=True),),
        handler="cancel",
        press=True,
    ),
    notice("/segue/job", "job queued|running|window|done|failed|cancelled progress:f eta_s:f [#req]"),
)
