"""What a window is conditioned on: labels, time in the song, codes of the level above (facts/jukebox.md §4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.codec.blocks import UpBlock
from engine.prior.config import PriorConfig, PulseConfig, TimeConfig, UpperConfig
from engine.prior.labels import Labels


class RangeEmbedding(nn.Module):
    """Embedding of ``n`` positions spread over [start, end), of values in [low, high), in ``bins`` equal steps."""

    def __init__(self, bins: int, low: float, high: float, width: int, std: float) -> None:
        super().__init__()
        self.bins, self.low, self.high = bins, low, high
        self.weight = nn.Parameter(torch.randn(bins, width) * std)

    def forward(self, start: Tensor, end: Tensor | None = None, n: int = 1) -> Tensor:
        """``start``, ``end`` float [N] to [N, n, width]. Values at the upper limit or beyond fall in the last bin."""
        position = start.float().unsqueeze(1)
        if end is not None:
            steps = torch.arange(n, device=start.device, dtype=torch.float32) / n
            position = position + (end.float().unsqueeze(1) - position) * steps
        # In this order, as the released models were trained: at a bin's edge another order rounds elsewhere.
        found = (self.bins * ((position - self.low) / (self.high - self.low))).floor().long()
        return self.weight[found.clamp(0, self.bins - 1)]


class TimeSignal(nn.Module):
    """Sum of total-length, absolute-position and relative-position embeddings: [N, n_ctx, width]."""

    def __init__(self, config: PriorConfig, time: TimeConfig) -> None:
        super().__init__()
        std = 0.01 * config.init_scale
        low, high = time.min_seconds * config.sample_rate, time.max_seconds * config.sample_rate
        self.samples, self.n = config.window_samples, config.n_ctx
        self.low, self.high = low, high
        self.total = RangeEmbedding(time.bins, low, high, config.width, std)
        self.absolute = RangeEmbedding(time.bins, 0.0, high, config.width, std)
        self.relative = RangeEmbedding(time.bins, 0.0, 1.0, config.width, std)

    def forward(self, labels: Labels) -> Tensor:
        total, start = labels.total.float(), labels.offset.float()
        end = start + self.samples
        relative_end = (end / total).clamp(0.0, 1.0)
        return (
            self.total(total)
            + self.absolute(start, end, self.n)
            + self.relative(start / total, relative_end, self.n)
        )


class PulseSignal(nn.Module):
    """Sum of bar-phase, tempo and key embeddings: [N, n_ctx, width]; zero at first, so that a trained prior can be
    given it and says what it said before."""

    def __init__(self, config: PriorConfig, pulse: PulseConfig) -> None:
        super().__init__()
        self.n = config.n_ctx
        self.phase = nn.Parameter(torch.zeros(1 + pulse.phases, config.width))
        self.tempo = nn.Parameter(torch.zeros(1 + pulse.tempos * pulse.octaves, config.width))
        self.key = nn.Parameter(torch.zeros(pulse.keys, config.width))

    def forward(self, labels: Labels) -> Tensor:
        if (
            labels.phase is None or labels.tempo is None or labels.key is None
        ):  # row 0 of every table is "unknown"
            unknown = self.phase[0] + self.tempo[0] + self.key[0]
            return unknown.expand(labels.artists.shape[0], self.n, -1)
        return self.phase[labels.phase] + (self.tempo[labels.tempo] + self.key[labels.key]).unsqueeze(1)


class StyleSignal(nn.Module):
    """Artist and genre at every position, [N, n_ctx, width]: a window is 2,048 positions long, and slot 0 alone is
    soon forgotten. Zero at first, as the pulse is. It goes beyond the paper."""

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.n = config.n_ctx
        self.artist = nn.Parameter(torch.zeros(config.artists, config.width))
        self.genre = nn.Parameter(torch.zeros(config.genres, config.width))

    def forward(self, labels: Labels) -> Tensor:
        artists, genres = (weights.to(self.artist.dtype) for weights in (labels.artists, labels.genres))
        return (artists @ self.artist + genres @ self.genre).unsqueeze(1).expand(-1, self.n, -1)


class UpperConditioner(nn.Module):
    """Codes of the level above, int64 [N, M], to [N, M * ratio, width]: embedding, dilated up-convolutions, norm."""

    def __init__(self, config: PriorConfig, upper: UpperConfig) -> None:
        super().__init__()
        self.embed = nn.Embedding(upper.bins, config.width)
        nn.init.normal_(self.embed.weight, std=0.02 * config.init_scale)
        self.up = UpBlock(
            config.width,
            upper.width,
            config.width,
            upper.ups,
            upper.stride,
            upper.dilations,
            upper.m_conv,
            upper.residual_scale,
        )
        self.norm = nn.LayerNorm(config.width, eps=1e-5)

    def forward(self, codes: Tensor) -> Tensor:
        return self.norm(self.up(self.embed(codes).transpose(1, 2)).transpose(1, 2))


class StartToken(nn.Module):
    """Embedding put in slot 0: the weighted artist row plus the weighted genre rows, [N, width]."""

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        std = 0.01 * config.init_scale
        self.artist = nn.Parameter(torch.randn(config.artists, config.width) * std)
        self.genre = nn.Parameter(torch.randn(config.genres, config.width) * std)

    def forward(self, labels: Labels) -> Tensor:
        artists, genres = (weights.to(self.artist.dtype) for weights in (labels.artists, labels.genres))
        return artists @ self.artist + genres @ self.genre
