"""From a score to sound: every different note is synthesised once and placed wherever it is played."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engine.corpus.artists import ARTISTS
from engine.corpus.genres import GENRES
from engine.corpus.mix import mix
from engine.corpus.score import Note, Score
from engine.corpus.singing.bank import Bank, read_bank
from engine.corpus.singing.part import SungPart
from engine.corpus.singing.voice import render_voice
from engine.corpus.soundfont import ACOUSTIC, play
from engine.corpus.voices.drums import DRUM_NAMES, render_hit
from engine.corpus.voices.signal import Signal, frames
from engine.corpus.voices.tonal import render_note

_RING_OUT_S = 3.0
_VARIANTS = 3


def _place(track: Signal, sample: Signal, start: int, gain: float) -> None:
    end = min(len(track), start + len(sample))
    if start < end:
        track[start:end] += np.float32(gain) * sample[: end - start]


def render_pitched(notes: tuple[Note, ...], patch: str, count: int) -> Signal:
    """A dry pitched track, shape (count,). Loudness follows the square of the velocity, brightness the
    velocity.
    """
    track = np.zeros(count, np.float32)
    made: dict[tuple[int, float, float], Signal] = {}
    for note in notes:
        brightness = round(note.velocity * 5) / 5
        key = (note.pitch, note.seconds, brightness)
        if key not in made:
            made[key] = render_note(patch, note.pitch, note.seconds, brightness)
        _place(track, made[key], frames(note.start), note.velocity**2)
    return track


def render_drums(notes: tuple[Note, ...], kit: str, count: int) -> Signal:
    """A dry drum track, shape (count,). A closed hat cuts a ringing open one; strokes take turns among three
    variants.
    """
    track = np.zeros(count, np.float32)
    strokes: dict[str, int] = {}
    closing = sorted(frames(n.start) for n in notes if DRUM_NAMES[n.pitch] in ("hat", "open_hat"))
    for note in notes:
        name = DRUM_NAMES[note.pitch]
        turn = strokes.get(name, 0)
        strokes[name] = turn + 1
        sample = render_hit(kit, name, turn % _VARIANTS)
        start = frames(note.start)
        if name == "open_hat":
            later = np.searchsorted(closing, start + frames(0.03))
            room = closing[later] - start if later < len(closing) else len(sample)
            if room < len(sample):
                sample = sample[:room].copy()
                fade = min(frames(0.012), room)
                sample[room - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
        _place(track, sample, start, note.velocity**1.6)
    return track


def render_score(
    score: Score, soundfont: Path | None = None, part: SungPart | None = None, bank: Bank | None = None
) -> Signal:
    """The finished song, mono at 44.1 kHz, shape (n,), in -1..1: about -16 LUFS, peaks below -1 dBFS.

    A pure function of the score, of the soundfont where one plays the acoustic parts, and of the part that is sung
    with the voices of a bank (by default the one that comes with Segue).
    """
    artist, genre = ARTISTS[score.artist], GENRES[score.genre]
    count = frames(score.seconds + _RING_OUT_S)
    tracks: dict[str, Signal] = {}
    for name, notes in score.tracks.items():
        if name == "drums":
            tracks[name] = render_drums(notes, artist.kit, count)
        elif soundfont is not None and artist.patch(name) in ACOUSTIC:
            tracks[name] = play(notes, artist.patch(name), score.bpm, count, soundfont)
        else:
            tracks[name] = render_pitched(notes, artist.patch(name), count)
    if part is None:
        return mix(score, genre, artist, tracks)
    voice = render_voice(part.words, part.singer, bank or read_bank(), count, part.entropy)
    return mix(score, genre, artist, tracks, voice, part.spans())
