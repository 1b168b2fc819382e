"""What a run trains, and how its batches reach the device.

On a card the next batch is made by a thread while the card computes, is put in pinned memory, and is copied
without the host waiting for it; a batch is a pure function of (step, rank, world), so being early changes nothing.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields, is_dataclass, replace
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class Task:
    """What a run trains. ``module(*inputs)`` gives (loss scalar, figures: scalar tensors by name)."""

    title: str
    unit: str  # what the rate counts: "samples" or "tokens"
    units_per_item: int
    module: nn.Module

    def optimizer(self, lr: float) -> Optimizer:
        """A new optimiser of the module's parameters, which are on their device by then."""
        raise NotImplementedError

    def batch(self, step: int, rank: int, world: int) -> tuple[Any, ...]:
        """One step's part of one rank, on the CPU. All ranks' parts together are what one process with so many more
        items would be given. Another thread may call it, for a step to come."""
        raise NotImplementedError

    def inputs(self, batch: tuple[Any, ...]) -> tuple[Any, ...]:
        """What the module takes, from a batch that has been moved to the device."""
        return batch

    def begin(self, step: int) -> None:
        """Called before every step: what changes with it, beside the learning rate."""

    def place(self, device: torch.device) -> None:
        """Called once before training on a card: what may be kept there for good."""

    def compile(self) -> None:
        """Have torch compile what is worth it."""
        self.module.compile()

    def evaluate(self) -> dict[str, float]:
        """Held-out figures of the module as it is now (the loop has put the EMA weights in)."""
        raise NotImplementedError

    def describe(self, figures: dict[str, float]) -> str:
        """The figures that matter, in a few words for the progress bar."""
        raise NotImplementedError


class Feed:
    """The batches of ``task`` on ``device``, for one rank of ``world``; ``ahead``: the next one is made early."""

    def __init__(self, task: Task, device: torch.device, rank: int, world: int, ahead: bool) -> None:
        self.task, self.device, self.rank, self.world = task, device, rank, world
        self._pool = ThreadPoolExecutor(1, "feed") if ahead else None
        self._next: tuple[int, Future[tuple[Any, ...]]] | None = None

    def __enter__(self) -> Feed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def inputs(self, step: int) -> tuple[Any, ...]:
        """What the module takes at ``step``."""
        batch = self._batch(step)
        return self.task.inputs(tuple(_to(part, self.device) for part in batch))

    def _batch(self, step: int) -> tuple[Any, ...]:
        if self._pool is None:
            return self.task.batch(step, self.rank, self.world)
        waiting = (
            self._next[1] if self._next and self._next[0] == step else self._pool.submit(self._make, step)
        )
        batch = waiting.result()
        self._next = (step + 1, self._pool.submit(self._make, step + 1))
        return batch

    def _make(self, step: int) -> tuple[Any, ...]:
        batch = self.task.batch(step, self.rank, self.world)
        return tuple(_pinned(part) for part in batch) if self.device.type == "cuda" else batch


def _to(part: Any, device: torch.device) -> Any:
    return _each(part, lambda tensor: tensor.to(device, non_blocking=True))


def _pinned(part: Any) -> Any:
    return _each(part, lambda tensor: tensor.pin_memory())


def _each(part: Any, change: Any) -> Any:
    """``change`` of a tensor, or of every tensor in a dataclass such as labels."""
    if isinstance(part, Tensor):
        return change(part)
    if is_dataclass(part) and not isinstance(part, type):
        return replace(
            part, **{field.name: _each(getattr(part, field.name), change) for field in fields(part)}
        )
    return part
