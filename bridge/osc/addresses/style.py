"""Style and words."""

from __future__ import annotations

from bridge.osc.addresses.arguments import number, page, text, whole
from bridge.osc.table import Entry, Role, notice, readout

MAX_LINES = 1000

ENTRIES = (
    Entry(
        "/segue/style",
        'Preset (with all that is in it), genre, artist or mix ("house:0.7+lofi:0.3"); what sounds goes on in it',
        Role.PROPERTY,
        (text("name"),),
        "set_style",
    ),
    Entry(
        "/segue/styles",
        "Lists what /segue/style accepts: /segue/styles.item i name kind ..., /segue/styles.end total",
        arguments=page(),
        handler="styles",
    ),
    Entry(
        "/segue/style/select",
        "Chooses a style by its place in /segue/styles",
        arguments=(whole("index", 1, 1_000_000),),
        handler="style_select",
    ),
    Entry(
        "/segue/style/pad",
        "Chooses preset 1 to 8 of the page",
        arguments=(whole("pad", 1, 8),),
        handler="style_pad",
    ),
    Entry(
        "/segue/style/page",
        "Which eight presets the pads are",
        Role.PROPERTY,
        (whole("page", 1, 10_000),),
        "style_page",
    ),
    Entry(
        "/segue/style/program",
        "Chooses a preset as a Program Change does: CC 0, CC 32 and program as sent",
        arguments=(whole("bank", 0, 127), whole("page", 0, 127), whole("program", 0, 127)),
        handler="style_program",
    ),
    Entry(
        "/segue/style/browse",
        "Chooses the preset so many places further on",
        arguments=(whole("steps", -1000, 1000),),
        handler="style_browse",
    ),
    Entry(
        "/segue/style/morph",
        "Between the last two presets that were chosen, or the ends that were set: 0 the first, 1 the second",
        Role.PROPERTY,
        (number("amount", 0.0, 1.0),),
        "style_morph",
    ),
    Entry(
        "/segue/style/morph/ends",
        "The two presets that the morph lies between",
        Role.PROPERTY,
        (text("first"), text("second")),
        "style_morph_ends",
    ),
    readout("/segue/style/pads", "eight times empty|ready|selected: the presets of the page"),
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
    notice("/segue/styles/changed", "total:i: files of presets have changed"),
    notice("/segue/styles.end", "total"),
)
