"""Signals whose tempo, key and level are known because they are built from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 44100


def sine(hertz: float, seconds: float, rate: int = RATE, amplitude: float = 1.0) -> NDArray[np.float32]:
    time = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * hertz * time)).astype(np.float32)


def clicks(bpm: float, seconds: float, rate: int = RATE, accent: int = 4) -> NDArray[np.float32]:
    """Decaying 1 kHz clicks on every beat from 0.1 s on, every `accent`-th one twice as loud."""
    out = np.zeros(round(seconds * rate), dtype=np.float32)
    length = round(0.03 * rate)
    click = sine(1000.0, 0.03, rate)[:length] * np.exp(-np.arange(length) / (0.006 * rate))
    for beat in range(int((seconds - 0.15) * bpm / 60) + 1):
        at = round((0.1 + beat * 60 / bpm) * rate)
        part = out[at : at + length]
        part += (0.8 if beat % accent == 0 else 0.4) * click[: part.size]
    return out


def drum_loop(bpm: float, seconds: float, rate: int = RATE) -> NDArray[np.float32]:
    """Kick on 1 and 3, snare on 2 and 4, hats on eighths."""
    rng = np.random.default_rng(5)
    out = np.zeros(round(seconds * rate) + rate, dtype=np.float32)
    time = np.arange(round(0.2 * rate)) / rate
    kick = np.sin(2 * np.pi * (50 * time + 4 * (1 - np.exp(-time / 0.03)))) * np.exp(-time / 0.08)
    snare = rng.standard_normal(time.size) * np.exp(-time / 0.05) * 0.5
    hat = np.diff(rng.standard_normal(time.size + 1)) * np.exp(-time / 0.015) * 0.15
    eighth = 30 / bpm
    for step in range(int(seconds / eighth)):
        at = round(step * eighth * rate)
        out[at : at + time.size] += hat
        if step % 4 == 0:
            out[at : at + time.size] += kick
        if step % 4 == 2:
            out[at : at + time.size] += snare
    return (0.5 * out[: round(seconds * rate)]).astype(np.float32)


def chords(progression: list[tuple[int, ...]], seconds_each: float, rate: int = RATE, cents: float = 0.0):
    """Sawtooth-like tones (8 harmonics) of MIDI pitches, one chord after the other, tuned `cents` off."""
    parts = []
    for pitches in progression:
        part = np.zeros(round(seconds_each * rate))
        fade = np.minimum(1.0, np.arange(part.size) / (0.01 * rate)) * np.exp(-np.arange(part.size) / rate)
        for pitch in pitches:
            hertz = 440.0 * 2 ** ((pitch - 69 + cents / 100) / 12)
            for harmonic in range(1, 9):
                part += 0.05 / harmonic * sine(hertz * harmonic, seconds_each, rate)[: part.size]
        parts.append(part * fade)
    return np.concatenate(parts).astype(np.float32)
