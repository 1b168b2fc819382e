"""Infill: several versions of a span, of which the one is kept that what follows it fits best.

A prior sees only what lies before a token. So the span is sampled from its left context alone, a few times over,
and each version is judged by how likely the prior finds the fixed tokens behind the span once it has heard it.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from engine.backends.protocol import Backend, Codes
from engine.errors import Cancelled
from engine.events import Progress, WindowDone
from engine.request import MAX_SEED
from engine.sampling.plan import Plan, Window
from engine.sampling.scheduler import Scheduler, Setting, TakeInput

JUDGED_SECONDS = 1.0  # of fixed codes behind the span
JUDGED_SHARE = 0.5  # of a window at most, so that the other half shows the version that is judged


@dataclass(frozen=True)
class Chosen:
    """The version that was kept: its windows, ``done`` codes up to the end of the span, and the steps it took."""

    windows: tuple[WindowDone, ...] = ()
    done: Mapping[int, Codes] = field(default_factory=dict)
    steps: int = 0


def derived_seed(seed: int, *path: int | str) -> int:
    """A seed of its own for every path below ``seed``: the first 31 bits of a BLAKE2b digest, 0 .. 2^31 - 1."""
    text = "/".join(str(part) for part in (seed, *path))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % (MAX_SEED + 1)


def choose(
    backend: Backend,
    plan: Plan,
    setting: Setting,
    given: TakeInput,
    candidates: int,
    should_stop: Callable[[], bool],
    take: int = 0,
) -> Generator[tuple[int, Progress], None, Chosen]:
    """Samples the top level's span ``candidates`` times and keeps the best; yields (``take``, progress).

    Version 0 has the take's own seed. Where no fixed token follows, or the span was sampled in an earlier run
    (``done``), there is nothing to choose. Raises Cancelled.
    """
    top = len(plan.windows) - 1
    windows = plan.windows[top]
    stop = windows[-1].stop
    if given.done.get(top, np.zeros(0)).size >= stop:
        return Chosen()
    judged = _judged_window(backend, plan, stop)
    count = candidates if judged is not None else 1
    per_version = stop - windows[0].first_new + (0 if judged is None else judged.stop - judged.first_new)
    steps = count * per_version
    best: tuple[WindowDone, ...] = ()
    best_codes, spent = given.known[top], 0.0
    scores: list[float] = []
    for version in range(count):
        seed = given.seed if version == 0 else derived_seed(given.seed, "infill", version)
        one = Scheduler(
            backend, replace(plan, lowest=top), setting, [TakeInput(seed, {top: given.known[top]})]
        )
        found: list[WindowDone] = []
        began = time.perf_counter()
        while not one.finished:
            if should_stop():
                raise Cancelled("the job was cancelled")
            found.extend(event for _, event in one.advance() if isinstance(event, WindowDone))
            sampled = version * per_version + one.steps_done
            spent += time.perf_counter() - began
            yield take, Progress(sampled / (steps + plan.steps), {top: sampled}, {top: spent})
            began = time.perf_counter()
        score = 0.0 if judged is None else log_likelihood(backend, one, judged)
        if not scores or score > max(scores):
            best, best_codes = tuple(found), one.levels[top].codes[0]
        scores.append(score)
    return Chosen(best, {top: best_codes[:stop]}, steps)


def _judged_window(backend: Backend, plan: Plan, stop: int) -> Window | None:
    """The window in which the fixed tokens behind ``stop`` are judged; None when there are none."""
    top = len(plan.windows) - 1
    config = backend.config
    n_ctx, total = config.priors[top].n_ctx, plan.total[top]
    count = min(
        round(JUDGED_SECONDS * config.rate / config.hops[top]), int(JUDGED_SHARE * n_ctx), total - stop
    )
    if count <= 0:
        return None
    start = max(0, stop + count - n_ctx)
    return Window(top, 0, start, stop - start, stop + count, (0, 0), plan.windows[top][-1].style)


def log_likelihood(backend: Backend, scheduler: Scheduler, window: Window) -> float:
    """Sum of the log-probabilities, in nats, of the window's known tokens behind its prefix (teacher forcing)."""
    codes = scheduler.levels[window.level].codes[0]
    runner = backend.runner(window.level, 1)
    runner.begin(scheduler.window_input([window]))
    total = 0.0
    for position in range(window.first_new, window.stop):
        logits = runner.step(codes[position - 1 : position] if position > window.start else None)
        row = logits[0].astype(np.float64)
        row -= row.max()
        total += float(row[codes[position]] - np.log(np.exp(row).sum()))
    return total
