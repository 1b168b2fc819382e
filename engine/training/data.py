"""What is trained on: a corpus folder made by ``segue corpus make``, or any folder of audio files.

A folder with a ``corpus.json`` is a corpus: labels and the held-out split come from its manifest. In any other
folder every WAV, FLAC, OGG, MP3 and AIFF file below it is a source; ``metadata.csv`` or ``metadata.jsonl``
(columns ``file,artist,genre``; several genres separated by ``;``) labels them, otherwise the folders do that they
lie in: the first below the named one is the genre, the second the artist. What nothing says is "unknown".
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from engine.errors import BadFormat, NoFile, TrainingError

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".mp3", ".aif", ".aiff", ".aifc"})
UNKNOWN = "unknown"
MAX_GENRES = 5  # a bag of at most five genres (facts/jukebox.md §4.1)
_BLOCK_FRAMES = 1 << 18


@dataclass(frozen=True)
class Source:
    """One audio file with its labels. ``name`` is its path below the folder, with forward slashes."""

    name: str
    path: Path
    artist: str
    genres: tuple[str, ...]
    held_out: bool


class Named(Protocol):
    """Whatever has the name of a source: coded songs, songs that are measured."""

    @property
    def name(self) -> str:
        """Its path below the folder, with forward slashes."""
        ...


def list_sources(folder: Path, artist: str = UNKNOWN) -> list[Source]:
    """Every source of ``folder``, sorted by name; ``artist``: of those whose artist nothing says.

    Raises :class:`NoFile` when the folder is not there and :class:`TrainingError` when it holds no audio.
    """
    if not folder.is_dir():
        raise NoFile(f"there is no folder '{folder}'; name a corpus folder or a folder of audio files")
    sources = (
        _corpus_sources(folder) if (folder / "corpus.json").is_file() else _folder_sources(folder, artist)
    )
    if not sources:
        raise TrainingError(
            f"'{folder}' holds no audio; put WAV, FLAC, OGG, MP3 or AIFF files there, "
            "or make a corpus with: segue corpus make"
        )
    return sources


def _corpus_sources(folder: Path) -> list[Source]:
    from engine.corpus.dataset import load_manifest

    sources = [
        Source(
            name=_relative(Path(song.audio), folder),
            path=Path(song.audio),
            artist=label_name(song.artist),
            genres=(label_name(song.genre),),
            held_out=song.split == "held-out",
        )
        for song in load_manifest(folder)
    ]
    return sorted(_with_held_out(sources), key=lambda source: source.name)


def _folder_sources(folder: Path, usual: str) -> list[Source]:
    labels = _read_labels(folder)
    sources = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in AUDIO_SUFFIXES or not path.is_file() or path.name.startswith("."):
            continue
        name = _relative(path, folder)
        artist, genres = labels.get(name) or _labels_above(Path(name).parts[:-1])
        artist = usual if artist == UNKNOWN else artist
        sources.append(Source(name, path, artist, genres, _hash(name) % 10 == 0))
    return _with_held_out(sources)


def _labels_above(folders: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    genre, artist, *_ = (*(label_name(folder) for folder in folders), UNKNOWN, UNKNOWN)
    return artist, (genre,)


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def _with_held_out(sources: list[Source]) -> list[Source]:
    """Make both parts of the split non-empty, as far as two files allow it."""
    if len(sources) < 2:
        return sources
    held = [source.held_out for source in sources]
    if any(held) and not all(held):
        return sources
    lone = min(range(len(sources)), key=lambda index: _hash(sources[index].name))
    return [replace(source, held_out=index == lone) for index, source in enumerate(sources)]


def split_again(sources: list[Source]) -> list[Source]:
    """The split of what is left after unreadable files were dropped."""
    return _with_held_out(sources)


def label_name(text: str) -> str:
    """A label as models spell it: lower case, letters and digits, words joined by ``_``; empty is "unknown"."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or UNKNOWN


def _read_labels(folder: Path) -> dict[str, tuple[str, tuple[str, ...]]]:
    rows: list[dict[str, str]] = []
    table, lines = folder / "metadata.csv", folder / "metadata.jsonl"
    try:
        if table.is_file():
            with table.open(newline="", encoding="utf-8-sig") as file:
                rows = list(csv.DictReader(file))
        elif lines.is_file():
            rows = [json.loads(line) for line in lines.read_text("utf-8").splitlines() if line.strip()]
        return dict(_label_row(row) for row in rows)
    except (KeyError, ValueError, AttributeError, csv.Error) as error:
        name = (table if table.is_file() else lines).name
        raise BadFormat(
            f"'{name}' cannot be read ({error}); each row needs the columns file, artist and genre"
        ) from error


def _label_row(row: dict[str, str]) -> tuple[str, tuple[str, tuple[str, ...]]]:
    genre = row.get("genre") or UNKNOWN
    genres = tuple(label_name(part) for part in genre.split(";"))[:MAX_GENRES]
    return Path(row["file"]).as_posix(), (label_name(row.get("artist") or ""), genres)


def read_blocks(path: Path, rate: int) -> Iterator[NDArray[np.float32]]:
    """The file as mono float32 blocks at ``rate`` Hz, read and resampled piece by piece.

    Raises :class:`BadFormat` when it cannot be decoded or holds values that are not finite.
    """
    try:
        with soundfile.SoundFile(path) as file:
            resample = None
            if file.samplerate != rate:
                resample = soxr.ResampleStream(file.samplerate, rate, 1, dtype="float32")
            for block in file.blocks(_BLOCK_FRAMES, dtype="float32", always_2d=True):
                mono = block.mean(axis=1, dtype=np.float32)
                if not np.isfinite(mono).all():
                    raise BadFormat(f"'{path.name}' holds values that are not numbers")
                yield resample.resample_chunk(mono) if resample else mono
            if resample:
                yield resample.resample_chunk(np.zeros(0, np.float32), last=True)
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        raise BadFormat(f"'{path.name}' cannot be read as audio ({error})") from error
