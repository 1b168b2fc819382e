"""Jobs: asking for takes and calling them off."""

from __future__ import annotations

from bridge.osc.addresses.arguments import number, take_id, text, whole
from bridge.osc.table import Argument, Entry, notice
from engine.request import MAX_SECONDS, MAX_SEED


def asking(verb: str, doc: str, *arguments: Argument) -> Entry:
    """A job that is made of an earlier take."""
    doc += f"; answers /segue/done /segue/{verb} job, then /segue/job notices"
    return Entry(
        f"/segue/{verb}",
        doc,
        arguments=(take_id(), *arguments),
        handler=f"{verb}_take",
        starts_job=True,
        id_in_path=True,
    )


ENTRIES = (
    Entry(
        "/segue/generate",
        "Continue the prime; answers /segue/done /segue/generate job, then /segue/job notices",
        arguments=(number("seconds", 0.1, MAX_SECONDS, "s", optional=True),),
        handler="generate",
        press=True,
        starts_job=True,
        timed=True,
        lead_ms=1000.0,  # it is heard at its time, and made beforehand
    ),
    asking(
        "continue",
        "Continue a take as is chosen now, for so many seconds (0: as chosen), from its end or from at_s of it on",
        number("seconds", 0.0, MAX_SECONDS, "s", optional=True),
        number("at_s", 0.0, MAX_SECONDS, "s", optional=True),
    ),
    asking(
        "retry",
        "Make a take again from its recipe, with another seed or the one given",
        whole("seed", 0, MAX_SEED, optional=True),
    ),
    asking(
        "upsample",
        "Sample the finer levels of a take, down to level 1 (fine) or 0 (full); its music stays",
        whole("level", 0, 1, optional=True),
    ),
    Entry(
        "/segue/cancel",
        "Cancel a job, or the running one; nothing remains of the takes that it has not finished",
        arguments=(text("job", optional=True),),
        handler="cancel",
        press=True,
    ),
    Entry(
        "/segue/cancel/keep",
        "Cancel a job, or the running one; what was made of its takes becomes takes with the state partial",
        arguments=(text("job", optional=True),),
        handler="cancel_keep",
        press=True,
    ),
    notice("/segue/job", "job queued|running|window|done|failed|cancelled progress:f eta_s:f [#req]"),
)
