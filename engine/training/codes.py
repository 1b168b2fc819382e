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
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
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
    """What the flat files hold. ``key`` identifies the codec and the audio that they were made from."""

    version: int = 1
    key: str
    rate: int
    bins: int
    hops: tuple[int, ...]
    levels: tuple[int, ...]
    songs: tuple[CodedSong, ...]


class CodeStore:
    """Codes of every song. ``codes(song, level)``: uint16 [tokens of that level]."""

    def __init__(self, folder: Path, index: CodeIndex) -> None:
        self.folder, self.index = folder, index
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
        """Artists and genres of the training split, sorted, "unknown" first."""
        songs = self.songs("train")
        artists = {song.artist for song in songs} - {"unknown"}
        genres = {genre for song in songs for genre in song.genres} - {"unknown"}
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

    ``jobs`` processes share the songs (one, on a GPU); ``progress(done, total)`` counts songs times levels.
    Raises :class:`TrainingError` when no song is as long as one top-level token.
    """
    codec = load_codec(codec_run)
    key = _key(codec, cache)
    wanted = sorted(set(levels))
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "codes.lock"):
            index = _read_index(folder, key)
            lacking = [level for level in wanted if index is None or level not in index.levels]
            if lacking:
                index = _encode(
                    cache, cache_folder, codec, codec_run, folder, key, lacking, index, jobs, device, progress
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


def _key(codec: Codec, cache: AudioCache) -> str:
    weights = {
        name: value
        for name, value in codec.state_dict().items()
        if ".encoder." in name or name.endswith("codebook")
    }
    digest = hashlib.sha256(save({name: value.contiguous() for name, value in weights.items()}))
    digest.update(cache.fingerprint.encode())
    return digest.hexdigest()[:16]


def _read_index(folder: Path, key: str) -> CodeIndex | None:
    try:
        index = CodeIndex.model_validate_json((folder / "index.json").read_bytes())
    except (OSError, ValidationError):
        return None
    return index if index.key == key else None


def _encode(
    cache: AudioCache,
    cache_folder: Path,
    codec: Codec,
    codec_run: Path,
    folder: Path,
    key: str,
    levels: list[int],
    before: CodeIndex | None,
    jobs: int,
    device: str,
    progress: Callable[[int, int], None] | None,
) -> CodeIndex:
    top = codec.config.hops[-1]
    numbers = [number for number, song in enumerate(cache.index.songs) if song.frames >= top]
    if not numbers:
        raise TrainingError(f"no file is as long as one top-level token, {top} samples; use longer audio")
    parts = folder / f"parts-{key}"
    for stale in folder.glob("parts-*"):
        if stale != parts:
            shutil.rmtree(stale)
    todo = [
        (number, level) for level in levels for number in numbers if not _part(parts, level, number).is_file()
    ]
    total = len(numbers) * len(levels)
    done = total - len(todo)
    if jobs == 1 or device != "cpu":
        codec = codec.to(device)
        for number, level in todo:
            _encode_song(codec, cache, number, level, parts)
            done += 1
            if progress:
                progress(done, total)
    elif todo:
        arguments = (cache_folder, cache.index.model_dump_json(), codec_run)
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, context, _start_worker, arguments) as pool:
            for finished in as_completed(
                [pool.submit(_work, number, level, parts) for number, level in todo]
            ):
                finished.result()
                done += 1
                if progress:
                    progress(done, total)
    return _join(cache, codec, folder, parts, key, levels, numbers, before)


def _join(
    cache: AudioCache,
    codec: Codec,
    folder: Path,
    parts: Path,
    key: str,
    levels: list[int],
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
    if before is None:  # codes of another codec or other audio: the index goes first, then what it described
        (folder / "index.json").unlink(missing_ok=True)
    for level in levels:
        flat = np.concatenate([np.load(_part(parts, level, number)) for number in numbers])
        write_bytes(_flat_file(folder, level), _npy(flat))
    index = CodeIndex(
        key=key,
        rate=cache.rate,
        bins=codec.config.bins,
        hops=codec.config.hops,
        levels=tuple(sorted({*levels, *(before.levels if before else ())})),
        songs=tuple(songs),
    )
    write_json(folder / "index.json", index.model_dump(mode="json"))
    shutil.rmtree(parts, ignore_errors=True)
    return index


def _encode_song(codec: Codec, cache: AudioCache, number: int, level: int, parts: Path) -> None:
    song = cache.index.songs[number]
    top = codec.config.hops[-1]
    samples = torch.from_numpy(cache.audio(song, 0, song.frames // top * top))
    codes = codec.encode(samples.to(next(codec.parameters()).device), (level,))[level]
    write_bytes(_part(parts, level, number), _npy(codes.cpu().numpy().astype(np.uint16)))


def _npy(codes: NDArray[np.uint16]) -> bytes:
    content = io.BytesIO()
    np.save(content, codes)
    return content.getvalue()


def _part(parts: Path, level: int, number: int) -> Path:
    return parts / f"level_{level}" / f"{number:06d}.npy"


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


def _work(number: int, level: int, parts: Path) -> None:
    codec, cache = _worker["own"]
    _encode_song(codec, cache, number, level, parts)
