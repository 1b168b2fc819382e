"""Words as espeak-ng speaks them, with the time of every phoneme; needed only to make the bank."""

from __future__ import annotations

import ctypes
import ctypes.util
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.errors import NotReady

_RETRIEVAL, _PHONEME_EVENTS, _PHONEME = 1, 1, 7
_RATE, _PITCH, _RANGE = 1, 3, 4


@dataclass(frozen=True, eq=False)
class Spoken:
    """A word: `samples` (n,) in -1..1 at `rate`, and `phonemes`: (name, start in seconds), the last one silence."""

    samples: npt.NDArray[np.float64]
    rate: int
    phonemes: tuple[tuple[str, float], ...]


class _Identity(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    _fields_ = [
        ("type", ctypes.c_int),
        ("unique", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Identity),
    ]


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@lru_cache(maxsize=1)
def _started(name: str) -> tuple[Any, int]:
    """The library and its rate; it hangs when it is started twice in a process."""
    library: Any = ctypes.CDLL(name)
    return library, int(library.espeak_Initialize(_RETRIEVAL, 0, None, _PHONEME_EVENTS))


class Speaker:
    """espeak-ng in this process. Raises NotReady when its library is not there."""

    def __init__(self) -> None:
        name = ctypes.util.find_library("espeak-ng")
        if name is None:
            raise NotReady("espeak-ng is not installed; on Debian or Ubuntu: apt-get install espeak-ng")
        self._library, self._rate = _started(name)
        if self._rate <= 0:
            raise NotReady("espeak-ng finds no voice data: install it again.")
        self._blocks: list[npt.NDArray[np.int16]] = []
        self._phonemes: list[tuple[str, float]] = []
        self._callback = _Callback(self._take)  # the library keeps only its address
        self._library.espeak_SetSynthCallback(self._callback)

    def _take(self, samples: Any, count: int, events: Any) -> int:
        if samples and count:
            self._blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        place = 0
        while events[place].type:
            if events[place].type == _PHONEME:
                name = events[place].id.string.decode(errors="replace")
                self._phonemes.append((name, events[place].audio_position / 1000))
            place += 1
        return 0

    def say(self, word: str, voice: str, words_per_minute: int, pitch: int) -> Spoken:
        """One word on one tone. `voice` is one of espeak-ng's with a variant, such as `en-us+f2`."""
        self._blocks, self._phonemes = [], []
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise NotReady(f"espeak-ng has no voice {voice}: install its data again.")
        for parameter, value in ((_RATE, words_per_minute), (_PITCH, pitch), (_RANGE, 0)):
            self._library.espeak_SetParameter(parameter, value, 0)
        text = word.encode() + b"\0"
        self._library.espeak_Synth(text, len(text), 0, 1, 0, 1, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate(self._blocks).astype(np.float64) / 32768
        return Spoken(samples, self._rate, tuple(self._phonemes))
