"""Lyrics beside the audio that is trained on: ``song.lrc`` (timed) or ``song.txt`` next to ``song.wav``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.errors import TrainingError
from engine.lyrics import SongLyrics, Words, read_lyrics, song_lyrics
from engine.prior.config import LyricsConfig
from engine.training.data import Named, list_sources

SUFFIXES = (".lrc", ".txt")


def words_beside(folder: Path, songs: Sequence[Named]) -> Mapping[str, Words]:
    """What is sung in every song, by its name; nothing where no file says so.

    Raises TrainingError when not one song has lyrics beside it.
    """
    paths = {source.name: source.path for source in list_sources(folder)}
    found: dict[str, Words] = {}
    for song in songs:
        path = paths.get(song.name)
        beside = [] if path is None else [path.with_suffix(suffix) for suffix in SUFFIXES]
        written = next((str(file) for file in beside if file.is_file()), None)
        found[song.name] = Words() if written is None else read_lyrics(written)
    if not any(words != Words() for words in found.values()):
        raise TrainingError(
            f"no audio file in '{folder}' has lyrics beside it; put song.lrc or song.txt next to song.wav"
        )
    return found


def lyrics_beside(
    folder: Path, songs: Sequence[Named], wanted: LyricsConfig, rate: int
) -> Mapping[str, SongLyrics]:
    """The lyrics of every song by its name, as a prior that reads ``wanted`` sees them; none is empty lyrics.

    Raises TrainingError when not one song has lyrics beside it.
    """
    return {name: song_lyrics(words, wanted, rate) for name, words in words_beside(folder, songs).items()}
