"""Does a session survive? Takes are streamed to a sound server without hardware while parts of it are killed.

usage: scripts/kills [--times 100] [--only PART] [--seed N] [--json] [--out FOLDER] [--model M] [--backend B]

At random moments the engine process, the audio process or the sound server gets SIGKILL; the server is started again
under its name within a second. Jobs follow one another without a pause. For each kill is measured how long nothing
came out (the longest time between two blocks with sound in them, as a client of the sound server hears them), and
how long until the job went on. Codes that were on disk when the engine died must be in the finished take, and each
take must equal the one that was made of the same request undisturbed. In the end no process may be left or a zombie,
and no ring in shared memory. Ends with status 1 if any of that is not so, or sound was away for more than 3 s.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table
from safetensors.numpy import load_file
from served import Client, Serve
from sound_server import Server

from engine.take.journal import Kind, Record, parse
from presets import default_riff

LIMIT_SECONDS = 3.0
TAKE_SECONDS = 6.0
QUEUED = 4
VARIANTS = (("draft", 1), ("full", 2), ("draft", 3))
TARGETS = ("engine", "audio", "server")
GIVE_UP_SECONDS = 30.0
MOST_PAUSE = 2.5  # seconds between recovery and the next kill
LOOK_SECONDS = 0.005


@dataclass
class Kill:
    """One kill: seconds without sound, and until the job went on; ``windows``: that were on disk then."""

    target: str
    at: float
    silence: float = 0.0
    progress: float | None = None
    windows: int = 0
    problems: list[str] = field(default_factory=list)


class Session:
    """The session as its processes and its messages show it; keeps it busy with jobs."""

    def __init__(self, serve: Serve, client: Client, takes: Path) -> None:
        self.serve, self.client, self.takes = serve, client, takes
        self.root = psutil.Process(serve.process.pid)
        self.open: dict[str, tuple[str, int]] = {}
        self.made: list[tuple[tuple[str, int], Path]] = []
        self.failures: list[str] = []
        self.moved = 0.0  # when a job was last told to have come on
        self._farthest: dict[str, float] = {}
        self._asked = 0

    def prime(self) -> None:
        """The riff, and what stays the same."""
        self.client.send("/segue/notify", 1)
        self.client.send("/segue/prime/file", str(default_riff()))
        while self.client_says(0.1) != ("/segue/done", "/segue/prime/file"):
            pass

    def client_says(self, seconds: float) -> tuple[str, Any] | None:
        """Takes in one message; its address and first argument."""
        heard = self.client.hear(seconds)
        if heard is None:
            return None
        address, values = heard
        if address == "/segue/job":
            self._job(str(values[0]), str(values[1]), float(values[2]))
        elif address == "/segue/take":
            head = json.loads((Path(values[8]).parent / "request.json").read_text())["request"]
            self.made.append(((head["fidelity"], head["seed"]), Path(values[8]).parent))
        elif address == "/segue/fail":
            self.failures.append(" ".join(map(str, values)))
        return address, values[0] if values else None

    def _job(self, job: str, phase: str, progress: float) -> None:
        if phase in ("done", "failed", "cancelled"):
            self.open.pop(job, None)
            if phase != "done":
                self.failures.append(f"{job} {phase}")
        if progress > self._farthest.get(job, 0.0) or phase == "done":
            self._farthest[job] = progress
            self.moved = time.monotonic()

    def keep_busy(self) -> None:
        """One more job, when fewer wait than should."""
        if len(self.open) >= QUEUED:
            return
        self._asked += 1
        fidelity, seed = VARIANTS[self._asked % len(VARIANTS)]
        self.client.send("/segue/param/fidelity", fidelity)
        self.client.send("/segue/param/seed", seed)
        self.client.send("/segue/generate", TAKE_SECONDS)
        self.open[f"J{self._asked}"] = (fidelity, seed)

    def pid(self, target: str) -> int | None:
        """The engine or the audio process, None while there is none."""
        for child in self.root.children(recursive=True):
            with contextlib.suppress(psutil.Error, OSError):
                if child.status() == psutil.STATUS_ZOMBIE:
                    continue
                if target == "engine" and child.name().startswith("segue-engine"):
                    return child.pid
                if target == "audio" and "libportaudio" in Path(f"/proc/{child.pid}/maps").read_text():
                    return child.pid
        return None

    def zombies(self) -> list[str]:
        """Processes of the session that ended and were not fetched."""
        found = []
        for child in self.root.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if child.status() == psutil.STATUS_ZOMBIE:
                    found.append(f"{child.name()} {child.pid}")
        return found

    def growing(self) -> dict[Path, list[Record]]:
        """What is on disk of every take that is not finished."""
        found = {}
        for folder in self.takes.iterdir():
            if (folder / "journal").is_file() and not (folder / "take.json").is_file():
                with contextlib.suppress(OSError):  # finished just now
                    found[folder] = parse((folder / "journal").read_bytes())[0]
        return found


class Trial:
    """Kills, waits, and notes what happened."""

    def __init__(
        self, session: Session, server: Server, seed: int, targets: tuple[str, ...], console: Console
    ) -> None:
        self.kills: list[Kill] = []
        self._session, self._server, self._console = session, server, console
        self._chance, self._targets = random.Random(seed), targets
        self._began = time.monotonic()
        self._promised: list[tuple[Kill, Path, list[Record]]] = []

    def settle(self, seconds: float) -> None:
        """Let it play so long, with sound and a job under way."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._session.keep_busy()
            self._session.client_says(0.02)

    def kill_one(self) -> None:
        """One kill and the time until all is well again."""
        session, server = self._session, self._server
        target = self._chance.choice(self._targets)
        kill = Kill(target, time.monotonic() - self._began)
        pid = None if target == "server" else session.pid(target)
        if target != "server" and pid is None:
            kill.problems.append(f"there is no {target} process")
        last = server.heard()
        began = time.monotonic()
        if target == "server":
            server.kill()
            self._wait_and_hear(kill, began, began + self._chance.uniform(0.2, 0.9), last)
            server.start()
        elif pid is not None:
            os.kill(pid, signal.SIGKILL)
            if target == "engine":
                for folder, records in session.growing().items():
                    kill.windows += sum(record.kind is Kind.WINDOW for record in records)
                    self._promised.append((kill, folder, records))
        self._recover(kill, began, pid, last)
        self.kills.append(kill)
        progress = "never" if kill.progress is None else f"{kill.progress:.2f} s"
        self._console.print(
            f"{len(self.kills):4d}  {target:7s} no sound for {kill.silence:.2f} s, job on after {progress}"
            f"{'  ' + '; '.join(kill.problems) if kill.problems else ''}",
            highlight=False,
        )

    def _wait_and_hear(self, kill: Kill, began: float, until: float, last: int) -> None:
        while time.monotonic() < until:
            self._look(kill, began)
            self._session.client_says(LOOK_SECONDS)

    def _look(self, kill: Kill, began: float) -> None:
        if kill.progress is None and self._session.moved > began:
            kill.progress = self._session.moved - began

    def _recover(self, kill: Kill, began: float, pid: int | None, last: int) -> None:
        """Until sound has come for half a second, the job has come on, and the process is another."""
        session, steady_since = self._session, None
        while True:
            now = time.monotonic()
            heard = self._server.heard()
            if heard > last:
                kill.silence = max(kill.silence, (heard - last) / 1e9)
                last = heard
            steady = now - last / 1e9 < 0.2 and last / 1e9 > began
            steady_since = (steady_since or now) if steady else None
            self._look(kill, began)
            session.keep_busy()
            session.client_says(LOOK_SECONDS)
            replaced = kill.target == "server" or (session.pid(kill.target) not in (None, pid))
            if replaced and kill.progress is not None and steady_since and now - steady_since > 0.5:
                break
            if now - began > GIVE_UP_SECONDS:
                kill.problems.append(f"not well within {GIVE_UP_SECONDS:.0f} s")
                break
        if zombies := session.zombies():
            kill.problems.append(f"zombies: {', '.join(zombies)}")

    def run(self, times: int) -> None:
        """So many kills, each at a moment of its own."""
        for _ in range(times):
            self.settle(self._chance.uniform(0.3, MOST_PAUSE))
            self.kill_one()

    def finish(self) -> None:
        """Let the last jobs end."""
        end = time.monotonic() + 60
        while self._session.open and time.monotonic() < end:
            self._session.client_says(0.05)
        for folder in {folder for _, folder, _ in self._promised}:
            if not (folder / "take.json").is_file():
                self.kills[-1].problems.append(f"{folder.name} was never finished")

    def lost_windows(self) -> list[str]:
        """Codes that were on disk when the engine died, and are not in the finished take."""
        lost = []
        for kill, folder, records in self._promised:
            if not (folder / "codes.safetensors").is_file():
                continue
            codes = load_file(folder / "codes.safetensors")
            for record in records:
                if record.kind is Kind.WINDOW:
                    there = codes[f"level_{record.level}"][record.start : record.start + record.codes.size]
                    if not np.array_equal(there, record.codes):
                        lost.append(f"{folder.name}: level {record.level} from {record.start}")
                        kill.problems.append("a finished window is lost")
        return lost


