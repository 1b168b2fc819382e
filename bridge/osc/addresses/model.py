"""The model that makes the music."""

from __future__ import annotations

from bridge.osc.addresses.arguments import text
from bridge.osc.table import Entry, Role, notice

ENTRIES = (
    Entry(
        "/segue/model",
        "The model; setting it loads another one, jobs wait meanwhile: /segue/model/progress ..., then /segue/done",
        Role.PROPERTY,
        (text("name"),),
        "model",
    ),
    Entry(
        "/segue/models",
        "Lists the models: /segue/models.item i name state ..., /segue/models.end total",
        handler="models",
        press=True,
    ),
    notice("/segue/model/progress", "fraction:f text: how far loading a model has come"),
    notice("/segue/models.item", "i name loaded|loading|here"),
    notice("/segue/models.end", "total"),
)
