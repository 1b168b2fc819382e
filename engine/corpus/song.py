"""Making one song: compose, render, and write audio, MIDI and metadata so that no half-written file is ever
seen.
"""

from __future__ import annotations

import errno
import json
import os
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.corpus.compose import compose
from engine.corpus.dataset import CORPUS_VERSION, HELD_OUT, SONGS, Slot
from engine.corpus.midi import midi_bytes
from engine.corpus.mix import VOICE_DB
from engine.corpus.render import render_score
from engine.corpus.score import Score
from engine.corpus.singing.bank import BANK, read_bank
from engine.corpus.singing.lrc import lrc_text
from engine.corpus.singing.part import SungPart, is_sung, sing_along, without_lead
from engine.corpus.theory import NOTE_NAMES
from engine.corpus.voices.signal import SAMPLE_RATE, Signal
from engine.errors import DiskFull, PathNotAllowed, SegueError

try:
    import soundfile
except ImportError:  # a bare machine: the standard library writes WAV
    soundfile = None

PARTIAL = ".partial"


def score_of(slot: Slot, seed: int) -> Score:
    """The score of a slot in the corpus of `seed`."""
    source = np.random.SeedSequence([seed, slot.index])
    return compose(slot.genre, slot.artist, np.random.Generator(np.random.PCG64(source)))


@dataclass(frozen=True)
class Singing:
    """How much of a corpus is sung: a `share` (0..1) of the songs of genres that are, by the voices of `bank`."""

    share: float
    bank: Path = BANK


def sung_part(slot: Slot, seed: int, score: Score, singing: Singing | None) -> SungPart | None:
    """What is sung in a song; None for one without a singer."""
    if singing is None or not is_sung(seed, slot.index, slot.genre, slot.artist, singing.share):
        return None
    return sing_along(score, seed, slot.index, slot.split == HELD_OUT, read_bank(singing.bank))


def _lyrics(part: SungPart | None) -> dict[str, Any]:
    """The fields of the metadata that tell what is sung, times in seconds."""
    if part is None:
        return {"lyrics": []}
    words = [{"word": w.text, "start": round(w.start, 4), "end": round(w.end, 4)} for w in part.words]
    lines = [
        {
            "text": line.text,
            "start": round(line.start, 4),
            "end": round(line.end, 4),
            "reserved": line.reserved,
        }
        for line in part.lines
    ]
    return {"lyrics": words, "lines": lines, "singer": part.singer.name, "voice_to_band_db": VOICE_DB}


def metadata(
    slot: Slot, seed: int, score: Score, seconds: float, audio: str, part: SungPart | None = None
) -> dict[str, Any]:
    """What `<id>.json` says of a song; `lyrics` is for songs that are sung: {word, start, end} in seconds."""
    return {
        "id": slot.id,
        "audio": audio,
        "midi": f"{slot.id}.mid",
        "genre": score.genre,
        "artist": score.artist,
        "bpm": score.bpm,
        "key": {"tonic": NOTE_NAMES[score.tonic], "mode": score.mode},
        "time_signature": "4/4",
        "swing": score.swing,
        "sections": [vars(section) for section in score.sections],
        "seconds": seconds,
        "sample_rate": SAMPLE_RATE,
        "seed": seed,
        "index": slot.index,
        "corpus_version": CORPUS_VERSION,
        "split": slot.split,
        **_lyrics(part),
    }


def to_pcm(samples: Signal) -> np.ndarray:
    """16-bit samples, shape (n,), of floats in -1..1."""
    return np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")


def write_audio(path: Path, pcm: np.ndarray) -> None:
    """Writes mono 16-bit samples as FLAC or, without the soundfile package, as WAV."""
    if soundfile is not None:
        soundfile.write(str(path), pcm, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
        return
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(pcm.tobytes())


def make_song(
    folder: Path, seed: int, slot: Slot, soundfont: Path | None = None, singing: Singing | None = None
) -> float:
    """Makes one song under `folder`/songs and returns its seconds. A soundfont plays in every second song; one that
    is sung has its lyrics beside it, with the time of every word, as `<id>.lrc`.

    Files are written under `.partial` and renamed; the metadata comes last, so a song with metadata is whole.
    Raises DiskFull or PathNotAllowed when they cannot be written.
    """
    score = score_of(slot, seed)
    part = sung_part(slot, seed, score, singing)
    if part is not None:
        score = without_lead(score, part)
    bank = read_bank(singing.bank) if singing is not None else None
    pcm = to_pcm(render_score(score, soundfont if slot.index % 2 else None, part, bank))
    audio = f"{slot.id}.{'flac' if soundfile is not None else 'wav'}"
    seconds = round(len(pcm) / SAMPLE_RATE, 6)
    text = json.dumps(metadata(slot, seed, score, seconds, audio, part), indent=1)
    partial = folder / PARTIAL
    try:
        partial.mkdir(parents=True, exist_ok=True)
        write_audio(partial / audio, pcm)
        (partial / f"{slot.id}.mid").write_bytes(midi_bytes(score, part))
        if part is not None:
            (partial / f"{slot.id}.lrc").write_text(lrc_text(part), encoding="utf-8")
        (partial / f"{slot.id}.json").write_text(text + "\n", encoding="utf-8")
        words = [f"{slot.id}.lrc"] if part is not None else []
        for name in (audio, *words, f"{slot.id}.mid", f"{slot.id}.json"):
            os.replace(partial / name, folder / SONGS / name)
    except OSError as error:
        raise _not_written(folder, error) from error
    return seconds


def _not_written(folder: Path, error: OSError) -> SegueError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"The disk of {folder} is full: free some space and run the same command again to go on."
        )
    reason = error.strerror or str(error)
    return PathNotAllowed(f"{folder} cannot be written ({reason}): give a folder you may write to.")
