"""A DAW on a JACK server, in a process of its own: MIDI clock with jitter, a pad that is pressed, and a recorder.

``python -m tests.session.daw BPM PAD_BEAT NOTE JITTER_MS SEED``. It offers ``daw:clock`` and ``daw:in``, prints
"ready", begins when it reads a line, and prints one JSON object when something was heard: everything is counted in
frames of the server. MIDI arrives a whole block at a time, so a message is sent in the block that begins nearest to
its time. A machine that is busy runs its blocks late, and so all of the clock is: "late" says by how much.
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


class Daw:
    def __init__(self, bpm: float, pad_beat: float, note: int, jitter_ms: float, seed: int) -> None:
        self.client = jack.Client("daw", no_start_server=True)
        self.clock = self.client.midi_outports.register("clock")
        self.heard = self.client.inports.register("in")
        self.bpm, self.pad_beat, self.note = bpm, pad_beat, note
        self.jitter, self.random = jitter_ms / 1000 * self.client.samplerate, random.Random(seed)
        self.events: deque[tuple[float, bytes]] = deque()
        self.begin = 0.0
        self.late: list[int] = []  # frames that the machine was behind when ticks were sent
        self.first: int | None = None
        self.found = threading.Event()
        self.client.set_process_callback(self.process)
        self.client.activate()

    def frame_of(self, beat: float) -> float:
        return self.begin + beat * 60 / self.bpm * self.client.samplerate

    def start(self, beats: int) -> None:
        """Play from half a second ahead on."""
        begin = self.client.frame_time + self.client.samplerate / 2
        self.begin = begin
        ticks = []
        for tick in range(24 * beats):
            late = self.random.uniform(-self.jitter, self.jitter)
            ticks.append((self.frame_of(tick / 24) + late, b"\xf8"))
        ticks.append((begin - 2 * self.jitter - 1, b"\xfa"))
        ticks.append((self.frame_of(self.pad_beat), bytes([0x9F, self.note, 100])))
        self.events.extend(sorted(ticks))

    def process(self, frames: int) -> None:
        now = self.client.last_frame_time
        self.clock.clear_buffer()
        if self.events and self.events[0][0] < now + frames / 2 and self.first is None:
            self.late.append(self.client.frames_since_cycle_start)
        while self.events and self.events[0][0] < now + frames / 2:
            self.clock.write_midi_event(0, self.events.popleft()[1])
        block = self.heard.get_array()
        if self.first is None and block.any() and self.begin:
            self.first = now + int(np.flatnonzero(block)[0])
            self.found.set()


def bend(seen: list[tuple[int, int]]) -> float:
    """How far, in ms, the server's frames were off a line through the time: a busy server loses some."""
    frames, times = np.array(seen, float).T
    frames, times = frames - frames[0], times - times[0]
    return float(np.abs(times - np.polyval(np.polyfit(frames, times, 1), frames)).max() / 1e6)


def main() -> None:
    bpm, pad_beat, note, jitter, seed = (float(text) for text in sys.argv[1:6])
    daw = Daw(bpm, pad_beat, int(note), jitter, int(seed))
    print("ready", flush=True)
    sys.stdin.readline()
    daw.start(beats=40)
    seen = []
    while not daw.found.wait(0.02) and len(seen) < 3_000:
        before, frame = time.monotonic_ns(), daw.client.frame_time
        seen.append((frame, (before + time.monotonic_ns()) // 2))
    told = {
        "begin": daw.begin,
        "first": daw.first,
        "bent_ms": bend(seen),
        "late": float(np.mean(daw.late)),
        "rate": daw.client.samplerate,
    }
    print(json.dumps(told), flush=True)
    daw.client.deactivate()
    daw.client.close()


if __name__ == "__main__":
    main()
