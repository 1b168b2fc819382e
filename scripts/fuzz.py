"""Does anything that comes over the network disturb the music? A session streams while it is sent what is not OSC.

usage: scripts/fuzz [--packets 1000000] [--tcp 0.3] [--seed N] [--json] [--out FOLDER]
                    [--model M] [--backend B] [--mock]

Packets (see fuzz_packets.py) go by UDP and, a share of them, over TCP connections in both framings, in bursts; after
each burst a request of a well-behaved client must be answered. Another client keeps takes coming all the time. Of
every address in the table only /segue/quit is left out, and /segue/debug/pauses, which measures. What steers the
music (another take, style, device; panic) comes in the last three tenths only, where dry takes do not count.

Counted are: packets that arrived and those that were not OSC; the longest pause of the bridge's event loop, and the
longest in which it computed ("own": on a busy machine the other one tells more about that); the longest answer; answers
by kind; looks at which a take sounded; times that one ran dry; memory after every twentieth of the packets.
Ends with status 1 if the session ended, computed for more than 50 ms in one go, ran dry, failed internally, touched a
file it was told of, or if its memory, warm by then, grew by more than a tenth: from a third of the packets on until
the music is steered, or in the last tenth.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import queue
import re
import socket
import statistics
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fuzz_packets import LEFT_OUT, STEERING, Hostile
from pythonosc import slip
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from soak import Serve, sound_server

from presets import default_riff

BURST, CONNECTIONS = 128, 8
LOOK_SECONDS, ANSWER_SECONDS = 2.0, 5.0
MOST_PAUSE_MS, MOST_GROWTH = 50.0, 1.1
STREAMING = 0.7  # of all packets
LOOKS_AT_MEMORY = 20
STEADY = ((7, 14), (18, 20))  # looks; by the first of each everything has been used once
TAKE_SECONDS = 8.0
QUEUED, MOST_SILENT_LOOKS, MOST_JOBS = 2, 8, 16


def message(address: str, *values: object) -> bytes:
    """One message by python-osc."""
    builder = OscMessageBuilder(address)
    for value in values:
        builder.add_arg(value)
    datagram: bytes = builder.build().dgram
    return datagram


@dataclass
class Figures:
    """What was seen. ``megabytes``: of each process, after every twentieth of the packets."""

    sent_udp: int = 0
    sent_tcp: int = 0
    received: int = 0
    malformed: int = 0
    seconds: float = 0.0
    longest_pause_ms: float = 0.0
    longest_own_pause_ms: float = 0.0
    pauses_ms: list[float] = field(default_factory=list)
    longest_answer_ms: float = 0.0
    answers: dict[str, int] = field(default_factory=dict)
    reconnected: int = 0
    looks: int = 0
    streaming: int = 0
    underruns: int = 0
    late_blocks: int = 0
    megabytes: list[dict[str, float]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Client:
    """A socket that sends and hears; only the address of what is heard is looked at, for speed."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.bind(("127.0.0.1", 0))
        self.target = ("127.0.0.1", port)

    def send(self, address: str, *values: object) -> None:
        """One message."""
        self.socket.sendto(message(address, *values), self.target)

    def wait(self, address: str, seconds: float = ANSWER_SECONDS) -> OscMessage | None:
        """The next message at an address; None when there is none in that time."""
        start = address.encode() + b"\0"
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            with contextlib.suppress(TimeoutError):
                data = self.socket.recv(65_536)
                if data.startswith(start):
                    return OscMessage(data)
        return None


