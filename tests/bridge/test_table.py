from __future__ import annotations

import time

import pytest

from bridge.osc.addresses import DEFAULT_PORT, TABLE
from bridge.osc.table import READ, Role, bind, signature
from bridge.osc.wire import Message
from bridge.session.handlers import SUBJECTS
from engine.errors import BadArguments, OutOfRange, SegueError, UnknownAddress


def call(address: str, tags: str = "", *values: object):
    message = Message(address, tags, values)
    (entry,) = TABLE.find(message)
    return bind(entry, message)


def test_the_port_is_free_of_the_ports_of_daws():
    assert DEFAULT_PORT == 19770  # facts/daw.md, table (a)


def test_every_request_has_a_handler_and_a_line_of_documentation():
    handled = {entry: kind for subject, kind in SUBJECTS for entry in subject.ENTRIES}
    for entry in TABLE:
        assert entry.doc
        if entry.role is not Role.NOTICE and entry.handler != READ:
            assert hasattr(handled[entry], entry.handler)


def test_signatures_read_as_in_the_address_table():
    (entry,) = TABLE.find(Message("/segue/prime/file"))
    assert signature(entry.arguments) == "path:s [start_s:f] [length_s:f] [bpm:f]"


@pytest.mark.parametrize(
    ("tags", "value", "bound"),
    [("i", 7, 7), ("f", 7.0, 7), ("d", 7.0, 7), ("h", 7, 7), ("T", True, 1), ("F", False, 0)],
)
def test_numbers_are_taken_in_every_type_that_converts_without_loss(tags: str, value: object, bound: int):
    values = call("/segue/param/seed", tags, value).values
    assert values == (bound,) and type(values[0]) is int


def test_numbers_become_floats_where_floats_are_wanted():
    (value,) = call("/segue/param/bpm", "i", 120).values
    assert value == 120.0 and type(value) is float


@pytest.mark.parametrize(
    ("address", "tags", "values", "kind", "sentence"),
    [
        ("/segue/param/seed", "i", (-1,), OutOfRange, "a whole number from 0 to 2147483647, not -1"),
        ("/segue/param/seed", "f", (1.5,), BadArguments, "a whole number from 0 to 2147483647, not 1.5"),
        ("/segue/param/seed", "s", ("abc",), BadArguments, "not the text 'abc'"),
        ("/segue/param/seed", "h", (2**40,), OutOfRange, "not 1099511627776"),
        ("/segue/param/seed", "b", (b"1",), BadArguments, "not a blob"),
        ("/segue/param/seed", "N", (None,), BadArguments, "not a value of type 'N'"),
        ("/segue/param/seed", "ii", (1, 2), BadArguments, "takes 1 argument (seed), not 2"),
        ("/segue/param/temperature", "f", (float("nan"),), OutOfRange, "a number from 0.05 to 2, not nan"),
        ("/segue/param/temperature", "f", (float("inf"),), OutOfRange, "not inf"),
        ("/segue/param/temperature", "d", (1e300,), OutOfRange, "not 1e+300"),
        ("/segue/param/seconds", "f", (601.0,), OutOfRange, "a number from 0 to 600 s, not 601"),
        ("/segue/param/fidelity", "s", ("best",), OutOfRange, "one of draft, fine, full, not 'best'"),
        ("/segue/param/fidelity", "i", (2,), BadArguments, "one of draft, fine, full, not the number 2"),
        (
            "/segue/prime/file",
            "",
            (),
            BadArguments,
            "takes 1 to 4 arguments (path [start_s] [length_s] [bpm]), not 0",
        ),
        ("/segue/prime/file", "i", (3,), BadArguments, "argument 1 (path) must be a text, not the number 3"),
        ("/segue/prime/file", "s", ("x" * 5000,), OutOfRange, "at most 4096 bytes"),
        ("/segue/generate", "f", (-3.0,), OutOfRange, "a number from 0.1 to 600 s, not -3"),
        (
            "/segue/notify",
            "ii",
            (1, 70000),
            OutOfRange,
            "argument 2 (port) must be a whole number from 1 to 65535",
        ),
        ("/segue/sync", "", (), BadArguments, "takes 1 argument (n), not 0"),
        ("/segue/test", "is", (1, "x"), BadArguments, "takes 0 arguments (nothing), not 2"),
    ],
)
def test_wrong_arguments_are_named_with_the_right_ones(
    address, tags, values, kind: type[SegueError], sentence: str
):
    with pytest.raises(kind) as caught:
        call(address, tags, *values)
    assert sentence in caught.value.message and caught.value.message.startswith(address)


def test_a_request_tag_is_set_apart():
    bound = call("/segue/generate", "sf", "#7", 4.0)
    assert (bound.request_tag, bound.values) == ("#7", (4.0,))


def test_a_button_presses_and_its_release_is_ignored():
    for tag, down, up in (("i", 1, 0), ("f", 1.0, 0.0), ("T", True, False)):
        assert call("/segue/generate", tag, down).values == ()
        assert call("/segue/generate", tag if tag != "T" else "F", up) is None


def test_an_unknown_address_is_answered_with_the_nearest():
    with pytest.raises(
        UnknownAddress,
        match="nothing answers to /segue/param/temprature; the nearest address is /segue/param/temperature",
    ):
        TABLE.find(Message("/segue/param/temprature"))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/segue/param/se*", {"seconds", "seed", "seed_lock"}),
        ("/segue/param/top_?", {"top_p", "top_k"}),
        ("/segue/*/b{ars,pm}", {"bars", "bpm"}),
        ("/segue/param/[st]e*", {"temperature", "seconds", "seed", "seed_lock"}),
        ("/segue/param/[!a-s]*", {"temperature", "top_p", "top_k", "takes"}),
    ],
)
def test_patterns_reach_properties(pattern: str, found: set[str]):
    assert {entry.arguments[0].name for entry in TABLE.find(Message(pattern))} == found


@pytest.mark.parametrize(
    "pattern", ["/segue/qui*", "/segue/gen*", "/*", "/segue/param/{seed", "/segue/param/{}"]
)
def test_patterns_reach_no_verb_and_cross_no_slash(pattern: str):
    with pytest.raises(UnknownAddress):
        TABLE.find(Message(pattern))


def test_a_pattern_made_to_backtrack_is_quick():
    # 26 wildcards kept python-osc busy for over 5 s (facts/daw.md §1.2); four are the most that reach the matcher
    began = time.perf_counter()
    with pytest.raises(UnknownAddress):
        TABLE.find(Message("/segue/param/" + "*e" * 4 + "x"))
    assert time.perf_counter() - began < 0.05
