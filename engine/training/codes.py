"""The corpus as codes: every song encoded once, one flat uint16 file per level, mapped into memory.

Songs are encoded one by one into part files, so that an interrupted encoding goes on where it stopped and
several processes can share the work; the parts are then joined.
"""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors.torch import save

from engine.codec.vqvae import Codec
from engine.errors import NoFile, TrainingError
from engine.request import Frozen
from engine.training.cache import AudioCache, CacheIndex, Split
from engine.training.codec_trainer import load_codec
from engine.training.files import write_bytes, write_json, writing_to


class CodedSong(Frozen):
    """One song: ``start`` and ``tokens`` count tokens of the top level; a lower level has ``ratio`` times as many."""

    name: str
    artist: str
    genres: tuple[str, ...]
    split: Split
    start: int
    tokens: int


class CodeIndex(Frozen):
    """What the flat files hold. ``keys`` of each level identify the encoder and the audio the codes were made from:
    levels are independent, so one can be trained further without making the codes of the others again."""

    version: int = 2
    keys: dict[int, str]
    rate: int
    bins: int
    hops: tuple[int, ...]
    songs: tuple[CodedSong, ...]

    @property
    def levels(self) -> tuple[int, ...]:
        """The levels that are there."""
        return tuple(sorted(self.keys))


