"""Weights in 8 bits: a scale for every output of a matrix, symmetric around zero (facts/peers.md §B.4).

Only what is read once a token is held so: the transformer's matrices. Tables, norms and biases stay as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.prior.transformer import Linear

LARGEST = 127  # -128 is not used, so that a number and its negative are both there


def quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Numbers int8 [n_out, n_in] and scales float32 [n_out] of a matrix [n_in, n_out]; off by half a scale at most.

    Turned round, so that all that makes one output lies together.
    """
    turned = weight.detach().float().t()
    scale = turned.abs().amax(1) / LARGEST
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return (turned / scale.unsqueeze(1)).round().to(torch.int8).contiguous(), scale


class Int8Linear(nn.Module):
    """:class:`engine.prior.transformer.Linear` with ``weight`` int8 [n_out, n_in] and ``scale`` float32 [n_out]."""

    weight: Tensor
    scale: Tensor

    def __init__(self, linear: Linear) -> None:
        super().__init__()
        weight, scale = quantised(linear.weight)
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.bias = linear.bias

    def matrix(self, dtype: torch.dtype) -> Tensor:
        """The matrix [n_out, n_in] that the numbers stand for.

        Multiplied in float32: float16 has no exact scales below 6e-5, and a scale put on after the product would
        let sums of numbers up to 127 overflow it.
        """
        return (self.weight.float() * self.scale.unsqueeze(1)).to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        """[..., n_in] to [..., n_out]; the reference that kernels are held to, and what prefills use."""
        return F.linear(x, self.matrix(x.dtype), self.bias)


def matrix_names(module: nn.Module) -> set[str]:
    """Names in the state of the matrices that :func:`quantise` replaces."""
    return {f"{name}.weight" for name, part in module.named_modules() if isinstance(part, Linear)}


def quantise(module: nn.Module) -> None:
    """Replace the matrices of every :class:`Linear` inside ``module``, one after another."""
    for parent in list(module.modules()):
        for name, part in list(parent.named_children()):
            if isinstance(part, Linear):
                setattr(parent, name, Int8Linear(part))
