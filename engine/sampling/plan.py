"""Plan as data: which windows are sampled at which level, a pure function of lengths (facts/jukebox.md §5.2)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from engine.errors import OutOfRange
from engine.prior.config import UpperConfig
from engine.request import Sampling
from engine.store.config import ModelConfig


@dataclass(frozen=True)
class Window:
    """Tokens ``[start, stop)`` of ``level``; the first ``prefix`` are known, the rest are sampled.

    Of those the first ``overlap`` stand beside what the window before this one, which is not waited for, has there.
    They are not among the level's codes: what is heard fades from the one to the other.

    ``upper`` = [from, to) of the codes of the level above that cover it (empty at the top). All counts are
    tokens from the beginning of the prime. ``style``: which style holds for the sampled tokens, 0 the first.
    """

    level: int
    index: int
    start: int
    prefix: int
    stop: int
    upper: tuple[int, int]
    style: int = 0
    overlap: int = 0

    @property
    def first_sampled(self) -> int:
        """Position of the first sampled token."""
        return self.start + self.prefix

    @property
    def first_new(self) -> int:
        """Position of the first sampled token that is kept."""
        return self.first_sampled + self.overlap

    @property
    def tokens(self) -> int:
        """Tokens that are sampled and kept."""
        return self.stop - self.first_new

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """What windows have in common that can be sampled in step: tokens known, sampled, and above."""
        return self.prefix, self.overlap, self.tokens, self.upper[1] - self.upper[0]


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
        return sum(w.tokens for level in self.windows for w in level)


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


def strand_windows(
    level: int, known: int, total: int, n_ctx: int, hop: int, ratio: int, strand: int, overlap: int = 0
) -> tuple[Window, ...]:
    """Windows of a lower level in strands of ``strand`` windows, which do not wait for one another.

    Inside a strand windows are ``hop`` apart as in :func:`level_windows`. A strand begins with ``overlap`` tokens of
    its own beside the last ones of the strand before it, and sees nothing before them. The first strand sees the
    ``known`` tokens of prime as the first window of :func:`level_windows` does.
    """
    windows: list[Window] = []
    done, left, lead = known, strand, 0
    start = max(0, -(-(known + hop - n_ctx) // ratio) * ratio)
    while done < total:
        stop = min(start + n_ctx, total)
        upper = (start // ratio, -(-stop // ratio))
        windows.append(Window(level, len(windows), start, done - start - lead, stop, upper, overlap=lead))
        done, left = stop, left - 1
        if left:
            start, lead = done + hop - n_ctx, 0
        else:
            left, lead = strand, min(overlap, done)
            start = done - lead
    return tuple(windows)


def hop_tokens(n_ctx: int, fraction: float, ratio: int | None) -> int:
    """Hop of a level in tokens: ``fraction`` of the window, whole upper tokens, at least one of them."""
    return max(ratio or 1, part_of_window(n_ctx, fraction, ratio))


def part_of_window(n_ctx: int, fraction: float, ratio: int | None) -> int:
    """``fraction`` of a window in tokens, rounded down to whole upper tokens."""
    unit = ratio or 1
    return int(fraction * n_ctx) // unit * unit


def only_span(windows: Sequence[Window], start: int, stop: int) -> tuple[Window, ...]:
    """The windows that sample tokens of ``[start, stop)``, each cut down to those tokens.

    Windows keep their own start and their whole upper codes, so the tokens see what they would see otherwise.
    """
    found: list[Window] = []
    for window in windows:
        first, last = max(window.first_new, start), min(window.stop, stop)
        if first < last:
            lead = window.overlap if found else 0  # what lies before the span is known
            prefix = first - lead - window.start
            found.append(replace(window, index=len(found), prefix=prefix, stop=last, overlap=lead))
    return tuple(found)


def split_at(windows: Sequence[Window], changes: Sequence[int]) -> tuple[Window, ...]:
    """Windows cut at ``changes`` (tokens, rising): the tokens from change k on are sampled in style k + 1.

    Both halves of a window start where it did, so the second sees the first as its prefix.
    """
    found: list[Window] = []
    for window in windows:
        first, lead = window.first_new, window.overlap
        for stop in [c for c in changes if first < c < window.stop] + [window.stop]:
            style = sum(1 for change in changes if change <= first)
            prefix = first - lead - window.start
            found.append(
                replace(window, index=len(found), prefix=prefix, stop=stop, style=style, overlap=lead)
            )
            first, lead = stop, 0
    return tuple(found)


def upper_reach(upper: UpperConfig) -> int:
    """Upper tokens on either side that the conditioner's output at one position depends on (an upper bound)."""
    reach = 0
    for _ in range(upper.ups):
        reach = -(-(reach + 1) // upper.stride) + sum(upper.dilations)
    return reach + 1


def make_plan(
    config: ModelConfig,
    sampling: Sampling,
    prime_tokens: int,
    total_tokens: int,
    lowest: int,
    *,
    kept: int | None = None,
    fresh: Collection[int] = (),
    span: tuple[int, int] | None = None,
    changes: Sequence[int] = (),
) -> Plan:
    """The plan of a take. ``prime_tokens`` and ``total_tokens`` count top-level tokens, the prime included in both.

    ``kept``: levels from this one up are known and have no windows. ``fresh``: levels whose windows
    see nothing of the prime: they begin where it ends. ``span``: top-level tokens ``[from, to)`` that
    are sampled again, at every level, between codes that stay. Nothing outside is sampled, not even the lower
    codes that the conditioner's reach (:func:`upper_reach`) connects with the span: that would change what is
    heard outside it. ``changes``: samples from position 0 at which the style changes; a level changes at its
    nearest token, below the top at the nearest whole token of the level above.
    """
    hops = config.hops
    scale = [hops[config.top] // hop for hop in hops]
    windows: list[Sequence[Window]] = []
    for level, prior in enumerate(config.priors):
        if level < lowest or (kept is not None and level >= kept):
            windows.append(())
            continue
        ratio = prior.upper.ratio if prior.upper else None
        settings = sampling.level(level)
        hop = hop_tokens(prior.n_ctx, settings.hop_fraction, ratio)
        known = 0 if span is not None else prime_tokens * scale[level]
        all_tokens = total_tokens * scale[level]
        unseen = known if level in fresh else 0
        known, all_tokens = known - unseen, all_tokens - unseen
        if settings.strand is None or ratio is None:
            found = level_windows(level, known, all_tokens, prior.n_ctx, hop, ratio)
        else:
            overlap = part_of_window(prior.n_ctx, settings.overlap_fraction, ratio)
            found = strand_windows(
                level, known, all_tokens, prior.n_ctx, hop, ratio, settings.strand, overlap
            )
        if unseen:
            found = tuple(_moved(window, unseen, ratio) for window in found)
        if span is not None:
            found = only_span(found, span[0] * scale[level], span[1] * scale[level])
        unit = ratio or 1
        windows.append(split_at(found, [_nearest(c, hops[level] * unit) * unit for c in changes]))
    return Plan(
        lowest=lowest,
        known=tuple(prime_tokens * s for s in scale),
        total=tuple(total_tokens * s for s in scale),
        windows=tuple(tuple(level) for level in windows),
    )


def _moved(window: Window, tokens: int, ratio: int | None) -> Window:
    above = 0 if ratio is None else tokens // ratio
    upper = (window.upper[0] + above, window.upper[1] + above)
    return replace(window, start=window.start + tokens, stop=window.stop + tokens, upper=upper)


def _nearest(samples: int, unit: int) -> int:
    return (samples + unit // 2) // unit


def span_tokens(seam: int, start_frame: int, stop_frame: int, frames: int, hop: int) -> tuple[int, int]:
    """The tokens of ``hop`` samples that lie inside a span of the continuation; the take's end counts as whole.

    Raises OutOfRange for a span without a whole token.
    """
    first = -(-(seam + start_frame) // hop)
    last = -(-(seam + frames) // hop) if stop_frame == frames else (seam + stop_frame) // hop
    if last <= first:
        raise OutOfRange(
            f"the span of {stop_frame - start_frame} samples holds no whole top-level token of {hop} samples; "
            f"give a span of at least {2 * hop} samples"
        )
    return first, last


def prime_context(config: ModelConfig, sampling: Sampling) -> int:
    """Most top-level tokens of prime that are of use: beyond it the first sampled window would not see them, or shall
    not (``sampling.prime_seconds``)."""
    prior = config.priors[config.top]
    room = prior.n_ctx - hop_tokens(prior.n_ctx, sampling.level(config.top).hop_fraction, None)
    if sampling.prime_seconds is None:
        return room
    return min(room, max(1, round(sampling.prime_seconds * config.rate / config.hops[config.top])))
