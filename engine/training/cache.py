"""The training audio, decoded once: one flat int16 file that is mapped into memory, and an index beside it.

A crop then costs one copy of a few thousand samples, whatever the format of the files it came from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor

from engine.errors import BadFormat, TooShort, TrainingError
from engine.request import Frozen
from engine.training.data import UNKNOWN, Source, list_sources, read_blocks, split_again
from engine.training.files import write_json, writing_to

Split = Literal["train", "held-out"]
_SCALE = 32767.0
_FAINT = 1e-4  # a crop's peak under which its gain is not limited further
_TAIL = 10  # a lone file keeps its last tenth as held-out audio


class CachedSong(Frozen):
    """Where one source lies in the flat file: ``start`` and ``frames`` in samples at the cache's rate."""

    name: str
    artist: str
    genres: tuple[str, ...]
    split: Split
    start: int
    frames: int


class Skipped(Frozen):
    """A file that is left out, and why."""

    name: str
    reason: str


class CacheIndex(Frozen):
    """The content of a cache. ``key`` identifies the files it was made from, with sizes and times of change."""

    version: int = 1
    rate: int
    key: str
    songs: tuple[CachedSong, ...]
    skipped: tuple[Skipped, ...]


class AudioCache:
    """Decoded audio of every song, mono at ``rate`` Hz."""

    def __init__(self, folder: Path, index: CacheIndex) -> None:
        self.index = index
        self.rate = index.rate
        self.samples: NDArray[np.int16] = np.memmap(folder / "audio.i16", dtype=np.int16, mode="r")

    def songs(self, split: Split) -> list[CachedSong]:
        """The songs of one part of the split, in order of name."""
        return [song for song in self.index.songs if song.split == split]

    def audio(self, song: CachedSong, start: int = 0, frames: int | None = None) -> NDArray[np.float32]:
        """``frames`` samples of a song from ``start`` (default: all), float32 in [-1, 1]."""
        end = song.frames if frames is None else start + frames
        span = self.samples[song.start + start : song.start + end]
        return span.astype(np.float32) / np.float32(_SCALE)

    def seconds(self, split: Split) -> float:
        """Length of one part of the split in seconds."""
        return sum(song.frames for song in self.songs(split)) / self.rate

    @property
    def fingerprint(self) -> str:
        """Identifies the audio whatever folder or machine it lies on."""
        rows = [(song.name, song.artist, song.genres, song.split, song.frames) for song in self.index.songs]
        return hashlib.sha256(json.dumps([self.rate, rows]).encode()).hexdigest()[:16]


def open_cache(
    data: Path,
    folder: Path,
    rate: int,
    progress: Callable[[int, int], None] | None = None,
    artist: str = UNKNOWN,
) -> AudioCache:
    """The cache of ``data`` in ``folder``, made or renewed when needed (other processes wait for it).

    ``progress(done, total)`` counts files; ``artist``: of files whose artist nothing says. Raises
    :class:`TrainingError` when nothing usable is left.
    """
    sources = list_sources(data, artist)
    key = _key(sources, rate)
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "cache.lock"):
            index = _read_index(folder)
            if index is None or index.key != key:
                index = _build(sources, folder, rate, key, data, progress)
    return AudioCache(folder, index)


def _key(sources: list[Source], rate: int) -> str:
    digest = hashlib.sha256(str(rate).encode())
    for source in sources:
        stat = source.path.stat()
        row = [source.name, source.artist, source.genres, source.held_out, stat.st_size, stat.st_mtime_ns]
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()


def _read_index(folder: Path) -> CacheIndex | None:
    try:
        return CacheIndex.model_validate_json((folder / "index.json").read_bytes())
    except (OSError, ValidationError):
        return None


def _build(
    sources: list[Source],
    folder: Path,
    rate: int,
    key: str,
    data: Path,
    progress: Callable[[int, int], None] | None,
) -> CacheIndex:
    kept: list[tuple[Source, int, int]] = []
    skipped: list[Skipped] = []
    part = folder / "audio.i16.part"
    position = 0
    with part.open("wb") as file:
        for number, source in enumerate(sources):
            try:
                frames = 0
                loudest = 0
                for block in read_blocks(source.path, rate):
                    values = np.rint(np.clip(block, -1.0, 1.0) * _SCALE).astype(np.int16)
                    file.write(values.tobytes())
                    frames += len(values)
                    loudest = max(loudest, int(np.abs(values).max(initial=0)))
                if loudest == 0:
                    raise BadFormat(f"'{source.name}' is {'silent' if frames else 'empty'}")
                kept.append((source, position, frames))
                position += frames
            except BadFormat as error:
                skipped.append(Skipped(name=source.name, reason=error.message))
                file.seek(position * 2)
                file.truncate()
            if progress:
                progress(number + 1, len(sources))
    if not kept:
        raise TrainingError(
            f"none of the {len(sources)} audio files in '{data}' can be used: {skipped[0].reason}"
        )
    part.replace(folder / "audio.i16")
    index = CacheIndex(rate=rate, key=key, songs=_songs(kept), skipped=tuple(skipped))
    write_json(folder / "index.json", index.model_dump(mode="json"))
    return index


