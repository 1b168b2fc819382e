"""Two peers meet in a network of their own (``unshare -rn``) that has nothing but a loopback: prints what was seen.

The bridge's Link is in this process, the other peer in another. Run by test_link_peers.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from bridge.clock.link import LinkTransport
from bridge.osc.endpoint import OscEndpoint
from bridge.osc.subscribers import Subscribers
from bridge.session.notices import Notices
from bridge.session.properties import Properties
from bridge.session.transport import MusicalTime
from presets import Quantum

RATE = 44_100
PATIENCE = 20.0


class Peer:
    def __init__(self, bpm: float) -> None:
        command = [sys.executable, "-m", "tests.clock.link_peer", str(bpm)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def ask(self, line: str) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        told: dict[str, Any] = json.loads(self.process.stdout.readline())
        return told

    def phase(self, at_ns: int) -> float:
        return float(self.ask(f"look {at_ns}")["phase"])


def until(condition: Callable[[], object]) -> bool:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def apart(one: float, other: float) -> float:
    """Beats between two phases of a bar of four."""
    return (one - other + 2.0) % 4.0 - 2.0


def transports(peer: Peer) -> dict[str, object]:
    """Tempo both ways, phase, start and stop."""
    ours = LinkTransport(bpm=140.0, start_stop=True)
    seen: dict[str, object] = {"met": until(lambda: ours.peers == 1)}
    peer.ask("tempo 93.5")
    bpm = lambda: ours.state(time.monotonic_ns()).timeline.bpm  # type: ignore[union-attr]  # noqa: E731
    seen["tempo_followed"] = until(lambda: abs(bpm() - 93.5) < 0.01)
    ours.set_tempo(120.0)
    seen["tempo_told"] = until(lambda: abs(peer.ask("look")["tempo"] - 120.0) < 0.01)
    beats = []
    for _ in range(20):
        now = time.monotonic_ns()
        line = ours.state(now).timeline
        assert line is not None
        beats.append(apart(float(line.beat_at(now)) % 4.0, peer.phase(now)))
        time.sleep(0.05)
    seen["phase_apart_ms"] = max(map(abs, beats)) * 500.0
    seen["stands"] = not ours.state(time.monotonic_ns()).playing
    peer.ask("play")
    seen["started"] = until(lambda: ours.state(time.monotonic_ns()).playing)
    peer.ask("stop")
    seen["stopped"] = until(lambda: not ours.state(time.monotonic_ns()).playing)
    ours.close()
    seen["left"] = until(lambda: peer.ask("look")["peers"] == 0)
    return seen


async def launch(peer: Peer) -> dict[str, object]:
    """A session that follows Link: the next bar of its stream is a downbeat of the other peer's."""
    endpoint = OscEndpoint(lambda _messages, _peer: None)
    notices = Notices(endpoint, Subscribers())
    clock = MusicalTime(notices, Properties(notices), lambda _text: None)
    peer.ask("tempo 96")  # a session that is alone has 120
    clock.follow("link")
    seen: dict[str, object] = {"session_follows": until(lambda: abs((clock.bpm or 0) - 96.0) < 0.01)}
    began = time.monotonic_ns() - 4_000_000_000
    for block in range(40):
        clock.output_heard(RATE, RATE // 10 * block, began + block * 100_000_000)
    place = clock.launch(Quantum())
    assert place is not None
    heard_ns = began + round(place.frame * 1e9 / RATE)
    seen["ahead_ms"] = (heard_ns - time.monotonic_ns()) / 1e6
    seen["downbeat_apart_ms"] = abs(apart(peer.phase(heard_ns), 0.0)) * 625.0
    clock.close()
    return seen


def main() -> None:
    peer = Peer(100.0)
    try:
        seen = transports(peer)
        print(json.dumps(seen | asyncio.run(launch(peer))), flush=True)
    finally:
        peer.process.kill()


if __name__ == "__main__":
    main()