class CodeStore:
    """Codes of every song. ``codes(song, level)``: uint16 [tokens of that level].

    ``known``: artists and genres to have names for beside those of the songs.
    """

    def __init__(
        self, folder: Path, index: CodeIndex, known: tuple[Iterable[str], Iterable[str]] = ((), ())
    ) -> None:
        self.folder, self.index, self.known = folder, index, known
        self._flat: dict[int, NDArray[np.uint16]] = {
            level: np.load(_flat_file(folder, level), mmap_mode="r") for level in index.levels
        }

    def songs(self, split: Split) -> list[CodedSong]:
        """The songs of one part of the split."""
        return [song for song in self.index.songs if song.split == split]

    def ratio(self, level: int) -> int:
        """Tokens of ``level`` per token of the top level."""
        return self.index.hops[-1] // self.index.hops[level]

    def codes(self, song: CodedSong, level: int) -> NDArray[np.uint16]:
        """The codes of one song."""
        ratio = self.ratio(level)
        return self._flat[level][song.start * ratio : (song.start + song.tokens) * ratio]

    def counts(self, split: Split, level: int) -> NDArray[np.int64]:
        """How often each code occurs in one part of the split: int64 [bins]."""
        total = np.zeros(self.index.bins, np.int64)
        for song in self.songs(split):
            total += np.bincount(self.codes(song, level), minlength=self.index.bins)
        return total

    @property
    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Artists and genres of the training split and those known beside, sorted, "unknown" first."""
        songs = self.songs("train")
        artists = {*(song.artist for song in songs), *self.known[0]} - {"unknown"}
        genres = {*(genre for song in songs for genre in song.genres), *self.known[1]} - {"unknown"}
        return ("unknown", *sorted(artists)), ("unknown", *sorted(genres))


def encode_corpus(
    cache: AudioCache,
    cache_folder: Path,
    codec_run: Path,
    folder: Path,
    levels: Iterable[int],
    jobs: int = 1,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> CodeStore:
    """The codes of ``cache`` by the codec in ``codec_run``, made in ``folder`` as far as they are not there.

    ``jobs`` processes of one thread share the songs (one process, on a GPU); ``progress(done, total)`` counts
    songs times levels.
    Raises :class:`TrainingError` when no song is as long as one top-level token.
    """
    codec = load_codec(codec_run)
    keys = {level: f"{encoder_key(codec, level)}-{cache.fingerprint[:12]}" for level in sorted(set(levels))}
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "codes.lock"):
            index = _read_index(folder, cache)
            lacking = {
                level: key for level, key in keys.items() if index is None or index.keys.get(level) != key
            }
            if lacking:
                index = _encode(
                    cache, cache_folder, codec, codec_run, folder, lacking, index, jobs, device, progress
                )
    assert index is not None
    return CodeStore(folder, index)


def read_codes(folder: Path, levels: Iterable[int]) -> CodeStore:
    """The codes that lie in ``folder``, without the audio and the codec they came from.

    Raises :class:`NoFile` when there are none, or none of one of ``levels``.
    """
    try:
        index = CodeIndex.model_validate_json((folder / "index.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise NoFile(f"there are no codes in '{folder}'; make them with: segue train encode DATA") from error
    lacking = sorted(set(levels) - set(index.levels))
    if lacking:
        raise NoFile(
            f"'{folder}' has no codes of level {', '.join(map(str, lacking))}; "
            f"make them with: segue train encode DATA --levels {','.join(map(str, lacking))}"
        )
    return CodeStore(folder, index)


def encoder_key(codec: Codec, level: int) -> str:
    """Identity of what decides the codes of one level: its encoder and its codebook."""
    weights = {
        name: value.contiguous()
        for name, value in codec.levels[level].state_dict().items()
        if name.startswith("encoder.") or name.endswith("codebook")
    }
    return hashlib.sha256(save(weights)).hexdigest()[:12]


def _read_index(folder: Path, cache: AudioCache) -> CodeIndex | None:
    """The index of codes of the same audio, if there is one."""
    try:
        index = CodeIndex.model_validate_json((folder / "index.json").read_bytes())
    except (OSError, ValidationError):
        return None
    same = all(key.endswith(f"-{cache.fingerprint[:12]}") for key in index.keys.values())
    return index if same else None


def _encode(
    cache: AudioCache,
    cache_folder: Path,
    codec: Codec,
    codec_run: Path,
    folder: Path,
    keys: dict[int, str],
    before: CodeIndex | None,
    jobs: int,
    device: str,
    progress: Callable[[int, int], None] | None,
) -> CodeIndex:
    top = codec.config.hops[-1]
    numbers = [number for number, song in enumerate(cache.index.songs) if song.frames >= top]
    if not numbers:
        raise TrainingError(f"no file is as long as one top-level token, {top} samples; use longer audio")
    parts = folder / "parts"
    wanted = {_part(parts, key, level, 0).parent for level, key in keys.items()}
    for stale in set(parts.glob("level_*")) - wanted:
        shutil.rmtree(stale)
    levels = sorted(keys)
    todo = [
        (number, level)
        for level in levels
        for number in numbers
        if not _part(parts, keys[level], level, number).is_file()
    ]
    total = len(numbers) * len(levels)
    done = total - len(todo)
    if jobs == 1 or device != "cpu":
        codec = codec.to(device)
        with _one_thread():
            for number, level in todo:
                _encode_song(codec, cache, number, level, _part(parts, keys[level], level, number))
                done += 1
                if progress:
                    progress(done, total)
    elif todo:
        arguments = (cache_folder, cache.index.model_dump_json(), codec_run)
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, context, _start_worker, arguments) as pool:
            for finished in as_completed(
                [
                    pool.submit(_work, number, level, _part(parts, keys[level], level, number))
                    for number, level in todo
                ]
            ):
                finished.result()
                done += 1
                if progress:
                    progress(done, total)
    return _join(cache, codec, folder, parts, keys, numbers, before)


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for torch: two encoding processes with one for every core stall each other by a factor of five."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _join(
    cache: AudioCache,
    codec: Codec,
    folder: Path,
    parts: Path,
    keys: dict[int, str],
    numbers: list[int],
    before: CodeIndex | None,
) -> CodeIndex:
    top, start, songs = codec.config.hops[-1], 0, []
    for number in numbers:
        song = cache.index.songs[number]
        tokens = song.frames // top
        songs.append(
            CodedSong(
                name=song.name,
                artist=song.artist,
                genres=song.genres,
                split=song.split,
                start=start,
                tokens=tokens,
            )
        )
        start += tokens
    kept = {level: key for level, key in (before.keys if before else {}).items() if level not in keys}

    def describe(described: dict[int, str]) -> CodeIndex:
        index = CodeIndex(
            keys=described,
            rate=cache.rate,
            bins=codec.config.bins,
            hops=codec.config.hops,
            songs=tuple(songs),
        )
        write_json(folder / "index.json", index.model_dump(mode="json"))
        return index

    describe(kept)  # what is about to be replaced leaves the index first
    for level, key in keys.items():
        flat = np.concatenate([np.load(_part(parts, key, level, number)) for number in numbers])
        write_bytes(_flat_file(folder, level), _npy(flat))
    index = describe({**kept, **keys})
    shutil.rmtree(parts, ignore_errors=True)
    return index


def _encode_song(codec: Codec, cache: AudioCache, number: int, level: int, part: Path) -> None:
    song = cache.index.songs[number]
    top = codec.config.hops[-1]
    samples = torch.from_numpy(cache.audio(song, 0, song.frames // top * top))
    codes = codec.encode(samples.to(next(codec.parameters()).device), (level,))[level]
    write_bytes(part, _npy(codes.cpu().numpy().astype(np.uint16)))


def _npy(codes: NDArray[np.uint16]) -> bytes:
    content = io.BytesIO()
    np.save(content, codes)
    return content.getvalue()


def _part(parts: Path, key: str, level: int, number: int) -> Path:
    return parts / f"level_{level}-{key}" / f"{number:06d}.npy"


def _flat_file(folder: Path, level: int) -> Path:
    return folder / f"level_{level}.npy"


_worker: dict[str, tuple[Codec, AudioCache]] = {}


def _start_worker(cache_folder: Path, index: str, codec_run: Path) -> None:
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    torch.set_num_threads(1)
    _worker["own"] = (load_codec(codec_run), AudioCache(cache_folder, CacheIndex.model_validate_json(index)))


def _end_with(parent: int) -> None:
    """A killed parent leaves its workers waiting for work for ever; this ends them."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _work(number: int, level: int, part: Path) -> None:
    codec, cache = _worker["own"]
    _encode_song(codec, cache, number, level, part)