def _songs(kept: list[tuple[Source, int, int]]) -> tuple[CachedSong, ...]:
    if len(kept) == 1:
        source, start, frames = kept[0]
        tail = frames // _TAIL
        labels = {"artist": source.artist, "genres": source.genres}
        return (
            CachedSong(name=source.name, split="train", start=start, frames=frames - tail, **labels),
            CachedSong(
                name=f"{source.name} (end)",
                split="held-out",
                start=start + frames - tail,
                frames=tail,
                **labels,
            ),
        )
    split = split_again([source for source, _, _ in kept])
    return tuple(
        CachedSong(
            name=source.name,
            artist=source.artist,
            genres=source.genres,
            split="held-out" if source.held_out else "train",
            start=start,
            frames=frames,
        )
        for source, (_, start, frames) in zip(split, kept, strict=True)
    )


class _Placed(NamedTuple):
    """Audio on a device: int16 samples of all songs; for every song the number of starts up to its end and what
    turns a start into a place in the samples; 0 .. length - 1."""

    samples: Tensor
    edges: Tensor
    shifts: Tensor
    steps: Tensor


class CropSampler:
    """Random crops of one part of the split, drawn from (seed, step): nothing to save, nothing to replay.

    ``gain_db``: range of a random gain per crop; a crop that would clip is brought down to full scale.
    Raises :class:`TooShort` when no song is as long as a crop.
    """

    def __init__(
        self,
        cache: AudioCache,
        split: Split,
        length: int,
        seed: int,
        gain_db: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.cache, self.length, self.seed, self.gain_db = cache, length, seed, gain_db
        self.songs = [song for song in cache.songs(split) if song.frames >= length]
        if not self.songs:
            longest = max((song.frames for song in cache.songs(split)), default=0)
            raise TooShort(
                f"the longest {split} file is {longest} samples and a crop is {length}; "
                f"use longer audio or a crop of at most {longest} samples"
            )
        starts = np.array([song.frames - length + 1 for song in self.songs], dtype=np.int64)
        self._edges = np.cumsum(starts)
        self._placed: _Placed | None = None

    def batch(self, step: int, size: int, rank: int = 0, world: int = 1) -> NDArray[np.float32]:
        """``size`` crops of one step for one rank of ``world``: float32 [size, length]."""
        picks, gains = self.draw(step, size, rank, world)
        crops = np.stack([self._crop(int(pick)) for pick in picks])
        peaks = np.abs(crops).max(axis=1)
        gains = np.minimum(gains, 1.0 / np.maximum(peaks, _FAINT))
        return crops * gains[:, None]

    def draw(
        self, step: int, size: int, rank: int = 0, world: int = 1
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Where the crops of one rank begin, counted over all songs, and their gains: [size] each. The ranks share
        out what one process would draw for all of them."""
        rng = np.random.default_rng([self.seed, step, 0])
        picks = rng.integers(0, self._edges[-1], size=size * world)
        gains = (10.0 ** (rng.uniform(*self.gain_db, size=size * world) / 20)).astype(np.float32)
        mine = slice(rank * size, (rank + 1) * size)
        return picks[mine], gains[mine]

    def place(self, device: torch.device) -> None:
        """Copy the audio to ``device``, so that :meth:`cut` can take crops from it there."""
        starts = np.array([song.start for song in self.songs], dtype=np.int64)
        self._placed = _Placed(
            torch.from_numpy(np.array(self.cache.samples)).to(device),
            torch.from_numpy(self._edges).to(device),
            torch.from_numpy(starts - np.concatenate(([0], self._edges[:-1]))).to(device),
            torch.arange(self.length, device=device),
        )

    @property
    def placed(self) -> bool:
        """Whether the audio lies on a device."""
        return self._placed is not None

    def cut(self, picks: Tensor, gains: Tensor) -> Tensor:
        """The crops of :meth:`draw` from the device, where its two tensors are too: what :meth:`batch` would give."""
        assert self._placed is not None
        samples, edges, shifts, steps = self._placed
        starts = picks + shifts[torch.searchsorted(edges, picks, right=True)]
        crops = samples[starts[:, None] + steps].float() / _SCALE
        gains = torch.minimum(gains, 1.0 / crops.abs().amax(1).clamp_min(_FAINT))
        return crops * gains[:, None]

    def spread(self, count: int) -> NDArray[np.float32]:
        """``count`` fixed crops spread evenly over the audio, passing over near-silence: float32 [n, length]."""
        total = int(self._edges[-1])
        crops = [self._crop(int((number + 0.5) * total / count)) for number in range(count)]
        loud = [crop for crop in crops if float(np.sqrt(np.mean(crop**2))) > 1e-3]
        return np.stack(loud or crops)

    def _crop(self, pick: int) -> NDArray[np.float32]:
        number = int(np.searchsorted(self._edges, pick, side="right"))
        start = pick - (int(self._edges[number - 1]) if number else 0)
        return self.cache.audio(self.songs[number], start, self.length)
