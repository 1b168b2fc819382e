"""The mock model's music: what a code sounds like, which code a sound has, and the score that codes follow.

Code 0 is silence. Every other one is a note of :data:`STAGES` stages, along which it fades away:
``1 + pitch · STAGES + stage``, pitches as MIDI counts them.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.prior.pulse import SongPulse
from engine.request import Style

Codes = NDArray[np.int64]

STAGES, PITCHES = 16, 127
BINS = 2048
LOUDEST, FADE = 0.35, 0.82  # of the first stage; from one stage to the next
STEPS = 16  # of a bar
UNKNOWN_BPM = 120.0
_MAJOR, _MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
_RHYTHMS = (0x1111, 0x5555, 0x9249, 0x1249, 0xFFFF, 0x9292, 0x4949, 0xD5D5)  # bit n: step n sounds
_PARTIALS = {2: (1.0,), 1: (0.8, 0.4), 0: (0.7, 0.35, 0.25)}  # of a sine's first multiples, by level
_SILENT_RMS = 1e-3


@dataclass(frozen=True)
class Score:
    """Which steps of the bar sound, and from which notes their pitches are chosen. ``step``: samples; ``downbeat``:
    a sample of the song at which a bar begins."""

    rhythm: int
    root: int
    scale: tuple[int, ...]
    step: float
    downbeat: float

    def steps(self, at: NDArray[np.float64]) -> NDArray[np.int64]:
        """The step, counted from the downbeat, of samples of the song."""
        return np.floor((at - self.downbeat) / self.step + 1e-9).astype(np.int64)

    def stages(self, at: NDArray[np.float64]) -> NDArray[np.int64]:
        """How far samples of the song lie in their step, 0 to STAGES - 1."""
        within = ((at - self.downbeat) / self.step + 1e-9) % 1.0
        return np.minimum((within * STAGES).astype(np.int64), STAGES - 1)

    def sounds(self, steps: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether a note begins at each of ``steps``: at the first of a bar in any case."""
        return (steps % STEPS == 0) | ((self.rhythm >> (steps % STEPS)) & 1 == 1)

    def pitches(
        self, steps: NDArray[np.int64], noise: NDArray[np.float64], reach: float
    ) -> NDArray[np.int64]:
        """Pitches of notes at ``steps``; ``reach``: share of two octaves that ``noise`` (0 to 1) chooses from."""
        count = max(1, round(reach * 2 * len(self.scale)))
        degree = np.minimum((noise * count).astype(np.int64), count - 1)
        octave, place = np.divmod(degree, len(self.scale))
        melody = self.root + 12 + 12 * octave + np.asarray(self.scale)[place]
        return np.where(steps % STEPS == 0, self.root, melody)


def score_of(style: Style, pulse: SongPulse | None, rate: int) -> Score:
    """The score of a style and a pulse; an unknown tempo is 120, an unknown key the style's own."""
    genre = max(style.genres, key=lambda name: style.genres[name], default="")
    artist = max(style.artists, key=lambda name: style.artists[name], default="")
    taste = zlib.crc32(genre.encode())
    rhythm = _RHYTHMS[taste % len(_RHYTHMS)] if genre else _RHYTHMS[0]
    tonic = zlib.crc32(artist.encode()) % 12 if artist else 0
    scale = _MAJOR
    if pulse is not None and pulse.key:
        minor, tonic = divmod(pulse.key - 1, 12)
        scale = _MINOR if minor else _MAJOR
    bar = pulse.bar if pulse is not None and pulse.bar > 0 else 240.0 / UNKNOWN_BPM * rate
    downbeat = pulse.downbeat if pulse is not None else 0.0
    register = 48 + 12 * (taste // 8 % 2) if genre else 48
    return Score(rhythm, register + tonic, scale, bar / STEPS, downbeat)


def next_codes(
    score: Score, at: NDArray[np.float64], before: int | None, noise: NDArray[np.float64], reach: float
) -> Codes:
    """Codes int64 [count] of tokens that begin at samples ``at`` [count + 1] of the song, its first entry being that
    of the token before them, which has the code ``before`` (None: there is none).

    A note goes on, at its faintest, through the steps at which none begins.
    """
    steps, stages = score.steps(at), score.stages(at)
    begins = steps[1:] != steps[:-1]
    begins[0] |= before is None
    sounds = score.sounds(steps[1:])
    chosen = score.pitches(steps[1:], noise, reach)
    held = np.maximum.accumulate(np.where(begins & sounds, np.arange(begins.size), -1))
    last = -1 if not before else (before - 1) // STAGES
    pitch = np.where(held >= 0, chosen[np.maximum(held, 0)], last)
    stage = np.where(sounds, stages[1:], STAGES - 1)
    return np.where(pitch >= 0, 1 + pitch * STAGES + stage, 0).astype(np.int64)


def loudness(codes: Codes) -> NDArray[np.float64]:
    """Amplitude of every code."""
    return np.where(codes > 0, LOUDEST * FADE ** ((codes - 1) % STAGES), 0.0)


def hear(samples: NDArray[np.float32], hop: int, rate: int) -> Codes:
    """Codes int64 [frames // hop] of sound: the pitch of its zero crossings and how loud it is beside the loudest."""
    count = samples.size // hop
    tokens = samples[: count * hop].astype(np.float64).reshape(count, hop)
    rms = np.sqrt(np.mean(np.square(tokens), axis=1)) if count else np.zeros(0)
    crossings = np.count_nonzero(np.diff(np.signbit(tokens), axis=1), axis=1)
    hertz = np.clip(crossings * rate / (2 * hop), 20.0, 8_000.0)
    pitch = np.clip(np.round(69 + 12 * np.log2(hertz / 440.0)), 0, PITCHES - 1).astype(np.int64)
    fallen = np.log(np.maximum(rms, 1e-9) / max(float(rms.max(initial=0.0)), 1e-9)) / np.log(FADE)
    stage = np.clip(np.round(fallen), 0, STAGES - 1).astype(np.int64)
    return np.where(rms > _SILENT_RMS, 1 + pitch * STAGES + stage, 0)


def sound(codes: Codes, level: int, first: int, hop: int, rate: int) -> NDArray[np.float32]:
    """Samples float32 [(tokens - 1) · hop] of ``codes`` but the first, which the second goes on from in loudness;
    ``first``: that sample, counted from the beginning of the codes, at which the second begins."""
    loud = loudness(codes)
    rise = np.arange(hop) / hop
    amplitude = (loud[:-1, None] + (loud[1:] - loud[:-1])[:, None] * rise).ravel()
    pitch = np.where(codes[1:] > 0, codes[1:] - 1, codes[:-1] - 1) // STAGES  # what ends is heard to its end
    phase = np.repeat(2 * np.pi * 440.0 * 2 ** ((pitch - 69) / 12) / rate, hop)
    phase *= first + np.arange(phase.size)
    wave = sum(part * np.sin(number * phase) for number, part in enumerate(_PARTIALS[level], start=1))
    return (amplitude * wave).astype(np.float32)
