"""The address table (facts/daw.md, table (a)): every address the bridge answers to or sends, a module a subject.

Each module's ``ENTRIES`` drive dispatch, validation and documentation; what an address does is in the module of the
same name in :mod:`bridge.session.handlers`.
"""

from __future__ import annotations

from bridge.osc.addresses import (
    audio,
    clients,
    daw,
    exports,
    history,
    jobs,
    midi,
    model,
    parameters,
    prime,
    server,
    sound,
    style,
    takes,
    transport,
)
from bridge.osc.addresses.parameters import MAX_TAKES
from bridge.osc.table import Table

DEFAULT_PORT = 19770
PROTOCOL_VERSION = 1

PARAMETERS = parameters.ENTRIES
SUBJECTS = (
    server,
    clients,
    model,
    prime,
    style,
    parameters,
    transport,
    jobs,
    takes,
    exports,
    history,
    daw,
    sound,
    audio,
    midi,
)
TABLE = Table(entry for subject in SUBJECTS for entry in subject.ENTRIES)

__all__ = ["DEFAULT_PORT", "MAX_TAKES", "PARAMETERS", "PROTOCOL_VERSION", "SUBJECTS", "TABLE"]