class Keeper(threading.Thread):
    """Keeps takes coming, whatever becomes of them, and counts what was played."""

    def __init__(self, serve: Serve, port: int, figures: Figures) -> None:
        super().__init__(daemon=True)
        self._serve, self._client, self._figures = serve, Client(port), figures
        self.over, self.uncounted = threading.Event(), threading.Event()

    def begin(self) -> None:
        """Until the first take plays."""
        client = self._client
        client.send("/segue/prime/file", str(default_riff()))
        if client.wait("/segue/done", 60) is None:
            raise SystemExit("segue: the riff was not read")
        for _ in range(QUEUED):
            self._ask()
        client.send("/segue/notify", 1)
        if client.wait("/segue/playing", 60) is None:
            raise SystemExit("segue: nothing is played")
        client.send("/segue/notify", 0)

    def run(self) -> None:
        """See to it every quarter of a second."""
        client, figures = self._client, self._figures
        before: list[int] | None = None
        silent = 0
        while not self.over.wait(0.25):
            self._read_log()
            client.send("/segue/status")
            status = client.wait("/segue/status.reply", 2.0)
            silent = 0 if status is not None and status.params[0] == "streaming" else silent + 1
            if silent > MOST_SILENT_LOOKS:  # somebody asked for hours of music: it is others' turn
                silent = 0
                for _ in range(MOST_JOBS):
                    client.send("/segue/cancel")
            if status is not None and (status.params[3] < QUEUED or not silent):
                self._ask()
            client.send("/segue/audio/xruns")
            xruns = client.wait("/segue/audio/xruns", 2.0)
            if status is None or xruns is None or self.uncounted.is_set():
                continue
            before = before or list(xruns.params)
            figures.underruns, figures.late_blocks = (
                now - then for now, then in zip(xruns.params, before, strict=True)
            )
            figures.looks += 1
            figures.streaming += status.params[0] == "streaming"

    def _ask(self) -> None:
        """A take that can be heard, whatever the fuzzer has set: one bundle acts as one."""
        bundle = OscBundleBuilder(IMMEDIATELY)
        for address, value in (
            ("/segue/prime/file", str(default_riff())),
            ("/segue/sync/source", "none"),
            ("/segue/param/takes", 1),
            ("/segue/param/fidelity", "draft"),
            ("/segue/param/bpm", 0.0),
            ("/segue/generate", TAKE_SECONDS),
        ):
            bundle.add_content(OscMessage(message(address, value)))
        self._client.socket.sendto(bundle.build().dgram, self._client.target)

    def _read_log(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                line = self._serve.lines.get_nowait()
                if "failed unexpectedly" in line or "Traceback" in line:
                    self._figures.problems.append(line.strip()[:200])


class Streams:
    """TCP connections in turn, each in one framing; one that the session has closed is opened again."""

    def __init__(self, port: int, figures: Figures) -> None:
        self._port, self._figures = port, figures
        self._open: dict[int, socket.socket] = {}

    def send(self, place: int, packet: bytes, torn: bool) -> None:
        """A packet in its framing; ``torn``: without a true count, or its END."""
        if place % 2:
            data = slip.encode(packet)[: -1 if torn else None]
        else:
            data = struct.pack(">i", len(packet) * (3 if torn else 1)) + packet
        try:
            self._connection(place).sendall(data)
        except OSError:
            self._figures.reconnected += 1
            self._open.pop(place).close()

    def answers(self) -> Iterator[bytes]:
        """What has come back."""
        for place, connection in list(self._open.items()):
            with contextlib.suppress(BlockingIOError):
                try:
                    data = connection.recv(1 << 18, socket.MSG_DONTWAIT)
                    if not data:
                        raise ConnectionError
                    yield data
                except ConnectionError:
                    self._figures.reconnected += 1
                    self._open.pop(place).close()

    def _connection(self, place: int) -> socket.socket:
        if place not in self._open:
            connection = socket.create_connection(("127.0.0.1", self._port), timeout=5)
            connection.settimeout(None)  # (or reading would wait, whatever it is told)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", 5, 0))
            self._open[place] = connection
        return self._open[place]


class Fuzz:
    """Sends, asks, looks."""

    def __init__(self, serve: Serve, port: int, streaming: Hostile, all_: Hostile, tcp_share: float) -> None:
        self.figures = Figures()
        self.keeper = Keeper(serve, port, self.figures)
        self._serve, self._tcp_share = serve, tcp_share
        self._packets, self._last_packets = iter(streaming), iter(all_)
        self._attacker, self._asker = Client(port), Client(port)
        self._streams = Streams(port, self.figures)
        self._answers: Counter[str] = Counter()

    def run(self, count: int, progress: Progress) -> None:
        """``count`` packets."""
        self.keeper.begin()
        self.keeper.start()
        task = progress.add_task("hostile packets", total=count)
        self._asker.send("/segue/debug/pauses", 1)
        began = looked = time.monotonic()
        figures = self.figures
        for number in itertools.count():
            sent = figures.sent_udp + figures.sent_tcp
            if sent >= count or not self._burst(number, min(BURST, count - sent)):
                break
            progress.update(task, completed=sent)
            if sent >= STREAMING * count and not self.keeper.uncounted.is_set():
                self.keeper.uncounted.set()
                self._packets = self._last_packets
            if sent * LOOKS_AT_MEMORY >= count * (len(figures.megabytes) + 1):
                figures.megabytes.append(self._serve.memory())
            if time.monotonic() - looked >= LOOK_SECONDS:
                looked = time.monotonic()
                self._look()
        figures.seconds = time.monotonic() - began
        self._look()
        self.keeper.over.set()
        self.keeper.join()
        figures.megabytes.append(self._serve.memory())
        figures.answers = dict(self._answers.most_common(24))

    def _burst(self, number: int, size: int) -> bool:
        """So many packets, then a question; False when it is not answered."""
        by_tcp = (number * self._tcp_share) % 1.0 + self._tcp_share >= 1.0
        for place in range(size):
            packet = next(self._packets)
            if by_tcp:
                self._streams.send(place % CONNECTIONS, packet, torn=place % 61 == 0)
            else:
                with contextlib.suppress(OSError):
                    self._attacker.socket.sendto(packet, self._attacker.target)
        self.figures.sent_tcp += size if by_tcp else 0
        self.figures.sent_udp += 0 if by_tcp else size
        asked = time.perf_counter()
        self._asker.send("/segue/test")
        if self._asker.wait("/segue/test") is None:
            self.figures.problems.append(f"no answer within {ANSWER_SECONDS} s after burst {number}")
            return self._serve.process.poll() is None
        self.figures.longest_answer_ms = max(
            self.figures.longest_answer_ms, 1e3 * (time.perf_counter() - asked)
        )
        self._hear()
        return True

    def _hear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._count(self._attacker.socket.recv(65_536, socket.MSG_DONTWAIT))
        for data in self._streams.answers():
            for address in re.findall(rb"/segue/(?:fail|done|late|synced)(?=\0)", data):
                self._answers[address.decode()] += 1

    def _count(self, data: bytes) -> None:
        address = data[: data.find(b"\0")].decode(errors="replace")
        if address == "/segue/fail":
            params = OscMessage(data).params
            address = f"/segue/fail {params[2]}"
            if params[2] == "internal":
                self.figures.problems.append(f"{params[0]}: {params[3]}")
        self._answers[address] += 1

    def _look(self) -> None:
        self._asker.send("/segue/debug/pauses")
        if (reply := self._asker.wait("/segue/debug/pauses.reply")) is not None:
            figures, params = self.figures, reply.params
            figures.pauses_ms.append(round(params[0], 2))
            figures.longest_pause_ms = max(figures.longest_pause_ms, params[0])
            figures.longest_own_pause_ms = max(figures.longest_own_pause_ms, params[1])
            figures.received, figures.malformed = params[3], params[4]


def main() -> int:
    """The command; returns its exit status."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--packets", type=int, default=1_000_000)
    options.add_argument("--tcp", type=float, default=0.3, help="share of the packets that go over TCP")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--json", action="store_true", help="print the figures as JSON")
    options.add_argument("--out", type=Path, default=Path("runs/fuzz"), help="folder for log and figures")
    options.add_argument("--model", default="starter")
    options.add_argument("--backend", default="auto")
    options.add_argument("--mock", action="store_true", help="an engine of test tones instead of a model")
    options.add_argument(
        "--midi", action="store_true", help="look for MIDI ports meanwhile, at the sound server"
    )
    asked = options.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as home,
        tempfile.TemporaryDirectory() as takes,
        sound_server(asked.out) as environment,
        Progress(console=Console(stderr=True)) as progress,
    ):
        canary = Path(home) / "canary.wav"
        canary.write_bytes(default_riff().read_bytes())
        # (Looking for MIDI ports at a sound server holds the interpreter for as long as that takes to answer.)
        flags = ["--takes", takes, "--query-port", "none", *(() if asked.midi else ("--no-midi",))]
        flags += ["--mock"] if asked.mock else ["--model", asked.model, "--backend", asked.backend]
        # What the session remembers of itself goes where it does nobody harm.
        places = {
            "XDG_CONFIG_HOME": home,
            "XDG_DATA_HOME": home,
            "XDG_STATE_HOME": home,
            "XDG_CACHE_HOME": home,
        }
        serve = Serve(flags, {**environment, **places}, asked.out / "serve.log")
        try:
            port = serve.port()
            os.nice(5)  # (the session goes first)
            texts = [str(canary), str(Path(home) / "absent.wav"), home]
            streaming = Hostile(asked.seed, texts, LEFT_OUT + STEERING)
            fuzz = Fuzz(serve, port, streaming, Hostile(asked.seed + 1, texts), asked.tcp)
            fuzz.run(asked.packets, progress)
            if serve.process.poll() is not None:
                fuzz.figures.problems.append("the session ended by itself")
            if canary.read_bytes() != default_riff().read_bytes():
                fuzz.figures.problems.append("a file that was named was changed")
        finally:
            serve.process.terminate()
            serve.process.wait(20)
    return report(fuzz.figures, asked.out, asked.json)


def report(figures: Figures, out: Path, as_json: bool) -> int:
    """Prints and files the figures; the exit status."""
    told = {**asdict(figures), "median_pause_ms": statistics.median(figures.pauses_ms or [0.0])}
    (out / "fuzz.json").write_text(json.dumps(told, indent=1) + "\n")
    if as_json:
        print(json.dumps(told, indent=1))
    else:
        table = Table("", "", title="Hostile packets")
        for name, value in told.items():
            if name not in ("pauses_ms", "answers", "megabytes", "problems"):
                table.add_row(name, f"{value:,.1f}" if isinstance(value, float) else f"{value:,}")
        for name in figures.megabytes[-1]:
            table.add_row(
                f"memory of {name}, MB", " ".join(f"{look[name]:.0f}" for look in figures.megabytes)
            )
        for name, count in figures.answers.items():
            table.add_row(name, f"{count:,}")
        for problem, count in Counter(figures.problems).most_common(20):
            table.add_row("[red]problem[/red]", f"{count} x {problem}")
        Console().print(table)
    held = [look["bridge"] for look in figures.megabytes]
    grown = any(held[end - 1] > MOST_GROWTH * held[begin - 1] for begin, end in STEADY if end <= len(held))
    bad = figures.problems or figures.underruns or figures.longest_own_pause_ms > MOST_PAUSE_MS or grown
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
