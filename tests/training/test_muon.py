"""Muon in the type of numbers that a machine is fast in, against torch's own, which is always in bfloat16."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from engine.training.muon import Muon, orthogonal

SHAPES = ((24, 24), (40, 16), (16, 40))


def trained(kind: type, count: int) -> list[Tensor]:
    """Weights after ``count`` steps towards targets, the same for every optimiser."""
    torch.manual_seed(3)
    weights = [nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    targets = [torch.randn(shape) for shape in SHAPES]
    more = {"adjust_lr_fn": "match_rms_adamw"} if kind is torch.optim.Muon else {}
    optimizer = kind(weights, lr=0.02, momentum=0.95, weight_decay=0.01, **more)
    for _ in range(count):
        optimizer.zero_grad()
        sum(((w - t) ** 2).mean() for w, t in zip(weights, targets, strict=True)).backward()
        optimizer.step()
    return [weight.detach() for weight in weights]


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.004), ("no", 0.03)])
def test_steps_are_those_of_torch(
    monkeypatch: pytest.MonkeyPatch, precision: Literal["bf16", "no"], tolerance: float
) -> None:
    monkeypatch.setattr("engine.training.muon.fast_precision", lambda device: precision)
    for ours, theirs, first in zip(
        trained(Muon, 12), trained(torch.optim.Muon, 12), trained(Muon, 0), strict=True
    ):
        moved = (theirs - first).norm()
        assert moved > 0.5
        assert (ours - theirs).norm() < tolerance * moved


def test_what_it_makes_is_orthogonal() -> None:
    torch.manual_seed(0)
    for shape in SHAPES:
        made = orthogonal(torch.randn(shape), torch.float32)
        values = torch.linalg.svdvals(made)
        assert made.shape == shape and values.min() > 0.5 and values.max() < 1.3


def test_a_weight_without_a_gradient_stays() -> None:
    weight = nn.Parameter(torch.ones(4, 4))
    Muon([weight], lr=0.1, momentum=0.9).step()
    assert torch.equal(weight.detach(), torch.ones(4, 4))
