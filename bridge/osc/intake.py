"""What becomes of every packet, however it came: counted, shown if wished, parsed, and handed on."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from bridge.osc.peer import Peer
from bridge.osc.wire import MAX_PACKET_BYTES, MalformedPacket, Message, parse_packet

log = logging.getLogger("segue.osc")
dump_log = logging.getLogger("segue.osc.dump")

LOG_INTERVAL_SECONDS = 5.0
MOST_DUMPED_PER_SECOND = 20
MOST_DUMPED_MESSAGES = 8
MOST_DUMPED_BYTES = 128

PacketHandler = Callable[[list[Message], Peer], None]


class Intake:
    """Parses packets and counts them; ``received`` and ``malformed`` since the start.

    ``dump``: 0 nothing, 1 messages, 2 bytes, 3 both of every packet go to the log (at most 20 a second).
    """

    def __init__(self, on_packet: PacketHandler) -> None:
        self.received = 0
        self.malformed = 0
        self.dump = 0
        self._on_packet = on_packet
        self._logged_at = -LOG_INTERVAL_SECONDS
        self._logged_count = 0
        self._dump_second = 0
        self._dumped = 0

    def take(self, data: bytes, peer: Peer, limit: int = MAX_PACKET_BYTES) -> bool:
        """One packet of a peer, of at most ``limit`` bytes; False when it is not OSC."""
        self.received += 1
        try:
            messages = parse_packet(data, limit)
        except MalformedPacket as problem:
            self.refuse(peer, problem)
            if self.dump & 2:
                self._dump(data, [], peer)
            return False
        if self.dump:
            self._dump(data, messages, peer)
        self._on_packet(messages, peer)
        return True

    def refuse(self, peer: Peer, problem: MalformedPacket) -> None:
        """Count what is not OSC, and say so now and then."""
        self.malformed += 1
        now = time.monotonic()
        if now - self._logged_at >= LOG_INTERVAL_SECONDS:
            count = self.malformed - self._logged_count
            # (As texts: a record that is kept must not keep a connection.)
            last = (str(peer), str(problem))
            log.warning("%d packet(s) dropped that are not OSC; the last from %s: %s", count, *last)
            self._logged_at, self._logged_count = now, self.malformed

    def _dump(self, data: bytes, messages: list[Message], peer: Peer) -> None:
        second = int(time.monotonic())
        if second != self._dump_second:
            self._dump_second, self._dumped = second, 0
        self._dumped += 1
        if self._dumped > MOST_DUMPED_PER_SECOND:
            return
        shown = []
        if self.dump & 1:
            for message in messages[:MOST_DUMPED_MESSAGES]:
                values = ", ".join(repr(value)[:80] for value in message.values[:16])
                shown.append(f"{message.address} ,{message.tags[:32]} {values}")
        if self.dump & 2:
            more = " …" if len(data) > MOST_DUMPED_BYTES else ""
            shown.append(f"{len(data)} bytes: {data[:MOST_DUMPED_BYTES].hex(' ', 4)}{more}")
        dump_log.info("%s %s", peer, "; ".join(shown))
