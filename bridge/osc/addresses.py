"""The address table (facts/daw.md, table (a)): every address the bridge answers to or sends."""

from __future__ import annotations

from bridge.osc.table import Argument, Entry, Kind, Role, Table
from engine.request import MAX_BPM, MAX_SECONDS, MAX_SEED, MIN_BPM, Fidelity

DEFAULT_PORT = 19770
PROTOCOL_VERSION = 1
MAX_TAKES = 16
MAX_BARS = 256.0
MAX_LINES = 1000


def _number(name: str, low: float, high: float, unit: str = "", optional: bool = False) -> Argument:
    return Argument(name, Kind.NUMBER, low, high, unit=unit, optional=optional)


def _whole(name: str, low: int, high: int, unit: str = "", optional: bool = False) -> Argument:
    return Argument(name, Kind.WHOLE, low, high, unit=unit, optional=optional)


def _text(name: str, optional: bool = False, choices: tuple[str, ...] = ()) -> Argument:
    return Argument(name, Kind.TEXT, choices=choices, optional=optional)


def _parameter(argument: Argument, doc: str) -> Entry:
    return Entry(f"/segue/param/{argument.name}", doc, Role.PROPERTY, (argument,), "parameter")


PARAMETERS = (
    _parameter(_number("temperature", 0.05, 2.0), "How adventurous sampling is; 1 follows the model"),
    _parameter(
        _number("top_p", 0.01, 1.0),
        "Draw from the likeliest tokens up to this sum; 1 = off; switches top_k off",
    ),
    _parameter(_whole("top_k", 0, 2048), "Draw from this many likeliest tokens; 0 = off; switches top_p off"),
    _parameter(_number("seconds", 0.0, MAX_SECONDS, "s"), "Length of the continuation; 0 = use bars"),
    _parameter(_number("bars", 0.0, MAX_BARS, "bars"), "Length in bars of 4/4; setting it sets seconds to 0"),
    _parameter(
        _number("bpm", 0.0, MAX_BPM), f"Tempo, 0 or {MIN_BPM:g} to {MAX_BPM:g}; 0 = that of the prime"
    ),
    _parameter(_whole("takes", 1, MAX_TAKES), "Takes per generate; take k uses seed + k"),
    _parameter(_whole("seed", 0, MAX_SEED), "Seed of the next take; setting it locks it"),
    _parameter(_whole("seed_lock", 0, 1), "1: every generate uses the same seed; 0: a new one each time"),
    _parameter(
        _text("fidelity", choices=tuple(str(f) for f in Fidelity)),
        "Finest level sampled: draft top, fine middle, full bottom",
    ),
)

REQUESTS = (
    Entry("/segue/test", 'Answers /segue/test "ok"', handler="test", press=True),
    Entry(
        "/segue/version",
        "Answers /segue/version.reply name version protocol commit",
        handler="version",
        press=True,
    ),
    Entry(
        "/segue/status",
        "Answers /segue/status.reply state model device queue running_job progress eta_s fill_s xruns vram_gb",
        handler="status",
        press=True,
    ),
    Entry(
        "/segue/notify",
        "Subscribe (1) or not (0) to notices, at the sender's port or the one given; messages renew the lease",
        arguments=(
            _whole("on", 0, 1),
            _whole("port", 1, 65535, optional=True),
            _whole("lease_s", 5, 86400, "s", optional=True),
        ),
        handler="notify",
    ),
    Entry(
        "/segue/sync",
        "Answers /segue/synced n when all your earlier requests have ended",
        arguments=(_whole("n", -(2**31), 2**31 - 1),),
        handler="sync",
    ),
    Entry("/segue/quit", "Ends the session", handler="quit", press=True, local_only=True),
    Entry(
        "/segue/prime/file",
        "Take a file, or a span of it, as the prime; answers /segue/done /segue/prime/file prime_id seconds rate",
        arguments=(
            _text("path"),
            _number("start_s", 0.0, 1e6, "s", optional=True),
            _number("length_s", 0.0, 1e6, "s", optional=True),
        ),
        handler="prime_file",
    ),
    Entry("/segue/prime/clear", "Forget the prime", handler="prime_clear", press=True),
    Entry(
        "/segue/style",
        'Preset, genre, artist or mix ("house:0.7+lofi:0.3")',
        Role.PROPERTY,
        (_text("name"),),
        "set_style",
    ),
    Entry(
        "/segue/styles",
        "Lists what /segue/style accepts: /segue/styles.item i name kind ..., /segue/styles.end total",
        arguments=(_whole("offset", 0, 1_000_000, optional=True), _whole("limit", 1, 1000, optional=True)),
        handler="styles",
    ),
    Entry(
        "/segue/lyrics",
        "Words of the next takes, spread evenly over the song",
        Role.PROPERTY,
        (_text("text"),),
        "set_lyrics",
    ),
    Entry(
        "/segue/lyrics/line",
        "Sets one line of the words; lines before it that were not set are empty",
        arguments=(_whole("n", 1, MAX_LINES), _text("text")),
        handler="lyrics_line",
    ),
    Entry("/segue/lyrics/clear", "No words", handler="lyrics_clear", press=True),
    *PARAMETERS,
    Entry(
        "/segue/generate",
        "Continue the prime; answers /segue/done /segue/generate job, then /segue/job notices",
        arguments=(_number("seconds", 0.1, MAX_SECONDS, "s", optional=True),),
        handler="generate",
        press=True,
        starts_job=True,
    ),
    Entry(
        "/segue/cancel",
        "Cancel a job, or the running one",
        arguments=(_text("job", optional=True),),
        handler="cancel",
        press=True,
    ),
    Entry("/segue/panic", "Silence now; jobs go on", handler="panic", press=True),
)

NOTICES = tuple(
    Entry(address, doc, Role.NOTICE)
    for address, doc in (
        ("/segue/done", "address ... [#req]: a request was carried out"),
        ("/segue/fail", "address code:i slug:s message:s [#req]: a request was refused or failed"),
        ("/segue/version.reply", "name version protocol:i commit"),
        ("/segue/status.reply", "see /segue/status"),
        ("/segue/styles.item", "i name kind"),
        ("/segue/styles.end", "total"),
        ("/segue/synced", "n"),
        ("/segue/prime", "id seconds:f bpm:f name"),
        ("/segue/job", "job queued|running|window|done|failed|cancelled progress:f eta_s:f [#req]"),
        ("/segue/take", "id:i name parent seconds:f bpm:f seed:i rating:i state path"),
        ("/segue/playing", "job start|end|stopped seconds:f"),
        ("/segue/state", "starting|loading|idle|generating|streaming|restarting|failed"),
        ("/segue/error", "message: one line for people"),
    )
)

TABLE = Table(REQUESTS + NOTICES)
