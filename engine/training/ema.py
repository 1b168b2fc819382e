"""A running average of the weights; evaluation and export use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

MAX_DECAY = 0.999


def decay_at(step: int, limit: float = MAX_DECAY) -> float:
    """Decay after ``step`` updates: it ramps up, so that the first, random weights are soon forgotten."""
    return min(limit, (1 + step) / (10 + step))


class Ema:
    """Float32 averages of the trainable parameters of a module (buffers are left as they are)."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.shadow: dict[str, Tensor] = {
            name: value.detach().float().clone()
            for name, value in module.named_parameters()
            if value.requires_grad
        }

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after optimiser step ``step`` (from 0)."""
        weight = 1.0 - decay_at(step)
        current = dict(self.module.named_parameters())
        torch._foreach_lerp_(
            list(self.shadow.values()), [current[n].detach().float() for n in self.shadow], weight
        )

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The module with the averages in place of its weights, for as long as the context lasts."""
        current = dict(self.module.named_parameters())
        kept = {name: current[name].detach().clone() for name in self.shadow}
        try:
            _copy(self.shadow, current)
            yield
        finally:
            _copy(kept, current)


@torch.no_grad()
def _copy(values: dict[str, Tensor], into: dict[str, nn.Parameter]) -> None:
    for name, value in values.items():
        into[name].copy_(value)
