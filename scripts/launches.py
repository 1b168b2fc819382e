"""How far beside the downbeat does a pad begin a take? Real MIDI clock with jitter, a real sound server, many launches.

usage: scripts/launches [--bpm 60 --bpm 120 --bpm 173.5] [--runs 4] [--launches 6] [--jitter 2] [--limit 1] [--json]

A session follows the MIDI clock of a DAW in another process, whose ticks are early or late by up to ``--jitter`` ms,
on a sound server without hardware (256 frames at 48 kHz). From its fourth bar on the DAW presses a pad anywhere in
every bar and hears, sample by sample, when the take begins. Each run is a new clock, so each begins with an unknown
tempo. A run in which the server itself lost more than half a millisecond of time is not counted, and said to be.

Told are mean, deviation and worst of the distances in ms (above 0: late), and how late the machine handed its MIDI
over on the average. Ends with status 1 if any launch was further beside its downbeat than ``--limit`` ms.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from served import Client, Serve
from sound_server import Server

from presets import default_riff

RATE, PERIOD = 48_000, 256
STRAIGHT_MS = 0.5  # a sound server that loses more time than that has no place where a take begins
DAW = Path(__file__).with_name("clocked_daw.py")


@dataclass
class Launches:
    """What was measured at one tempo, in ms."""

    away: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    missed: int = 0
    bent: list[float] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        away = self.away
        return {
            "launches": len(away),
            "missed": self.missed,
            "bent_runs_ms": self.bent,
            "mean_ms": statistics.fmean(away) if away else None,
            "deviation_ms": statistics.pstdev(away) if away else None,
            "worst_ms": max(away, key=abs) if away else None,
            "midi_late_ms": statistics.fmean(self.late) if self.late else None,
            "away_ms": away,
        }


class Session:
    """A session with one take, played by pad 1."""

    def __init__(self, client: Client) -> None:
        self._client = client
        client.send("/segue/notify", 1)
        client.send("/segue/prime/file", str(default_riff()))
        self._until("/segue/done")
        client.send("/segue/generate", 2.0)
        path = self._until("/segue/take")[8]
        samples, _ = sf.read(path, dtype="float32")
        self.lead = int(np.flatnonzero(samples)[0])
        self._until("/segue/sounding", "end")

    def _until(self, address: str, *values: Any) -> list[Any]:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            heard = self._client.hear(1.0)
            if heard is not None and heard[0] == address and set(values) <= set(heard[1]):
                return heard[1]
        raise SystemExit(f"segue: {address} did not come")


@contextlib.contextmanager
def daw(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """The other process, ready to play."""
    command = [sys.executable, str(DAW), *map(str, arguments)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise SystemExit("segue: the DAW's process cannot join the sound server")
        yield process
        process.kill()


def connect(source: str, target: str) -> None:
    """Ports of the server, by what their names match."""
    ports = subprocess.run(["jack_lsp"], capture_output=True, text=True, check=True).stdout.splitlines()
    names = [next((port for port in ports if re.fullmatch(one, port)), one) for one in (source, target)]
    subprocess.run(["jack_connect", *names], check=True, capture_output=True)


def playback_latency() -> int:
    """Frames from a block to the loudspeaker, as the server tells it."""
    told = subprocess.run(["jack_lsp", "-l", "system:playback_1"], capture_output=True, text=True, check=True)
    found = re.search(r"playback latency = \[ (\d+) \d+ \]", told.stdout)
    assert found is not None, told.stdout
    return int(found[1])


def one_run(found: Launches, bpm: float, launches: int, jitter: float, seed: int, lead: int) -> None:
    """Play from the first bar on and add what was heard."""
    with daw(bpm, launches, jitter, seed) as process:
        connect("daw:clock", "Segue.*:Segue in")
        connect("Segue.*:out_0", "ear:in")
        latency = playback_latency()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n")
        process.stdin.flush()
        told = json.loads(process.stdout.readline())
    if told["bent_ms"] > STRAIGHT_MS:
        found.bent.append(told["bent_ms"])
        return
    rate = told["rate"]
    heard = [onset - lead * rate / 44_100 + latency for onset in told["onsets"]]
    for downbeat in told["downbeats"]:
        away = min((1000 * (onset - downbeat) / rate for onset in heard), key=abs, default=1e9)
        if abs(away) < 100:
            found.away.append(away)
        else:
            found.missed += 1
    found.late.append(1000 * told["late"] / rate)


def report(found: dict[float, Launches], limit: float, as_json: bool) -> int:
    """Prints the figures; the exit status."""
    told = {f"{bpm:g}": launches.told() for bpm, launches in found.items()}
    if as_json:
        print(json.dumps({"limit_ms": limit, "tempi": told}, indent=1))
    else:
        shown = Table(
            "bpm", "launches", "missed", "mean ms", "deviation", "worst", "MIDI late", "bent runs", box=None
        )
        for bpm, one in told.items():
            figures = [one[key] for key in ("mean_ms", "deviation_ms", "worst_ms", "midi_late_ms")]
            texts = ["-" if figure is None else f"{figure:+.2f}" for figure in figures]
            shown.add_row(
                bpm, str(one["launches"]), str(one["missed"]), *texts, str(len(one["bent_runs_ms"]))
            )
        Console().print(shown)
    wrong = any(one.missed or not one.away or max(map(abs, one.away)) > limit for one in found.values())
    return int(wrong)


def main() -> int:
    """The command; returns its exit status."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--bpm", type=float, action="append", help="may be given several times")
    options.add_argument("--runs", type=int, default=4, help="new clocks at each tempo")
    options.add_argument("--launches", type=int, default=6, help="in each run")
    options.add_argument("--jitter", type=float, default=2.0, help="ms either way")
    options.add_argument("--limit", type=float, default=1.0, help="ms that a launch may be away")
    options.add_argument("--json", action="store_true", help="print the figures as JSON")
    options.add_argument("--log", type=Path, help="keep the session's log here")
    asked = options.parse_args()
    tempi = asked.bpm or [60.0, 120.0, 173.5]
    found = {bpm: Launches() for bpm in tempi}
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
        server = Server(f"launch{os.getpid()}", Path(place), RATE, PERIOD, realtime=True)
        stack.callback(server.stop)
        server.start()
        os.environ.update(server.environment)
        flags = ["--mock", "--mock-with", "speed=20", "--sync", "midi", "--takes", f"{place}/takes"]
        serve = Serve(
            [*flags, "--query-port", "none"],
            {**server.environment, "SEGUE_MIDI": f"{place}/midi.toml"},
            asked.log or Path(place) / "serve.log",
        )
        try:
            session = Session(Client(serve.port()))
            columns = (TextColumn("launching"), BarColumn(), TimeElapsedColumn())
            with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
                task = progress.add_task("", total=len(tempi) * asked.runs)
                for number in range(asked.runs):
                    for bpm in tempi:
                        one_run(found[bpm], bpm, asked.launches, asked.jitter, number, session.lead)
                        progress.advance(task)
        finally:
            serve.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                serve.process.wait(10)
    return report(found, asked.limit, asked.json)


if __name__ == "__main__":
    sys.exit(main())
