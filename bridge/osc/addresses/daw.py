"""DAWs: takes go in, primes come out (bridge/daw/README.md)."""

from __future__ import annotations

from bridge.osc.addresses.arguments import number, take_id, text, whole
from bridge.osc.table import Entry, notice
from engine.request import MAX_BPM

SCRIPTED = ("reaper", "ardour", "live")  # with a script of ours inside
DAWS = (*SCRIPTED, "bitwig")
MOST_SECONDS = 1e6
MOST_TRACKS = 10_000

ENTRIES = (
    Entry(
        "/segue/send",
        "Put a take on a track of a DAW; answers /segue/done /segue/send id daw when it says that it is there. "
        "Tracks and slots count from 1; 0, or none: behind the clip that it continues, else as the DAW's page says",
        arguments=(
            take_id(),
            text("daw", choices=DAWS),
            whole("track", 0, MOST_TRACKS, optional=True),
            whole("slot", 0, MOST_TRACKS, optional=True),
        ),
        handler="send_take",
        id_in_path=True,
    ),
    Entry(
        "/segue/daws",
        "Lists the DAWs whose scripts are there: /segue/daws.item daw version ..., /segue/daws.end total",
        handler="daws",
        press=True,
    ),
    Entry(
        "/segue/daw/grab",
        "Ask a DAW for the clip that is selected in it: it becomes the prime and, with 1, is continued there",
        arguments=(text("daw", choices=SCRIPTED), whole("generate", 0, 1, optional=True)),
        handler="daw_grab",
    ),
    Entry(
        "/segue/daw/here",
        "A DAW's script is there, for some seconds from now on; answers /segue/done /segue/daw/here lease_s",
        arguments=(text("daw", choices=SCRIPTED), text("version", optional=True)),
        handler="daw_here",
        local_only=True,
    ),
    Entry(
        "/segue/daw/prime",
        "A clip of a DAW by reference: the span of the file, its tempo (0: unknown), where it ends on the time line "
        "(-1: unknown), and a mark that comes back with every take of it; with 1 it is continued at once, and the "
        "takes are sent to the DAW. Answers /segue/done /segue/daw/prime prime_id seconds rate",
        arguments=(
            text("daw", choices=SCRIPTED),
            text("path"),
            number("start_s", 0.0, MOST_SECONDS, "s"),
            number("length_s", 0.0, MOST_SECONDS, "s"),
            number("bpm", 0.0, MAX_BPM),
            number("end_s", -1.0, MOST_SECONDS, "s"),
            text("mark"),
            whole("generate", 0, 1, optional=True),
        ),
        handler="daw_prime",
    ),
    Entry(
        "/segue/daw/imported",
        "A DAW's answer to /segue/daw/take: it is there",
        arguments=(whole("send", 1, 2**31 - 1),),
        handler="daw_imported",
        local_only=True,
    ),
    Entry(
        "/segue/daw/refused",
        "A DAW's answer to /segue/daw/take: it cannot be",
        arguments=(whole("send", 1, 2**31 - 1), text("why")),
        handler="daw_refused",
        local_only=True,
    ),
    notice(
        "/segue/daw/take",
        "send:i id:i path name seconds:f bpm:f seed:i track:i slot:i after_s:f mark: to a DAW's script, which puts it "
        "after_s behind the end of what was primed with that mark",
    ),
    notice("/segue/daw/grabbing", "generate:i: to a DAW's script, which answers with /segue/daw/prime"),
    notice("/segue/daws.item", "daw version"),
    notice("/segue/daws.end", "total:i"),
)
