"""A client of a JACK server with one output. Run by ``tests.rig.jack.Feeder`` as a process of its own: libjack does not
bear several clients that come and go in one process, and a client whose server was killed hangs.

Arguments: server, name. For each path of a ``.npy`` (float32, shape [frames]) on the standard input it waits until
somebody listens, plays it, and writes ``done``.
"""

from __future__ import annotations

import os
import sys
import time

import jack
import numpy as np


class Playing:
    """What the process callback gives away: silence, and once ``audio``."""

    def __init__(self, server: str, name: str) -> None:
        self.audio = np.zeros(0, np.float32)
        self.client = jack.Client(name, no_start_server=True, servername=server)
        self.port = self.client.outports.register("out")
        self.client.set_process_callback(self._process)
        self.client.activate()

    def _process(self, frames: int) -> None:
        block, audio = self.port.get_array(), self.audio
        part = audio[:frames]
        block[: len(part)] = part
        block[len(part) :] = 0
        self.audio = audio[len(part) :]


def main() -> None:
    """Play what the standard input names."""
    playing = Playing(*sys.argv[1:])
    print("ready", flush=True)
    for line in sys.stdin:
        while not playing.port.connections:
            time.sleep(0.01)
        playing.audio = np.load(line.strip())
        while len(playing.audio):
            time.sleep(0.01)
        print("done", flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
