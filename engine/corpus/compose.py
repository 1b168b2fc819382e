"""From a seed to a score: key, tempo, form, and what bass, chords, colours, lead and drums play."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from engine.corpus.artists import ARTISTS, Artist
from engine.corpus.form import Part, plan_form
from engine.corpus.genres import GENRES, Genre
from engine.corpus.grooves import drum_part
from engine.corpus.melody import Motif, make_motif, phrase, vary
from engine.corpus.score import STEPS_PER_BAR, Clock, Note, Score, Section, held
from engine.corpus.theory import (
    PENTATONICS,
    SCALES,
    Chord,
    nearest,
    parse_progression,
    scale_pitches,
    snap,
    voice,
)
from engine.corpus.voices.drums import DRUM_KEYS
from engine.corpus.voices.patch import Pluck
from engine.corpus.voices.patches import PATCHES


@dataclass
class _Song:
    """What stays the same through one song, and the notes written so far."""

    genre: Genre
    artist: Artist
    clock: Clock
    tonic: int
    mode: str
    rng: np.random.Generator
    progressions: dict[str, tuple[Chord, ...]]
    motifs: dict[str, tuple[Motif, ...]]
    patterns: dict[str, str]
    groove: dict[str, str]
    tracks: dict[str, list[Note]] = field(default_factory=dict)

    def add(
        self, track: str, step: float, steps: float, pitch: int, velocity: float, delay: float = 0.0
    ) -> None:
        """Writes a note at a step of the song, as loose in time and loudness as the artist plays."""
        start = self.clock.at(step)
        seconds = round(self.clock.at(step + steps) - start, 2)
        loose = self.artist.loose_ms / 1000 * (0.5 if track == "drums" else 1.0)
        # Two standard deviations at most: looser than that is a mistake, not a feel.
        shift = float(np.clip(self.rng.normal(0.0, 1.0), -2, 2)) * loose
        level = velocity * (1 + 0.04 * float(np.clip(self.rng.normal(), -2, 2)))
        onset = max(0.0, start + shift + delay)
        self.tracks.setdefault(track, []).append(
            Note(onset, seconds, pitch, float(np.clip(level, 0.05, 1.0)))
        )


def _pick(options: tuple[str, ...], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]


def _bass(song: _Song, part: Part, first: int, chords: list[Chord], bars: int) -> None:
    pattern = song.patterns["bass"]
    scale = tuple((song.tonic + i) % 12 for i in SCALES[song.mode])
    low = song.genre.bass_low + song.artist.bass_shift
    for bar in range(bars):
        chord = chords[bar]
        root = low + (song.tonic + chord.root - low) % 12
        upcoming = low + (song.tonic + chords[(bar + 1) % len(chords)].root - low) % 12
        seventh = chord.tones[3] if len(chord.tones) > 3 else 7
        tones = {
            "R": root,
            "8": root + 12,
            "5": root + chord.tones[2 if len(chord.tones) > 2 else 1],
            "3": root + chord.tones[1],
            "7": root + seventh,
            "a": snap(upcoming - 2, scale),
        }
        offset = (bar * STEPS_PER_BAR) % len(pattern)
        window = pattern[offset : offset + STEPS_PER_BAR]
        for step, sign in enumerate(window):
            if sign in tones:
                accent = 0.95 if step % 4 == 0 else 0.82
                song.add(
                    "bass",
                    first + bar * STEPS_PER_BAR + step,
                    held(window, step) * 0.94,
                    tones[sign],
                    accent * part.energy,
                )


def _chords(song: _Song, part: Part, first: int, chords: list[Chord], bars: int) -> None:
    pattern = song.patterns["chords_full" if part.name == "chorus" else "chords"]
    style = (
        song.genre.extra.get("voicing", song.artist.voicing) if song.artist.voicing != "spread" else "spread"
    )
    strum = 0.011 if isinstance(PATCHES[song.artist.chords], Pluck) else 0.0
    for bar in range(bars):
        pitches = voice(chords[bar], song.tonic, song.artist.centre, style)
        offset = (bar * STEPS_PER_BAR) % len(pattern)
        window = pattern[offset : offset + STEPS_PER_BAR]
        for step, sign in enumerate(window):
            if sign != "x":
                continue
            steps = held(window, step) * 0.95
            if song.genre.chord_seconds:
                steps = min(steps, song.genre.chord_seconds * song.clock.bpm / 15)
            velocity = (0.85 if step % 8 == 0 else 0.75) * part.energy
            for place, pitch in enumerate(pitches):
                song.add("chords", first + bar * STEPS_PER_BAR + step, steps, pitch, velocity, place * strum)


def _pad(song: _Song, part: Part, first: int, chords: list[Chord], bars: int) -> None:
    bar = 0
    while bar < bars:
        length = 1
        while bar + length < bars and chords[bar + length] == chords[bar] and length < 4:
            length += 1
        for pitch in voice(chords[bar], song.tonic, song.artist.centre + 2, "open"):
            song.add("pad", first + bar * STEPS_PER_BAR, length * STEPS_PER_BAR, pitch, 0.7 * part.energy)
        bar += length


def _arp(song: _Song, part: Part, first: int, chords: list[Chord], bars: int) -> None:
    pattern = song.patterns["arp"]
    for bar in range(bars):
        chord = chords[bar]
        base = nearest((song.tonic + chord.root) % 12, song.artist.centre + 5)
        for step, sign in enumerate(pattern):
            if sign.isdigit():
                velocity = (0.8 if step % 4 == 0 else 0.65) * part.energy
                song.add(
                    "arp",
                    first + bar * STEPS_PER_BAR + step,
                    held(pattern, step) * 0.9,
                    base + chord.tone(int(sign)),
                    velocity,
                )


def _lead(song: _Song, part: Part, first: int, chords: list[Chord], bars: int) -> None:
    intervals = (PENTATONICS if song.genre.pentatonic else SCALES)[song.mode]
    centre = song.artist.lead_centre + (2 if part.name == "chorus" else -1)
    scale = scale_pitches(song.tonic, intervals, centre - 12, centre + 14)
    motifs = song.motifs["chorus" if part.name in ("chorus", "break") else "verse"]
    for step, steps, pitch in phrase(motifs, bars, chords, song.tonic, scale, centre):
        velocity = (0.92 if step % 8 == 0 else 0.8) * part.energy
        song.add("lead", first + step, steps * 0.93, pitch, velocity)


def _ending(song: _Song, first: int, layers: frozenset[str]) -> None:
    """The last bar: everybody on the tonic, held."""
    tonic_chord = next(
        (c for p in song.progressions.values() for c in p if c.root == 0), song.progressions["verse"][0]
    )
    low = song.genre.bass_low + song.artist.bass_shift
    root = low + (song.tonic + tonic_chord.root - low) % 12
    song.add("bass", first, STEPS_PER_BAR * 0.75, root, 0.9)
    track = "chords" if "chords" in layers else "pad"
    style = song.genre.extra.get("voicing", song.artist.voicing)
    for pitch in voice(tonic_chord, song.tonic, song.artist.centre, style):
        song.add(track, first, STEPS_PER_BAR * 0.75, pitch, 0.85)


def _chords_by_bar(progression: tuple[Chord, ...], bars: int, each: int) -> list[Chord]:
    return [progression[(bar // each) % len(progression)] for bar in range(bars)]


def _start(genre: Genre, artist: Artist, rng: np.random.Generator) -> _Song:
    low, high = genre.tempo
    span = high - low
    bpm = round(low + span * float(rng.uniform(*artist.tempo)))
    swing = float(np.clip(rng.uniform(*genre.swing) + artist.swing_shift * (genre.swing[1] > 0.5), 0.5, 0.66))
    modes = sorted(genre.progressions)
    mode = modes[int(rng.integers(len(modes)))]
    texts = genre.progressions[mode]
    order = [texts[int(i)] for i in rng.permutation(len(texts))]
    verse, chorus = parse_progression(order[0]), parse_progression(order[1 % len(order)])
    hook, calm = make_motif(genre.lead, rng), make_motif(genre.lead, rng)
    motifs = {"chorus": (hook, vary(hook, rng), hook, vary(hook, rng)), "verse": (calm, vary(calm, rng))}
    patterns = {
        "bass": _pick(genre.bass, rng),
        "chords": _pick(genre.chords, rng),
        "chords_full": _pick(genre.chords, rng),
        "arp": _pick(genre.arp, rng),
    }
    groove = genre.main[int(rng.integers(len(genre.main)))]
    tonic = int(rng.integers(12))
    progressions = {"verse": verse, "chorus": chorus, "bridge": parse_progression(order[-1])}
    clock = Clock(bpm, round(swing, 3), genre.swing_unit)
    return _Song(genre, artist, clock, tonic, mode, rng, progressions, motifs, patterns, groove)


_PLAYERS = {"bass": _bass, "chords": _chords, "pad": _pad, "arp": _arp, "lead": _lead}


def compose(genre_name: str, artist_name: str, rng: np.random.Generator) -> Score:
    """Writes a song of 34 to about 115 s for an artist in one of their genres; the same generator state, the
    same song.

    Raises KeyError for unknown names.
    """
    genre, artist = GENRES[genre_name], ARTISTS[artist_name]
    song = _start(genre, artist, rng)
    parts = plan_form(genre, song.clock, rng)
    sections = []
    harmony: list[Chord] = []
    bar = 0
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        first = bar * STEPS_PER_BAR
        role = {"chorus": "chorus", "break": "chorus", "bridge": "bridge"}.get(part.name, "verse")
        chords = _chords_by_bar(
            song.progressions[role], part.bars, min(genre.bars_per_chord, max(1, part.bars // 2))
        )
        harmony += chords
        playing = part.bars - 1 if last else part.bars
        for track in sorted(part.layers):
            _PLAYERS[track](song, part, first, chords, playing)
        for step, drum, velocity in drum_part(part, genre, artist, song.groove, last, rng):
            song.add("drums", first + step, 0.5, DRUM_KEYS[drum], velocity * (0.6 + 0.4 * part.energy))
        if last:
            _ending(song, first + playing * STEPS_PER_BAR, part.layers)
        end = bar + part.bars
        length = song.clock.bar_seconds
        sections.append(Section(part.name, bar, part.bars, round(bar * length, 6), round(end * length, 6)))
        bar = end
    tracks = {
        name: tuple(sorted(notes, key=lambda n: (n.start, n.pitch)))
        for name, notes in sorted(song.tracks.items())
    }
    return Score(
        genre.name,
        artist.name,
        int(song.clock.bpm),
        song.tonic,
        song.mode,
        song.clock.swing,
        tuple(sections),
        tracks,
        tuple(harmony),
    )
