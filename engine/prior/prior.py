"""One prior: loss for training; condition, prefill and step for sampling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.prior.cache import LayerCache, make_caches
from engine.prior.conditioning import StartToken, TimeSignal, UpperConditioner
from engine.prior.config import PriorConfig
from engine.prior.labels import Labels
from engine.prior.transformer import Transformer


@dataclass(frozen=True)
class Conditions:
    """What one window of N lanes is conditioned on: ``start`` [N, width] in slot 0; ``added`` [N, n, width] or None,
    per position (n at least the positions that are used)."""

    start: Tensor
    added: Tensor | None


class Prior(nn.Module):
    """Autoregressive model of one level's codes.

    Position p sees the embedding of token p - 1 (slot 0: the start embedding) and predicts token p.
    """

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.config = config
        scale = config.init_scale
        self.embed = nn.Parameter(torch.randn(config.bins, config.width) * 0.02 * scale)
        self.position = nn.Parameter(torch.randn(config.n_ctx, config.width) * 0.01 * scale)
        self.transformer = Transformer(config)
        self.out = nn.Linear(config.width, config.bins, bias=False) if config.merged_decoder else None
        self.labels = StartToken(config) if config.artists else None
        self.start = None if config.artists else nn.Parameter(torch.randn(1, config.width) * 0.01 * scale)
        self.time = TimeSignal(config, config.time) if config.time and config.artists else None
        self.upper = UpperConditioner(config, config.upper) if config.upper else None

    def condition(self, labels: Labels | None, upper: Tensor | None, lanes: int = 1) -> Conditions:
        """Conditions of one window. ``upper``: int64 [N, M], the codes above that window, M * ratio positions."""
        if self.labels is not None and labels is None:
            raise ValueError("this prior needs labels")
        if (self.upper is None) != (upper is None):
            raise ValueError("upper codes are given to the lower levels' priors and to no other")
        if self.labels is not None and labels is not None:
            start = self.labels(labels)
        else:
            assert self.start is not None
            start = self.start.expand(lanes, -1)
        added = None
        if self.upper is not None and upper is not None:
            added = self.upper(upper)
        elif self.time is not None and labels is not None:
            added = self.time(labels)
        return Conditions(start, added)

    def _inputs(self, tokens: Tensor, conditions: Conditions, length: int) -> Tensor:
        """Embedded inputs of positions 0 .. length - 1 from tokens 0 .. length - 2: [N, length, width]."""
        x = torch.cat((conditions.start.unsqueeze(1), self.embed[tokens[:, : length - 1]]), 1)
        x = x + self.position[:length]
        return x if conditions.added is None else x + conditions.added[:, :length]

    def _logits(self, y: Tensor, added: Tensor | None) -> Tensor:
        if self.out is not None:
            return self.out(y)
        return F.linear(y if added is None else y + added, self.embed)

    def forward(self, tokens: Tensor, conditions: Conditions) -> Tensor:
        """Logits [N, L, bins] of every position for tokens int64 [N, L], L up to n_ctx, by the full forward."""
        length = tokens.shape[1]
        y = self.transformer(self._inputs(tokens, conditions, length))
        added = None if conditions.added is None else conditions.added[:, :length]
        return self._logits(y, added)

    def loss(self, codes: Tensor, labels: Labels | None = None, upper: Tensor | None = None) -> Tensor:
        """Bits per token of each row of codes int64 [N, n]: [N], differentiable."""
        logits = self(codes, self.condition(labels, upper, codes.shape[0]))
        nats = F.cross_entropy(logits.float().transpose(1, 2), codes, reduction="none")
        return nats.mean(1) / math.log(2)

    def caches(self, lanes: int) -> list[LayerCache]:
        """Static caches for ``lanes`` lanes, on the model's device and in its type."""
        return make_caches(self.config, lanes, self.embed.device, self.embed.dtype)

    @torch.inference_mode()
    def prefill(self, caches: list[LayerCache], conditions: Conditions, tokens: Tensor) -> None:
        """Pass the known prefix int64 [N, n] through in one go; the next :meth:`step` is at position n."""
        if tokens.shape[1]:
            self.transformer(self._inputs(tokens, conditions, tokens.shape[1]), caches)

    @torch.inference_mode()
    def step(
        self, caches: list[LayerCache], conditions: Conditions, previous: Tensor | None, position: int
    ) -> Tensor:
        """Logits [N, bins] of token ``position`` given the token before it, int64 [N] (None at position 0)."""
        x = conditions.start if previous is None else self.embed[previous]
        x = x + self.position[position]
        added = None if conditions.added is None else conditions.added[:, position]
        if added is not None:
            x = x + added
        return self._logits(self.transformer.step(x, caches, position), added)
