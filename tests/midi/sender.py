"""A controller in a process of its own: ``python -m tests.midi.sender COUNT SECONDS`` sends known messages, and with
a third argument that pad's note on channel 2.

It offers the JACK port ``controller:out`` and begins when something is connected to it, which it is told by a line
on its standard input.
"""

from __future__ import annotations

import sys
import time

import rtmidi


def message(number: int) -> list[int]:
    """The message of that place in the sequence: encoder steps that spell the number, seven bits at a time.

    Steps are 1..63 to the right, so that every message must do something.
    """
    return [0xBF, 28 + number % 2, 1 + number // 2 % 63]


def main() -> None:
    count, seconds = int(sys.argv[1]), float(sys.argv[2])
    pad = [0x91, int(sys.argv[3]), 100] if len(sys.argv) > 3 else None
    out = rtmidi.MidiOut(rtmidi.API_UNIX_JACK, name="controller")
    out.open_virtual_port("out")
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    for number in range(count):
        while time.perf_counter() - start < number * seconds / count:
            time.sleep(0.0005)
        out.send_message(pad or message(number))
    print("sent", flush=True)
    sys.stdin.readline()  # what is on its way must leave before the client does


if __name__ == "__main__":
    main()
