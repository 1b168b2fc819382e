"""The factored-attention transformer: one blocked forward, one cached step (facts/jukebox.md §2.3, §3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.prior.cache import LayerCache
from engine.prior.config import Shape
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
    """One attention: factored self-attention, or reading of the lyrics. Full forward over whole rows, or a step."""

    def __init__(self, shape: Shape, kind: Kind) -> None:
        super().__init__()
        std = 0.02 * shape.init_scale
        self.kind, self.heads, self.block_ctx, self.prime = kind, shape.heads, shape.block_ctx, shape.prime
        reads_source = kind is Kind.LYRICS
        self.c_attn = Linear(shape.width, (1 if reads_source else 3) * shape.attn_width, std)
        self.c_enc_kv = Linear(shape.width, 2 * shape.attn_width, std) if reads_source else None
        # A block that reads lyrics begins as the identity (facts/jukebox.md §3), so that it can be inserted.
        self.c_proj = Linear(shape.attn_width, shape.width, 0.0 if reads_source else std)

    def _heads(self, x: Tensor, parts: int) -> tuple[Tensor, ...]:
        """[N, L, parts * attn_width] to ``parts`` tensors [N, H, L, D]."""
        n, length, _ = x.shape
        return tuple(part.view(n, length, self.heads, -1).transpose(1, 2) for part in x.chunk(parts, dim=-1))

    def source(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [N, H, P, D] of lyric states [N, P, width]."""
        assert self.c_enc_kv is not None
        keys, values = self._heads(self.c_enc_kv(states), 2)
        return keys, values

    def forward(
        self, x: Tensor, states: Tensor | None = None, cache: LayerCache | None = None, length: int = 0
    ) -> Tensor:
        """[N, L, width] to the same, L a multiple of ``block_ctx``; fills ``cache`` with ``length`` positions.

        Lyric attention reads ``states`` [N, P, width], or the cache if there is one.
        """
        if self.kind is Kind.LYRICS:
            (q,) = self._heads(self.c_attn(x), 1)
            if cache is not None:
                k, v = cache.keys, cache.values
            else:
                assert states is not None
                k, v = self.source(states)
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            q, k, v = self._heads(self.c_attn(x), 3)
            if cache is not None:
                cache.fill(k, v, length)
            y = self._attend(q, k, v)
        return self.c_proj(y.transpose(1, 2).reshape(*x.shape[:-1], -1))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Self-attention of this kind over [N, H, L, D]."""
        n, heads, total, d = q.shape
        if self.kind is Kind.DENSE:
            return F.scaled_dot_product_attention(q, k, v, is_causal=True)
        if self.kind is Kind.PRIME:  # causal among the first positions; what comes later sees them all
            first, later = q[:, :, : self.prime], q[:, :, self.prime :]
            k, v = k[:, :, : self.prime], v[:, :, : self.prime]
            y = F.scaled_dot_product_attention(first, k, v, is_causal=True)
            return torch.cat((y, F.scaled_dot_product_attention(later, k, v)), 2) if later.shape[2] else y
        q, k, v = (z.reshape(n, heads, total // self.block_ctx, self.block_ctx, d) for z in (q, k, v))
        if self.kind is Kind.COLUMN:
            q, k, v = (z.transpose(2, 3) for z in (q, k, v))
            y = _blocked_attention(q, k, v, True).transpose(2, 3)
        else:
            if self.kind is Kind.PREVIOUS_ROW:  # row 0 sees zero keys and values: its output is 0
                k, v = (F.pad(z[:, :, :-1], (0, 0, 0, 0, 1, 0)) for z in (k, v))
            y = _blocked_attention(q, k, v, self.kind is Kind.ROW)
        return y.reshape(n, heads, total, d)

    def weights(self, x: Tensor, states: Tensor | None, head: int, characters: int) -> Tensor:
        """How much every position of [N, L, width] looks at each of ``characters`` lyric positions, for one head:
        [N, L, characters] in [0, 1]; only for kinds that read lyrics."""
        if self.kind is Kind.LYRICS:
            assert states is not None
            (q,) = self._heads(self.c_attn(x), 1)
            k, _ = self.source(states)
            hidden = None
        else:
            q, k, _ = self._heads(self.c_attn(x), 3)
            k = k[:, :, : self.prime]
            hidden = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=x.device).triu(1)
        scores = (q[:, head] @ k[:, head].transpose(1, 2)).float() * q.shape[-1] ** -0.5
        if hidden is not None:
            scores = scores.masked_fill(hidden, -torch.inf)
        return scores.softmax(-1)[:, :, :characters]

    def step(self, x: Tensor, cache: LayerCache, position: int) -> Tensor:
        """One position: [N, width] to [N, width]; reads and updates ``cache``."""
        n = x.shape[0]
        readable: tuple[Tensor, Tensor] | None
        if self.kind is Kind.LYRICS:
            q, readable = self.c_attn(x).view(n, self.heads, -1), (cache.keys, cache.values)
        else:
            q, k, v = self.c_attn(x).view(n, 3, self.heads, -1).unbind(1)  # [N, H, D]
            readable = cache.update(k, v, position)
        if readable is None:
            return self.c_proj.bias.expand(n, -1)
        y = F.scaled_dot_product_attention(q.unsqueeze(2), *readable)  # [N, H, 1, D]
        return self.c_proj(y.reshape(n, -1))


def _blocked_attention(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    """Attention inside every block of [N, H, blocks, M, D]."""
    # ONNX and the fast kernels of a card know attention of four axes; on a processor five train twice as fast.
    if torch.compiler.is_exporting() or q.is_cuda:
        y = F.scaled_dot_product_attention(
            q.flatten(1, 2), k.flatten(1, 2), v.flatten(1, 2), is_causal=causal
        )
        return y.view(q.shape)
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal)


class Mlp(nn.Module):
    """Linear, quick GELU, Linear."""

    def __init__(self, shape: Shape, identity: bool = False) -> None:
        super().__init__()
        std = 0.02 * shape.init_scale
        self.c_fc = Linear(shape.width, shape.mlp_width, std)
        self.c_proj = Linear(shape.mlp_width, shape.width, 0.0 if identity else std)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(quick_gelu(self.c_fc(x)))


class Layer(nn.Module):
    """Pre-norm block: a = attn(ln_0(x)), m = mlp(ln_1(x + a)), out = x + s (a + m)."""

    def __init__(self, shape: Shape, kind: Kind) -> None:
        super().__init__()
        self.attn = Attention(shape, kind)
        self.ln_0 = nn.LayerNorm(shape.width, eps=1e-5)
        self.mlp = Mlp(shape, identity=kind is Kind.LYRICS)
        self.ln_1 = nn.LayerNorm(shape.width, eps=1e-5)
        self.scale = 1.0 / shape.depth if shape.residual_scale else 1.0

    def _join(self, x: Tensor, a: Tensor) -> Tensor:
        m = self.mlp(self.ln_1(x + a))
        return x + a + m if self.scale == 1.0 else x + self.scale * (a + m)

    def forward(
        self, x: Tensor, states: Tensor | None = None, cache: LayerCache | None = None, length: int = 0
    ) -> Tensor:
        return self._join(x, self.attn(self.ln_0(x), states, cache, length))

    def step(self, x: Tensor, cache: LayerCache, position: int) -> Tensor:
        """One position, [N, width]."""
        return self._join(x, self.attn.step(self.ln_0(x), cache, position))


class Transformer(nn.Module):
    """The layers of a prior or a lyric encoder; no normalisation after the last (facts/jukebox.md §3)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.block_ctx = shape.block_ctx
        self.layers = nn.ModuleList(Layer(shape, kind) for kind in shape.kinds)

    def _padded(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 0, 0, -x.shape[1] % self.block_ctx))

    def forward(
        self, x: Tensor, states: Tensor | None = None, caches: list[LayerCache] | None = None
    ) -> Tensor:
        """[N, L, width] to the same for any L up to the context; partial rows are padded and cut again.

        ``states`` [N, P, width]: what lyric attention reads.
        """
        length = x.shape[1]
        x = self._padded(x)
        for i, layer in enumerate(self.layers):
            x = layer(x, states, None if caches is None else caches[i], length)
        return x[:, :length]

    def attention(self, x: Tensor, states: Tensor | None, layer: int, head: int, characters: int) -> Tensor:
        """Attention of one layer and head to the lyrics, for every position of x [N, L, width]: [N, L, characters].

        Layers after that one are not computed.
        """
        length = x.shape[1]
        x = self._padded(x)
        for before in self.layers[:layer]:
            x = before(x, states)
        chosen = self.layers[layer]
        assert isinstance(chosen, Layer)
        return chosen.attn.weights(chosen.ln_0(x), states, head, characters)[:, :length]

    def watched(
        self, x: Tensor, states: Tensor | None, layer: int, head: int, characters: int
    ) -> tuple[Tensor, Tensor]:
        """What :meth:`forward` gives without caches, [N, L, width], and what :meth:`attention` gives, in one pass."""
        length = x.shape[1]
        x = self._padded(x)
        seen = None
        for place, each in enumerate(self.layers):
            assert isinstance(each, Layer)
            if place == layer:
                seen = each.attn.weights(each.ln_0(x), states, head, characters)
            x = each(x, states)
        assert seen is not None
        return x[:, :length], seen[:, :length]

    def read(self, states: Tensor, caches: list[LayerCache]) -> None:
        """Put the lyric states [N, P, width] into the caches of the layers that read them."""
        for layer, cache in zip(self.layers, caches, strict=True):
            assert isinstance(layer, Layer)
            if layer.attn.kind is Kind.LYRICS:
                keys, values = layer.attn.source(states)
                cache.keys.copy_(keys)
                cache.values.copy_(values)

    def step(self, x: Tensor, caches: list[LayerCache], position: int) -> Tensor:
        """One position [N, width] through all layers."""
        for layer, cache in zip(self.layers, caches, strict=True):
            assert isinstance(layer, Layer)
            x = layer.step(x, cache, position)
        return x
