"""What a job tells while it makes its takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.events import Event, Progress, WindowDone
from engine.take import Take, TakeWriter


@dataclass(frozen=True)
class TakeStarted:
    """Take ``index`` (0-based) grows in ``folder``; ``total_frames`` will be made at ``rate`` Hz."""

    index: int
    folder: Path
    total_frames: int
    rate: int


@dataclass(frozen=True)
class TakeProgress:
    """Where take ``index`` stands: ``fraction`` in [0, 1], ``eta_seconds`` to its end, audio frames so far.

    ``window``: whether a window was finished just now.
    """

    index: int
    folder: Path
    fraction: float
    eta_seconds: float
    audio_frames: int
    total_frames: int
    window: bool


@dataclass(frozen=True)
class TakeFinished:
    """Take ``index`` is complete on disk; ``last`` says whether the job is done with it."""

    index: int
    take: Take
    last: bool


JobEvent = TakeStarted | TakeProgress | TakeFinished


def tell_nobody(event: JobEvent) -> None:
    """A listener for jobs that nobody watches."""


class ProgressTeller:
    """Turns events of sampling into :class:`TakeProgress`."""

    def __init__(
        self, index: int, writer: TakeWriter, total_frames: int, on_event: Callable[[JobEvent], None]
    ) -> None:
        self._index, self._writer, self._total, self._on_event = index, writer, total_frames, on_event
        self._began = time.perf_counter()
        self._first: float | None = None
        self._fraction = 0.0

    def begin(self) -> None:
        """Says that the take grows."""
        head = self._writer.head
        self._on_event(TakeStarted(self._index, self._writer.folder, self._total, head.rate))

    def see(self, event: Event) -> None:
        """Reports windows and progress."""
        if isinstance(event, Progress):
            if self._first is None:
                self._first = event.fraction
            self._fraction = max(self._fraction, event.fraction)  # levels are counted while they move
        elif not isinstance(event, WindowDone):
            return
        self._on_event(
            TakeProgress(
                self._index,
                self._writer.folder,
                self._fraction,
                self._eta(),
                self._writer.audio_frames,
                self._total,
                window=isinstance(event, WindowDone),
            )
        )

    def _eta(self) -> float:
        gained = self._fraction - (self._first or 0.0)
        if gained <= 0.0:
            return 0.0
        return (time.perf_counter() - self._began) * (1.0 - self._fraction) / gained
