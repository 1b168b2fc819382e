"""Takes for the DAW."""

from __future__ import annotations

from bridge.osc.addresses.arguments import take_id, text
from bridge.osc.table import Entry, Role, notice
from export.tracks.targets import EXPORTS, TARGETS, USUAL

ENTRIES = (
    Entry(
        "/segue/export",
        f"Write a take as {', '.join(TARGETS)} (else {USUAL}); answers /segue/done /segue/export path when it is there",
        arguments=(take_id(), text("target", optional=True)),
        handler="export",
        id_in_path=True,
    ),
    Entry(
        "/segue/export/folder",
        f"Where exports are written, kept for the next session; an empty path: {EXPORTS} in the takes folder",
        Role.PROPERTY,
        (text("path"),),
        "export_folder",
    ),
    notice("/segue/exporting", "id:i state: running, done or failed"),
    notice("/segue/export/note", "id:i sentence: what was done to the sound, or left out"),
    notice("/segue/exported", "id:i target path: the file is there whole"),
)
