"""Both hands on a controller, in a process of its own: ``python -m tests.session.hands COUNT MESSAGES_A_SECOND``.

It offers the JACK port ``hands:out``, prints "ready", begins when it reads a line, and prints "sent".
"""

from __future__ import annotations

import sys
import time

import rtmidi

MIX, GAIN, FIRST_PAD, PADS = 25, 26, 36, 8  # as the map of the README has them
OF_EIGHT = ("mix", "gain", "mix", "on", "mix", "gain", "mix", "off")


def triangle(step: int) -> int:
    """Down from 127 to 0 and up again, a step at a time: no two neighbours are alike."""
    place = step % 254
    return 127 - place if place < 127 else place - 127


def messages(count: int) -> list[list[int]]:
    """What is sent: two knobs that are turned without a rest, and pads 1 to 8 one after the other."""
    found, turns, presses = [], {"mix": 0, "gain": 0}, 0
    for number in range(count):
        what = OF_EIGHT[number % 8]
        if what in turns:
            found.append([0xBF, MIX if what == "mix" else GAIN, triangle(turns[what])])
            turns[what] += 1
        else:
            note = FIRST_PAD + presses % PADS
            found.append([0x9F, note, 100] if what == "on" else [0x8F, note, 0])
            presses += what == "off"
    return found


def main() -> None:
    count, rate = int(sys.argv[1]), float(sys.argv[2])
    out = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name="hands")
    out.open_virtual_port("out")
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    for number, message in enumerate(messages(count)):
        while time.perf_counter() - start < number / rate:
            time.sleep(0.0003)
        out.send_message(message)
    print(f"sent {time.perf_counter() - start:.3f}", flush=True)
    sys.stdin.readline()  # what is on its way must leave before the client does


if __name__ == "__main__":
    main()
