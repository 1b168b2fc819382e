"""Controllers."""

from __future__ import annotations

from bridge.osc.addresses.arguments import text
from bridge.osc.table import Entry, notice

ENTRIES = (
    Entry(
        "/segue/midi/ports",
        "Lists the MIDI ports that are open: /segue/midi/ports.item name ..., /segue/midi/ports.end total",
        handler="midi_ports",
        press=True,
    ),
    Entry(
        "/segue/midi/learn",
        "Binds the next control that is used to an action such as generate or preset.3 (`segue midi map`); "
        "answers /segue/done when it was, within 10 s",
        arguments=(text("key"),),
        handler="midi_learn",
    ),
    Entry(
        "/segue/midi/forget",
        "Forgets what was learned for an action, or all of it; answers /segue/done /segue/midi/forget count",
        arguments=(text("key", optional=True),),
        handler="midi_forget",
    ),
    notice("/segue/midi/learned", "key control: a control was bound"),
    notice("/segue/midi/ports.item", "name"),
    notice("/segue/midi/ports.end", "total:i"),
)
