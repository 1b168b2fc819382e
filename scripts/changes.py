"""Does music that changes its style all the time break off? `segue serve` plays into a sound server without hardware.

usage: scripts/changes [--minutes 60] [--bars 8] [--bpm 128] [--mock] [--model M] [--json] [--out FOLDER]

The song runs on the internal clock. Every 8 bars another factory preset is chosen, two bars ahead of the end of what
plays; the take in the new style takes over at the next bar. The sound server asks for 512 frames at a time, in real
time, and another client of it notes when sound was heard. `--mock` takes the place of the model with test tones.

Counted are: changes asked for and heard, and how long after the asking; times that playback ran dry and blocks that
the device called late, from the first sound on; the longest time without sound; memory of each process. Ends with
status 1 if playback ran dry, a change was not heard, or sound was away for more than a tenth of a second.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from served import Client, Serve
from soak import Moment, growth
from sound_server import Server

from presets import default_riff, factory_presets

LONGEST_SILENCE = 0.1
SPARE_BARS = 2  # a take lasts so much longer than the time to the next change
BEATS = 4
LOOK_SECONDS = 5.0
PATIENCE_SECONDS = 120.0


@dataclass
class Figures:
    """What happened, from the first sound on; times in seconds."""

    asked: int = 0
    heard: int = 0
    delays: list[float] = field(default_factory=list)
    dry: int = 0
    late: int = 0
    longest_silence: float = 0.0
    told: list[str] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    began: float = 0.0


class Changes:
    """Plays one take into the other, another preset each time."""

    def __init__(self, serve: Serve, client: Client, server: Server, bars: int, bpm: float) -> None:
        self.figures = Figures()
        self._serve, self._client, self._server = serve, client, server
        self._bars, self._period = bars, bars * BEATS * 60 / bpm
        self._bpm = bpm
        self._presets = [preset.name for preset in factory_presets().values()]
        self._sounding = ""
        self._asked_at: float | None = None
        self._xruns: tuple[int, int] | None = None
        self._last_sound = 0

    def begin(self) -> None:
        """The clock, the riff, and the first take."""
        send = self._client.send
        send("/segue/notify", 1)
        send("/segue/sync/source", "internal")
        send("/segue/tempo", float(self._bpm))
        send("/segue/transport/start")
        send("/segue/prime/file", str(default_riff()))
        self._until(lambda a, v: a == "/segue/done" and v[0] == "/segue/prime/file", "the riff was not read")
        self._choose()
        send("/segue/generate")
        self._until(lambda a, v: a == "/segue/sounding" and v[1] == "start", "nothing was heard")
        send("/segue/audio/xruns")
        self._until(lambda a, v: a == "/segue/audio/xruns", "the figures did not come")
        self.figures.dry = self.figures.late = 0
        self.figures.began = time.monotonic()
        self._asked_at = None

    def run(self, seconds: float, progress: Any) -> None:
        """So long from the first sound on."""
        began, looked = self.figures.began, 0.0
        changed = began
        while (now := time.monotonic()) - began < seconds:
            if now - changed >= self._period:
                changed += self._period
                self._choose()
                self._asked_at = now
                self.figures.asked += 1
            self._take(self._client.hear(0.05))
            self._listen()
            if now - looked >= LOOK_SECONDS:
                looked = now
                self._look(now - began)
                progress(now - began)
            if self._serve.process.poll() is not None:
                raise SystemExit("segue: the session ended by itself; see its log")

    def _choose(self) -> None:
        """The next preset, for longer than until the one after it."""
        name = self._presets[self.figures.asked % len(self._presets)]
        self._client.send_together(
            ("/segue/style", name),
            ("/segue/param/bars", float(self._bars + SPARE_BARS)),
            ("/segue/quantum/bars", 1.0),
            ("/segue/param/fidelity", "full"),
        )

    def _until(self, found: Any, problem: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            heard = self._client.hear(1.0)
            self._take(heard)
            if heard is not None and found(*heard):
                return
        raise SystemExit(f"segue: {problem} within {PATIENCE_SECONDS:.0f} s: {self.figures.told}")

    def _take(self, heard: tuple[str, list[Any]] | None) -> None:
        if heard is None:
            return
        address, values = heard
        figures = self.figures
        if address == "/segue/sounding" and values[1] == "start":
            if self._asked_at is not None:
                figures.heard += 1
                figures.delays.append(time.monotonic() - self._asked_at)
                self._asked_at = None
        elif address == "/segue/audio/xruns":
            dry, late = values
            if self._xruns is not None:
                figures.dry += dry - self._xruns[0]
                figures.late += late - self._xruns[1]
            self._xruns = (dry, late)
        elif address in ("/segue/fail", "/segue/error"):
            figures.told.append(" ".join(map(str, values)))

    def _listen(self) -> None:
        """How long nothing has been heard."""
        heard = self._server.heard()
        silence = (time.monotonic_ns() - max(heard, round(self.figures.began * 1e9))) / 1e9
        self.figures.longest_silence = max(self.figures.longest_silence, silence)

    def _look(self, seconds: float) -> None:
        figures = self.figures
        figures.moments.append(Moment(seconds, self._serve.memory(), 0.0, figures.dry, figures.late))


def report(figures: Figures, out: Path, as_json: bool) -> int:
    """Prints and files the figures; the exit status."""
    told = {
        **asdict(figures),
        "delay_median": statistics.median(figures.delays) if figures.delays else None,
        "delay_longest": max(figures.delays, default=None),
        "memory_growth": growth(figures.moments),
    }
    (out / "changes.json").write_text(json.dumps(told, indent=1) + "\n")
    if as_json:
        print(json.dumps(told, indent=1))
    else:
        ratio = told["memory_growth"]
        Console().print(
            f"{figures.heard} of {figures.asked} changes heard, {told['delay_median'] or 0:.2f} s after the asking "
            f"(longest {told['delay_longest'] or 0:.2f} s); {figures.dry} times dry, {figures.late} late blocks, "
            f"longest silence {figures.longest_silence:.3f} s, memory "
            f"{'not compared' if ratio is None else f'{ratio:.3f} times that after the first minute'}"
        )
        for sentence in dict.fromkeys(figures.told):
            Console().print(f"told: {sentence}")
    missed = figures.asked - figures.heard > 1  # the last one may still be on its way
    return int(bool(figures.dry) or missed or figures.longest_silence > LONGEST_SILENCE)


def main() -> int:
    """The command; returns its exit status."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--minutes", type=float, default=60.0)
    options.add_argument("--bars", type=int, default=8, help="between two changes")
    options.add_argument("--bpm", type=float, default=128.0)
    options.add_argument("--mock", action="store_true", help="test tones in place of a model")
    options.add_argument("--model", default="starter")
    options.add_argument("--json", action="store_true", help="print the figures as JSON")
    options.add_argument("--out", type=Path, default=Path("runs/changes"), help="folder for log and figures")
    asked = options.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    server = Server(f"changes{os.getpid()}", asked.out)
    with tempfile.TemporaryDirectory() as takes, contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        server.start()
        engine = ["--mock"] if asked.mock else ["--model", asked.model]
        flags = [*engine, "--takes", takes, "--query-port", "none"]
        serve = Serve(flags, server.environment, asked.out / "serve.log")
        try:
            client = Client(serve.port())
            changes = Changes(serve, client, server, asked.bars, asked.bpm)
            changes.begin()
            columns = (TextColumn("changing styles"), BarColumn(), TimeElapsedColumn())
            with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
                task = progress.add_task("", total=60 * asked.minutes)
                changes.run(60 * asked.minutes, lambda at: progress.update(task, completed=at))
            client.send("/segue/quit")
        finally:
            with contextlib.suppress(subprocess.TimeoutExpired):
                serve.process.wait(10)
            serve.process.terminate()
            serve.process.wait(20)
    return report(changes.figures, asked.out, asked.json)


if __name__ == "__main__":
    sys.exit(main())
