"""Another program in an Ableton Link session: ``python -m tests.clock.link_peer BPM``.

It joins, prints "ready", and obeys lines on its standard input: ``tempo BPM``, ``play``, ``stop``, ``look [NS]`` (of
the monotonic clock). Each is answered by a line of JSON: peers, tempo, the phase of a bar of four beats (then, or
now), and whether it plays. It uses the package alone, and nothing of the bridge.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from link import Link


def offset_us(link: Any) -> int:
    """Link's clock minus the monotonic one, from the look that was least disturbed."""
    looks = []
    for _ in range(9):
        before, there, after = time.monotonic_ns(), link.clock().micros(), time.monotonic_ns()
        looks.append((after - before, there - (before + after) // 2000))
    return min(looks)[1]


def main() -> None:
    link = Link(float(sys.argv[1]))
    link.startStopSyncEnabled = True
    link.enabled = True
    print("ready", flush=True)
    for line in sys.stdin:
        what, *values = line.split()
        now = link.clock().micros()
        session = link.captureSessionState()
        if what == "tempo":
            session.setTempo(float(values[0]), now)
        elif what in ("play", "stop"):
            session.setIsPlaying(what == "play", now)
        if what != "look":
            link.commitSessionState(session)
        at = int(values[0]) // 1000 + offset_us(link) if what == "look" and values else now
        told = {
            "peers": link.numPeers(),
            "tempo": session.tempo(),
            "phase": session.phaseAtTime(at, 4.0),
            "playing": bool(session.isPlaying()),
        }
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
