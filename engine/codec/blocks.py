"""Convolution blocks of the codec and of the priors' upper-code conditioner (facts/jukebox.md §1.2, §4.4)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.codec.config import CodecConfig


class ResidualUnit(nn.Module):
    """``x + scale * Conv1x1(ReLU(Conv3_dilated(ReLU(x))))``; [N, width, T] in and out."""

    def __init__(self, width: int, hidden: int, dilation: int, scale: float) -> None:
        super().__init__()
        self.dilated = nn.Conv1d(width, hidden, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(hidden, width, 1)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        y = self.mix(F.relu(self.dilated(F.relu(x)), inplace=True))
        return x + y if self.scale == 1.0 else x + self.scale * y


class ResidualStack(nn.Sequential):
    """Residual units with the given dilations, in execution order."""

    def __init__(
        self, width: int, dilations: Sequence[int], m_conv: float = 1.0, scaled: bool = False
    ) -> None:
        scale = len(dilations) ** -0.5 if scaled else 1.0
        super().__init__(*(ResidualUnit(width, int(m_conv * width), d, scale) for d in dilations))


class DownBlock(nn.Module):
    """``downs`` times (strided convolution, residual stack), then a projection to the embedding width."""

    def __init__(
        self,
        channels: int,
        width: int,
        out: int,
        downs: int,
        stride: int,
        dilations: Sequence[int],
        m_conv: float = 1.0,
        scaled: bool = False,
    ) -> None:
        super().__init__()
        self.steps = nn.ModuleList()
        for i in range(downs):
            down = nn.Conv1d(channels if i == 0 else width, width, 2 * stride, stride, stride // 2)
            self.steps.append(nn.Sequential(down, ResidualStack(width, dilations, m_conv, scaled)))
        self.project = nn.Conv1d(width, out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)  # [N, width, T / stride^(i+1)]
        return self.project(x)  # [N, out, T / stride^downs]


class UpBlock(nn.Module):
    """A projection from ``channels``, then ``ups`` times (residual stack, transposed convolution) to ``out``."""

    def __init__(
        self,
        channels: int,
        width: int,
        out: int,
        ups: int,
        stride: int,
        dilations: Sequence[int],
        m_conv: float = 1.0,
        scaled: bool = False,
    ) -> None:
        super().__init__()
        self.project = nn.Conv1d(channels, width, 3, padding=1)
        self.steps = nn.ModuleList()
        for i in range(ups):
            up = nn.ConvTranspose1d(width, out if i == ups - 1 else width, 2 * stride, stride, stride // 2)
            self.steps.append(nn.Sequential(ResidualStack(width, dilations, m_conv, scaled), up))

    def forward(self, x: Tensor) -> Tensor:
        x = self.project(x)
        for step in self.steps:
            x = step(x)
        return x  # [N, out, T * stride^ups]


class Encoder(nn.Module):
    """Encoder of one level: [N, 1, T] samples to [N, embed_width, T / hop] features."""

    def __init__(self, config: CodecConfig, level: int) -> None:
        super().__init__()
        width, dilations = config.level_width(level), config.dilations(level)
        self.blocks = nn.ModuleList(
            DownBlock(
                1 if b == 0 else config.embed_width,
                width,
                config.embed_width,
                config.downs[b],
                config.strides[b],
                dilations,
                config.m_conv,
                config.residual_scale,
            )
            for b in range(level + 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class Decoder(nn.Module):
    """Decoder of one level: [N, embed_width, tokens] to [N, 1, tokens * hop] samples."""

    def __init__(self, config: CodecConfig, level: int) -> None:
        super().__init__()
        width, dilations = config.level_width(level), config.dilations(level)
        if config.reverse_decoder_dilation:
            dilations = dilations[::-1]
        self.blocks = nn.ModuleList(
            UpBlock(
                config.embed_width,
                width,
                config.embed_width,
                config.downs[b],
                config.strides[b],
                dilations,
                config.m_conv,
                config.residual_scale,
            )
            for b in range(level + 1)
        )
        self.out = nn.Conv1d(config.embed_width, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        for block in reversed(list(self.blocks)):
            x = block(x)
        return self.out(x)


def quantise_to(x: Tensor, codebook: Tensor) -> Tensor:
    """Index of the nearest codebook row for each row of ``x`` [M, width]; the first on ties; int64 [M]."""
    distance = torch.addmm(
        (codebook * codebook).sum(1), x, codebook.t(), alpha=-2
    )  # |k|^2 - 2 x.k, [M, bins]
    return distance.argmin(dim=1)
