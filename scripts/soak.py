"""Does the music break off when the engine never rests? `segue serve` plays into a sound server without hardware.

usage: scripts/soak [--minutes 20] [--json] [--out FOLDER] [--model M] [--backend B]

The server asks for 512 frames at a time, in real time, and waits for nobody. Jobs follow each other without a pause,
full and draft by turns. As the engine is faster than the music, a job that comes while much is waiting to be played
makes several takes instead of one (one of them is heard), so that it works all the time and the queue stays short.

Counted are: times that the ring ran dry while the take that played had audio to come; blocks that the device called
late; seconds of silence between takes; memory of each process (proportional share), after the first minute and every
minute from then on. Ends with status 1 if the ring ran dry once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from served import Client, Serve

from presets import default_riff

PERIOD, RATE = 512, 44_100
TAKE_SECONDS = 16.0
ENOUGH_SECONDS = 24.0  # of takes ahead of the listener; beyond it a job makes more takes than are heard
MORE_TAKES = {"full": 3, "draft": 8}
QUEUED = 2  # jobs that are waiting or running, at least
LOOK_SECONDS = 0.5
_PLAYED = re.compile(r"played (\d+) frames of (J\d+), (\d+) underrun")


@dataclass
class Counts:
    """What happened so far; seconds from the first sound on."""

    jobs: int = 0
    takes: int = 0
    played_seconds: float = 0.0
    underruns: int = 0
    xruns: int = 0
    xruns_before: int = 0  # the first sound: the device was opened while the model was loaded
    pauses: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def late(self) -> int:
        """Blocks that the device called late: what the session counts besides dry rings."""
        return max(0, self.xruns - self.xruns_before - self.underruns)


@dataclass(frozen=True)
class Moment:
    """One look: ``megabytes`` of each process, proportional share."""

    seconds: float
    megabytes: dict[str, float]
    fill_seconds: float
    underruns: int
    late: int


@contextlib.contextmanager
def sound_server(folder: Path) -> Iterator[dict[str, str]]:
    """A dummy JACK server in real time; yields what its clients need in their environment."""
    if shutil.which("jackd") is None:
        raise SystemExit("segue: jackd is not installed (Debian: jackd2)")
    name = f"soak{os.getpid()}"
    environment = {"JACK_DEFAULT_SERVER": name, "JACK_NO_START_SERVER": "1", "JACK_NO_AUDIO_RESERVATION": "1"}
    command = ["jackd", "--no-realtime", "-n", name, "-d", "dummy", "-r", str(RATE), "-p", str(PERIOD)]
    with (folder / "jackd.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait = ["jack_wait", "-s", name, "-w", "-t", "15"]
            subprocess.run(wait, check=True, capture_output=True, env={**os.environ, **environment})
            yield environment
        finally:
            server.terminate()
            server.wait(10)


class Soak:
    """Keeps the engine busy and the listener supplied."""

    def __init__(self, serve: Serve, client: Client, console: Console) -> None:
        self.counts = Counts()
        self.moments: list[Moment] = []
        self._serve, self._client, self._console = serve, client, console
        self._open: dict[str, int] = {}  # jobs not ended: their takes
        self._ahead: deque[str] = deque()  # jobs whose sound is not over
        self._began: float | None = None
        self._silent_since: float | None = None
        self._asked = 0.0
        self._fill = 0.0
        self._last = ""

    def prime(self) -> None:
        """The riff, and everything that stays the same."""
        self._client.send("/segue/notify", 1)
        self._client.send("/segue/prime/file", str(default_riff()))
        self._until("/segue/done", "/segue/prime/file")

    def run(self, seconds: float) -> None:
        """Until so many seconds after the first sound, and to the end of the take that plays then."""
        looked = 0.0
        while True:
            now = time.monotonic()
            over = self._began is not None and now - self._began >= seconds
            if over and not self._sounding:
                return
            if not over and len(self._open) < QUEUED:
                self._ask()
            self._take(self._client.hear(0.05))
            self._read_log()
            if now - looked >= LOOK_SECONDS:
                looked = now
                self._client.send("/segue/status")
                self._look(now)
            if self._serve.process.poll() is not None:
                raise SystemExit("segue: the session ended by itself; see its log")

    @property
    def _sounding(self) -> bool:
        return self._silent_since is None

    def _ask(self) -> None:
        """One more job; several takes of it if the listener has enough."""
        waiting = TAKE_SECONDS * sum(job not in self._open for job in self._ahead)
        fidelity = "draft" if self.counts.jobs % 2 else "full"
        takes = MORE_TAKES[fidelity] if waiting > ENOUGH_SECONDS else 1
        self._client.send("/segue/param/fidelity", fidelity)
        self._client.send("/segue/param/takes", takes)
        self._client.send("/segue/generate", TAKE_SECONDS)
        job = str(self._until("/segue/done", "/segue/generate")[1])
        self._open[job] = takes
        self._ahead.append(job)
        self.counts.jobs += 1

    def _until(self, address: str, first: str) -> list[Any]:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            heard = self._client.hear(1.0)
            if heard is not None and heard[0] == address and heard[1][:1] == [first]:
                return heard[1]
            self._take(heard)
        raise SystemExit(f"segue: no {address} {first} within a minute")

    def _take(self, heard: tuple[str, list[Any]] | None) -> None:
        if heard is None:
            return
        address, values = heard
        if address == "/segue/job" and values[1] in ("done", "failed", "cancelled"):
            self._open.pop(values[0], None)
            if values[1] != "done":
                self._ahead = deque(job for job in self._ahead if job != values[0])
        elif address == "/segue/take":
            self.counts.takes += 1
        elif address == "/segue/status.reply":
            self._fill, self.counts.xruns = values[7], values[8]
        elif address in ("/segue/fail", "/segue/error"):
            self.counts.failures.append(" ".join(map(str, values)))
        elif address == "/segue/sounding":
            self._playing(values[0], values[1], values[2])

    def _playing(self, job: str, how: str, seconds: float) -> None:
        now = time.monotonic()
        if how == "start":
            if self._began is None:
                self._began, self.counts.xruns_before = now, self.counts.xruns
            if self._silent_since is not None:
                self.counts.pauses.append(now - self._silent_since)
            self._silent_since = None
            return
        self.counts.played_seconds += seconds
        self._silent_since = now
        self._ahead = deque(other for other in self._ahead if other != job)

    def _read_log(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                if found := _PLAYED.search(self._serve.lines.get_nowait()):
                    self.counts.underruns += int(found[3])

    def _look(self, now: float) -> None:
        if self._began is None or (self.moments and now - self._began < self.moments[-1].seconds + 5.0):
            return
        counts = self.counts
        moment = Moment(now - self._began, self._serve.memory(), self._fill, counts.underruns, counts.late)
        self.moments.append(moment)
        self._console.print(
            f"{moment.seconds:6.0f} s  {sum(moment.megabytes.values()):6.0f} MB  {counts.takes} takes  "
            f"{counts.underruns} underruns  {counts.late} late blocks",
            highlight=False,
        )


def minutes_of(moments: list[Moment]) -> list[Moment]:
    """The first look at or after every minute."""
    found: list[Moment] = []
    for moment in moments:
        if moment.seconds >= 60 * (len(found) + 1):
            found.append(moment)
    return found


def growth(moments: list[Moment]) -> float | None:
    """Memory of all processes at the last minute beside the first, as a ratio; None before the second minute."""
    totals = [sum(moment.megabytes.values()) for moment in minutes_of(moments)]
    return totals[-1] / totals[0] if len(totals) > 1 else None


def table(moments: list[Moment]) -> Table:
    """A row for every minute."""
    shown = Table("minute", "engine MB", "bridge MB", "audio MB", "all MB", "underruns", "late blocks")
    for minute, moment in enumerate(minutes_of(moments), 1):
        sizes = [moment.megabytes[name] for name in ("engine", "bridge", "audio")]
        figures = [f"{size:.0f}" for size in (*sizes, sum(sizes))]
        shown.add_row(str(minute), *figures, str(moment.underruns), str(moment.late))
    return shown


def draw(moments: list[Moment], path: Path) -> None:
    """Memory and audio in hand over time."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (upper, lower) = pyplot.subplots(2, 1, sharex=True, figsize=(9, 6))
    at = [moment.seconds / 60 for moment in moments]
    for name in ("engine", "bridge", "audio"):
        upper.plot(at, [moment.megabytes[name] for moment in moments], label=name)
    upper.set_ylabel("memory in MB (PSS)")
    upper.set_ylim(bottom=0)
    upper.legend()
    lower.plot(at, [moment.fill_seconds for moment in moments], label="in the ring, s")
    lower.plot(at, [moment.underruns for moment in moments], label="underruns")
    lower.plot(at, [moment.late for moment in moments], label="late blocks")
    lower.set_xlabel("minutes")
    lower.legend()
    figure.savefig(path, dpi=120)


