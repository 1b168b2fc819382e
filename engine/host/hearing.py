"""Loading what hears tempo, pulse and key (half a second of it is scipy), whichever thread needs it first."""

from __future__ import annotations

import threading

_loading = threading.Lock()


def load() -> None:
    """Import what of :mod:`engine.analysis` needs scipy, one thread at a time.

    A package whose modules are imported by two threads at once, one by its own name and one by a module's, may be
    seen half made: Python breaks the locks that would wait for each other.
    """
    with _loading:
        import engine.analysis.pulse
        import engine.analysis.tempo  # noqa: F401
