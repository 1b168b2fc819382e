"""A small engine that speaks engine/host/protocol.py and plays a sine: no torch, no model, quick to start.

Options: ``load_seconds``, ``speed`` (audio seconds per second), ``bpm`` (estimate for every prime).
A prime whose name starts with "poison" kills the process; takes grow as a file of finished frames, so that a
successor can go on with them.
"""

from __future__ import annotations

import os
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from engine.errors import SegueError
from engine.host import protocol as p
from engine.request import Frozen
from engine.ring import Ring

RATE = 44_100
PORTION = 2_205


def sine(seed: int, start: int, count: int) -> np.ndarray:
    """Frames ``start`` to ``start + count`` of the take with this seed, float32."""
    n = np.arange(start, start + count)
    return (0.5 * np.sin(2 * np.pi * (220 + seed % 97) * n / RATE)).astype(np.float32)


class MockEngine:
    def __init__(self, connection: Connection, options: dict[str, Any]) -> None:
        self.connection, self.options = connection, options
        self.lock = threading.Lock()
        self.cancelled: set[str] = set()
        self.jobs: list[p.Generate] = []
        self.more = threading.Condition()
        self.ready = False

    def send(self, message: Frozen) -> None:
        with self.lock:
            self.connection.send_bytes(p.encode(message))

    def beat(self) -> None:
        while True:
            self.send(p.Heartbeat())
            time.sleep(0.5)

    def work(self) -> None:
        while True:
            with self.more:
                self.more.wait_for(lambda: self.jobs)
                job = self.jobs.pop(0)
            try:
                self.generate(job)
            except SegueError as error:
                failure = {"code": error.code, "slug": error.slug, "message": error.message}
                self.send(p.JobFailed(job=job.job, **failure))

    def serve(self) -> None:
        for target in (self.beat, self.work):
            threading.Thread(target=target, daemon=True).start()
        while True:
            command = p.COMMANDS.validate_json(self.connection.recv_bytes())
            if isinstance(command, p.Quit):
                os._exit(0)
            self.handle(command)

    def handle(self, command: p.Command) -> None:
        if isinstance(command, p.LoadModel):
            self.load(command)
        elif isinstance(command, p.TakePrime):
            self.prime(command)
        elif isinstance(command, p.Cancel):
            self.cancelled.add(command.job)
        elif isinstance(command, p.Generate):
            with self.more:
                self.jobs.append(command)
                self.more.notify()

    def load(self, command: p.LoadModel) -> None:
        time.sleep(self.options.get("load_seconds", 0.0))
        if command.name == "crash":
            os._exit(3)
        if command.name == "absent":
            message = "the model 'absent' is not installed; use starter"
            self.send(p.Failed(tag="absent", code=404, slug="no_model", message=message))
            return
        artists, genres = ["unknown", "neon_atlas"], ["unknown", "house", "lofi"]
        self.send(p.Ready(model=command.name, rate=RATE, artists=artists, genres=genres, seconds=0.1))

    def prime(self, command: p.TakePrime) -> None:
        path = Path(command.prime.path)
        if path.name.startswith("poison"):
            os._exit(9)
        if path.name.startswith("slow"):
            time.sleep(0.5)
        if not path.is_file():
            message = f"{path} is not there; give the path of a WAV"
            self.send(p.Failed(tag=command.tag, code=404, slug="no_file", message=message))
            return
        info = sf.info(path)
        ready = p.PrimeReady(
            tag=command.tag,
            prime=command.prime,
            seconds=info.duration,
            rate=info.samplerate,
            bpm=self.options.get("bpm"),
        )
        self.send(ready)

    def generate(self, job: p.Generate) -> None:
        time.sleep(self.options.get("attach_seconds", 0.0))
        ring = Ring.attach(job.ring) if job.ring else None
        for index in range(job.takes):
            seed = job.request.seed + index
            folder = (
                Path(job.resume[0]) if job.resume and index == 0 else Path(job.folder) / f"{job.job}_s{seed}"
            )
            folder.mkdir(parents=True, exist_ok=True)
            if not self.take(job, folder, seed, index, ring if index == 0 else None):
                self.send(p.JobCancelled(job=job.job))
                return
            frames = job.request.frames
            wav = folder / "continuation.wav"
            sf.write(wav, sine(seed, 0, frames), RATE, subtype="FLOAT")
            self.send(
                p.TakeDone(
                    job=job.job,
                    folder=str(folder),
                    wav=str(wav),
                    seed=seed,
                    seconds=frames / RATE,
                    first_audio_ms=50.0,
                    real_time_factor=self.options.get("speed", 4.0),
                    last=index == job.takes - 1,
                )
            )

    def take(self, job: p.Generate, folder: Path, seed: int, index: int, ring: Ring | None) -> bool:
        marks, frames = folder / "frames", job.request.frames
        at = int(marks.read_text()) if marks.exists() else 0
        (folder / "starts").open("a").write(f"{at}\n")
        given = job.ring_from
        while at < frames:
            time.sleep(PORTION / RATE / self.options.get("speed", 4.0))
            if job.job in self.cancelled:
                return False
            at = min(frames, at + PORTION)
            marks.write_text(str(at))
            while ring is not None and given < at:
                given += ring.write(sine(seed, given, at - given))
            state = p.JobState(
                job=job.job,
                state="running",
                progress=at / frames,
                eta_seconds=(frames - at) / RATE,
                take_folder=str(folder),
                take_index=index,
                audio_frames=at,
                total_frames=frames,
            )
            self.send(state)
        return True


def main(connection: Connection, options: dict[str, Any]) -> None:
    try:
        MockEngine(connection, options).serve()
    except (EOFError, OSError):
        os._exit(0)