def compare(made: list[tuple[tuple[str, int], Path]], out: Path) -> list[str]:
    """Takes that differ from the first one of the same request, which was made before the first kill; both are copied
    to ``out``."""
    calm: dict[tuple[str, int], Path] = {}
    differ = []
    for variant, folder in made:
        first = calm.setdefault(variant, folder)
        wav = (folder / "continuation.wav").read_bytes() == (first / "continuation.wav").read_bytes()
        own, other = (load_file(place / "codes.safetensors") for place in (folder, first))
        if not wav or any(not np.array_equal(own[level], other[level]) for level in other):
            differ.append(f"{folder.name} ({variant[0]}, seed {variant[1]})")
            for place in (folder, first):
                shutil.copytree(place, out / "different" / place.name, dirs_exist_ok=True)
    return differ


def table(kills: list[Kill]) -> Table:
    """A row for every kind of kill."""
    shown = Table(
        "killed", "times", "no sound: median", "longest", "job on: median", "longest", "windows on disk"
    )
    for target in TARGETS:
        own = [kill for kill in kills if kill.target == target]
        if own:
            silence = [kill.silence for kill in own]
            progress = [kill.progress or GIVE_UP_SECONDS for kill in own]
            figures = [statistics.median(silence), max(silence), statistics.median(progress), max(progress)]
            windows = str(sum(kill.windows for kill in own))
            shown.add_row(target, str(len(own)), *(f"{figure:.2f} s" for figure in figures), windows)
    return shown


