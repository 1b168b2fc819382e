"""Lyrics beside the audio that is trained on: ``song.lrc`` (timed) or ``song.txt`` next to ``song.wav``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.errors import TrainingError
from engine.lyrics import SongLyrics, Words, read_lyrics, song_lyrics
from engine.prior.config import LyricsConfig
from engine.training.codes import CodedSong
from engine.training.data import list_sources

SUFFIXES = (".lrc", ".txt")


def lyrics_beside(
    folder: Path, songs: Sequence[CodedSong], wanted: LyricsConfig, rate: int
) -> Mapping[str, SongLyrics]:
    """The lyrics of every song by its name, as a prior that reads ``wanted`` sees them; none is empty lyrics.

    Raises TrainingError when not one song has lyrics beside it.
    """
    paths = {source.name: source.path for source in list_sources(folder)}
    found: dict[str, SongLyrics] = {}
    sung = 0
    for song in songs:
        words = Words()
        path = paths.get(song.name)
        for suffix in SUFFIXES:
            if path is not None and path.with_suffix(suffix).is_file():
                words = read_lyrics(str(path.with_suffix(suffix)))
                sung += 1
                break
        found[song.name] = song_lyrics(words, wanted, rate)
    if not sung:
        raise TrainingError(
            f"no audio file in '{folder}' has lyrics beside it; put song.lrc or song.txt next to song.wav"
        )
    return found