def main() -> int:
    """The command; returns its exit status."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--minutes", type=float, default=20.0)
    options.add_argument("--json", action="store_true", help="print the figures as JSON")
    options.add_argument(
        "--out", type=Path, default=Path("runs/soak"), help="folder for log, figures, picture"
    )
    options.add_argument("--model", default="starter")
    options.add_argument("--backend", default="auto")
    asked = options.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory() as takes, sound_server(asked.out) as environment:
        flags = ["--model", asked.model, "--backend", asked.backend, "--takes", takes]
        serve = Serve(flags, environment, asked.out / "serve.log")
        try:
            client = Client(serve.port())
            soak = Soak(serve, client, console)
            soak.prime()
            soak.run(60 * asked.minutes)
            client.send("/segue/quit")
        finally:
            with contextlib.suppress(subprocess.TimeoutExpired):
                serve.process.wait(10)
            serve.process.terminate()
            serve.process.wait(20)
    return report(soak, asked.out, asked.json)


def report(soak: Soak, out: Path, as_json: bool) -> int:
    """Prints and files the figures; the exit status."""
    counts = soak.counts
    figures = {
        **asdict(counts),
        "late": counts.late,
        "silence_seconds": sum(counts.pauses),
        "memory_growth": growth(soak.moments),
        "moments": [asdict(moment) for moment in soak.moments],
    }
    (out / "soak.json").write_text(json.dumps(figures, indent=1) + "\n")
    draw(soak.moments, out / "soak.png")
    if as_json:
        print(json.dumps(figures, indent=1))
    else:
        console = Console()
        console.print(table(soak.moments))
        ratio = figures["memory_growth"]
        console.print(
            f"{counts.played_seconds:.0f} s played of {counts.jobs} jobs ({counts.takes} takes made), "
            f"{counts.underruns} underruns, {counts.late} late blocks, "
            f"{sum(counts.pauses):.1f} s of silence in {len(counts.pauses)} pauses between takes, "
            f"memory {'not compared' if ratio is None else f'{ratio:.3f} times that after the first minute'}"
        )
        console.print(f"{out / 'soak.png'}")
        for sentence in counts.failures:
            console.print(f"told: {sentence}")
    return 1 if counts.underruns or not counts.played_seconds else 0


if __name__ == "__main__":
    sys.exit(main())
