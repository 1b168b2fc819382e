"""Plan as data: which windows are sampled at which level, a pure function of lengths (facts/jukebox.md §5.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.request import Sampling
from engine.store.config import ModelConfig


@dataclass(frozen=True)
class Window:
    """Tokens ``[start, stop)`` of ``level``; the first ``prefix`` are known, the rest are sampled.

    ``upper`` = [from, to) of the codes of the level above that cover it (empty at the top). All counts are
    tokens from the beginning of the prime.
    """

    level: int
    index: int
    start: int
    prefix: int
    stop: int
    upper: tuple[int, int]

    @property
    def first_new(self) -> int:
        """Position of the first sampled token."""
        return self.start + self.prefix


@dataclass(frozen=True)
class Plan:
    """``known[level]`` tokens of prime, ``total[level]`` tokens in all, ``windows[level]`` in order.

    Levels below ``lowest`` are not sampled and have no windows.
    """

    lowest: int
    known: tuple[int, ...]
    total: tuple[int, ...]
    windows: tuple[tuple[Window, ...], ...]

    @property
    def steps(self) -> int:
        """Token steps of all levels together."""
        return sum(w.stop - w.first_new for level in self.windows for w in level)


def window_starts(total: int, n_ctx: int, hop: int) -> list[int]:
    """Starts of windows of ``n_ctx`` tokens, ``hop`` apart, over ``total``; the last is moved back to end there.

    One start, 0, if ``total`` is at most one window.
    """
    if total <= n_ctx:
        return [0]
    return [min(start, total - n_ctx) for start in range(0, total - n_ctx + hop, hop)]


def level_windows(
    level: int, known: int, total: int, n_ctx: int, hop: int, ratio: int | None
) -> tuple[Window, ...]:
    """Windows of one level that add to ``known`` tokens; ``ratio``: tokens per upper token, None at the top."""
    windows: list[Window] = []
    done = known
    for start in window_starts(total, n_ctx, hop):
        stop = min(start + n_ctx, total)
        if stop <= done:
            continue
        upper = (0, 0) if ratio is None else (start // ratio, -(-stop // ratio))
        windows.append(Window(level, len(windows), start, done - start, stop, upper))
        done = stop
    return tuple(windows)


def hop_tokens(n_ctx: int, fraction: float, ratio: int | None) -> int:
    """Hop of a level in tokens: ``fraction`` of the window, whole upper tokens, at least one of them."""
    unit = ratio or 1
    return max(unit, int(fraction * n_ctx) // unit * unit)


def make_plan(
    config: ModelConfig, sampling: Sampling, prime_tokens: int, total_tokens: int, lowest: int
) -> Plan:
    """The plan of a take. ``prime_tokens`` and ``total_tokens`` count top-level tokens, the prime included in both."""
    hops = config.hops
    scale = [hops[config.top] // hop for hop in hops]
    windows: list[Sequence[Window]] = []
    for level, prior in enumerate(config.priors):
        ratio = prior.upper.ratio if prior.upper else None
        hop = hop_tokens(prior.n_ctx, sampling.level(level).hop_fraction, ratio)
        known, total = prime_tokens * scale[level], total_tokens * scale[level]
        windows.append(level_windows(level, known, total, prior.n_ctx, hop, ratio) if level >= lowest else ())
    return Plan(
        lowest=lowest,
        known=tuple(prime_tokens * s for s in scale),
        total=tuple(total_tokens * s for s in scale),
        windows=tuple(tuple(level) for level in windows),
    )


def prime_context(config: ModelConfig, sampling: Sampling) -> int:
    """Most top-level tokens of prime that are of use: beyond it the first sampled window would not see them."""
    prior = config.priors[config.top]
    return prior.n_ctx - hop_tokens(prior.n_ctx, sampling.level(config.top).hop_fraction, None)
