"""Taking in a prime: a span of a file, as the model hears it (mono, at the model's rate)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.audio.files import AudioFile, AudioInfo
from engine.audio.waveform import Waveform, dbfs
from engine.errors import BadFormat, OutOfRange, PathNotAllowed, TooLarge, TooShort
from engine.request import PrimeRef

MIN_PRIME_SECONDS = 0.5
MAX_PRIME_SECONDS = 600.0
SILENCE_DBFS = -70.0
MAX_PEAK_DBFS = 40.0
_SUGGESTED_SECONDS = 30


def read_prime(ref: PrimeRef, rate: int) -> Waveform:
    """The prime that ``ref`` points to: one channel (mean of all) at ``rate`` Hz, 0.5 s to 600 s.

    Only the span is read, block by block. Raises :class:`NoFile`, :class:`BadFormat` (not audio, damaged,
    silent, absurdly loud), :class:`TooShort`, :class:`TooLarge` (over 600 s), :class:`OutOfRange` (a span
    outside the file), :class:`PathNotAllowed` (a relative path).
    """
    refuse_relative(ref)
    with AudioFile(ref.path) as file:
        start, frames = file.span(ref.start_seconds, ref.length_seconds)
        _check_length(file.info, ref, frames)
        loudest, mono = 0.0, []
        for block in file.blocks(start, frames):
            loudest = max(loudest, float(np.max(np.abs(block))))
            mono.append(block.mean(axis=1, dtype=np.float32))
        prime = Waveform.of_mono(np.concatenate(mono), file.info.rate)
    _check_loudness(ref.path, loudest, prime.peak)
    return prime.resample(rate)


def refuse_relative(ref: PrimeRef) -> None:
    """Raises :class:`PathNotAllowed` for a path that would mean another file in another process."""
    if not Path(ref.path).is_absolute():
        raise PathNotAllowed(f"the path '{ref.path}' is relative; give an absolute path")


def _check_length(info: AudioInfo, ref: PrimeRef, frames: int) -> None:
    seconds = frames / info.rate
    if seconds < MIN_PRIME_SECONDS:
        raise TooShort(
            f"the prime '{ref.path}' is {seconds:.3f} s long; "
            f"at least {MIN_PRIME_SECONDS} s are needed to continue it"
        )
    if seconds <= MAX_PRIME_SECONDS:
        return
    if ref.length_seconds is None:
        raise TooLarge(
            f"'{ref.path}' leaves {_clock(seconds)} to continue, more than {MAX_PRIME_SECONDS:g} s; "
            f"give a span, such as its end: "
            f"start {info.seconds - _SUGGESTED_SECONDS:.0f}, length {_SUGGESTED_SECONDS}"
        )
    raise OutOfRange(
        f"the span of '{ref.path}' is {_clock(seconds)} long; "
        f"a prime may have {MAX_PRIME_SECONDS:g} s at most"
    )


def _check_loudness(path: str, loudest: float, mono_peak: float) -> None:
    if dbfs(loudest) > MAX_PEAK_DBFS:
        raise BadFormat(
            f"'{path}' peaks at {dbfs(loudest):+.0f} dBFS; "
            "export it with its peaks near 0 dBFS (full scale is 1.0)"
        )
    if dbfs(loudest) < SILENCE_DBFS:
        raise BadFormat(
            f"'{path}' is silent (its peak is below {SILENCE_DBFS:g} dBFS); give a span with sound in it"
        )
    if dbfs(mono_peak) < SILENCE_DBFS:
        raise BadFormat(
            f"'{path}' is silent in mono because its channels cancel out; export it with one channel inverted"
        )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min {rest} s" if hours else f"{minutes} min {rest} s"
