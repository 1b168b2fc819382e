"""Scores as Standard MIDI Files (format 1).

Written here in a few lines, not by a library, because corpora are also made on machines that hold nothing but
numpy and scipy.
"""

from __future__ import annotations

import struct

from engine.corpus.artists import ARTISTS
from engine.corpus.score import Note, Score
from engine.corpus.singing.part import SungPart
from engine.corpus.theory import NOTE_NAMES
from engine.corpus.voices.patches import PATCHES

TICKS_PER_BEAT = 480
_DRUM_CHANNEL = 9
_VOICE_PROGRAM = 53  # General MIDI's "Voice Oohs", counted from 0
_SHARPS = {0: 0, 7: 1, 2: 2, 9: 3, 4: 4, 11: 5, 6: 6, 1: -5, 8: -4, 3: -3, 10: -2, 5: -1}
# Semitones from the tonic up to the tonic of the major key with the same signature.
_RELATIVE = {"major": 0, "minor": 3, "dorian": 10, "mixolydian": 5}


def _length(value: int) -> bytes:
    """A MIDI variable-length quantity."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.append(0x80 | (value & 0x7F))
    return bytes(reversed(out))


def _meta(kind: int, data: bytes) -> bytes:
    return b"\xff" + bytes([kind]) + _length(len(data)) + data


def _chunk(events: list[tuple[int, int, bytes]]) -> bytes:
    """A track chunk of (tick, order among equals, message), with its end."""
    body = b""
    now = 0
    for tick, _, message in sorted(events):
        body += _length(tick - now) + message
        now = tick
    body += _length(0) + _meta(0x2F, b"")
    return b"MTrk" + struct.pack(">I", len(body)) + body


def _tempo(bpm: float) -> bytes:
    return _meta(0x51, round(60_000_000 / bpm).to_bytes(3, "big"))


def _conductor(score: Score) -> bytes:
    major = (score.tonic + _RELATIVE[score.mode]) % 12
    minor = score.mode in ("minor", "dorian")
    events = [
        (0, 0, _meta(0x03, f"{score.genre} {score.artist} {NOTE_NAMES[score.tonic]} {score.mode}".encode())),
        (0, 1, _tempo(score.bpm)),
        (0, 2, _meta(0x58, bytes([4, 2, 24, 8]))),
        (0, 3, _meta(0x59, struct.pack(">bB", _SHARPS[major], int(minor)))),
    ]
    for section in score.sections:
        tick = section.start_bar * 4 * TICKS_PER_BEAT
        events.append((tick, 4, _meta(0x06, section.name.encode())))
    return _chunk(events)


def note_events(notes: tuple[Note, ...], bpm: float, channel: int) -> list[tuple[int, int, bytes]]:
    """Note-on and note-off messages as (tick, order among equals, message); offs come before ons."""
    per_second = TICKS_PER_BEAT * bpm / 60
    events = []
    for note in notes:
        start = round(note.start * per_second)
        end = max(start + 1, round((note.start + note.seconds) * per_second))
        events.append((start, 2, bytes([0x90 | channel, note.pitch, max(1, round(note.velocity * 127))])))
        events.append((end, 1, bytes([0x80 | channel, note.pitch, 0])))
    return events


def _file(chunks: list[bytes]) -> bytes:
    return b"MThd" + struct.pack(">IHHH", 6, 1, len(chunks), TICKS_PER_BEAT) + b"".join(chunks)


def solo_bytes(notes: tuple[Note, ...], bpm: float, program: int) -> bytes:
    """One pitched part alone, on channel 1, as a file."""
    events = note_events(notes, bpm, 0)
    return _file([_chunk([(0, 0, _tempo(bpm)), (0, 1, bytes([0xC0, program])), *events])])


def _voice(part: SungPart, bpm: float, channel: int) -> bytes:
    """The tune as a track of its own, each word as a lyric event at its first vowel."""
    per_second = TICKS_PER_BEAT * bpm / 60
    events = [(0, 0, _meta(0x03, b"voice")), (0, 1, bytes([0xC0 | channel, _VOICE_PROGRAM]))]
    events += [
        (round(word.vowels[0] * per_second), 1, _meta(0x05, word.text.encode())) for word in part.words
    ]
    return _chunk(events + note_events(part.notes(), bpm, channel))


def midi_bytes(score: Score, part: SungPart | None = None) -> bytes:
    """The whole score: a conductor track (tempo, metre, key, section markers), then one track per part, drums
    on channel 10; last what is sung.
    """
    chunks = [_conductor(score)]
    channel = 0
    for name, notes in score.tracks.items():
        if name == "drums":
            head = [(0, 0, _meta(0x03, b"drums"))]
            chunks.append(_chunk(head + note_events(notes, score.bpm, _DRUM_CHANNEL)))
            continue
        program = PATCHES[ARTISTS[score.artist].patch(name)].program
        head = [(0, 0, _meta(0x03, name.encode())), (0, 1, bytes([0xC0 | channel, program]))]
        chunks.append(_chunk(head + note_events(notes, score.bpm, channel)))
        channel += 1
    if part is not None:
        chunks.append(_voice(part, score.bpm, channel))
    return _file(chunks)
