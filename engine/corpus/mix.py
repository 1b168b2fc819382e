"""From dry tracks to a finished mono song: balance, pumping, echo, room, saturation, level."""

from __future__ import annotations

import numpy as np
from scipy import signal as sp

from engine.corpus.artists import Artist
from engine.corpus.genres import Genre
from engine.corpus.loudness import integrated_loudness, level_within, limit
from engine.corpus.score import Score
from engine.corpus.voices.drums import DRUM_KEYS
from engine.corpus.voices.signal import Signal, decay, frames, highpass, lowpass, noise

Spans = tuple[tuple[float, float], ...]

TARGET_LUFS = -16.0
CEILING = 10 ** (-1.5 / 20)

# Loudness of each track in LUFS before the bus, reverb send and echo send (times the artist's).
_BALANCE = {
    "drums": (-18.0, 0.25, 0.0),
    "bass": (-21.5, 0.03, 0.0),
    "chords": (-23.5, 0.8, 0.4),
    "lead": (-21.5, 0.7, 1.0),
    "pad": (-29.0, 1.0, 0.0),
    "arp": (-26.0, 0.7, 1.0),
}
_LOW_CUT_HZ = {"bass": 28.0, "drums": 28.0, "chords": 130.0, "pad": 180.0, "arp": 150.0, "lead": 150.0}
# How far the singer stands before the band, in dB (LU) while a line is sung; what goes to room and echo.
VOICE_DB = 2.0
_VOICE_SENDS = (0.45, 0.35)
_VOICE_LOW_CUT_HZ = 90.0
_PUMPED = {"bass": 0.7, "chords": 1.0, "pad": 1.0, "arp": 0.8, "lead": 0.3}


def _pump(score: Score, depth: float, count: int) -> Signal:
    """Gain that dips on every kick and is back before the next beat, shape (count,)."""
    gain = np.ones(count, np.float32)
    length = frames(min(0.38, 0.9 * 60 / score.bpm))
    shape = (1 - depth * np.cos(np.linspace(0, np.pi / 2, length)) ** 2).astype(np.float32)
    # The dip comes over 5 ms, not at once: a step in gain clicks.
    onset = frames(0.005)
    shape = np.concatenate([np.linspace(1, 1 - depth, onset, dtype=np.float32), shape])
    for note in score.tracks.get("drums", ()):
        if note.pitch == DRUM_KEYS["kick"]:
            start = max(0, frames(note.start) - onset)
            end = min(count, start + len(shape))
            gain[start:end] = np.minimum(gain[start:end], shape[: end - start])
    return gain


def _echo(send: Signal, seconds: float) -> Signal:
    out = np.zeros_like(send)
    dark = lowpass(send, 3200, 1)
    step = frames(seconds)
    for turn in range(1, 5):
        if step * turn < len(send):
            out[step * turn :] += np.float32(0.5**turn) * dark[: len(send) - step * turn]
    return out


def _room(send: Signal, seconds: float) -> Signal:
    count = frames(seconds)
    tail = noise(count, 1234) * decay(count, seconds)
    bright = decay(count, seconds * 0.35)
    response = highpass(bright * tail + (1 - bright) * lowpass(tail, 2200, 1), 200.0)
    response = np.concatenate([np.zeros(frames(0.012), np.float32), response])
    response /= np.float32(np.sqrt(np.sum(response**2)))
    wet: Signal = sp.oaconvolve(send, response)[: len(send)].astype(np.float32)
    return wet


def _trim(samples: Signal) -> Signal:
    """Cuts the end a quarter of a second after the last sample above -42 dB, with a fade."""
    loud = np.flatnonzero(np.abs(samples) > 0.008)
    end = min(len(samples), int(loud[-1]) + frames(0.25)) if len(loud) else len(samples)
    out = samples[:end].copy()
    fade = min(frames(0.2), end)
    out[end - fade :] *= np.linspace(1, 0, fade, dtype=np.float32) ** 2
    return out


def master(samples: Signal, drive: float, dark_hz: float) -> Signal:
    """Removes what lies below hearing, darkens, saturates, then brings to -16 LUFS under a peak of -1.5
    dBFS.
    """
    out = highpass(samples, 26.0)
    if dark_hz:
        out = lowpass(out, dark_hz)
    out *= np.float32(10 ** ((TARGET_LUFS - integrated_loudness(out)) / 20))
    if drive:
        amount = np.float32(0.4 + 1.4 * drive)
        # An uneven wave leaves a constant behind once it is saturated.
        out = highpass(np.tanh(out * amount) / amount, 16.0, 1)
    for _ in range(2):
        out *= np.float32(10 ** ((TARGET_LUFS - integrated_loudness(out)) / 20))
        out = limit(out, CEILING)
    return _trim(out)


def voice_in_front(voice: Signal, band: Signal, spans: Spans) -> Signal:
    """The voice, shape (n,), `VOICE_DB` louder than the band while lines are sung (spans of seconds)."""
    samples = highpass(voice, _VOICE_LOW_CUT_HZ)
    difference = level_within(band, spans) - level_within(samples, spans)
    if np.isfinite(difference):
        samples *= np.float32(10 ** ((difference + VOICE_DB) / 20))
    return samples


def mix(
    score: Score,
    genre: Genre,
    artist: Artist,
    tracks: dict[str, Signal],
    voice: Signal | None = None,
    spans: Spans = (),
) -> Signal:
    """Balances dry tracks of one length, shape (n,) each, to a finished song, shape (m,) with m <= n, in
    -1..1. A `voice` of that length stands in front of them; `spans` says when it sings.
    """
    count = len(next(iter(tracks.values())))
    bus = np.zeros(count, np.float32)
    room = np.zeros(count, np.float32)
    echo = np.zeros(count, np.float32)
    pump = _pump(score, genre.pump, count) if genre.pump else None
    for name, dry in tracks.items():
        target, to_room, to_echo = _BALANCE[name]
        if name == "drums":
            target += genre.drums_db
        samples = highpass(dry, _LOW_CUT_HZ[name])
        level = integrated_loudness(samples)
        if not np.isfinite(level):
            continue
        samples *= np.float32(10 ** ((target - level) / 20))
        if pump is not None and name in _PUMPED:
            samples *= 1 - np.float32(_PUMPED[name]) * (1 - pump)
        bus += samples
        room += np.float32(to_room) * samples
        echo += np.float32(to_echo) * samples
    if voice is not None:
        samples = voice_in_front(voice, bus, spans)
        bus += samples
        room += np.float32(_VOICE_SENDS[0]) * samples
        echo += np.float32(_VOICE_SENDS[1]) * samples
    if artist.echo:
        wet = np.float32(artist.echo) * _echo(echo, artist.echo_steps * 15 / score.bpm)
        bus += wet
        room += np.float32(0.5) * wet
    bus += np.float32(artist.reverb) * _room(room, artist.room_s)
    return master(bus, artist.drive, artist.dark_hz)
