"""What is heard."""

from __future__ import annotations

from bridge.osc.addresses.arguments import number, take_id, whole
from bridge.osc.table import Entry, Role, notice

ENTRIES = (
    Entry(
        "/segue/take/play",
        "Play a take in place of what sounds, from the next place on the grid, or with 0 at once",
        arguments=(take_id(), whole("quantised", 0, 1, optional=True)),
        handler="take_play",
        id_in_path=True,
        timed=True,
        lead_ms=80.0,
    ),
    Entry(
        "/segue/take/stop",
        "Fade out what sounds; jobs go on",
        handler="take_stop",
        press=True,
        timed=True,
    ),
    Entry(
        "/segue/take/browse",
        "Select the take so many places further on",
        arguments=(whole("steps", -1000, 1000),),
        handler="take_browse",
    ),
    Entry(
        "/segue/take/hold",
        "1: repeat the bar that plays, from its end on; 0: go on after it",
        arguments=(whole("down", 0, 1),),
        handler="take_hold",
    ),
    Entry(
        "/segue/take/ab",
        "Hear the prime if a take sounds, and the take again if the prime does, at the same place",
        handler="take_ab",
        press=True,
    ),
    Entry(
        "/segue/param/mix",
        "0 = the input only, 1 = the takes only, both with the same power in between",
        Role.PROPERTY,
        (number("mix", 0.0, 1.0),),
        "mix",
        twin=True,
    ),
    Entry(
        "/segue/param/gain_db",
        "Gain of the output; -60 is silence",
        Role.PROPERTY,
        (number("gain_db", -60.0, 6.0, "dB"),),
        "gain_db",
        twin=True,
    ),
    Entry(
        "/segue/param/monitor_db",
        "Gain at which the input is heard beside the takes, whatever the mix; -60 is not at all",
        Role.PROPERTY,
        (number("monitor_db", -60.0, 6.0, "dB"),),
        "monitor_db",
        twin=True,
    ),
    Entry("/segue/panic", "Silence now; jobs go on", handler="panic", press=True),
    notice("/segue/take/armed", "id:i bar:i: a take will begin on that bar"),
    notice("/segue/sounding", "id start|end|stopped seconds:f: a job or take begins to sound, or has ended"),
    notice("/segue/playing", "id beats:f: where in it the listener is, ten times a second"),
)
