"""How well the priors predict held-out codes, and how much of it they owe to what they are conditioned on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.evaluation.codec_metrics import count_codes
from engine.evaluation.data import Excerpt, known, spread
from engine.prior.config import PriorConfig
from engine.prior.labels import Labels, make_labels
from engine.prior.prior import Prior
from engine.prior.vocabulary import LabelVocabulary
from engine.request import Frozen, Style
from engine.store import ModelConfig

BATCH = 4
UNIGRAM_PRIOR = 0.5  # added to every count: a code that training never showed still costs finitely many bits


class PriorReport(Frozen):
    """One prior on held-out windows, all figures in bits per token, lower is better.

    ``bits``: the prior as it is used. ``unigram``: codes drawn by their frequency in the training split.
    ``uniform``: log2 of the number of bins. ``labels_unknown``, ``labels_shuffled``: artist and genre taken
    away or swapped for another song's. ``upper_shuffled``: codes of the level above taken from another
    window. None where the prior has no such condition (or there is no other song).
    """

    level: int
    windows: int
    tokens: int
    bits: float
    unigram: float | None
    uniform: float
    labels_unknown: float | None
    labels_shuffled: float | None
    upper_shuffled: float | None


@dataclass(frozen=True)
class Window:
    """One window: ``codes`` int64 [n], ``upper`` int64 [n / ratio] or None, labels, and unknown labels."""

    codes: Tensor
    upper: Tensor | None
    labels: Labels
    unlabelled: Labels


def measure_prior(
    prior: Prior,
    config: ModelConfig,
    excerpts: Sequence[Excerpt],
    training_counts: Tensor | None,
    tick: Callable[[], None] = lambda: None,
) -> PriorReport:
    """Bits per token over fixed windows of ``excerpts``; ``training_counts`` int64 [bins] for the unigram
    baseline.

    ``tick`` is called after each batch of windows and condition.
    """
    windows = cut_windows(prior.config, config, excerpts)
    labels, unknown = [w.labels for w in windows], [w.unlabelled for w in windows]
    uppers = [w.upper for w in windows]
    half = max(1, len(windows) // 2)  # shuffled: half the list away, so from another song when there are two
    labelled, several = prior.labels is not None, len(windows) > 1

    def bits(rows: Sequence[Labels], above: Sequence[Tensor | None]) -> float:
        return _bits(prior, windows, rows, above, tick)

    return PriorReport(
        level=prior.config.level,
        windows=len(windows),
        tokens=sum(w.codes.numel() for w in windows),
        bits=bits(labels, uppers),
        unigram=None
        if training_counts is None
        else unigram_bits((w.codes for w in windows), training_counts),
        uniform=math.log2(prior.config.bins),
        labels_unknown=bits(unknown, uppers) if labelled else None,
        labels_shuffled=bits(_swapped(labels, half), uppers) if labelled and several else None,
        upper_shuffled=bits(labels, uppers[half:] + uppers[:half])
        if prior.upper is not None and several
        else None,
    )


def passes(prior: Prior, windows: int) -> int:
    """How many ticks :func:`measure_prior` gives for that many windows."""
    several = windows > 1
    conditions = 1 + (prior.labels is not None) * (1 + several) + (prior.upper is not None and several)
    return int(conditions) * -(-windows // BATCH)


def cut_windows(prior: PriorConfig, config: ModelConfig, excerpts: Sequence[Excerpt]) -> list[Window]:
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
        windows.append(_window(excerpt, names, codes[start : start + n], upper, start * prior.hop))
    return windows


def _window(
    excerpt: Excerpt, names: LabelVocabulary, codes: Tensor, upper: Tensor | None, offset: int
) -> Window:
    song = excerpt.song
    total, at = song.samples.size, excerpt.start + offset
    return Window(
        codes,
        upper,
        make_labels(style_of(song.artist, song.genres, names), total, at, names),
        make_labels(Style(), total, at, names),
    )


def style_of(artist: str, genres: Sequence[str], names: LabelVocabulary) -> Style:
    """The style a song is labelled with, names that the model does not know left out."""
    return Style(
        artists=dict.fromkeys(known([artist], names.artists), 1.0),
        genres=dict.fromkeys(known(genres, names.genres), 1.0),
    )


def _swapped(labels: Sequence[Labels], by: int) -> list[Labels]:
    """Artist and genre of the window ``by`` places on, place in the song kept."""
    others = [*labels[by:], *labels[:by]]
    return [
        Labels(other.artists, other.genres, own.total, own.offset)
        for own, other in zip(labels, others, strict=True)
    ]


@torch.inference_mode()
def _bits(
    prior: Prior,
    windows: Sequence[Window],
    labels: Sequence[Labels],
    uppers: Sequence[Tensor | None],
    tick: Callable[[], None],
) -> float:
    device = prior.embed.device
    total = 0.0
    for first in range(0, len(windows), BATCH):
        part = slice(first, first + BATCH)
        codes = torch.stack([w.codes for w in windows[part]]).to(device)
        above = [upper for upper in uppers[part] if upper is not None]
        upper = torch.stack(above).to(device) if above else None
        rows = Labels.stack(labels[part]).to(device) if prior.labels is not None else None
        total += float(prior.loss(codes, rows, upper).sum())
        tick()
    return total / len(windows)


def unigram_bits(codes: Iterable[Tensor], training_counts: Tensor) -> float:
    """Bits per token of ``codes`` when each is drawn by its (smoothed) frequency in ``training_counts``
    [bins].
    """
    smoothed = training_counts.double() + UNIGRAM_PRIOR
    cost = -(smoothed / smoothed.sum()).log2()
    seen = count_codes(codes, training_counts.numel()).double()
    return float((seen * cost).sum() / seen.sum())
