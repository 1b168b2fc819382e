"""The windows that priors are measured on, and the same windows told less or something else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from engine.evaluation.data import Excerpt, known, spread
from engine.evaluation.truth import Told
from engine.lyrics import window_ids
from engine.prior.config import PriorConfig
from engine.prior.labels import Labels, make_labels
from engine.prior.prior import Prior
from engine.prior.pulse import SongPulse, pulse_rows
from engine.prior.vocabulary import LabelVocabulary
from engine.request import Style
from engine.store import ModelConfig

Condition = Literal["artist", "genre", "time", "pulse", "lyrics", "upper"]


@dataclass(frozen=True)
class Window:
    """One window: ``codes`` int64 [n], ``upper`` int64 [n / ratio] or None, labels (with the pulse, where the prior
    is told it), unknown labels, ``lyrics`` int64 [1, P] or None, and the song it is from."""

    codes: Tensor
    upper: Tensor | None
    labels: Labels
    unlabelled: Labels
    lyrics: Tensor | None = None
    song: str = ""


def cut_windows(
    prior: PriorConfig, config: ModelConfig, excerpts: Sequence[Excerpt], told: Told | None = None
) -> list[Window]:
    """One window from the middle of each excerpt, all of one length: n_ctx, or what excerpts hold."""
    ratio = prior.upper.ratio if prior.upper else 1
    shortest = min(e.codes[prior.level].numel() for e in excerpts)
    n = min(prior.n_ctx, shortest) // ratio * ratio
    windows = []
    for excerpt in excerpts:
        codes = excerpt.codes[prior.level]
        [start] = spread(codes.numel() - n, 1, ratio)
        upper = None
        if prior.upper is not None:
            upper = excerpt.codes[prior.level + 1][start // ratio : (start + n) // ratio]
        names = config.vocabulary(prior.level)
        piece = codes[start : start + n]
        windows.append(_window(prior, excerpt, names, piece, upper, start * prior.hop, told or Told()))
    return windows


def _window(
    prior: PriorConfig,
    excerpt: Excerpt,
    names: LabelVocabulary,
    codes: Tensor,
    upper: Tensor | None,
    offset: int,
    told: Told,
) -> Window:
    song = excerpt.song
    total, at = song.samples.size, excerpt.start + offset
    labels = make_labels(style_of(song.artist, song.genres, names), total, at, names)
    unknown = make_labels(Style(), total, at, names)
    if prior.pulse is not None:
        rows = [pulse_rows(prior, told.pulses.get(song.name, SongPulse()), at)]
        labels, unknown = labels.with_pulse(rows), unknown.with_pulse(rows)
    lyrics = None
    if prior.lyrics is not None and song.name in told.lyrics:
        ids, _ = window_ids(told.lyrics[song.name], total, at, prior.window_samples)
        lyrics = torch.from_numpy(np.ascontiguousarray(ids))[None]
    return Window(codes, upper, labels, unknown, lyrics, song.name)


def style_of(artist: str, genres: Sequence[str], names: LabelVocabulary) -> Style:
    """The style a song is labelled with, names that the model does not know left out."""
    return Style(
        artists=dict.fromkeys(known([artist], names.artists), 1.0),
        genres=dict.fromkeys(known(genres, names.genres), 1.0),
    )


def conditions_of(prior: Prior, windows: Sequence[Window]) -> tuple[Condition, ...]:
    """What a prior is conditioned on and ``windows`` can tell it."""
    sung = prior.config.lyrics is not None and all(w.lyrics is not None for w in windows)
    held: dict[Condition, bool] = {
        "artist": prior.labels is not None,
        "genre": prior.labels is not None,
        "time": prior.time is not None and prior.upper is None,
        "pulse": prior.pulse is not None,
        "lyrics": sung and any(bool(w.lyrics.any()) for w in windows if w.lyrics is not None),
        "upper": prior.upper is not None,
    }
    return tuple(name for name, there in held.items() if there)


def others(windows: Sequence[Window]) -> list[Window]:
    """For each window the one half the list away: of another song when there are two."""
    half = max(1, len(windows) // 2)
    return [*windows[half:], *windows[:half]]


def told_wrongly(windows: Sequence[Window], condition: Condition) -> list[Window]:
    """The windows with one condition taken from another window."""
    return [_WRONG[condition](own, other) for own, other in zip(windows, others(windows), strict=True)]


def _swapped(*fields: str) -> Callable[[Window, Window], Window]:
    def swap(own: Window, other: Window) -> Window:
        return replace(
            own, labels=replace(own.labels, **{name: getattr(other.labels, name) for name in fields})
        )

    return swap


_WRONG: dict[Condition, Callable[[Window, Window], Window]] = {
    "artist": _swapped("artists"),
    "genre": _swapped("genres"),
    "time": _swapped("total", "offset"),
    "pulse": _swapped("phase", "tempo", "key"),
    "lyrics": lambda own, other: replace(own, lyrics=other.lyrics),
    "upper": lambda own, other: replace(own, upper=other.upper),
}


def told_nothing(windows: Sequence[Window], condition: Condition) -> list[Window]:
    """The windows with one condition that priors know as "unknown" taken away (not time, not upper codes)."""
    changes: dict[Condition, Callable[[Window], Window]] = {
        "artist": lambda w: replace(w, labels=replace(w.labels, artists=w.unlabelled.artists)),
        "genre": lambda w: replace(w, labels=replace(w.labels, genres=w.unlabelled.genres)),
        "pulse": lambda w: replace(w, labels=replace(w.labels, phase=None, tempo=None, key=None)),
        "lyrics": lambda w: replace(w, lyrics=None),
    }
    return [changes[condition](window) for window in windows]
