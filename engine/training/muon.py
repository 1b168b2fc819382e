"""Muon (Jordan et al. 2024): the momentum of a matrix, made orthogonal, is its step.

torch has it since 2.9, but always makes orthogonal in bfloat16, which a processor without instructions for that
imitates at a twentieth of its speed (engine/training/precision.py). Here the type is chosen.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from engine.training.precision import fast_precision

_COEFFICIENTS, _ROUNDS, _EPS = (3.4445, -4.775, 2.0315), 5, 1e-7  # as published with the method


def orthogonal(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """About U V' of ``matrix`` = U S V', [m, n], by a quintic Newton-Schulz iteration in ``dtype``: singular values
    that are not tiny come to lie between about 0.7 and 1.2."""
    a, b, c = _COEFFICIENTS
    x = matrix.to(dtype)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / x.norm().clamp(min=_EPS)
    for _ in range(_ROUNDS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class Muon(Optimizer):
    """Nesterov momentum, made orthogonal, at the size of AdamW's steps (0.2 times the root of the longer side); the
    weights shrink by ``lr`` times ``weight_decay`` a step. ``params``: matrices only."""

    def __init__(self, params: Any, lr: float, momentum: float, weight_decay: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step; ``closure`` is not supported."""
        assert closure is None
        for group in self.param_groups:
            rate, momentum = group["lr"], group["momentum"]
            dtype = _type_for(group["params"][0])
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weight.grad)
                kept = state["momentum_buffer"]
                kept.lerp_(weight.grad, 1 - momentum)
                step = orthogonal(weight.grad.lerp(kept, momentum), dtype)
                weight.mul_(1 - rate * group["weight_decay"])
                weight.add_(step.to(weight.dtype), alpha=-rate * 0.2 * math.sqrt(max(weight.shape)))


def _type_for(weight: Tensor) -> torch.dtype:
    return torch.bfloat16 if fast_precision("cuda" if weight.is_cuda else "cpu") == "bf16" else torch.float32
