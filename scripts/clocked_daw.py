"""A DAW on a JACK server, in a process of its own: MIDI clock with jitter, a pad pressed in each bar, and an ear.

``python scripts/clocked_daw.py BPM LAUNCHES JITTER_MS SEED``. It offers ``daw:clock`` and ``ear:in``, prints "ready",
begins when it reads a line, and prints one JSON object: everything is counted in frames of the server. From bar 4 on
a pad is pressed anywhere in a bar and the stop button a beat after the next downbeat. MIDI arrives a whole block at a
time, so a message is sent in the block that begins nearest to its time.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections import deque

import jack
import numpy as np

PAD, STOP, CHANNEL = 52, 46, 15  # the first take, and silence
FIRST_BAR = 3  # in which a pad is pressed, counted from 0
EARLIEST, LATEST = 1.6, 3.7  # beats of a bar at which it is
BAR = 4
LOOKS = 5


class Daw:
    """All of it happens in the server's own thread."""

    def __init__(self, bpm: float, launches: int, jitter_ms: float, seed: int) -> None:
        # (Two clients: one that also hears Segue would be called after it, and its clock be late by that.)
        self.client = jack.Client("daw", no_start_server=True)
        self.listener = jack.Client("ear", no_start_server=True)
        self.clock = self.client.midi_outports.register("clock")
        self.ear = self.listener.inports.register("in")
        self.bpm, self.launches = bpm, launches
        self.jitter, self.random = jitter_ms / 1000 * self.client.samplerate, random.Random(seed)
        self.events: deque[tuple[float, bytes]] = deque()
        self.begin = 0.0
        self.late: list[int] = []  # frames that the machine was behind when messages were sent
        self.onsets: list[int] = []
        self.silent = True
        self.over = threading.Event()
        self.client.set_process_callback(self.send)
        self.listener.set_process_callback(self.hear)
        self.client.activate()
        self.listener.activate()

    def frame_of(self, beat: float) -> float:
        """The frame of a beat."""
        return self.begin + beat * 60 / self.bpm * self.client.samplerate

    def start(self) -> None:
        """Play from half a second ahead on."""
        self.begin = self.client.frame_time + self.client.samplerate / 2
        events = [(self.begin - 2 * self.jitter - 1, b"\xfa")]
        last = FIRST_BAR + self.launches
        for tick in range(24 * BAR * (last + 1)):
            events.append(
                (self.frame_of(tick / 24) + self.random.uniform(-self.jitter, self.jitter), b"\xf8")
            )
        for bar in range(FIRST_BAR, last):
            pressed = BAR * bar + self.random.uniform(EARLIEST, LATEST)
            for beat, note in ((pressed, PAD), (BAR * (bar + 1) + 1.0, STOP)):
                events.append((self.frame_of(beat), bytes([0x90 | CHANNEL, note, 100])))
                events.append((self.frame_of(beat + 0.1), bytes([0x80 | CHANNEL, note, 0])))
        events.append((self.frame_of(BAR * last + 3), b"\xfc"))
        self.events.extend(sorted(events))

    def reading(self) -> tuple[int, int]:
        """A frame and the moment of it, from the look that was least disturbed."""
        looks = []
        for _ in range(LOOKS):
            before, frame, after = time.monotonic_ns(), self.client.frame_time, time.monotonic_ns()
            looks.append((after - before, frame, (before + after) // 2))
        return min(looks)[1:]

    def send(self, frames: int) -> None:
        """A block of the server, before anybody has played in it."""
        now = self.client.last_frame_time
        self.clock.clear_buffer()
        if self.events and self.events[0][0] < now + frames / 2:
            self.late.append(self.client.frames_since_cycle_start)
            while self.events and self.events[0][0] < now + frames / 2:
                self.clock.write_midi_event(0, self.events.popleft()[1])
            if not self.events:
                self.over.set()

    def hear(self, _frames: int) -> None:
        """A block of the server, after Segue has played in it."""
        now, block = self.listener.last_frame_time, self.ear.get_array()
        heard = block.any()
        if heard and self.silent and self.begin:
            self.onsets.append(now + int(np.flatnonzero(block)[0]))
        self.silent = not heard


def line(seen: list[tuple[int, int]]) -> dict[str, float]:
    """The line of the server's frames through the time, and how far off it they were."""
    frames, times = np.array(seen, float).T
    first, began = frames[0], times[0]
    slope, offset = np.polyfit(frames - first, times - began, 1)
    off = np.abs(times - began - offset - slope * (frames - first)).max() / 1e6
    return {"frame": first, "ns": began + offset, "ns_a_frame": slope, "bent_ms": float(off)}


def main() -> None:
    """The command."""
    bpm, launches, jitter, seed = (float(text) for text in sys.argv[1:5])
    daw = Daw(bpm, int(launches), jitter, int(seed))
    print("ready", flush=True)
    sys.stdin.readline()
    daw.start()
    seen = []
    while not daw.over.wait(0.02):
        seen.append(daw.reading())
    bars = range(FIRST_BAR + 1, FIRST_BAR + 1 + daw.launches)
    told = {
        "downbeats": [daw.frame_of(BAR * bar) for bar in bars],
        "onsets": daw.onsets,
        "late": float(np.mean(daw.late)),
        "rate": daw.client.samplerate,
        **line(seen),
    }
    print(json.dumps(told), flush=True)
    for client in (daw.client, daw.listener):
        client.deactivate()
        client.close()


if __name__ == "__main__":
    main()
