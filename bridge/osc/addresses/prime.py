"""What is continued."""

from __future__ import annotations

from bridge.osc.addresses.arguments import number, text
from bridge.osc.table import Entry, notice

ENTRIES = (
    Entry(
        "/segue/prime/file",
        "Take a file, or a span of it, as the prime; answers /segue/done /segue/prime/file prime_id seconds rate",
        arguments=(
            text("path"),
            number("start_s", 0.0, 1e6, "s", optional=True),
            number("length_s", 0.0, 1e6, "s", optional=True),
        ),
        handler="prime_file",
    ),
    Entry("/segue/prime/clear", "Forget the prime", handler="prime_clear", press=True),
    notice("/segue/prime", "id seconds:f bpm:f name"),
)
