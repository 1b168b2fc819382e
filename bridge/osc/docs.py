"""The address table as a page: every address with what it takes, answers and does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import ModuleType

from bridge.osc import addresses
from bridge.osc.table import TWIN, Argument, Entry, Role, Table, signature
from bridge.osc.timing import MOST_AHEAD_SECONDS
from bridge.osc.wire import MAX_PACKET_BYTES, MAX_STREAM_PACKET_BYTES

SIGNS = {Role.PROPERTY: "property", Role.READOUT: "read only", Role.VERB: "", Role.NOTICE: "told"}

HEAD = f"""# OSC addresses

Written by `segue osc docs --out bridge/osc/ADDRESSES.md` from the table that the bridge itself uses. Do not edit.

Segue listens on port {addresses.DEFAULT_PORT}, by UDP and by TCP (a count of 32 bits before each packet as in OSC
1.0, or SLIP as in OSC 1.1; the first byte tells which). An answer goes back to where the request came from. A packet
has at most {MAX_PACKET_BYTES // 1024} KiB by UDP and {MAX_STREAM_PACKET_BYTES >> 20} MiB by TCP.

* Arguments: `name:i` a whole number, `name:f` a number, `name:s` a text; `[...]` may be left out. Numbers are taken as
  i, f, d, h, T or F where they convert without loss.
* A **property** is set with its argument and read without; either way it answers on its own address, and everybody
  who subscribed hears a change. **read only**: read without arguments, heard when it changes. **told**: only Segue
  sends it.
* A request that begins with a text `#something` has that text as the last argument of its `/segue/done`,
  `/segue/fail` and job notices.
* **button**: a lone 1 is a press, a lone 0 (its release) is ignored. **id**: the first argument may be a part of the
  address, the last or the one before the last: `/segue/take/3/play` is `/segue/take/play 3`.
* **timed**: in a bundle with a time tag ahead, the whole bundle waits for it, at most {MOST_AHEAD_SECONDS:.0f} s; a
  tag that has passed is carried out at once and answered by `/segue/late`. The messages of one bundle are applied
  together, those that start a job last.
* **local**: from this machine only. **on demand**: for those only who sent `/segue/listen`.
* Patterns (`? * [a-z] [!a-z] {{one,other}}`, and `//` across parts) reach properties, never a verb.
* OSCQuery (HTTP and WebSocket, `segue serve --query-port`) serves the same table as a tree.
"""


def page(subjects: Iterable[ModuleType], table: Table) -> str:
    """The whole page in Markdown: a section for each module of addresses; ``table`` has their twins."""
    parts = [HEAD]
    for subject in subjects:
        entries = list(subject.ENTRIES)
        entries += [
            twin
            for entry in subject.ENTRIES
            if entry.twin and (twin := table.get(entry.address + TWIN)) is not None
        ]
        parts.append(_section(_title(subject), entries))
    return "\n".join(parts)


def _title(subject: ModuleType) -> str:
    """The first sentence of a module's description, without its full stop."""
    return (subject.__doc__ or "").partition("\n")[0].rstrip(".")


def _section(title: str, entries: Sequence[Entry]) -> str:
    rows = [
        f"| `{entry.address}` | {_takes(entry)} | {_kind(entry)} | {_cell(entry.doc)} |" for entry in entries
    ]
    head = ["| address | takes | | |", "|---|---|---|---|"]
    return "\n".join([f"## {title}", "", *head, *rows, ""])


def _takes(entry: Entry) -> str:
    if not entry.arguments:
        return ""
    limits = [_limits(argument) for argument in entry.arguments if _is_limited(argument)]
    told = f"`{signature(entry.arguments)}`"
    return _cell(f"{told}<br>{'; '.join(limits)}" if limits else told)


def _is_limited(argument: Argument) -> bool:
    return bool(argument.choices) or argument.low > -1e9 or argument.high < 1e9


def _limits(argument: Argument) -> str:
    for noun in ("a whole number from ", "a number from ", "one of "):
        if argument.expected.startswith(noun):
            return f"{argument.name}: {argument.expected.removeprefix(noun)}"
    return f"{argument.name}: {argument.expected}"


def _kind(entry: Entry) -> str:
    kinds = [SIGNS[entry.role]]
    kinds += [
        word
        for word, is_so in (
            ("button", entry.press),
            ("id", entry.id_in_path),
            ("timed", entry.timed),
            ("local", entry.local_only),
            ("on demand", entry.opt_in),
        )
        if is_so
    ]
    return ", ".join(kind for kind in kinds if kind)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
