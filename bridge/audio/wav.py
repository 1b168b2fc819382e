"""The WAV that stands in for a device: mono, 24 bit, usable after a kill."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import numpy as np
import soundfile

from engine.errors import BadFormat, DiskFull, NoFile
from engine.ring import Samples

_FULL_SCALE = 1 << 23
_HEADER = 256  # the data chunk begins within these bytes


class WavSink:
    """Appends mono float32 to a 24-bit WAV at ``rate`` Hz; multiples of 2**-23 in [-1, 1) are kept exactly.

    ``append`` goes on with an existing file, also one whose writer was killed before it could complete the
    header. Raises :class:`NoFile` if the path cannot be written, :class:`BadFormat` if what is there cannot
    be continued.
    """

    def __init__(self, path: Path, rate: int, *, append: bool) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if append and path.exists():
                self._file = _reopen(path, rate)
            else:
                self._file = soundfile.SoundFile(path, "w", rate, 1, subtype="PCM_24", format="WAV")
        except (OSError, soundfile.LibsndfileError) as error:
            raise NoFile(f"'{path}' cannot be written ({error}); name a WAV in a folder of yours") from None

    def write(self, samples: Samples) -> None:
        """Append ``samples`` (shape [frames]). Raises :class:`DiskFull` when there is no room."""
        scaled = np.clip(np.rint(samples.astype(np.float64) * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1)
        try:
            self._file.write(scaled.astype(np.int32) << 8)
        except (OSError, soundfile.LibsndfileError):
            raise DiskFull(f"'{self.path}' cannot grow for want of space; free some") from None

    def close(self) -> None:
        """Complete the header."""
        with contextlib.suppress(OSError, soundfile.LibsndfileError):
            self._file.close()


def _reopen(path: Path, rate: int) -> soundfile.SoundFile:
    _complete_header(path)
    file = soundfile.SoundFile(path, "r+")
    if (file.samplerate, file.channels, file.subtype) != (rate, 1, "PCM_24"):
        file.close()
        raise BadFormat(f"'{path}' is not a mono 24-bit WAV of {rate} Hz; name another file")
    file.seek(0, soundfile.SEEK_END)
    return file


def _complete_header(path: Path) -> None:
    """Set the two lengths to what the file holds: its writer may have been killed before it could."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        head = file.read(_HEADER)
        at = head.find(b"data")
        if head[:4] != b"RIFF" or at < 0:
            raise BadFormat(f"'{path}' is not a WAV; name another file")
        length = (size - at - 8) // 3 * 3
        file.seek(4)
        file.write(struct.pack("<I", at + length))
        file.seek(at + 4)
        file.write(struct.pack("<I", length))
