"""A sound file as something to play."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import soundfile
import soxr

from engine.errors import BadFormat, NoFile
from engine.ring import Ring, Samples

_LEAD_SECONDS = 0.5
_PORTION = 4_096
_PAUSE = 0.02


class FileSource:
    """A thread reads the file, mixes its channels to one, resamples it to ``rate`` Hz if need be, half a second ahead.

    See ``source.Source``. Positions are frames of the file at its own rate. Raises :class:`NoFile`,
    :class:`BadFormat`.
    """

    def __init__(
        self,
        path: Path,
        rate: int,
        *,
        from_frame: int = 0,
        total_frames: int | None = None,
        loop: bool = False,
    ) -> None:
        try:
            self._file = soundfile.SoundFile(path)
        except (OSError, soundfile.LibsndfileError) as error:
            if not path.is_file():
                raise NoFile(f"there is no file '{path}' to play; check the path") from None
            raise BadFormat(f"'{path}' is no sound file ({error}); play a WAV or FLAC") from None
        frames = self._file.frames
        self.total_frames = total_frames
        self._frames = frames if total_frames is None else min(frames, total_frames)
        self._first = from_frame % self._frames if loop and self._frames else min(from_frame, self._frames)
        self._loop = loop and self._frames > 0
        self._rate = rate
        self._lead = int(_LEAD_SECONDS * rate)
        self._local = Ring.local(1 << (2 * self._lead).bit_length(), rate)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._feed, name="file-reader", daemon=True)
        self._thread.start()

    @property
    def position(self) -> int:
        """See ``source.Source``."""
        if self._local.finished and self._local.fill == 0:
            return self._frames
        at = self._first + self._local.read * self._file.samplerate // self._rate
        return at % self._frames if self._loop else min(at, self._frames)

    @property
    def fill(self) -> int:
        """See ``source.Source``."""
        return self._local.fill * self._file.samplerate // self._rate

    def ready(self, frames: int) -> bool:
        """See ``source.Source``. So little is always waited for that the disk may be busy for a moment."""
        wanted = max(frames * self._rate // self._file.samplerate, self._lead // 4)
        return self._local.finished or self._local.fill >= min(wanted, self._lead // 2)

    def read_into(self, out: Samples) -> int:
        """See ``source.Source``."""
        return self._local.read_into(out)

    @property
    def exhausted(self) -> bool:
        """See ``source.Source``."""
        return self._local.finished and self._local.fill == 0

    def drain(self) -> None:
        """See ``source.Source``."""
        self._local.drain()

    def close(self) -> int:
        """See ``source.Source``."""
        self._stop.set()
        self._thread.join()
        position = self.position
        self._file.close()
        self._local.close()
        return position

    def _feed(self) -> None:
        same = self._file.samplerate == self._rate
        stream = None if same else soxr.ResampleStream(self._file.samplerate, self._rate, 1, dtype="float32")
        self._file.seek(self._first)
        while not self._stop.is_set() and not self._local.finished:
            if self._local.fill >= self._lead:
                self._stop.wait(_PAUSE)
                continue
            mono = self._next()
            last = len(mono) == 0
            self._local.write(mono if stream is None else stream.resample_chunk(mono, last=last))
            if last:
                self._local.finish()

    def _next(self) -> Samples:
        """The next frames, at most a portion; none at the end, or if the file cannot be read any more."""
        left = self._frames - self._file.tell()
        if left <= 0 and self._loop:
            self._file.seek(0)
            left = self._frames
        try:
            portion = self._file.read(min(_PORTION, left), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            return np.zeros(0, np.float32)
        return portion[:, 0] if portion.shape[1] == 1 else portion.mean(axis=1)
