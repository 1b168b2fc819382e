"""What is known of songs beside their audio: tempo and key from a corpus's metadata; what priors are told of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.analysis.key import KeyEstimate
from engine.corpus.dataset import MANIFEST, load_song
from engine.errors import SegueError, TrainingError
from engine.lyrics import SongLyrics, Words, song_lyrics
from engine.prior.pulse import SongPulse
from engine.request import NOTES
from engine.store import ModelConfig
from engine.training.data import Named, Source
from engine.training.lyrics import words_beside
from engine.training.pulses import MINOR_MODES, pulses_of


@dataclass(frozen=True)
class Truth:
    """What a corpus says of one of its songs: ``bpm`` and ``key``; bars begin at its first sample."""

    bpm: float
    key: KeyEstimate


@dataclass(frozen=True)
class Told:
    """What priors are told of songs beside labels and codes, by the songs' names. ``lyrics`` is empty where no song
    has any beside it, as ``words``, what their files say, is; ``why`` then says so."""

    pulses: Mapping[str, SongPulse] = field(default_factory=dict)
    lyrics: Mapping[str, SongLyrics] = field(default_factory=dict)
    words: Mapping[str, Words] = field(default_factory=dict)
    why: str = ""


def truths_of(folder: Path, sources: Sequence[Source]) -> dict[str, Truth]:
    """Tempo and key of those songs of a corpus that state them, by name; of any other folder, none."""
    if not (folder / MANIFEST).is_file():
        return {}
    found = {}
    for source in sources:
        try:
            said = load_song(source.path.with_suffix(".json"))
            mode = "minor" if said["key"]["mode"] in MINOR_MODES else "major"
            key = KeyEstimate(NOTES.index(said["key"]["tonic"]), mode, 1.0)  # type: ignore[arg-type]
            found[source.name] = Truth(float(said["bpm"]), key)
        except (SegueError, KeyError, TypeError, ValueError):
            continue  # a song that says nothing is measured by ear
    return found


def told_of(folder: Path, songs: Sequence[Named], config: ModelConfig) -> Told:
    """What the top prior of ``config`` is told of ``songs``, as far as it reads it: as in training."""
    top = config.priors[config.top]
    pulses = pulses_of(folder, songs, config.rate) if top.pulse else {}
    if top.lyrics is None:
        return Told(pulses)
    try:
        words = words_beside(folder, songs)
    except TrainingError as error:
        return Told(pulses, why=error.message)
    lyrics = {name: song_lyrics(said, top.lyrics, config.rate) for name, said in words.items()}
    return Told(pulses, lyrics, words)
