"""Sound devices: which are there, which one plays, and how it does."""

from __future__ import annotations

from bridge.osc.addresses.arguments import text, whole
from bridge.osc.table import Entry, Role, notice, readout

ENTRIES = (
    Entry(
        "/segue/audio/devices",
        "Lists the devices: /segue/audio/devices.item i name host_api outputs inputs rate ..., "
        "/segue/audio/devices.end total",
        handler="devices",
        press=True,
    ),
    Entry(
        "/segue/audio/device",
        'The output: part of a name, "NAME, HOST API", file:PATH, or none; what plays goes on in it',
        Role.PROPERTY,
        (text("name"), whole("first_channel", 1, 64, optional=True)),
        "device",
    ),
    readout("/segue/audio/rate", "hz:i: the rate of the output, 0 while there is none"),
    readout("/segue/audio/latency", "ms:f: from the audio process to the ear, as the device says"),
    readout(
        "/segue/audio/xruns", "dry:i late:i: times that playback ran dry; blocks that the device called late"
    ),
    notice("/segue/audio/devices.item", "i name host_api outputs:i inputs:i rate:i"),
    notice("/segue/audio/devices.end", "total"),
    notice("/segue/audio/open", "name rate:i latency_ms:f: an output runs"),
    notice("/segue/audio/lost", "reason: the output has gone; it is opened again when it is back"),
    notice(
        "/segue/meter/in",
        "left:f right:f: peaks of the input, 1 is full scale, ten times a second",
        opt_in=True,
    ),
    notice("/segue/meter/out", "left:f right:f: the same of the output", opt_in=True),
)
