"""Writing a take while it is sampled."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import math
import os
import re
import shutil
import time
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.audio import Waveform, write_wav_float
from engine.audio.durable import sync_folder, write_durably, writing
from engine.errors import BadFormat, Busy, SegueError
from engine.events import AudioChunk, Event, KeptCodes, LeadCodes, Preview, PrimeEncoded, WindowDone
from engine.request import Pulse, Request
from engine.shelf.files import TRASH
from engine.shelf.index import announce
from engine.take.closing import close_take
from engine.take.journal import Journal, Kind, Record, sync_data
from engine.take.state import Growth
from engine.take.take import AUDIO_PART, JOURNAL, PRIME, REQUEST, Take, TakeHead, read_prime_of, read_record

_SYNC_SECONDS = 0.5  # audio that a power cut may cost; codes are on disk window by window
_NONE = np.zeros(0, np.int64)
_NAME = re.compile(r"_A(\d{1,9})(?:\.\d+)?$")


class TakeWriter:
    """A take that grows: give it every event of sampling, then :meth:`finish`.

    ``done``: codes per level known when it was opened, int64 [tokens] from the beginning of the prime (None
    for a new take): what sampling goes on from. Every method that writes raises :class:`DiskFull`,
    :class:`PathNotAllowed` or :class:`NoFile`; the windows before that stay on disk.
    """

    def __init__(self, folder: Path, head: TakeHead, prime: Waveform, started: float | None = None) -> None:
        self.folder, self.head, self.prime = folder, head, prime
        self._journal = Journal(folder / JOURNAL)
        try:
            self._growth = Growth.of(self._journal.records)
            with writing(folder / AUDIO_PART):
                self._audio = os.open(folder / AUDIO_PART, os.O_RDWR | os.O_CREAT, 0o644)
        except BaseException:
            self._journal.close()
            raise
        self.done = self._growth.all_codes() if self._growth.prime_complete else None
        self._frames = 0
        self._synced = self._growth.audio_frames
        self._open = True
        self._began = (time.perf_counter() if started is None else started) - self._growth.elapsed
        self._append(Kind.RUN)

    @classmethod
    def create(
        cls,
        root: str | Path,
        request: Request,
        model_hash: str,
        prime: Waveform,
        *,
        started: float | None = None,
        place: Path | None = None,
        overhang: int = 0,
        hop: int = 0,
        left_out: int = 0,
        pulse: Pulse | None = None,
        runtime: str = "",
        model_files: dict[str, str] | None = None,
    ) -> TakeWriter:
        """A new take in a folder of its own under ``root`` (made when missing), or in the folder ``place``.

        ``prime``: one channel at the model's rate, as read by :func:`engine.audio.read_prime`, empty for a take
        from nothing; ``started``: ``time.perf_counter()`` at the beginning of the work, now when None;
        ``overhang``, ``hop``, ``left_out``, ``pulse``, ``runtime`` and ``model_files``: see :class:`TakeHead`. Raises
        :class:`Busy` when there is a take in ``place``.
        """
        now = datetime.now().astimezone()
        folder = _new_folder(Path(root), now) if place is None else _empty_place(place)
        samples = prime.mono_samples()
        head = TakeHead(
            name=folder.name.rsplit("_", 1)[-1],
            request=request,
            model_hash=model_hash,
            engine_version=_engine_version(),
            rate=prime.rate,
            prime_frames=prime.frames,
            prime_sha256=hashlib.sha256(samples.tobytes()).hexdigest(),
            created=now.isoformat(timespec="seconds"),
            parent=Path(request.parents[-1].folder).name if request.parents else None,
            overhang=overhang,
            hop=hop,
            left_out=left_out,
            pulse=pulse,
            runtime=runtime,
            model_files=model_files or {},
        )
        try:
            write_durably(folder / REQUEST, head.model_dump_json(indent=1).encode())
            if prime.frames:
                write_wav_float(folder / PRIME, samples, prime.rate)
            return cls(folder, head, prime, started)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)  # nothing was sampled yet
            raise

    @classmethod
    def resume(cls, folder: str | Path) -> TakeWriter:
        """Opens an unfinished take to go on with ``done``.

        Raises :class:`NoFile` where there is none, :class:`BadFormat` when its prime is not the one that was
        used, :class:`Busy` when another process is writing it.
        """
        folder = Path(folder)
        head = read_record(folder, REQUEST, TakeHead)
        prime = read_prime_of(folder, head)
        if hashlib.sha256(prime.mono_samples().tobytes()).hexdigest() != head.prime_sha256:
            raise BadFormat(f"{PRIME} in '{folder}' was changed; put the original back to resume the take")
        return cls(folder, head, prime)

    @property
    def audio_frames(self) -> int:
        """Frames of audio received in this run."""
        return self._frames

    @property
    def windows(self) -> int:
        """Windows on disk, those of earlier runs included."""
        return len(self._growth.plan)

    def event(self, event: Event, at: float | None = None) -> None:
        """Takes in what sampling yields; windows are on disk when this returns.

        ``at``: ``time.perf_counter()`` when it came, now when None.
        """
        if isinstance(event, AudioChunk | Preview):
            self._hear(event, self._elapsed(at))
        if isinstance(event, PrimeEncoded):
            self._prime_codes(event)
        elif isinstance(event, WindowDone | KeptCodes):
            codes = self._growth.fresh_tokens(event.level, event.start, event.codes)
            if codes.size:
                start = event.start + event.codes.size - codes.size
                if isinstance(event, WindowDone):
                    self._append(Kind.WINDOW, event.level, event.index, start, codes, event.seconds)
                else:
                    self._append(Kind.KEPT, event.level, 0, start, codes)
        elif isinstance(event, LeadCodes):
            if event.start not in self._growth.leads.get(event.level, {}):
                self._append(Kind.LEAD, event.level, 0, event.start, event.codes, sync=False)
        elif isinstance(event, AudioChunk):
            self._chunk(event)

    def _prime_codes(self, event: PrimeEncoded) -> None:
        complete = self._growth.prime_complete
        fresh: list[tuple[int, NDArray[np.int64]]] = []
        for level, codes in sorted(event.codes.items()):
            known = self._growth.prime_tokens.get(level)
            if known is None or not complete:
                fresh.append((level, codes))
            elif not np.array_equal(self._growth.codes(level)[:known], codes):
                raise BadFormat(
                    f"the prime's codes of level {level} differ from those of the take in '{self.folder}'; "
                    "a take can only be resumed with the same model"
                )
        for left, (level, codes) in zip(range(len(fresh))[::-1], fresh, strict=True):
            self._append(Kind.PRIME, level, left, codes=codes, seconds=event.seconds)

    def _chunk(self, event: AudioChunk) -> None:
        if event.start > max(self._frames, self._growth.audio_frames):
            raise SegueError(
                f"audio from frame {event.start} arrived before frame {self._frames}; chunks come in order"
            )
        if not np.isfinite(event.samples).all():
            raise SegueError(
                f"the decoder gave samples that are not numbers at frame {event.start}; check the model"
            )
        data = memoryview(np.ascontiguousarray(event.samples, dtype="<f4").tobytes())
        offset = 4 * event.start
        with writing(self.folder / AUDIO_PART):
            while data:
                written = os.pwrite(self._audio, data, offset)
                data, offset = data[written:], offset + written
        self._frames = max(self._frames, event.start + event.samples.size)
        if self._frames - self._synced >= _SYNC_SECONDS * self.head.rate:
            self._record_audio()

    def _hear(self, event: AudioChunk | Preview, elapsed: float) -> None:
        if math.isnan(self._growth.first_audio_ms):
            self._growth.first_audio_ms = 1000.0 * elapsed
        if (
            isinstance(event, AudioChunk)
            and not self._growth.audio_frames  # or an earlier run knew it
            and math.isnan(self._growth.first_final_ms)
        ):
            self._growth.first_final_ms = 1000.0 * elapsed

    def _record_audio(self) -> None:
        with writing(self.folder / AUDIO_PART):
            sync_data(self._audio)
        self._synced = self._frames
        self._append(Kind.AUDIO)

    def _append(
        self,
        kind: Kind,
        level: int = 0,
        index: int = 0,
        start: int = 0,
        codes: NDArray[np.int64] = _NONE,
        seconds: float = 0.0,
        *,
        sync: bool = True,
    ) -> None:
        record = Record(
            kind,
            level,
            index,
            start,
            codes,
            seconds,
            self._synced,
            self._elapsed(),
            self._growth.first_audio_ms,
        )
        self._journal.append(record, sync=sync)
        self._growth.add(record)

    def _elapsed(self, at: float | None = None) -> float:
        return (time.perf_counter() if at is None else at) - self._began

    def finish(self) -> Take:
        """Writes codes, audio and ``take.json`` under their final names; the take is complete when this
        returns.

        Raises :class:`SegueError` when less audio arrived than was requested.
        """
        frames = max(self._frames, self._growth.audio_frames)
        if frames != self.head.request.frames:
            raise SegueError(
                f"sampling ended after {frames} of {self.head.request.frames} frames; resume the take"
            )
        self._growth.audio_frames, self._growth.elapsed = frames, self._elapsed()
        take = close_take(self.folder, self.head, self._growth, "complete")
        self._synced = self._frames  # the final file holds all of it
        self.close()
        for name in (JOURNAL, AUDIO_PART):
            (self.folder / name).unlink(missing_ok=True)
        announce(self.folder)
        return take

    def close(self) -> None:
        """Lets go of the files and leaves the take as it is, to be resumed, recovered or discarded later."""
        if self._open:
            self._open = False
            if self._frames > self._synced:
                with contextlib.suppress(SegueError):  # on a full disk the last half second stays unrecorded
                    self._record_audio()
            os.close(self._audio)
            self._journal.close()


def _empty_place(place: Path) -> Path:
    with writing(place):
        place.mkdir(parents=True, exist_ok=True)
    if any(not entry.name.startswith(".") for entry in place.iterdir()):
        raise Busy(f"the folder '{place}' is not empty; give one of its own for the take")
    return place


def _new_folder(root: Path, now: datetime) -> Path:
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
        names = [entry.name for place in (root, root / TRASH) if place.is_dir() for entry in place.iterdir()]
        numbers = [int(match.group(1)) for name in names if (match := _NAME.search(name))]
        number = max(numbers, default=0) + 1
        while True:
            folder = root / f"{now:%Y-%m-%d_%H%M%S}_A{number:02d}"
            with contextlib.suppress(FileExistsError):
                folder.mkdir()
                sync_folder(root)
                return folder
            number += 1


def _engine_version() -> str:
    try:
        return importlib.metadata.version("segue")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
