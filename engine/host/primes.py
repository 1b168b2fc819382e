"""Primes that were read and encoded before anybody asked for a continuation, so that a job starts at once."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.audio import Waveform, probe, read_prime
from engine.audio.prime import refuse_relative
from engine.errors import NoFile, PathNotAllowed
from engine.host import hearing
from engine.host.foreseen import Foreseen, foresee, used_frames
from engine.host.known import Codes, KnownPrime
from engine.request import PrimeRef, Request

if TYPE_CHECKING:
    from engine.backends.protocol import Backend
    from engine.store.config import ModelConfig

_KEPT = 4
_MIN_TEMPO_CONFIDENCE = 0.25
_TEMPO_SECONDS = 30.0


@dataclass(frozen=True, eq=False)
class ShelvedPrime:
    """A prime ready for use: its top level's codes are known, others perhaps. ``rate``: the file's own, Hz; ``bpm``:
    estimated, None when nothing repeats."""

    known: KnownPrime
    rate: int
    bpm: float | None


class PrimeShelf:
    """The last few primes, found again by file, time of change, span and model. Thread-safe."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], ShelvedPrime] = OrderedDict()
        self._lock = threading.Lock()
        self._foreseen: Foreseen | None = None

    def foresee(self, backend: Backend, ref: PrimeRef, frames: int) -> None:
        """Encodes what there is of a prime that will have ``frames`` at the model's rate, ahead of need. Raises as
        :meth:`take_in`."""
        self._foreseen = foresee(backend, read_prime(ref, backend.config.rate).mono_samples(), frames)

    def take_in(self, backend: Backend, ref: PrimeRef) -> ShelvedPrime:
        """Reads, checks and encodes a prime, or finds it. Raises what :func:`read_prime` raises."""
        self.begin(backend, ref)
        return self.complete(backend, ref)

    def begin(self, backend: Backend, ref: PrimeRef, bpm: float | None = None) -> ShelvedPrime:
        """Reads and checks a prime and encodes what the first sound needs, or finds it; ``bpm``: a tempo that is
        known, with which a take will keep it. Raises as :meth:`take_in`."""
        key = _key(backend, ref)
        found = self._get(key)
        if found is None:
            waveform = read_prime(ref, backend.config.rate)
            hearing.load()
            with ThreadPoolExecutor(1) as beside:  # (numpy and runtimes compute without the interpreter)
                tempo = beside.submit(_listen, backend.config, ref, waveform, bpm)
                codes = self._top_codes(backend, waveform)
                found = ShelvedPrime(KnownPrime(waveform, codes), probe(ref.path).rate, tempo.result())
            self._put(key, found)
        return found

    def complete(self, backend: Backend, ref: PrimeRef) -> ShelvedPrime:
        """Encodes what :meth:`begin` left out, unless that was done."""
        found, key = self.begin(backend, ref), _key(backend, ref)
        known = found.known
        missing = tuple(level for level in range(backend.config.top) if level not in known.codes)
        if missing:
            codes = known.codes | _encode(backend, known.waveform, missing)
            found = replace(found, known=KnownPrime(known.waveform, codes))
            self._put(key, found)
        return found

    def find(self, backend: Backend, ref: PrimeRef) -> KnownPrime | None:
        """The prime if it was taken in and its file has not changed since."""
        try:
            found = self._get(_key(backend, ref))
        except (NoFile, PathNotAllowed):
            return None  # the job says what is wrong when it reads the prime
        return None if found is None else found.known

    def _top_codes(self, backend: Backend, waveform: Waveform) -> dict[int, Codes]:
        """Codes of the top level; of a prime that was foreseen only the end is encoded now."""
        if self._foreseen is not None:
            codes = self._foreseen.codes_of(backend, waveform.mono_samples())
            if codes is not None:
                return {backend.config.top: codes}
        return _encode(backend, waveform, (backend.config.top,))

    def _put(self, key: tuple[Any, ...], prime: ShelvedPrime) -> None:
        with self._lock:
            self._kept[key] = prime
            self._kept.move_to_end(key)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)

    def _get(self, key: tuple[Any, ...]) -> ShelvedPrime | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)


def _key(backend: Backend, ref: PrimeRef) -> tuple[Any, ...]:
    refuse_relative(ref)
    try:
        status = os.stat(ref.path)
    except (OSError, ValueError) as error:
        raise NoFile(f"there is no file '{ref.path}'; check the path") from error
    return (backend.hash, ref, status.st_mtime_ns, status.st_size, status.st_ino)


def _encode(backend: Backend, waveform: Waveform, levels: tuple[int, ...]) -> dict[int, Codes]:
    """Codes of what sampling with its usual settings uses: the prime's end, in whole top-level tokens."""
    first = waveform.frames - used_frames(backend, waveform.frames)
    return backend.encode(np.ascontiguousarray(waveform.mono_samples()[first:]), levels)


def _listen(config: ModelConfig, ref: PrimeRef, waveform: Waveform, bpm: float | None) -> float | None:
    """The tempo as estimated; the pulse is heard as well, which sampling then remembers."""
    from engine.sampling.pulse import song_pulse

    estimated = _tempo(waveform)
    song_pulse(
        config, Request(prime=ref, frames=1, bpm=bpm or estimated), waveform.mono_samples(), waveform.frames
    )
    return estimated


def _tempo(waveform: Waveform) -> float | None:
    """Tempo of the prime's end in beats a minute, None for a prime too short or too free to tell."""
    from engine.analysis.tempo import MIN_SECONDS, estimate_tempo

    if waveform.seconds < MIN_SECONDS:
        return None
    end = waveform.slice(max(0, waveform.frames - round(_TEMPO_SECONDS * waveform.rate)))
    estimate = estimate_tempo(end.mono_samples(), waveform.rate)
    return estimate.bpm if estimate.confidence >= _MIN_TEMPO_CONFIDENCE else None
