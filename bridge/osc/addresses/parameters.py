"""Parameters of the next request."""

from __future__ import annotations

from bridge.osc.addresses.arguments import number, text, whole
from bridge.osc.table import Argument, Entry, Role
from engine.request import MAX_BPM, MAX_SECONDS, MAX_SEED, MIN_BPM, Fidelity

MAX_TAKES = 16
MAX_BARS = 256.0
LEAST_OVERLAP, MOST_OVERLAP = 0.1, 0.95  # less and nothing of the prime is seen, more and little is new


def parameter(argument: Argument, doc: str) -> Entry:
    """A parameter named as its argument."""
    return Entry(f"/segue/param/{argument.name}", doc, Role.PROPERTY, (argument,), "parameter", twin=True)


ENTRIES = (
    parameter(number("temperature", 0.05, 2.0), "How adventurous sampling is; 1 follows the model"),
    parameter(
        number("top_p", 0.01, 1.0),
        "Draw from the likeliest tokens up to this sum; 1 = off; switches top_k off",
    ),
    parameter(whole("top_k", 0, 2048), "Draw from this many likeliest tokens; 0 = off; switches top_p off"),
    parameter(number("seconds", 0.0, MAX_SECONDS, "s"), "Length of the continuation; 0 = use bars"),
    parameter(number("bars", 0.0, MAX_BARS, "bars"), "Length in bars of 4/4; setting it sets seconds to 0"),
    parameter(number("bpm", 0.0, MAX_BPM), f"Tempo, 0 or {MIN_BPM:g} to {MAX_BPM:g}; 0 = that of the prime"),
    parameter(
        number("overlap", LEAST_OVERLAP, MOST_OVERLAP),
        "Part of a window of music that the next one sees again; more keeps to it, less is quicker",
    ),
    parameter(number("capture_bars", 0.25, MAX_BARS, "bars"), "How many bars of the input a capture takes"),
    parameter(whole("takes", 1, MAX_TAKES), "Takes per generate; take k uses seed + k"),
    parameter(whole("seed", 0, MAX_SEED), "Seed of the next take; setting it locks it"),
    parameter(whole("seed_lock", 0, 1), "1: every generate uses the same seed; 0: a new one each time"),
    parameter(
        text("fidelity", choices=tuple(str(f) for f in Fidelity)),
        "Finest level sampled: draft top, fine middle, full bottom",
    ),
)
