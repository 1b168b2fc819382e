"""What a corpus folder holds: which songs there are to make, how they are split, and how they are read
back.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.corpus.artists import pairs
from engine.errors import BadFormat, NoFile

CORPUS_VERSION = 1
MANIFEST = "corpus.json"
SONGS = "songs"
TRAIN, HELD_OUT = "train", "held-out"
_HELD_OUT_PER_MILLE = 100


@dataclass(frozen=True)
class SongInfo:
    """One finished song of a corpus; `key` reads like `A minor`, `split` is `train` or `held-out`."""

    id: str
    audio: Path
    genre: str
    artist: str
    bpm: int
    key: str
    seconds: float
    split: str


@dataclass(frozen=True)
class Slot:
    """One song to be made: its number in the corpus fixes everything else, given the corpus seed."""

    index: int
    id: str
    genre: str
    artist: str
    split: str


def song_id(seed: int, index: int) -> str:
    """The name of song `index` of the corpus of `seed`."""
    return f"s{seed}-{index:05d}"


def _drawn_out(identity: str) -> bool:
    digest = hashlib.sha256(f"segue corpus split {identity}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % 1000 < _HELD_OUT_PER_MILLE


def slots(seed: int, count: int) -> tuple[Slot, ...]:
    """The first `count` songs of the corpus of a seed; a larger count only adds songs.

    Genre and artist go round all pairs, in another order each round. A tenth is held out, by a hash of the
    id; never the first song of a genre or artist, so that training sees every one of them.
    """
    couples = pairs()
    found: list[Slot] = []
    seen: set[str] = set()
    for index in range(count):
        turn, place = divmod(index, len(couples))
        if turn and place == 0:
            order = np.random.Generator(np.random.PCG64([seed, turn, 77])).permutation(len(couples))
        genre, artist = couples[int(order[place]) if turn else place]
        first = genre not in seen or artist not in seen
        seen |= {genre, artist}
        identity = song_id(seed, index)
        split = HELD_OUT if _drawn_out(identity) and not first else TRAIN
        found.append(Slot(index, identity, genre, artist, split))
    return tuple(found)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The `corpus.json` of a corpus folder. Raises NoFile where there is none, BadFormat where it cannot be
    read.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise NoFile(
            f"{folder} holds no corpus: expected a {MANIFEST} in it, as `segue corpus make` writes it."
        )
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(manifest["version"], int):
            raise TypeError("version")
    except (ValueError, KeyError, TypeError) as error:
        raise BadFormat(
            f"{path} is not a corpus manifest ({error}): make the corpus again in an empty folder."
        ) from error
    return dict(manifest)


def load_song(path: Path) -> dict[str, Any]:
    """The metadata of one song from its JSON file. Raises BadFormat when it cannot be read."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise BadFormat(
            f"{path} is not song metadata ({error}): delete it and run `segue corpus make` again."
        ) from error


def load_manifest(folder: Path | str) -> list[SongInfo]:
    """All finished songs of a corpus folder, ordered by id, also of one that is still being made.

    Raises NoFile when the folder is no corpus, BadFormat when a file in it cannot be read.
    """
    folder = Path(folder)
    read_manifest(folder)
    songs = []
    for path in sorted((folder / SONGS).glob("*.json")):
        song = load_song(path)
        try:
            key = f"{song['key']['tonic']} {song['key']['mode']}"
            songs.append(
                SongInfo(
                    song["id"],
                    path.parent / song["audio"],
                    song["genre"],
                    song["artist"],
                    song["bpm"],
                    key,
                    song["seconds"],
                    song["split"],
                )
            )
        except (KeyError, TypeError) as error:
            raise BadFormat(f"{path} lacks {error}: delete it and run `segue corpus make` again.") from error
    return songs
