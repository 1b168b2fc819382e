"""Held-out songs, and the excerpts of them that a model is measured on."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.codec.pieces import encoder_margin
from engine.codec.vqvae import Codec
from engine.errors import BadFormat, TooShort
from engine.evaluation.truth import Truth
from engine.training.data import UNKNOWN, Source, list_sources, read_blocks

Split = Literal["held-out", "train", "all"]


@dataclass(frozen=True)
class Song:
    """A song read whole: ``samples`` float32 [T] mono at the model's rate; unknown labels are "unknown". ``truth``:
    what a corpus says of it."""

    name: str
    artist: str
    genres: tuple[str, ...]
    samples: NDArray[np.float32]
    truth: Truth | None = None


@dataclass(frozen=True)
class Excerpt:
    """A span of a song from sample ``start`` on; ``codes[level]`` int64 [tokens] as the whole song has them
    there.
    """

    song: Song
    start: int
    samples: NDArray[np.float32]
    codes: dict[int, Tensor]


def choose_sources(folder: Path, split: Split, count: int, seed: int) -> list[Source]:
    """Up to ``count`` sources of one part of the split, genres taking turns, in an order fixed by ``seed``.

    A folder of a single file has no split: that file is then taken for every one. Raises NoFile or
    TrainingError (engine.training.data) when the folder holds nothing.
    """
    sources = list_sources(folder)
    held_out = split == "held-out"
    chosen = [s for s in sources if split == "all" or s.held_out == held_out] or sources
    by_genre: dict[str, list[Source]] = defaultdict(list)
    for source in sorted(chosen, key=lambda s: _order(seed, s.name)):
        by_genre[source.genres[0]].append(source)
    queues = [by_genre[genre] for genre in sorted(by_genre)]
    turns = max(len(queue) for queue in queues)
    ordered = [queue[turn] for turn in range(turns) for queue in queues if turn < len(queue)]
    return ordered[:count]


def _order(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()


def load_songs(
    sources: Sequence[Source],
    rate: int,
    min_frames: int,
    tick: Callable[[], None] = lambda: None,
    truths: Mapping[str, Truth] | None = None,
) -> list[Song]:
    """The readable sources of at least ``min_frames`` samples, read whole at ``rate`` Hz; ``tick`` after
    each. ``truths``: what is known of them, by name.

    Raises TooShort when none is left.
    """
    songs = []
    longest = 0
    for source in sources:
        try:
            samples = np.concatenate([np.zeros(0, np.float32), *read_blocks(source.path, rate)])
        except BadFormat:
            samples = np.zeros(0, np.float32)
        longest = max(longest, samples.size)
        if samples.size >= min_frames:
            truth = (truths or {}).get(source.name)
            songs.append(Song(source.name, source.artist, source.genres, samples, truth))
        tick()
    if not songs:
        raise TooShort(
            f"the longest readable file has {longest / rate:.1f} s; measuring needs at least "
            f"{min_frames / rate:.1f} s in one file"
        )
    return songs


def spread(total: int, count: int, step: int) -> list[int]:
    """``count`` positions spread evenly over [0, total], ends left out, multiples of ``step``."""
    return [int(total * (index + 0.5) / count) // step * step for index in range(count)]


def make_excerpts(
    codec: Codec,
    songs: Sequence[Song],
    frames: int,
    per_song: int,
    levels: Sequence[int],
    tick: Callable[[], None] = lambda: None,
) -> list[Excerpt]:
    """``per_song`` encoded excerpts of up to ``frames`` samples of each song, at fixed places; ``tick`` after
    each.
    """
    step = codec.config.hops[-1]
    excerpts = []
    for song in songs:
        length = min(frames, song.samples.size) // step * step
        for start in spread(song.samples.size - length, per_song, step):
            codes = {level: encode_span(codec, song.samples, start, length, level) for level in levels}
            excerpts.append(Excerpt(song, start, song.samples[start : start + length], codes))
            tick()
    return excerpts


def encode_span(codec: Codec, samples: NDArray[np.float32], start: int, frames: int, level: int) -> Tensor:
    """Codes int64 [frames // hop] of one level as encoding all of ``samples`` [T] would give them from
    ``start`` on.

    ``start`` is a multiple of the level's hop; the encoder sees as much of the surroundings as it can reach.
    """
    hop = codec.config.hops[level]
    margin = -(-encoder_margin(codec.config, level) // hop) * hop
    left = max(0, start - margin)
    right = min(samples.size, start + frames + margin)
    device = next(codec.parameters()).device
    span = torch.from_numpy(np.ascontiguousarray(samples[left:right])).to(device)
    codes = codec.encode(span, [level])[level]
    first = (start - left) // hop
    return codes[first : first + frames // hop].cpu()


def known(names: Sequence[str], vocabulary: Collection[str]) -> list[str]:
    """Those of ``names`` that are in a model's ``vocabulary``, "unknown" left out."""
    return [name for name in names if name in vocabulary and name != UNKNOWN]
