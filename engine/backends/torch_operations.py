"""Which operations a prior's step is made of: fused kernels where they work, else torch's own."""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import replace

import torch

from engine.backends.torch_steps import Here, Operations, PlainOperations, layer_step
from engine.prior.cache import LayerCache, make_caches
from engine.prior.prior import Prior
from engine.prior.transformer import Layer

# Of what a layer adds, where kernels and torch differ by the order of sums and by roundings between operations.
TOLERANCES = {torch.float32: 1e-3, torch.float16: 2e-2, torch.bfloat16: 1e-1}
_log = logging.getLogger(__name__)


def operations_for(prior: Prior) -> Operations:
    """Fused kernels for a prior on CUDA where Triton is installed and they do there what torch does."""
    if prior.embed.device.type != "cuda":
        return PlainOperations()
    if importlib.util.find_spec("triton") is None:
        _log.warning(
            "Triton is not installed, so the steps run in torch's own kernels, slower: pip install triton"
        )
        return PlainOperations()
    from engine.backends.torch_kernels import FusedOperations

    return checked(prior, FusedOperations())


def checked(prior: Prior, fused: Operations) -> Operations:
    """``fused`` if layers of every kind give with it what they give with torch's operations; else those, and a line
    that says why. A GPU that no one has tried costs speed then, and not a take."""
    what = f"the fused kernels for level {prior.config.level}"
    try:
        off = difference(prior, fused)
    except Exception as error:  # compilers, drivers and launches each fail in ways of their own
        _log.warning("%s do not run here (%s), so torch's own are used, slower", what, error)
        return PlainOperations()
    if not off <= TOLERANCES[prior.embed.dtype]:
        _log.warning("%s are off by %.2g here, so torch's own are used, slower", what, off)
        return PlainOperations()
    return fused


@torch.inference_mode()
def difference(prior: Prior, fused: Operations, lanes: int = 2) -> float:
    """Largest difference to torch's operations, of one layer of every kind, in a row that is neither the first nor
    whole, as a share of what the layer adds."""
    shape = prior.config.shape
    device, dtype = prior.embed.device, prior.embed.dtype
    generator = torch.Generator().manual_seed(0)
    first = {kind: shape.kinds.index(kind) for kind in shape.kinds}
    caches = make_caches(replace(shape, kinds=tuple(first)), lanes, device, dtype)
    x = torch.randn(lanes, shape.width, generator=generator).to(device, dtype)
    place = min(shape.block_ctx + shape.block_ctx // 2, shape.ctx - 1)
    here = Here.at(torch.full((1,), place, dtype=torch.int64, device=device), shape)
    found = []
    for number, cache in zip(first.values(), caches, strict=True):
        for store in (cache.keys, cache.values):
            store.copy_(torch.randn(store.shape[-2:], generator=generator).to(device, dtype))
        layer = prior.transformer.layers[number]
        assert isinstance(layer, Layer)
        copy = LayerCache(cache.kind, cache.keys.clone(), cache.values.clone(), cache.block_ctx)
        wanted = layer_step(layer, x, cache, here, PlainOperations()).float()
        given = layer_step(layer, x, copy, here, fused).float()
        kept = max(
            float((a - b).float().abs().max())
            for a, b in ((cache.keys, copy.keys), (cache.values, copy.values))
        )
        # A layer that adds nothing yet (they begin so that read lyrics) is measured by what it passes on.
        added = torch.maximum((wanted - x.float()).norm(), 0.01 * x.float().norm())
        found.append(max(float((given - wanted).norm() / added), kept))
    return max(found)
