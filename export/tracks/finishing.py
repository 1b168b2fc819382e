"""From a take to a track: whole bars, seams, loudness, rate. Pure: the same take and wishes give the same samples."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from engine.audio import Waveform
from engine.errors import BadFormat, TooShort
from engine.take import Take
from engine.take.marks import Marks, read_marks
from export.tracks.timing import key_of, place_of, tempo_of, window_starts
from export.tracks.track import Done, FinishedTrack, Seam, Tempo
from export.tracks.wishes import TrackWishes

FADE_SECONDS = 0.005

Samples = NDArray[np.float32]


def finish(take: Take, wishes: TrackWishes) -> FinishedTrack:
    """The take as a track.

    Raises TooShort for a take without audio, NoFile or BadFormat where its files are gone or broken.
    """
    head = take.info.head
    rate = wishes.rate or head.rate
    samples = take.audio().mono_samples()
    if not samples.size:
        raise TooShort(f"the take {head.name} holds no audio yet; resume it before it is exported")
    marks, notes = _marks(take)
    tempo = tempo_of(head)
    bars = whole_bars(samples.size, head.rate, tempo)
    if tempo is not None and bars is not None:
        samples = samples[: tempo.frames(bars, head.rate)]
    samples = faded(samples, round(FADE_SECONDS * head.rate))
    samples = at_rate(samples, head.rate, rate, tempo, bars)
    place, placed = place_of(head, tempo)
    starts = window_starts(take.info, min(take.info.tokens, default=0))
    seams = (round(Fraction(start * rate, head.rate)) for start in starts)
    return FinishedTrack(
        take,
        marks,
        wishes,
        samples,
        rate,
        0,
        place,
        placed,
        tempo,
        bars,
        key_of(head),
        tuple(Seam(frame, "window") for frame in seams if frame < samples.size),
        Done(notes=notes),
    )


def _marks(take: Take) -> tuple[Marks, tuple[str, ...]]:
    try:
        return read_marks(take.folder), ()
    except BadFormat as error:
        return Marks(), (error.message,)


def whole_bars(frames: int, rate: int, tempo: Tempo | None) -> int | None:
    """How many bars are kept; None for less than one, and in free time."""
    return None if tempo is None else tempo.whole_bars(frames, rate) or None


def faded(samples: Samples, frames: int) -> Samples:
    """In and out, each over ``frames`` or half of what there is."""
    frames = min(frames, samples.size // 2)
    rise = (np.sin(0.5 * np.pi * (np.arange(frames) + 0.5) / max(1, frames)) ** 2).astype(np.float32)
    result = samples.copy()
    result[:frames] *= rise
    result[samples.size - frames :] *= rise[::-1]
    return result


def at_rate(samples: Samples, before: int, rate: int, tempo: Tempo | None, bars: int | None) -> Samples:
    """The same at ``rate``, as long as the bars are there."""
    resampled = Waveform.of_mono(samples, before).resample(rate).mono_samples()
    if tempo is None or bars is None:
        return resampled
    wanted = tempo.frames(bars, rate)
    return np.pad(resampled[:wanted], (0, max(0, wanted - resampled.size)))
