from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder

from bridge.osc.wire import MalformedPacket, Message, encode_message, parse_packet

IMMEDIATE = b"\0\0\0\0\0\0\0\1"


def built(address: str, *pairs: tuple[str, object]) -> bytes:
    builder = OscMessageBuilder(address)
    for tag, value in pairs:
        builder.add_arg(value, tag)
    return builder.build().dgram


def bundle(*elements: bytes) -> bytes:
    body = b"".join(struct.pack(">i", len(element)) + element for element in elements)
    return b"#bundle\0" + IMMEDIATE + body


def test_bytes_of_the_specification_example():
    # OSC 1.0 specification, "OSC Message Examples": /foo with 1000, -1, "hello", 1.234, 5.678
    data = bytes.fromhex(
        "2f666f6f 00000000 2c696973 66660000 000003e8 ffffffff 68656c6c 6f000000 3f9df3b6 40b5b22d"
    )
    assert parse_packet(data) == [Message("/foo", "iisff", (1000, -1, "hello", 1.234, 5.678))]


def test_every_type_that_python_osc_builds_is_read():
    data = built(
        "/a",
        ("i", -5),
        ("h", 2**40),
        ("f", 0.5),
        ("d", 1e300),
        ("s", "é"),
        ("b", b"abc"),
        ("T", True),
        ("F", False),
    )
    (message,) = parse_packet(data)
    assert message.values == (-5, 2**40, 0.5, 1e300, "é", b"abc", True, False)


def test_a_float32_reads_as_the_decimal_that_was_meant():
    (message,) = parse_packet(built("/a", ("f", 0.98)))
    assert message.values == (0.98,)


def test_bundles_are_flattened_in_order():
    builder = OscBundleBuilder(IMMEDIATELY)
    for address in ("/1", "/2"):
        builder.add_content(OscMessageBuilder(address).build())
    inner = builder.build().dgram
    assert [m.address for m in parse_packet(bundle(built("/0"), inner, built("/3")))] == [
        "/0",
        "/1",
        "/2",
        "/3",
    ]


def test_a_message_without_type_tags_has_no_arguments():
    assert parse_packet(b"/abc\0\0\0\0") == [Message("/abc")]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"/a\0", id="not a multiple of four"),
        pytest.param(b"/abc", id="string without its end"),
        pytest.param(b"abc\0,\0\0\0", id="no slash"),
        pytest.param(b"/a\0\0,i\0\0", id="missing argument"),
        pytest.param(built("/a", ("i", 1)) + b"\0\0\0\0", id="bytes after the last argument"),
        pytest.param(b"/a\0\0,b\0\0" + struct.pack(">i", -4), id="negative blob"),
        pytest.param(b"/a\0\0,b\0\0" + struct.pack(">i", 2**31 - 1), id="huge blob"),
        pytest.param(b"/a\0x,\0\0\0", id="padding that is not NUL"),
        pytest.param(b"#bundle\0" + IMMEDIATE + struct.pack(">i", -4) + b"abcd", id="element of size -4"),
        pytest.param(b"#bundle\0" + IMMEDIATE + struct.pack(">i", 0), id="element of size 0"),
        pytest.param(
            b"#bundle\0" + IMMEDIATE + struct.pack(">i", 400) + b"/a\0\0", id="element longer than the packet"
        ),
        pytest.param(b"#bundle\0\0\0\0\0", id="half a time tag"),
        pytest.param(b"/a\0\0" * 20000, id="over 64 KiB"),
    ],
)
def test_malformed_packets_are_refused(data: bytes):
    with pytest.raises(MalformedPacket):
        parse_packet(data)


def test_eight_levels_of_bundles_are_read_and_nine_are_refused():
    data = built("/a")
    for _ in range(8):
        data = bundle(data)
    assert [m.address for m in parse_packet(data)] == ["/a"]
    with pytest.raises(MalformedPacket, match="nested deeper than 8"):
        parse_packet(bundle(data))


def test_fifteen_hundred_nested_bundles_do_not_recurse():
    data = built("/a")
    for _ in range(1500):
        data = bundle(data)
    assert len(data) < 65536
    with pytest.raises(MalformedPacket, match="nested deeper than 8"):
        parse_packet(data)


def test_bad_utf8_becomes_replacement_characters():
    (message,) = parse_packet(b"/a\0\0,s\0\0\xff\xfea\0")
    assert message.values == ("��a",)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"/a\0\0,c2\0\0\0\0A", "type tag '2'"),
        (b"/" + b"*" * 26 + b"\0,\0\0\0", "more than 4 wildcards"),
        (b"/" + b"a" * 300 + b"\0\0\0,\0\0\0", "longer than 256 bytes"),
        (b"/a 1\0\0\0\0,\0\0\0", "holds a space"),
    ],
)
def test_what_can_be_answered_but_not_used_says_why(data: bytes, problem: str):
    (message,) = parse_packet(data)
    assert problem in message.problem


def test_replies_are_read_by_python_osc_and_hold_i_f_s_only():
    message = OscMessage(encode_message("/segue/job", "J1", True, 0.25, 2**31 - 1))
    assert (message.address, message.params) == ("/segue/job", ["J1", 1, 0.25, 2**31 - 1])
    assert encode_message("/x", True, 0.5, "é")[4:9] == b",ifs\0"


def test_a_long_text_is_cut_so_that_a_reply_is_never_fragmented():
    data = encode_message("/segue/fail", "/segue/prime/file", 404, "no_file", "ü" * 3000)
    assert len(data) < 1400
    assert OscMessage(data).params[3].endswith("ü…")


@given(st.binary(max_size=400))
@settings(max_examples=400, deadline=500)
def test_any_bytes_are_parsed_or_refused(data: bytes):
    with contextlib.suppress(MalformedPacket):
        parse_packet(data)


@given(st.data())
@settings(max_examples=400, deadline=500)
def test_any_mutation_of_a_real_packet_is_parsed_or_refused(data: st.DataObject):
    packet = bytearray(
        bundle(built("/segue/param/seed", ("i", 7)), bundle(built("/segue/style", ("s", "house"))))
    )
    for _ in range(data.draw(st.integers(1, 6))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(
            st.sampled_from([0, 1, 4, 44, 47, 127, 128, 255])
        )
    with contextlib.suppress(MalformedPacket):
        parse_packet(bytes(packet[: data.draw(st.integers(0, len(packet)))]))


@given(
    st.lists(
        st.one_of(
            st.integers(-(2**31), 2**31 - 1),
            st.floats(width=32, allow_nan=False, allow_infinity=False),
            st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=40),
        ),
        max_size=8,
    )
)
@settings(max_examples=200, deadline=500)
def test_what_is_encoded_is_read_back(values: list[int | float | str]):
    (message,) = parse_packet(encode_message("/a/b", *values))
    assert [struct.pack(">f", v) if isinstance(v, float) else v for v in message.values] == [
        struct.pack(">f", v) if isinstance(v, float) else v for v in values
    ]