def main() -> int:
    """The command; returns its exit status."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--times", type=int, default=100)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", choices=TARGETS, help="kill nothing else")
    options.add_argument("--json", action="store_true", help="print the figures as JSON")
    options.add_argument("--out", type=Path, default=Path("runs/kills"), help="folder for logs and figures")
    options.add_argument("--model", default="starter")
    options.add_argument("--backend", default="auto")
    asked = options.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "serve.state.json").unlink(missing_ok=True)
    console = Console(stderr=True)
    server = Server(f"kills{os.getpid()}", asked.out)
    server.start()
    with tempfile.TemporaryDirectory() as takes:
        flags = ["--model", asked.model, "--backend", asked.backend, "--takes", takes, "--query-port", "none"]
        serve = Serve(flags, server.environment, asked.out / "serve.log")
        try:
            trial, session = _try(serve, server, Path(takes), asked, console)
            children = session.root.children(recursive=True)
            session.client.send("/segue/quit")
            with contextlib.suppress(subprocess.TimeoutExpired):
                serve.process.wait(10)
            _, left = psutil.wait_procs(children, timeout=5)
        finally:
            serve.process.kill()
            serve.process.wait()
            server.stop()
        rings = [path.name for path in Path("/dev/shm").glob(f"segue-{serve.process.pid}-*")]
        figures = {
            "kills": [asdict(kill) for kill in trial.kills],
            "takes": len(session.made),
            "lost_windows": trial.lost_windows(),
            "different_takes": compare(session.made, asked.out),
            "failures": session.failures,
            "left_processes": [process.pid for process in left],
            "left_rings": rings,
        }
    return report(trial, figures, asked.out, asked.json)


def _try(
    serve: Serve, server: Server, takes: Path, asked: argparse.Namespace, console: Console
) -> tuple[Trial, Session]:
    session = Session(serve, Client(serve.port()), takes)
    session.prime()
    trial = Trial(session, server, asked.seed, (asked.only,) if asked.only else TARGETS, console)
    while len({variant for variant, _ in session.made}) < len(VARIANTS):
        trial.settle(0.2)
    trial.run(asked.times)
    trial.finish()
    return trial, session


def report(trial: Trial, figures: dict[str, Any], out: Path, as_json: bool) -> int:
    """Prints and files the figures; the exit status."""
    late = [kill for kill in trial.kills if kill.silence > LIMIT_SECONDS]
    problems = [problem for kill in trial.kills for problem in kill.problems]
    wrong = [
        figures[what]
        for what in ("lost_windows", "different_takes", "failures", "left_processes", "left_rings")
    ]
    (out / "kills.json").write_text(json.dumps(figures, indent=1) + "\n")
    if as_json:
        print(json.dumps(figures, indent=1))
    else:
        console = Console()
        console.print(table(trial.kills))
        console.print(
            f"{len(trial.kills)} kills, {len(late)} with more than {LIMIT_SECONDS:g} s of silence; "
            f"{figures['takes']} takes, {len(figures['different_takes'])} unlike the undisturbed one, "
            f"{len(figures['lost_windows'])} windows lost, {len(figures['left_processes'])} processes and "
            f"{len(figures['left_rings'])} rings left"
        )
        for sentence in (*problems, *figures["failures"]):
            console.print(f"told: {sentence}")
    return 1 if late or problems or any(wrong) else 0


if __name__ == "__main__":
    sys.exit(main())
