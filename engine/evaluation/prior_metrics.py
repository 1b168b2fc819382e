"""How well the priors predict held-out codes, and how much of it they owe to what they are conditioned on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.evaluation.codec_metrics import count_codes
from engine.evaluation.data import Excerpt
from engine.evaluation.prior_windows import (
    Condition,
    Window,
    conditions_of,
    cut_windows,
    told_nothing,
    told_wrongly,
)
from engine.evaluation.truth import Told
from engine.prior.labels import Labels
from engine.prior.prior import Conditions, Prior
from engine.request import Frozen
from engine.store import ModelConfig

BATCH = 4
UNIGRAM_PRIOR = 0.5  # added to every count: a code that training never showed still costs finitely many bits
LEVELLED: tuple[Condition, ...] = ("time", "upper")  # of which no prior knows an "unknown"


class ConditionBits(Frozen):
    """Bits per token when a prior is told ``condition`` wrongly (another window's) or not at all.

    Not at all is the "unknown" that the prior was trained with; time and upper codes have none, so their signal is
    made the same everywhere: its mean over all windows. ``wrong_error``, ``none_error``: standard error of the
    difference to the bits with the right condition, over windows. ``wrong`` is None where there is no other window.
    """

    condition: Condition
    wrong: float | None
    wrong_error: float | None
    none: float
    none_error: float


class PriorReport(Frozen):
    """One prior on held-out windows, all figures in bits per token, lower is better.

    ``bits``: the prior as it is used. ``unigram``: codes drawn by their frequency in the training split.
    ``uniform``: log2 of the number of bins. ``labels_unknown``, ``labels_shuffled``: artist and genre taken
    away or swapped for another song's. ``upper_shuffled``: codes of the level above taken from another
    window. None where the prior has no such condition (or there is no other song). ``conditions``: each alone.
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
    conditions: tuple[ConditionBits, ...] = ()


def measure_prior(
    prior: Prior,
    config: ModelConfig,
    excerpts: Sequence[Excerpt],
    training_counts: Tensor | None,
    tick: Callable[[], None] = lambda: None,
    told: Told | None = None,
) -> PriorReport:
    """Bits per token over fixed windows of ``excerpts``; ``training_counts`` int64 [bins] for the unigram
    baseline; ``told``: pulse and lyrics of the songs.

    ``tick`` is called after each batch of windows and condition.
    """
    windows = cut_windows(prior.config, config, excerpts, told)
    several = len(windows) > 1
    right = window_bits(prior, windows, tick)
    found = [_measure(prior, windows, right, name, tick) for name in conditions_of(prior, windows)]
    upper = {one.condition: one.wrong for one in found}.get("upper")
    unknown = shuffled = None
    if prior.labels is not None:
        bare = told_nothing(told_nothing(windows, "artist"), "genre")
        unknown = float(window_bits(prior, bare, tick).mean())
        if several:
            swapped = told_wrongly(told_wrongly(windows, "artist"), "genre")
            shuffled = float(window_bits(prior, swapped, tick).mean())
    return PriorReport(
        level=prior.config.level,
        windows=len(windows),
        tokens=sum(w.codes.numel() for w in windows),
        bits=float(right.mean()),
        unigram=None
        if training_counts is None
        else unigram_bits((w.codes for w in windows), training_counts),
        uniform=math.log2(prior.config.bins),
        labels_unknown=unknown,
        labels_shuffled=shuffled,
        upper_shuffled=upper,
        conditions=tuple(found),
    )


def passes(prior: Prior, windows: Sequence[Window]) -> int:
    """How many ticks :func:`measure_prior` gives for these windows."""
    several = len(windows) > 1
    count = 1 + (1 + several) * (len(conditions_of(prior, windows)) + (prior.labels is not None))
    return int(count) * -(-len(windows) // BATCH)


def _measure(
    prior: Prior, windows: Sequence[Window], right: Tensor, name: Condition, tick: Callable[[], None]
) -> ConditionBits:
    wrong = error = None
    if len(windows) > 1:
        bits = window_bits(prior, told_wrongly(windows, name), tick)
        wrong, error = float(bits.mean()), _error(bits - right)
    if name in LEVELLED:
        none = window_bits(prior, windows, tick, levelled=_mean_signal(prior, windows, name))
    else:
        none = window_bits(prior, told_nothing(windows, name), tick)
    return ConditionBits(
        condition=name,
        wrong=wrong,
        wrong_error=error,
        none=float(none.mean()),
        none_error=_error(none - right),
    )


def _error(differences: Tensor) -> float:
    """Standard error of the mean of differences [windows]; 0 for a single one."""
    if differences.numel() < 2:
        return 0.0
    return float(differences.std(correction=1) / math.sqrt(differences.numel()))


@torch.inference_mode()
def window_bits(
    prior: Prior,
    windows: Sequence[Window],
    tick: Callable[[], None] = lambda: None,
    levelled: Tensor | None = None,
) -> Tensor:
    """Bits per token of each window, float64 [windows]. ``levelled`` [width] takes the place, at every position, of
    the prior's time signal or of what it hears of the upper codes."""
    found = []
    for first in range(0, len(windows), BATCH):
        part = windows[first : first + BATCH]
        codes = torch.stack([w.codes for w in part]).to(prior.embed.device)
        conditions = _conditions(prior, part)
        if levelled is not None:
            conditions = _level(prior, conditions, part, levelled)
        logits = prior(codes, conditions).float().transpose(1, 2)
        nats = F.cross_entropy(logits, codes + prior.first_code, reduction="none")
        found.append(nats.mean(1).double().cpu() / math.log(2))
        tick()
    return torch.cat(found)


def _conditions(prior: Prior, windows: Sequence[Window]) -> Conditions:
    device = prior.embed.device
    above = [w.upper for w in windows if w.upper is not None]
    upper = torch.stack(above).to(device) if above else None
    labels = _labels(prior, windows)
    words = [w.lyrics for w in windows if w.lyrics is not None]
    lyrics = torch.cat(words).to(device) if len(words) == len(windows) else None
    return prior.condition(labels, upper, len(windows), lyrics)


def _labels(prior: Prior, windows: Sequence[Window]) -> Labels | None:
    if prior.labels is None:
        return None
    return Labels.stack([w.labels for w in windows]).to(prior.embed.device)


def _signal(prior: Prior, windows: Sequence[Window], name: Condition) -> Tensor:
    """What the windows' time or upper codes add at every position: [N, n, width]."""
    if name == "upper":
        assert prior.upper is not None
        above = [w.upper for w in windows if w.upper is not None]
        return prior.upper(torch.stack(above).to(prior.embed.device))
    labels = _labels(prior, windows)
    assert prior.time is not None and labels is not None
    return prior.time(labels)


@torch.inference_mode()
def _mean_signal(prior: Prior, windows: Sequence[Window], name: Condition) -> Tensor:
    """Mean over all windows and positions: [width]."""
    parts = [windows[first : first + BATCH] for first in range(0, len(windows), BATCH)]
    return torch.cat([_signal(prior, part, name).mean(1) for part in parts]).mean(0)


def _level(prior: Prior, conditions: Conditions, windows: Sequence[Window], mean: Tensor) -> Conditions:
    """The conditions with the mean in the place of the windows' own signal."""
    assert conditions.added is not None
    own = _signal(prior, windows, "upper" if prior.upper is not None else "time")
    joint = prior.config.joint_lyrics  # nothing is added to the lyrics' own positions
    music = conditions.added[:, joint:]
    music = music - own[:, : music.shape[1]] + mean
    return replace(conditions, added=torch.cat((conditions.added[:, :joint], music), 1))


def unigram_bits(codes: Iterable[Tensor], training_counts: Tensor) -> float:
    """Bits per token of ``codes`` when each is drawn by its (smoothed) frequency in ``training_counts``
    [bins].
    """
    smoothed = training_counts.double() + UNIGRAM_PRIOR
    cost = -(smoothed / smoothed.sum()).log2()
    seen = count_codes(codes, training_counts.numel()).double()
    return float((seen * cost).sum() / seen.sum())
