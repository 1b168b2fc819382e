"""Continuations that are made once: each lies in a file of its own, so that a killed run goes on with the next."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from engine.audio.durable import write_durably, writing
from engine.backends.protocol import Backend
from engine.events import AudioChunk, PrimeEncoded, Progress, WindowDone
from engine.request import Request
from engine.sampling import continue_prime

FOLDER = "continuations"


@dataclass(frozen=True, eq=False)
class Made:
    """One continuation: ``audio`` float32 [T], and the top level's codes of the prime and of what follows, int64."""

    audio: NDArray[np.float32]
    prime_codes: NDArray[np.int64]
    codes: NDArray[np.int64]


class Maker:
    """Makes continuations with ``backend``, and keeps them below ``folder`` (None: nowhere). ``found`` counts those
    that lay there already."""

    def __init__(self, backend: Backend, folder: Path | None) -> None:
        self.backend = backend
        self.folder = None if folder is None else folder / FOLDER
        self.found = 0

    def make(
        self,
        request: Request,
        prime: NDArray[np.float32],
        progress: Callable[[float], None] = lambda fraction: None,
    ) -> Made:
        """The continuation of ``prime`` [P] that ``request`` asks for; ``progress`` is told the fraction done.

        Raises as sampling does, and DiskFull or PathNotAllowed where it cannot be kept.
        """
        path = None if self.folder is None else self.folder / f"{self._name(request, prime)}.npz"
        if path is not None and (known := _read(path)) is not None:
            self.found += 1
            return known
        made = self._sample(request, prime, progress)
        if path is not None:
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            content = io.BytesIO()
            np.savez(content, audio=made.audio, prime_codes=made.prime_codes, codes=made.codes)
            write_durably(path, content.getvalue())
        return made

    def _name(self, request: Request, prime: NDArray[np.float32]) -> str:
        """A take is a pure function of its request, its model and its prime (and, up to rounding, of the runtime)."""
        digest = hashlib.sha256(f"{self.backend.hash} {self.backend.runtime}\n".encode())
        digest.update(request.model_dump_json().encode())
        digest.update(np.ascontiguousarray(prime).tobytes())
        return digest.hexdigest()[:24]

    def _sample(
        self, request: Request, prime: NDArray[np.float32], progress: Callable[[float], None]
    ) -> Made:
        top = self.backend.config.top
        chunks, codes = [], []
        heard = np.zeros(0, np.int64)
        for event in continue_prime(self.backend, request, prime):
            if isinstance(event, AudioChunk):
                chunks.append(event.samples)
            elif isinstance(event, PrimeEncoded) and top in event.codes:
                heard = np.asarray(event.codes[top], np.int64)
            elif isinstance(event, WindowDone) and event.level == top:
                codes.append((event.start, np.asarray(event.codes, np.int64)))
            elif isinstance(event, Progress):
                progress(event.fraction)
        ordered = [piece for _, piece in sorted(codes, key=lambda one: one[0])]
        return Made(np.concatenate(chunks), heard, np.concatenate([heard[:0], *ordered]))


def _read(path: Path) -> Made | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return Made(stored["audio"], stored["prime_codes"], stored["codes"])
    except (OSError, ValueError, KeyError, BadZipFile):
        return None  # not there, or not whole: it is made again
