"""What every address does, a module a subject. Handlers return at once; slow answers come later by themselves.

A class of handlers has a public method for each ``handler`` name that its module of :mod:`bridge.osc.addresses`
gives; :func:`handlers_of` collects them.
"""

from __future__ import annotations

from bridge.osc import addresses
from bridge.osc.table import READ, Role
from bridge.session.desk import Desk
from bridge.session.dispatch import Handler
from bridge.session.handlers.audio import AudioHandlers
from bridge.session.handlers.clients import ClientHandlers
from bridge.session.handlers.daw import DawHandlers
from bridge.session.handlers.exports import ExportHandlers
from bridge.session.handlers.history import HistoryHandlers
from bridge.session.handlers.jobs import JobHandlers
from bridge.session.handlers.midi import MidiHandlers
from bridge.session.handlers.model import ModelHandlers
from bridge.session.handlers.parameters import ParameterHandlers
from bridge.session.handlers.prime import PrimeHandlers
from bridge.session.handlers.server import ServerHandlers
from bridge.session.handlers.sound import SoundHandlers
from bridge.session.handlers.style import StyleHandlers
from bridge.session.handlers.takes import TakeHandlers
from bridge.session.handlers.transport import TransportHandlers

SUBJECTS = (
    (addresses.server, ServerHandlers),
    (addresses.clients, ClientHandlers),
    (addresses.model, ModelHandlers),
    (addresses.prime, PrimeHandlers),
    (addresses.style, StyleHandlers),
    (addresses.parameters, ParameterHandlers),
    (addresses.transport, TransportHandlers),
    (addresses.jobs, JobHandlers),
    (addresses.takes, TakeHandlers),
    (addresses.exports, ExportHandlers),
    (addresses.history, HistoryHandlers),
    (addresses.daw, DawHandlers),
    (addresses.sound, SoundHandlers),
    (addresses.audio, AudioHandlers),
    (addresses.midi, MidiHandlers),
)


def handlers_of(desk: Desk) -> dict[str, Handler]:
    """The handlers by the names that the address table uses."""
    found: dict[str, Handler] = {READ: desk.properties.reply}
    for subject, kind in SUBJECTS:
        handlers = kind(desk)
        names = {entry.handler for entry in subject.ENTRIES if entry.role is not Role.NOTICE} - {READ}
        found |= {name: getattr(handlers, name) for name in names}
    return found
