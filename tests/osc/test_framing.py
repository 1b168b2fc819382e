from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc import slip

from bridge.osc.framing import SizePrefix, Slip, detect
from bridge.osc.wire import MalformedPacket


def taken(framing: SizePrefix | Slip, data: bytes, cuts: list[int]) -> list[bytes]:
    """All packets of a stream that arrives in pieces."""
    received, found = bytearray(), []
    edges = [0, *sorted(cuts), len(data)]
    for start, stop in itertools.pairwise(edges):
        received += data[start:stop]
        while (packet := framing.next(received)) is not None:
            found.append(packet)
    assert received == b""
    return found


packets = st.lists(
    st.binary(min_size=1, max_size=60).map(lambda raw: raw + bytes(-len(raw) % 4)), min_size=1, max_size=6
)
cuts = st.lists(st.integers(0, 200), max_size=8)


@given(packets, cuts)
def test_counted_packets_come_out_whole_however_they_were_cut(sent: list[bytes], where: list[int]):
    data = b"".join(struct.pack(">i", len(packet)) + packet for packet in sent)
    assert taken(SizePrefix(), data, [min(cut, len(data)) for cut in where]) == sent


@given(packets, cuts, st.booleans())
def test_slip_as_python_osc_writes_it_is_read(sent: list[bytes], where: list[int], single: bool):
    framed = [slip.encode(packet) for packet in sent]
    data = b"".join(frame.lstrip(b"\xc0") if single else frame for frame in framed)
    assert taken(Slip(), data, [min(cut, len(data)) for cut in where]) == sent


@given(packets)
def test_python_osc_reads_our_slip(sent: list[bytes]):
    assert [slip.decode(Slip().wrap(packet)) for packet in sent] == sent


def test_bytes_of_rfc_1055():
    assert Slip().wrap(b"a\xc0b\xdbc") == b"\xc0a\xdb\xdcb\xdb\xddc\xc0"


@pytest.mark.parametrize(
    ("first", "kind"), [(0, SizePrefix), (0xC0, Slip), (ord("/"), Slip), (ord("#"), Slip)]
)
def test_the_first_byte_tells_the_framing(first: int, kind: type):
    assert isinstance(detect(first), kind)


@pytest.mark.parametrize("first", [b"G", b"\xff", b"\x7f", b"\x01"])
def test_other_streams_are_refused(first: bytes):
    with pytest.raises(MalformedPacket, match="is not OSC"):
        detect(first[0])


@pytest.mark.parametrize("size", [-4, 0, 2, (1 << 20) + 4, 2**31 - 1])
def test_counts_that_cannot_be_are_refused(size: int):
    with pytest.raises(MalformedPacket, match=f"a packet of {size} bytes"):
        SizePrefix().next(bytearray(struct.pack(">i", size)))


def test_a_slip_packet_without_end_is_not_kept_for_ever():
    with pytest.raises(MalformedPacket, match="without an END"):
        Slip().next(bytearray(b"/" * (2 * (1 << 20) + 1)))


def test_an_escape_that_is_none_is_refused():
    with pytest.raises(MalformedPacket, match="the escape 41 is not SLIP's"):
        Slip().next(bytearray(b"\xc0/a\xdbA\xc0"))
