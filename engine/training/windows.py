"""Windows of codes with their labels and the codes above them, for the priors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.lyrics import SongLyrics, window_ids
from engine.prior.config import PriorConfig
from engine.prior.labels import Labels, make_labels
from engine.prior.pulse import UNKNOWN, PulseRows, SongPulse, pulse_rows
from engine.prior.vocabulary import LabelVocabulary
from engine.request import Style
from engine.training.cache import Split
from engine.training.codes import CodedSong, CodeStore
from engine.training.guidance import sung_places

UNKNOWN_SHARE = 0.1  # of the windows that lose their artist, and of those that lose their genre
START_SHARE = 0.1  # of the windows of a time-conditioned prior that begin a song
_UNIGRAM_PRIOR = 0.5  # added to every count: a code that training never showed still costs finitely many bits


class Windows(NamedTuple):
    """N windows: ``codes`` int64 [N, n_ctx], their labels, ``upper`` int64 [N, n_ctx / ratio] or None, ``lyrics``
    int64 [N, P] or None, ``sung`` int64 [N, n_ctx], which of them is sung at every token (-1: not known), or None."""

    codes: Tensor
    labels: Labels
    upper: Tensor | None
    lyrics: Tensor | None = None
    sung: Tensor | None = None


class WindowSampler:
    """Windows of ``n_ctx`` tokens of one level, drawn from (seed, step).

    A song is drawn by its length, then a start in it: at a multiple of the ratio to the level above, so that the
    upper codes line up. A song shorter than a window is repeated until it fills one, as a loop would be.
    ``labels``: artist and genre names, index = id, 0 "unknown"; ``lyrics``: those of every song, by its name;
    ``pulses``: the same, for a prior of that shape.
    """

    def __init__(
        self,
        store: CodeStore,
        level: int,
        n_ctx: int,
        split: Split,
        seed: int,
        labels: tuple[Sequence[str], Sequence[str]],
        unknown_share: float = 0.0,
        lyrics: Mapping[str, SongLyrics] | None = None,
        pulses: tuple[PriorConfig, Mapping[str, SongPulse]] | None = None,
    ) -> None:
        self.store, self.level, self.n_ctx, self.seed = store, level, n_ctx, seed
        self.top = level == len(store.index.hops) - 1
        self.hop = store.index.hops[level]
        self.step_tokens = 1 if self.top else store.index.hops[level + 1] // self.hop
        self.start_share = START_SHARE if self.top else 0.0
        self.unknown_share, self.lyrics, self.pulses = unknown_share, lyrics, pulses
        self.songs = store.songs(split)
        self._lengths = np.array([song.tokens * store.ratio(level) for song in self.songs], dtype=np.int64)
        self._edges = np.cumsum(np.maximum(self._lengths, n_ctx))
        names = LabelVocabulary.own(*labels)
        rows = [self._song_labels(song, names) for song in self.songs]
        self._artists = torch.cat([row.artists for row in rows])
        self._genres = torch.cat([row.genres for row in rows])

    def _song_labels(self, song: CodedSong, names: LabelVocabulary) -> Labels:
        known = [genre for genre in song.genres if genre in names.genres]
        style = Style(
            artists={song.artist: 1.0} if song.artist in names.artists else {},
            genres={genre: 1.0 for genre in known},
        )
        return make_labels(style, 1, 0, names)

    def batch(self, step: int, size: int, rank: int = 0, world: int = 1) -> Windows:
        """``size`` random windows for one rank; the ranks share out what one process would draw for all of them."""
        rng = np.random.default_rng([self.seed, step, 0])
        total, mine = size * world, slice(rank * size, (rank + 1) * size)
        songs = np.searchsorted(self._edges, rng.integers(0, self._edges[-1], size=total), side="right")
        places = rng.random(total)
        places[rng.random(total) < self.start_share] = 0.0
        room = np.maximum(self._lengths[songs] - self.n_ctx, 0) // self.step_tokens + 1
        starts = (places * room).astype(np.int64) * self.step_tokens
        unknown = rng.random((2, total)) < self.unknown_share
        return self.windows(songs[mine], starts[mine], unknown[0][mine], unknown[1][mine])

    def spread(self, count: int) -> Windows:
        """``count`` fixed windows, spread evenly over the songs and over the places in them."""
        points = (np.arange(count) + 0.5) / count
        songs = np.searchsorted(self._edges, (points * self._edges[-1]).astype(np.int64), side="right")
        room = np.maximum(self._lengths[songs] - self.n_ctx, 0) // self.step_tokens + 1
        places = (np.arange(count) * 0.618034) % 1.0  # the golden ratio: no two windows at one place
        never = np.zeros(count, dtype=bool)
        return self.windows(songs, (places * room).astype(np.int64) * self.step_tokens, never, never)

    def windows(
        self,
        songs: NDArray[np.int64],
        starts: NDArray[np.int64],
        no_artist: NDArray[np.bool_],
        no_genre: NDArray[np.bool_],
    ) -> Windows:
        """The windows at token ``starts`` of song numbers ``songs``, optionally without their labels."""
        codes = np.stack(
            [self._cut(int(n), self.level, int(s), self.n_ctx) for n, s in zip(songs, starts, strict=True)]
        )
        upper = None
        if not self.top:
            ratio = self.step_tokens
            cut = [
                self._cut(int(n), self.level + 1, int(s) // ratio, self.n_ctx // ratio)
                for n, s in zip(songs, starts, strict=True)
            ]
            upper = torch.from_numpy(np.stack(cut))
        picked = torch.from_numpy(songs)
        artists, genres = self._artists[picked].clone(), self._genres[picked].clone()
        _forget(artists, no_artist)
        _forget(genres, no_genre)
        total = torch.from_numpy(np.maximum(self._lengths[songs], self.n_ctx) * self.hop)
        offset = torch.from_numpy(starts * self.hop)
        labels = Labels(artists, genres, total, offset)
        if self.pulses is not None:
            labels = labels.with_pulse(self._pulse_rows(songs, starts, no_artist, no_genre))
        return Windows(torch.from_numpy(codes), labels, upper, *self._lyrics(songs, total, offset))

    def _pulse_rows(
        self,
        songs: NDArray[np.int64],
        starts: NDArray[np.int64],
        no_bar: NDArray[np.bool_],
        no_key: NDArray[np.bool_],
    ) -> list[PulseRows]:
        """Pulse of every window; some are not told the bar, some not the key, so that neither is needed later."""
        assert self.pulses is not None
        config, found = self.pulses
        rows = []
        for number, start, bar_missing, key_missing in zip(songs, starts, no_bar, no_key, strict=True):
            pulse = found[self.songs[number].name]
            if bar_missing:
                pulse = replace(pulse, bar=0.0)
            rows.append(
                pulse_rows(
                    config, replace(pulse, key=UNKNOWN) if key_missing else pulse, int(start) * self.hop
                )
            )
        return rows

    def _lyrics(
        self, songs: NDArray[np.int64], total: Tensor, offset: Tensor
    ) -> tuple[Tensor | None, Tensor | None]:
        """Characters of every window, and which of them is sung at each of its tokens."""
        if self.lyrics is None:
            return None, None
        characters, sung = [], []
        samples = np.arange(self.n_ctx) * self.hop
        for number, whole, start in zip(songs, total, offset, strict=True):
            song = self.lyrics[self.songs[number].name]
            ids, places = window_ids(song, int(whole), int(start), self.n_ctx * self.hop)
            characters.append(ids)
            real = int(self._lengths[number]) * self.hop
            sung.append(sung_places(song, places, samples + int(start), real))
        return torch.from_numpy(np.stack(characters)), torch.from_numpy(np.stack(sung))

    def _cut(self, number: int, level: int, start: int, tokens: int) -> NDArray[np.int64]:
        codes = self.store.codes(self.songs[number], level)
        if len(codes) >= start + tokens:
            return codes[start : start + tokens].astype(np.int64)
        return codes[np.arange(start, start + tokens) % len(codes)].astype(np.int64)


def _forget(weights: Tensor, rows: NDArray[np.bool_]) -> None:
    chosen = torch.from_numpy(rows)
    weights[chosen] = 0.0
    weights[chosen, 0] = 1.0


def unigram_bits(store: CodeStore, level: int) -> float:
    """Bits per token of the held-out codes if each were drawn by its frequency in the training split."""
    train = store.counts("train", level) + _UNIGRAM_PRIOR
    held_out = store.counts("held-out", level)
    bits = -np.log2(train / train.sum())
    return float((held_out * bits).sum() / held_out.sum())
