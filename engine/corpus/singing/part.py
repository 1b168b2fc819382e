"""The sung part of a song: which sections are sung, the lines, their tune and the exact time of every word."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from engine.corpus.genres import GENRES
from engine.corpus.melody import Motif, contour, phrase
from engine.corpus.score import STEPS_PER_BAR, Clock, Note, Score, Section
from engine.corpus.singing.bank import Bank
from engine.corpus.singing.lyrics import VOCABULARY, couplet, reserved, syllables
from engine.corpus.singing.singers import Singer, singer_of
from engine.corpus.singing.voice import SungWord, lead_in
from engine.corpus.theory import PENTATONICS, SCALES, scale_pitches

SUNG_SECTIONS = ("verse", "chorus")
# A bar longer than this holds a whole line; shorter ones share it between two.
_LONG_BAR_S = 2.25
# No syllable is shorter, and no rest between lines.
_SYLLABLE_S, _REST_S = 0.21, 0.3
_GAP_S = 0.028  # of silence between two words
_LEAD_IN_S = 0.15
# Words that carry no accent.
_LIGHT = "I a all and be in it me my on so the to we will with you let can"


@dataclass(frozen=True)
class SungLine:
    """One line: `text`, seconds from its first word to the end of its last, its section, and whether it is one that
    training never hears.
    """

    text: str
    start: float
    end: float
    section: int
    reserved: bool


@dataclass(frozen=True)
class SungPart:
    """All that is sung in a song, in order of time; `entropy` seeds the singer's breath."""

    singer: Singer
    words: tuple[SungWord, ...]
    lines: tuple[SungLine, ...]
    entropy: tuple[int, ...]

    @property
    def text(self) -> str:
        """The lyrics, a line each."""
        return "".join(line.text + "\n" for line in self.lines)

    def spans(self) -> tuple[tuple[float, float], ...]:
        """When lines are sung: (start, end) in seconds."""
        return tuple((line.start, line.end) for line in self.lines)

    def notes(self) -> tuple[Note, ...]:
        """The tune as notes, one a syllable, from vowel to vowel or the word's end."""
        found = []
        for word in self.words:
            ends = (*word.vowels[1:], word.end)
            for start, end, pitch in zip(word.vowels, ends, word.pitches, strict=True):
                found.append(Note(start, end - start, pitch, word.velocity))
        return tuple(found)


def without_lead(score: Score, part: SungPart) -> Score:
    """The score without lead notes in the sections that are sung: two tunes at once are one too many."""
    sung = {line.section for line in part.lines}
    spans = [(s.start_s - 0.05, s.end_s - 0.05) for i, s in enumerate(score.sections) if i in sung]
    tracks = dict(score.tracks)
    kept = tuple(n for n in tracks.pop("lead", ()) if not any(a <= n.start < b for a, b in spans))
    if kept:
        tracks["lead"] = kept
    return replace(score, tracks=dict(sorted(tracks.items())))


