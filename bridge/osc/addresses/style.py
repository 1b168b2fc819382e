"""Style and words."""

from __future__ import annotations

from bridge.osc.addresses.arguments import text, whole
from bridge.osc.table import Entry, Role, notice

MAX_LINES = 1000

ENTRIES = (
    Entry(
        "/segue/style",
        'Preset, genre, artist or mix ("house:0.7+lofi:0.3")',
        Role.PROPERTY,
        (text("name"),),
        "set_style",
    ),
    Entry(
        "/segue/styles",
        "Lists what /segue/style accepts: /segue/styles.item i name kind ..., /segue/styles.end total",
        arguments=(whole("offset", 0, 1_000_000, optional=True), whole("limit", 1, 1000, optional=True)),
        handler="styles",
    ),
    Entry(
        "/segue/lyrics",
        "Words of the next takes, spread evenly over the song",
        Role.PROPERTY,
        (text("text"),),
        "set_lyrics",
    ),
    Entry(
        "/segue/lyrics/line",
        "Sets one line of the words; lines before it that were not set are empty",
        arguments=(whole("n", 1, MAX_LINES), text("text")),
        handler="lyrics_line",
    ),
    Entry("/segue/lyrics/clear", "No words", handler="lyrics_clear", press=True),
    notice("/segue/styles.item", "i name kind"),
    notice("/segue/styles.end", "total"),
)
