"""Musical time: where it comes from, and where things begin."""

from __future__ import annotations

from bridge.osc.addresses.arguments import number, text, whole
from bridge.osc.table import Entry, Role, readout
from engine.request import KEYS, MAX_BPM, MIN_BPM
from presets.quantum import MOST_BARS, MOST_BEATS

SOURCES = ("none", "internal", "midi", "osc", "link")

ENTRIES = (
    Entry(
        "/segue/sync/source",
        "The clock that is followed",
        Role.PROPERTY,
        (text("source", choices=SOURCES),),
        "sync_source",
    ),
    Entry(
        "/segue/tempo",
        "Tempo in quarter notes a minute, 0 while none is known; a MIDI clock sets it itself",
        Role.PROPERTY,
        (number("bpm", MIN_BPM, MAX_BPM),),
        "tempo",
    ),
    Entry(
        "/segue/signature",
        "Time signature",
        Role.PROPERTY,
        (whole("numerator", 1, 64), whole("denominator", 1, 32)),
        "signature",
    ),
    Entry(
        "/segue/key",
        'Key of the music, such as "F# minor"; empty where it shall be heard in the prime',
        Role.PROPERTY,
        (text("key", choices=("", *KEYS)),),
        "key",
    ),
    Entry(
        "/segue/quantum",
        "Takes begin on a multiple of so many beats; 0 = at once",
        Role.PROPERTY,
        (number("beats", 0.0, MOST_BEATS, "beats"),),
        "quantum",
    ),
    Entry(
        "/segue/quantum/bars",
        "The same in bars, whatever the signature",
        Role.PROPERTY,
        (number("bars", 0.0, MOST_BARS, "bars"),),
        "quantum_bars",
    ),
    Entry(
        "/segue/beat",
        "It is this beat now (0 begins the song), for the source osc; told to subscribers on every beat",
        arguments=(number("n", 0.0, 1e7, "beats"),),
        handler="beat",
    ),
    Entry(
        "/segue/transport/start",
        "The song plays from where it stands, for the sources internal and osc",
        handler="transport_start",
        press=True,
    ),
    Entry(
        "/segue/transport/stop",
        "The song stands, for the sources internal and osc",
        handler="transport_stop",
        press=True,
    ),
    Entry(
        "/segue/transport/locate",
        "The song goes to a beat, for the sources internal and osc",
        arguments=(number("beat", 0.0, 1e7, "beats"),),
        handler="transport_locate",
    ),
    Entry(
        "/segue/song/bars",
        "Length of the song, so that the model hears where in it the take lies; 0 = unknown",
        Role.PROPERTY,
        (number("bars", 0.0, 10_000.0, "bars"),),
        "song_bars",
    ),
    readout("/segue/sync/locked", "1 when the tempo can be relied on, else 0"),
    readout("/segue/transport/playing", "1 while the song plays, else 0"),
)
