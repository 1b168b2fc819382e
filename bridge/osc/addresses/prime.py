"""What is continued."""

from __future__ import annotations

from bridge.osc.addresses.arguments import number, take_id, text, whole
from bridge.osc.table import Entry, Role, notice, readout
from engine.request import MAX_BPM, MAX_SECONDS

ENTRIES = (
    Entry(
        "/segue/prime/file",
        "Take a file, or a span of it, as the prime (length 0: to its end; tempo 0: heard); "
        "answers /segue/done /segue/prime/file prime_id seconds rate",
        arguments=(
            text("path"),
            number("start_s", 0.0, 1e6, "s", optional=True),
            number("length_s", 0.0, 1e6, "s", optional=True),
            number("bpm", 0.0, MAX_BPM, optional=True),
        ),
        handler="prime_file",
    ),
    Entry(
        "/segue/prime/capture",
        "Take the last whole bars of the input as the prime (as many as /segue/param/capture_bars says); "
        "answers /segue/done /segue/prime/capture prime_id seconds rate",
        arguments=(number("bars", 0.25, 64.0, "bars", optional=True),),
        handler="prime_capture",
    ),
    Entry(
        "/segue/prime/capture/seconds",
        "Take the last seconds of the input as the prime",
        arguments=(number("seconds", 0.1, 90.0, "s"),),
        handler="prime_capture_seconds",
    ),
    Entry(
        "/segue/input/device",
        'The input that is recorded: part of a name, "reastream", "reastream:PORT", or nothing',
        Role.PROPERTY,
        (text("name"), whole("first_channel", 1, 64, optional=True)),
        "input_device",
    ),
    readout("/segue/input/latency", "ms:f: from the device to the audio process, as the device says"),
    notice("/segue/input/lost", "reason: the input has gone; it is opened again when it is back"),
    Entry(
        "/segue/prime/take",
        "Take a take as the prime, or as much of it as at_s says; its codes go on, nothing is heard again",
        arguments=(take_id(), number("at_s", 0.0, MAX_SECONDS, "s", optional=True)),
        handler="prime_take",
        id_in_path=True,
    ),
    Entry("/segue/prime/clear", "Forget the prime", handler="prime_clear", press=True),
    notice("/segue/prime/capturing", "1 while a capture is waited for and written, else 0"),
    notice("/segue/prime", "id seconds:f bpm:f name"),
)
