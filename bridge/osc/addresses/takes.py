"""Takes."""

from __future__ import annotations

from bridge.osc.addresses.arguments import page, take_id, text, whole
from bridge.osc.table import Argument, Entry, Role, notice
from engine.take.marks import MAX_RATING

FIELDS = "id:i name parent seconds:f bpm:f seed:i rating:i state path"


def marking(verb: str, doc: str, argument: Argument) -> Entry:
    """A mark of a take, told at the same address, and with /segue/take where that says it."""
    return Entry(
        f"/segue/take/{verb}", doc, arguments=(take_id(), argument), handler=f"take_{verb}", id_in_path=True
    )


ENTRIES = (
    Entry(
        "/segue/takes",
        f"Lists the takes: /segue/takes.item {FIELDS} ..., /segue/takes.end total",
        arguments=page(),
        handler="takes",
    ),
    Entry(
        "/segue/take/current",
        "The take that keep, rate and the like mean on a controller: its number, 0 without one",
        Role.PROPERTY,
        (take_id(),),
        "take_current",
    ),
    Entry("/segue/take/next", "Select the take after the current one", handler="take_next", press=True),
    Entry("/segue/take/prev", "Select the take before the current one", handler="take_prev", press=True),
    marking("keep", "Keep a take (1) or not (0)", whole("on", 0, 1)),
    marking("rate", "Rate a take; 0 is no rating", whole("rating", 0, MAX_RATING)),
    marking(
        "name", "Give a take a name of its own; an empty one gives it A01 and the like again", text("name")
    ),
    marking("color", "Give a take a colour, as #rrggbb or nothing", text("color")),
    Entry(
        "/segue/take/delete",
        "Move a take to the trash; /segue/undo brings it back",
        arguments=(take_id(),),
        handler="take_delete",
        id_in_path=True,
    ),
    Entry(
        "/segue/take/recall",
        "Set prime, style, words, seed and parameters as they were for a take; tells each that changes",
        arguments=(take_id(),),
        handler="take_recall",
        id_in_path=True,
    ),
    notice("/segue/take", f"{FIELDS}: a take was made or has changed; state is done or partial"),
    notice("/segue/take/removed", "id:i"),
    notice("/segue/takes.item", FIELDS),
    notice("/segue/takes.end", "total:i"),
)
