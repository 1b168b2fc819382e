"""Hostile OSC packets without end: valid ones of every address, the same with wrong arguments, and mutated bytes."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Iterator

from bridge.osc.addresses import TABLE
from bridge.osc.table import Argument, Entry, Kind, Role

LEFT_OUT = ("quit", "debug/pauses")  # the end, and what the run is measured with
# What these do to the music is right: another take, another style, silence.
STEERING = tuple(
    [
        "/panic",
        "/cancel",
        "/take/",
        "/audio/",
        "/model",
        "/gain",
        "/mix",
        "/style",
        "/undo",
        "/redo",
        "/generate",
        "/continue",
        "/retry",
        "/upsample",
        "/infill",
        "/transport",
        "/sync",
        "/tempo",
        "/quantum",
        "/signature",
        "/song",
        "/prime/clear",
        "/prime/take",
        "/prime/capture",
    ]
)
MOST_BYTES = 8_000
POOL = 6_000
TAGS = "ifsbhdtcrmTFNISi[]x2\xff"
NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    0.5,
    120.0,
    1e9,
    -1e9,
    2**31 - 1,
    2**31,
    2**63 - 1,
    1e300,
    math.nan,
    math.inf,
    -math.inf,
)


def string(raw: bytes) -> bytes:
    """A padded OSC string."""
    return raw + bytes(4 - len(raw) % 4)


def argument(tag: str, value: object, rng: random.Random) -> bytes:
    """The bytes of one argument; whatever does not fit its tag is made to."""
    if tag in "sS":
        return string(str(value).encode("utf-8", "surrogatepass"))
    number = value if isinstance(value, int | float) else 0
    if tag == "i":
        return struct.pack(">I", int(number) & 0xFFFFFFFF if math.isfinite(number) else 7)
    if tag in "ht":
        return struct.pack(">Q", int(number) & (2**64 - 1) if math.isfinite(number) else 7)
    if tag == "f":
        return struct.pack(">f", number if not math.isfinite(number) or abs(number) < 3e38 else 3e38)
    if tag == "d":
        return struct.pack(">d", number)
    if tag == "b":
        size = rng.choice((0, 1, 4, 1000, -4, 2**31 - 1))
        return struct.pack(">i", size) + bytes(min(max(size, 0), 1000))
    return bytes(4) if tag in "crm" else b""


class Hostile:
    """Packets from a seed; ``texts`` are used for texts besides those that are always used.

    None holds a word of ``left_out``.
    """

    def __init__(self, seed: int, texts: list[str], left_out: tuple[str, ...] = LEFT_OUT) -> None:
        self._rng = random.Random(seed)
        self._texts = [
            *texts,
            "",
            "house",
            "house:0.7+lofi:0.3",
            "A01",
            "#7",
            "x" * 3_000,
            "/dev/null",
            "../../x",
            "\0",
            "ü€𝄞",
            "%s%n{}",
            "-1",
            "nan",
        ]
        self._entries = [entry for entry in TABLE if not any(word in entry.address for word in left_out)]
        self._left_out = [word.encode() for word in left_out]
        asked = [entry for entry in self._entries if entry.role is not Role.NOTICE]
        self._asked = asked
        self._pool = [self._message(entry) for entry in asked]  # every address at least once
        self._pool += [self._message(self._rng.choice(self._entries)) for _ in range(POOL - len(asked))]

    def __iter__(self) -> Iterator[bytes]:
        while True:
            packet = self._packet()
            if not any(word in packet for word in self._left_out):
                yield packet[:MOST_BYTES]

    def _packet(self) -> bytes:
        rng = self._rng
        draw = rng.random()
        if draw < 0.25:
            return rng.choice(self._pool)
        if draw < 0.70:
            return self._mutated(rng.choice(self._pool))
        if draw < 0.85:
            return self._mutated(self._bundle(depth=0), 0.5)
        return rng.choice((self._deep, self._wild, self._noise, self._many, self._sizes))()

    # -- whole messages ------------------------------------------------------------------------------------

    def _message(self, entry: Entry) -> bytes:
        rng = self._rng
        address = entry.address
        if entry.id_in_path and rng.random() < 0.4:
            head, _, tail = address.rpartition("/")
            address = f"{head}/{rng.choice(('1', '2', 'A01', '0', '99999999999', 'x'))}/{tail}"
        pairs = [self._pair(wanted) for wanted in entry.arguments]
        draw = rng.random()
        if draw < 0.1 and pairs:
            pairs.pop()
        elif draw < 0.2:
            pairs.append((rng.choice("ifsTN"), rng.choice(NUMBERS)))
        elif draw < 0.3:
            pairs = [(rng.choice(TAGS), rng.choice(NUMBERS)) for _ in range(rng.randrange(6))]
        if rng.random() < 0.1:
            pairs.insert(0, ("s", "#tag"))
        tags = "," + "".join(tag for tag, _ in pairs)
        body = b"".join(argument(tag, value, rng) for tag, value in pairs)
        return string(address.encode()) + string(tags.encode("latin-1")) + body

    def _pair(self, wanted: Argument) -> tuple[str, object]:
        rng = self._rng
        if wanted.kind is Kind.TEXT:
            return "s", rng.choice([*wanted.choices, *self._texts] if wanted.choices else self._texts)
        if rng.random() < 0.3:
            return rng.choice("ifhd"), rng.choice(NUMBERS)
        low, high = max(wanted.low, -1e6), min(wanted.high, 1e6)
        if wanted.kind is Kind.WHOLE:
            return rng.choice("if"), rng.randint(int(low), int(high))
        return "f", rng.uniform(low, high)

    # -- what is done to them ------------------------------------------------------------------------------

    def _mutated(self, packet: bytes, how_often: float = 1.0) -> bytes:
        rng = self._rng
        if not packet or rng.random() > how_often:
            return packet
        data = bytearray(packet)
        for _ in range(rng.randrange(1, 5)):
            draw, at = rng.random(), rng.randrange(len(data))
            if draw < 0.5:
                data[at] = rng.randrange(256)
            elif draw < 0.65:
                data[at] = rng.choice(b"/*?[{,\0\xc0\xdb#:")
            elif draw < 0.8 and len(data) > 8:
                del data[at : at + rng.choice((1, 2, 4, 8))]
            elif draw < 0.9:
                data[at:at] = bytes(rng.choice((1, 3, 4, 8)))
            else:
                data = data[: max(1, at)]
            if not data:
                return b"\0"
        return bytes(data)

    def _bundle(self, depth: int) -> bytes:
        rng = self._rng
        tag = rng.choice((1, 1, 0, 2**64 - 1, rng.getrandbits(64), 0xEE00000000000000))
        elements = [
            self._bundle(depth + 1) if depth < 3 and rng.random() < 0.2 else rng.choice(self._pool)[:1_000]
            for _ in range(rng.randrange(6))
        ]
        body = b"".join(struct.pack(">i", len(element)) + element for element in elements)
        return b"#bundle\0" + struct.pack(">Q", tag) + body

    def _deep(self) -> bytes:
        packet = self._rng.choice(self._pool)[:200]
        for _ in range(self._rng.choice((7, 8, 9, 200))):
            packet = b"#bundle\0" + bytes(7) + b"\1" + struct.pack(">i", len(packet)) + packet
        return packet

    def _wild(self) -> bytes:
        rng = self._rng
        parts = [
            "*",
            "?",
            "[a-z]",
            "[!x]",
            "{a,b,se*}",
            "param",
            "se",
            "",
            "//",
            "{" + "a," * 40 + "}",
            "[",
            "{",
        ]
        address = "/segue" + "".join(
            "/" + rng.choice(parts) + rng.choice(parts) for _ in range(rng.randrange(4))
        )
        return string(address.encode()) + string(rng.choice((b",", b",i\0\0\0\0\0\1"[:2], b",f")))

    def _noise(self) -> bytes:
        return self._rng.randbytes(self._rng.randrange(1, 200))

    def _many(self) -> bytes:
        """One request as often as a packet holds it."""
        rng = self._rng
        element = rng.choice(self._pool)
        count = min(rng.choice((20, 255, 256, 300)), MOST_BYTES // (len(element) + 4))
        return b"#bundle\0" + bytes(7) + b"\1" + (struct.pack(">i", len(element)) + element) * count

    def _sizes(self) -> bytes:
        size = self._rng.choice((-4, 0, 3, 2**31 - 1, -(2**31)))
        return b"#bundle\0" + bytes(7) + b"\1" + struct.pack(">i", size) + self._rng.choice(self._pool)[:100]
