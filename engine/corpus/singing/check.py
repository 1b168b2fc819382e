"""Whether a bank sings: every singer sings every word, and pitch, onset and speed are measured from the sound."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from engine.corpus.singing.bank import Bank
from engine.corpus.singing.hearing import tone
from engine.corpus.singing.lyrics import VOCABULARY
from engine.corpus.singing.singers import SINGERS, Singer
from engine.corpus.singing.voice import SungWord, lead_in, render_voice
from engine.corpus.voices.signal import SAMPLE_RATE, Signal, frames

_REST_S, _SYLLABLE_S = 0.3, 0.45
_HEARD_DB = -32.0


@dataclass(frozen=True)
class Figures:
    """What was measured of a singer: deviations of pitch in cents and of word onsets in ms (medians, and what 95 % stay
    within), and seconds sung in a second of one processor.
    """

    singer: str
    words: int
    cents: float
    cents_95: float
    onset_ms: float
    onset_ms_95: float
    times_real_time: float


def scales(singer: Singer, bank: Bank) -> tuple[SungWord, ...]:
    """Every word of the vocabulary once, up and down the singer's range, with rests between."""
    notes = [*range(singer.low, singer.high + 1), *range(singer.high - 1, singer.low, -1)]
    words: list[SungWord] = []
    now, place = _REST_S, 0
    for number, text in enumerate(sorted(VOCABULARY)):
        ahead = lead_in(bank.word(singer.voice, text))
        vowels = tuple(now + ahead + _SYLLABLE_S * k for k in range(VOCABULARY[text]))
        pitches = tuple(notes[(place + k) % len(notes)] for k in range(VOCABULARY[text]))
        end = vowels[-1] + _SYLLABLE_S
        words.append(SungWord(text, number, now, end, vowels, pitches, 1.0))
        now, place = end + _REST_S, place + 1
    return tuple(words)


def onset(samples: Signal, near: float) -> float:
    """When a sound begins after silence, in seconds: the first millisecond within 32 dB of the next 0.3 s' loudest."""
    first = frames(near - 0.1)
    piece = samples[first : first + frames(0.4)]
    hop = SAMPLE_RATE // 1000
    level = np.sqrt(np.mean(piece[: len(piece) // hop * hop].reshape(-1, hop) ** 2, axis=1))
    heard = np.flatnonzero(level > level.max() * 10 ** (_HEARD_DB / 20))
    return (first + float(heard[0]) * hop) / SAMPLE_RATE


def check_singers(bank: Bank) -> list[Figures]:
    """Figures of every singer. Raises BadFormat when the bank lacks a word."""
    found = []
    for singer in SINGERS.values():
        words = scales(singer, bank)
        seconds = words[-1].end + _REST_S
        begun = time.process_time()
        samples = render_voice(words, singer, bank, frames(seconds), (0,))
        spent = time.process_time() - begun
        cents, late = [], []
        for word in words:
            late.append(1000 * abs(onset(samples, word.start) - word.start))
            for start, pitch in zip(word.vowels, word.pitches, strict=True):
                hertz = 440 * 2 ** ((pitch - 69) / 12)
                piece = samples[frames(start + 0.1) : frames(start + 0.25)].astype(np.float64)
                heard = tone(piece, SAMPLE_RATE, hertz / 1.8, hertz * 1.8)
                cents.append(1200 * abs(np.log2(heard / hertz)))
        found.append(
            Figures(
                singer.name,
                len(words),
                float(np.median(cents)),
                float(np.percentile(cents, 95)),
                float(np.median(late)),
                float(np.percentile(late, 95)),
                seconds / spent,
            )
        )
    return found
