"""The factored-attention transformer: one blocked forward, one cached step (facts/jukebox.md §2.3, §3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.prior.cache import LayerCache
from engine.prior.config import PriorConfig
from engine.prior.patterns import Kind


def quick_gelu(x: Tensor) -> Tensor:
    """X * sigmoid(1.702 x)."""
    return x * torch.sigmoid(1.702 * x)


class Linear(nn.Module):
    """y = x @ weight + bias with weight (n_in, n_out), the released orientation."""

    def __init__(self, n_in: int, n_out: int, std: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_in, n_out) * std)
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor) -> Tensor:
        flat = torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight)
        return flat.view(*x.shape[:-1], -1)


class Attention(nn.Module):
    """One factored self-attention. Full forward over whole rows, or one cached step."""

    def __init__(self, config: PriorConfig, kind: Kind) -> None:
        super().__init__()
        std = 0.02 * config.init_scale
        self.kind, self.heads, self.block_ctx = kind, config.heads, config.block_ctx
        self.c_attn = Linear(config.width, 3 * config.attn_width, std)
        self.c_proj = Linear(config.attn_width, config.width, std)

    def _split(self, x: Tensor) -> tuple[Tensor, ...]:
        """[N, L, width] to queries, keys, values, each [N, H, L, D]."""
        n, length, _ = x.shape
        return tuple(
            part.view(n, length, self.heads, -1).transpose(1, 2) for part in self.c_attn(x).chunk(3, dim=-1)
        )

    def forward(self, x: Tensor, cache: LayerCache | None = None, length: int = 0) -> Tensor:
        """[N, L, width] to the same, L a multiple of ``block_ctx``; fills ``cache`` with ``length`` positions."""
        q, k, v = self._split(x)
        if cache is not None:
            cache.fill(k, v, length)
        n, heads, total, d = q.shape
        rows = total // self.block_ctx
        if self.kind is Kind.DENSE:
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        elif self.kind is Kind.COLUMN:
            q, k, v = (z.reshape(n, heads, rows, self.block_ctx, d).transpose(2, 3) for z in (q, k, v))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(2, 3)
        else:
            q, k, v = (z.reshape(n, heads, rows, self.block_ctx, d) for z in (q, k, v))
            if self.kind is Kind.PREVIOUS_ROW:  # row 0 sees zero keys and values: its output is 0
                k, v = (F.pad(z[:, :, :-1], (0, 0, 0, 0, 1, 0)) for z in (k, v))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=self.kind is Kind.ROW)
        return self.c_proj(y.reshape(n, heads, total, d).transpose(1, 2).reshape(n, total, heads * d))

    def step(self, x: Tensor, cache: LayerCache, position: int) -> Tensor:
        """One position: [N, width] to [N, width]; reads and updates ``cache``."""
        n = x.shape[0]
        q, k, v = self.c_attn(x).view(n, 3, self.heads, -1).unbind(1)  # [N, H, D]
        readable = cache.update(k, v, position)
        if readable is None:
            return self.c_proj.bias.expand(n, -1)
        y = F.scaled_dot_product_attention(q.unsqueeze(2), *readable)  # [N, H, 1, D]
        return self.c_proj(y.reshape(n, -1))


class Mlp(nn.Module):
    """Linear, quick GELU, Linear."""

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        std = 0.02 * config.init_scale
        self.c_fc = Linear(config.width, config.mlp_width, std)
        self.c_proj = Linear(config.mlp_width, config.width, std)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(quick_gelu(self.c_fc(x)))


class Layer(nn.Module):
    """Pre-norm block: a = attn(ln_0(x)), m = mlp(ln_1(x + a)), out = x + s (a + m)."""

    def __init__(self, config: PriorConfig, kind: Kind) -> None:
        super().__init__()
        self.attn = Attention(config, kind)
        self.ln_0 = nn.LayerNorm(config.width, eps=1e-5)
        self.mlp = Mlp(config)
        self.ln_1 = nn.LayerNorm(config.width, eps=1e-5)
        self.scale = 1.0 / config.depth if config.residual_scale else 1.0

    def _join(self, x: Tensor, a: Tensor) -> Tensor:
        m = self.mlp(self.ln_1(x + a))
        return x + a + m if self.scale == 1.0 else x + self.scale * (a + m)

    def forward(self, x: Tensor, cache: LayerCache | None = None, length: int = 0) -> Tensor:
        return self._join(x, self.attn(self.ln_0(x), cache, length))

    def step(self, x: Tensor, cache: LayerCache, position: int) -> Tensor:
        """One position, [N, width]."""
        return self._join(x, self.attn.step(self.ln_0(x), cache, position))


class Transformer(nn.Module):
    """``depth`` layers; no normalisation after the last (facts/jukebox.md §3)."""

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.block_ctx = config.block_ctx
        self.layers = nn.ModuleList(Layer(config, kind) for kind in config.kinds)

    def forward(self, x: Tensor, caches: list[LayerCache] | None = None) -> Tensor:
        """[N, L, width] to the same for any L up to n_ctx; partial rows are padded and cut again."""
        length = x.shape[1]
        x = F.pad(x, (0, 0, 0, -length % self.block_ctx))
        for i, layer in enumerate(self.layers):
            x = layer(x, None if caches is None else caches[i], length)
        return x[:, :length]

    def step(self, x: Tensor, caches: list[LayerCache], position: int) -> Tensor:
        """One position [N, width] through all layers."""
        for layer, cache in zip(self.layers, caches, strict=True):
            assert isinstance(layer, Layer)
            x = layer.step(x, cache, position)
        return x
