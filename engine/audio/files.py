"""Audio files: WAV, FLAC, OGG, MP3 and AIFF in (libsndfile), 24-bit and float WAV out.

Reading never takes more of a file than the asked-for span; every way a file can be wrong has its own
sentence.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile
from numpy.typing import NDArray

from engine.audio.containers import DataChunk, find_data_chunk
from engine.audio.durable import write_durably
from engine.audio.waveform import Waveform
from engine.errors import BadFormat, NoFile, OutOfRange

MIN_RATE, MAX_RATE = 4_000, 384_000
MAX_CHANNELS = 64
_BLOCK_FRAMES = 1 << 16
_MAX_FRAMES = 1 << 48  # libsndfile reports about 2^63 for a length it cannot tell
_FULL_SCALE = 1 << 23
SPAN_TOLERANCE_SECONDS = 0.01  # DAW markers arrive as 32-bit floats


@dataclass(frozen=True)
class AudioInfo:
    """What the header says: ``frames`` per channel, ``rate`` in Hz, libsndfile's format and subtype names."""

    path: str
    frames: int
    rate: int
    channels: int
    format: str
    subtype: str

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self.rate


class AudioFile:
    """An open audio file: ``info`` and, once, blocks of a span. Use as a context manager.

    Raises :class:`NoFile` (missing, a folder, no right to read) or :class:`BadFormat` (empty, not audio, no
    channels, a rate outside 4 kHz to 384 kHz).
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._raw = _open_regular(self.path)
        try:
            self._data: DataChunk | None = find_data_chunk(self._raw, os.fstat(self._raw.fileno()).st_size)
            self._raw.seek(0)
            self._sound = self._open_sound()
            try:
                self.info = self._checked_info()
            except BaseException:
                self._sound.close()
                raise
        except BaseException:
            self._raw.close()
            raise

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sound.close()
        self._raw.close()

    def _open_sound(self) -> soundfile.SoundFile:
        if self._data is not None and self._data.present <= 0:
            raise BadFormat(f"'{self.path}' is truncated before its first sample; copy or export it again")
        try:
            return soundfile.SoundFile(self._raw.fileno(), closefd=False)
        except soundfile.SoundFileError as error:
            reason = str(getattr(error, "error_string", error)).strip().rstrip(".")
            raise BadFormat(
                f"'{self.path}' cannot be read as audio ({reason}); "
                "give a whole WAV, FLAC, OGG, MP3 or AIFF file"
            ) from error

    def _checked_info(self) -> AudioInfo:
        sound = self._sound
        if not MIN_RATE <= sound.samplerate <= MAX_RATE:
            raise BadFormat(
                f"'{self.path}' has a sampling rate of {sound.samplerate} Hz; "
                f"it must lie between {MIN_RATE} and {MAX_RATE} Hz"
            )
        if sound.channels > MAX_CHANNELS:
            raise BadFormat(
                f"'{self.path}' has {sound.channels} channels; export it with {MAX_CHANNELS} or fewer"
            )
        if sound.frames <= 0:
            raise BadFormat(f"'{self.path}' holds no samples; export it again with audio in it")
        if sound.frames > _MAX_FRAMES:
            raise BadFormat(
                f"the length of '{self.path}' cannot be told, it seems truncated; export it again"
            )
        return AudioInfo(
            self.path, sound.frames, sound.samplerate, sound.channels, sound.format, sound.subtype
        )

    def refuse_truncated(self) -> None:
        """Raises :class:`BadFormat` when the header promises more audio than the file holds."""
        if self._data is None or not self._data.truncated:
            return
        promised = self.info.seconds * self._data.promised / self._data.present
        raise BadFormat(
            f"'{self.path}' is truncated: its header promises {promised:.2f} s but {self.info.seconds:.2f} s "
            "are there; copy or export it again, or give a span inside what is there"
        )

    def span(self, start_s: float, length_s: float | None) -> tuple[int, int]:
        """First frame and number of frames of a span in seconds (``length_s`` None: to the end).

        Raises :class:`OutOfRange` when it does not lie inside the file (10 ms beyond its end are forgiven),
        :class:`BadFormat` when it would reach the missing end of a truncated file.
        """
        info = self.info
        if length_s is None:
            self.refuse_truncated()
        start = round(start_s * info.rate)
        if not 0 <= start < info.frames:
            raise OutOfRange(
                f"the span starts at {start_s:g} s, but '{self.path}' is {info.seconds:.2f} s long; "
                "start inside it"
            )
        if length_s is None:
            return start, info.frames - start
        frames = round(length_s * info.rate)
        if frames < 1:
            raise OutOfRange(f"the span is {length_s:g} s long; it must be longer than 0")
        if start + frames > info.frames + round(SPAN_TOLERANCE_SECONDS * info.rate):
            self.refuse_truncated()
            raise OutOfRange(
                f"the span of {start_s:g} s to {start_s + length_s:g} s reaches beyond the end of "
                f"'{self.path}' at {info.seconds:.2f} s; a length up to {info.seconds - start_s:.2f} s fits"
            )
        return start, min(frames, info.frames - start)

    def blocks(self, start: int, frames: int) -> Iterator[NDArray[np.float32]]:
        """The frames from ``start`` on as float32 [≤ 65536, channels], checked to be numbers.

        Raises :class:`BadFormat` when the file ends or breaks before, or holds NaN or infinite samples.
        """
        position = start
        try:
            self._sound.seek(start)
            while position < start + frames:
                wanted = min(_BLOCK_FRAMES, start + frames - position)
                block = self._sound.read(wanted, dtype="float32", always_2d=True)
                self._check_numbers(block, position)
                position += len(block)
                if len(block):
                    yield block
                if len(block) < wanted:
                    break
        except soundfile.SoundFileError as error:
            raise self._broken_at(position) from error
        if position < start + frames:
            raise self._broken_at(position)

    def _check_numbers(self, block: NDArray[np.float32], position: int) -> None:
        bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
        if bad.size:
            seconds = (position + int(bad[0])) / self.info.rate
            raise BadFormat(
                f"'{self.path}' holds samples that are not numbers (NaN or infinite), the first at "
                f"{seconds:.3f} s; export it again"
            )

    def _broken_at(self, position: int) -> BadFormat:
        return BadFormat(
            f"'{self.path}' is truncated or damaged: reading stopped at {position / self.info.rate:.2f} s of "
            f"{self.info.seconds:.2f} s; copy or export it again"
        )


def _open_regular(path: str) -> io.FileIO:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise NoFile(f"'{path}' is a folder or a device; give an audio file")
        file = open(path, "rb", buffering=0)  # noqa: SIM115 - libsndfile shares its position
    except PermissionError as error:
        raise NoFile(f"'{path}' may not be read; change its rights or give another file") from error
    except (OSError, ValueError) as error:
        raise NoFile(f"there is no file '{path}'; check the path") from error
    if os.fstat(file.fileno()).st_size == 0:
        file.close()
        raise BadFormat(f"'{path}' is empty (0 bytes); export it again")
    return file


def probe(path: str | os.PathLike[str]) -> AudioInfo:
    """What the header of an audio file says; reads no samples. Raises as :class:`AudioFile` does."""
    with AudioFile(path) as file:
        return file.info


def read_audio(path: str | os.PathLike[str], start_s: float = 0.0, length_s: float | None = None) -> Waveform:
    """A span of an audio file at its own rate, all channels; seeks instead of reading what is before it.

    Raises :class:`NoFile`, :class:`BadFormat`, :class:`OutOfRange` as :class:`AudioFile` does.
    """
    with AudioFile(path) as file:
        start, frames = file.span(start_s, length_s)
        return Waveform(np.concatenate(list(file.blocks(start, frames))), file.info.rate)


def _pcm24(samples: NDArray[np.float32]) -> NDArray[np.int32]:
    scaled = np.rint(np.asarray(samples, dtype=np.float64) * _FULL_SCALE)
    return np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int32)


def quantise24(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Samples rounded and clipped to the 24-bit grid (steps of 2^-23), exact in float32.

    What is streamed goes through this, so that it equals the take's file bit for bit.
    """
    return (_pcm24(samples) / np.float64(_FULL_SCALE)).astype(np.float32)


def write_wav24(path: str | os.PathLike[str], samples: NDArray[np.float32], rate: int) -> int:
    """Writes float32 [frames] or [frames, channels] as 24-bit WAV, all or nothing; returns how many clipped.

    Values are rounded to steps of 2^-23 without dither (facts/daw.md §4.4: inaudible at 24 bit) and clipped
    beyond ±1. Raises as :func:`engine.audio.durable.write_durably` does; ValueError for NaN or infinity.
    """
    if not np.isfinite(samples).all():
        raise ValueError("samples to write must all be finite numbers")
    buffer = io.BytesIO()
    soundfile.write(buffer, _pcm24(samples) << 8, rate, format="WAV", subtype="PCM_24")
    write_durably(Path(path), buffer.getbuffer())
    return int(np.count_nonzero(np.abs(samples) > 1.0))


def write_wav_float(path: str | os.PathLike[str], samples: NDArray[np.float32], rate: int) -> None:
    """Writes float32 [frames] or [frames, channels] as 32-bit float WAV, bit for bit, all or nothing."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.asarray(samples, dtype=np.float32), rate, format="WAV", subtype="FLOAT")
    write_durably(Path(path), buffer.getbuffer())
