"""Drawing on the device: the arithmetic of engine.sampling.draw in torch, without a look at any value.

Float64 throughout and the same uniform numbers, so that a token is the one the processor would draw; sums over
2048 numbers may differ in their last bit there, which moves a boundary by 1e-16.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from engine.request import LevelSampling

Filter = Literal["none", "top_k", "top_p"]


def filter_of(settings: LevelSampling) -> Filter:
    """Which tokens are left out before the draw."""
    if settings.top_k is not None:
        return "top_k"
    return "none" if settings.top_p is None else "top_p"


def threshold_of(settings: LevelSampling) -> float:
    """The number of the filter: k, p, or 1 for none."""
    if settings.top_k is not None:
        return float(settings.top_k)
    return 1.0 if settings.top_p is None else settings.top_p


def keep_top_k(scaled: Tensor, k: Tensor) -> Tensor:
    """[N, bins] with all but the k largest of each row at minus infinity (ties with the k-th stay); ``k`` float64
    [1], a whole number."""
    place = (k.long() - 1).clamp(0, scaled.shape[1] - 1)
    kth = scaled.sort(1, descending=True).values.index_select(1, place)  # [N, 1]
    return scaled.masked_fill(scaled < kth, -torch.inf)


def keep_top_p(scaled: Tensor, p: Tensor) -> Tensor:
    """[N, bins] with only the likeliest tokens whose probability sums to ``p`` float64 [1]; the one that crosses p
    stays, and of equals those that come first."""
    ordered, order = scaled.sort(stable=True, dim=1, descending=True)
    weights = (ordered - ordered[:, :1]).exp()
    before = weights.cumsum(1) - weights
    kept = before < p * weights.sum(1, keepdim=True)
    return torch.full_like(scaled, -torch.inf).scatter(1, order, ordered.masked_fill(~kept, -torch.inf))


def device_draw(
    logits: Tensor, uniforms: Tensor, temperature: Tensor, kind: Filter, threshold: Tensor
) -> Tensor:
    """The token of every lane, int64 [N], from logits float32 [N, bins] and uniform numbers float64 [N] in [0, 1).

    ``temperature`` and ``threshold`` (k or p) float64 [1]: on the device, so that a captured graph serves every
    value. A lane whose logits are not finite gives -1.
    """
    scaled = logits.double() / temperature
    if kind == "top_k":
        scaled = keep_top_k(scaled, threshold)
    elif kind == "top_p":
        scaled = keep_top_p(scaled, threshold)
    cumulative = (scaled - scaled.amax(1, keepdim=True)).exp().cumsum(1)  # [N, bins]
    total = cumulative[:, -1:]  # [N, 1]
    found = torch.searchsorted(cumulative, uniforms.unsqueeze(1) * total, right=True).squeeze(1)
    return torch.where(total.squeeze(1).isfinite(), found, -1)