def is_sung(seed: int, index: int, genre: str, artist: str, share: float) -> bool:
    """Whether a song has a singer: a `share` (0..1) of the songs of artists and genres that are sung.

    By a hash of the song: songs that are sung at a smaller share are so at a larger one.
    """
    if singer_of(genre, artist) is None:
        return False
    digest = hashlib.sha256(f"segue sung {seed} {index}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < share


@dataclass(frozen=True)
class _Grid:
    """How lines lie on bars: `bars` a line, `unit` steps of the shortest syllable, `units` of them in a line."""

    bars: int
    unit: int
    units: int

    @property
    def most(self) -> int:
        """The most syllables of a line."""
        return 6 if self.units == 8 else 8


def _grid(bpm: float) -> _Grid:
    bars = 1 if 240.0 / bpm > _LONG_BAR_S else 2
    unit = next(steps for steps in (1, 2, 4) if steps * 15.0 / bpm >= _SYLLABLE_S)
    return _Grid(bars, unit, bars * STEPS_PER_BAR // unit)


def rhythm(count: int, units: int, rest: int, rng: np.random.Generator) -> str:
    """A rhythm of `units` signs for `count` syllables, the last one longest, with `rest` or more units of silence:
    `x` a new note, `-` hold, `.` rest.
    """
    room = units - rest
    last = min(4 if units > 8 else 2, room - count + 1)
    lengths = [1] * (count - 1) + [last]
    spare = room - sum(lengths)
    late = int(rng.integers(2)) if spare > 1 else 0
    spare -= late
    while spare > 0:
        short = [i for i in range(count - 1) if lengths[i] < (3 if units > 8 else 2)]
        if not short or rng.random() < 0.15:
            break
        lengths[short[int(rng.integers(len(short)))]] += 1
        spare -= 1
    signs = "." * late + "".join("x" + "-" * (length - 1) for length in lengths)
    return signs.ljust(units, ".")


class _Tunes:
    """The tunes of a song: a line of so many syllables at the same place of the same section is sung alike."""

    def __init__(self, grid: _Grid, bpm: float, entropy: tuple[int, ...]) -> None:
        self._grid, self._entropy = grid, entropy
        self._rest = int(np.ceil(_REST_S / (grid.unit * 15.0 / bpm)))

    def line(self, role: int, place: int, count: int) -> tuple[str, tuple[int, ...]]:
        """Rhythm in steps and scale degrees of a line."""
        # Lines one and three of a verse share their tune; so do two and four but for their end.
        alike = place % 2
        rng = np.random.Generator(np.random.PCG64([*self._entropy, role, alike]))
        degrees = list(contour(12, rng)[:count])
        beat = rhythm(
            count,
            self._grid.units,
            self._rest,
            np.random.Generator(np.random.PCG64([*self._entropy, role, alike, count])),
        )
        if place % 4 == 3:
            degrees[-1] = int(
                np.random.Generator(np.random.PCG64([*self._entropy, role, 9])).choice((-1, 0, 2))
            )
        signs = "".join(sign + ("-" if sign != "." else ".") * (self._grid.unit - 1) for sign in beat)
        return signs, tuple(degrees)


def sing_along(score: Score, seed: int, index: int, held_out: bool, bank: Bank) -> SungPart | None:
    """What is sung over a score, None where it has no section to sing in or nobody who sings.

    The same score, seed, index and bank give the same part. Lines of held-out songs are never those of others.
    """
    singer = singer_of(score.genre, score.artist)
    if singer is None:
        return None
    genre = GENRES[score.genre]
    clock = Clock(score.bpm, score.swing, genre.swing_unit)
    grid = _grid(score.bpm)
    tunes = _Tunes(grid, score.bpm, (seed, index, 505))
    rng = np.random.Generator(np.random.PCG64([seed, index, 606]))
    chorus: list[str] = []
    words: list[SungWord] = []
    lines: list[SungLine] = []
    for number, section in enumerate(score.sections):
        if section.name not in SUNG_SECTIONS:
            continue
        count = section.bars // grid.bars
        if section.name == "chorus":
            chorus = chorus or _stanza(grid.most, held_out, rng, hook=True)
            texts = [chorus[place % len(chorus)] for place in range(count)]
        else:
            texts = [
                line for _ in range(0, count, 4) for line in _stanza(grid.most, held_out, rng, hook=False)
            ]
        notes = _tune(score, section, texts[:count], grid, tunes, singer, genre.pentatonic)
        for text, line_notes in zip(texts, notes, strict=False):
            sung = _words(text, len(lines), line_notes, section, clock, singer, bank)
            words += sung
            lines.append(SungLine(text, sung[0].start, sung[-1].end, number, reserved(text)))
    if not words:
        return None
    return SungPart(singer, tuple(_apart(words)), tuple(lines), (seed, index, 707))


def _stanza(most: int, held_out: bool, rng: np.random.Generator, hook: bool) -> list[str]:
    """Four lines: two couplets, or in a chorus one line that comes twice and two that answer it."""
    first, second = couplet(most, held_out, rng), couplet(most, held_out, rng)
    return [first[0], first[1], first[0], second[1]] if hook else [*first, *second]


_Notes = list[tuple[int, int, int]]


def _tune(
    score: Score, section: Section, texts: list[str], grid: _Grid, tunes: _Tunes, singer: Singer, five: bool
) -> list[_Notes]:
    """Notes (step in the section, steps, pitch) of every line, on the chords of the section."""
    intervals = (PENTATONICS if five else SCALES)[score.mode]
    scale = scale_pitches(score.tonic, intervals, singer.low, singer.high)
    centre = singer.centre + (2 if section.name == "chorus" else -1)
    chords = list(score.harmony[section.start_bar : section.start_bar + section.bars])
    found: list[_Notes] = []
    role = SUNG_SECTIONS.index(section.name)
    each = 2 // grid.bars
    made = [tunes.line(role, place, syllables(text)) for place, text in enumerate(texts)]
    motifs = []
    for pair in range(0, len(made), each):
        group = made[pair : pair + each]
        signs = "".join(signs for signs, _ in group).ljust(2 * STEPS_PER_BAR, ".")
        motifs.append(Motif(signs, tuple(degree for _, degrees in group for degree in degrees)))
    notes = phrase(tuple(motifs), section.bars, chords, score.tonic, scale, centre)
    for place in range(len(texts)):
        first = place * grid.bars * STEPS_PER_BAR
        found.append([n for n in notes if first <= n[0] < first + grid.bars * STEPS_PER_BAR])
    return found


def _words(
    text: str, line: int, notes: _Notes, section: Section, clock: Clock, singer: Singer, bank: Bank
) -> list[SungWord]:
    """The words of a line on its notes: vowels on the grid, consonants before them."""
    first = section.start_bar * STEPS_PER_BAR
    words = []
    place = 0
    for word in text.split():
        mine = notes[place : place + VOCABULARY[word]]
        place += VOCABULARY[word]
        vowels = tuple(round(clock.at(first + step), 6) for step, _, _ in mine)
        ahead = min(lead_in(bank.word(singer.voice, word)), _LEAD_IN_S)
        end = round(clock.at(first + mine[-1][0] + mine[-1][1]), 6)
        accent = 0.82 if word in _LIGHT.split() else 1.0
        pitches = tuple(pitch for _, _, pitch in mine)
        words.append(SungWord(word, line, round(vowels[0] - ahead, 6), end, vowels, pitches, accent))
    return words


def _apart(words: list[SungWord]) -> list[SungWord]:
    """Words that end a little before the next one begins."""
    found = []
    for number, word in enumerate(words):
        latest = words[number + 1].start - _GAP_S if number + 1 < len(words) else np.inf
        found.append(replace(word, end=round(min(word.end, latest), 6)))
    return found
