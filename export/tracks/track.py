"""A finished take: what all writers of tracks start from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.analysis.loudness import Loudness
from engine.request import exact_bpm, frames_of_beats
from engine.take import Take
from engine.take.marks import Marks
from export.tracks.wishes import TrackWishes


@dataclass(frozen=True)
class Tempo:
    """``bpm`` quarter notes a minute, in bars of ``numerator`` notes of 1/``denominator``."""

    bpm: float
    numerator: int = 4
    denominator: int = 4

    @property
    def bar_beats(self) -> Fraction:
        """Quarter notes in a bar."""
        return Fraction(4 * self.numerator, self.denominator)

    def frames(self, bars: int | Fraction, rate: int) -> int:
        """Length of ``bars`` in samples."""
        return frames_of_beats(bars * self.bar_beats, self.bpm, rate)

    def bars(self, frames: int, rate: int) -> Fraction:
        """How many bars ``frames`` samples are."""
        return frames * exact_bpm(self.bpm) / (60 * rate * self.bar_beats)

    def whole_bars(self, frames: int, rate: int) -> int:
        """Whole bars that fit into ``frames``, which were rounded."""
        return int(self.bars(frames + 1, rate))


@dataclass(frozen=True)
class Seam:
    """A place where two pieces meet: at ``frame`` of the track."""

    frame: int
    label: str


@dataclass(frozen=True)
class Done:
    """What was done to the sound, so that nothing is done in silence.

    ``gain_db``: of the continuation; ``limited_db``: how far the limiter went down at most, for ``limited_seconds``;
    ``clipped``: samples of the track beyond full scale, which a file of whole numbers cuts off. ``notes``: sentences
    for people.
    """

    gain_db: float = 0.0
    limited_db: float = 0.0
    limited_seconds: float = 0.0
    clipped: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class FinishedTrack:
    """One take as a track, under the ``name`` that it has in lists.

    ``samples``: float32 [frames], mono, at ``rate`` Hz, not yet rounded to the file's bits; ``begin``: sample of the
    track at which the continuation begins, above 0 only with the prime in front; ``place``: seconds from the beginning
    of the song to the track's first sample, ``placed``: whether somebody stated it. ``bars``: of the continuation,
    None where they are not whole; ``key`` such as ``F# minor``; ``seams`` inside the track, in order; ``loudness``: of
    the whole track.
    """

    take: Take
    name: str
    marks: Marks
    wishes: TrackWishes
    samples: NDArray[np.float32]
    rate: int
    begin: int
    place: Fraction
    placed: bool
    tempo: Tempo | None
    bars: int | None
    key: str | None
    seams: tuple[Seam, ...]
    loudness: Loudness
    done: Done

    @property
    def frames(self) -> int:
        """Length in samples."""
        return int(self.samples.size)

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.frames / self.rate

    def told(self) -> dict[str, Any]:
        """What ``--json`` says of it: seconds, LUFS, LU, dBTP, dB; ``time_reference`` in samples."""
        return {
            "take": self.name,
            "folder": str(self.take.folder),
            "seconds": self.seconds,
            "rate": self.rate,
            "bpm": None if self.tempo is None else self.tempo.bpm,
            "bars": self.bars,
            "key": self.key,
            "time_reference": self.time_reference,
            "placed": self.placed,
            "lufs": self.loudness.integrated,
            "range_lu": self.loudness.range,
            "true_peak_dbtp": self.loudness.true_peak,
            **asdict(self.done),
        }

    @property
    def time_reference(self) -> int:
        """Samples from the beginning of the song to the track's first, at :attr:`rate`."""
        return round(self.place * self.rate)
