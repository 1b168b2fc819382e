"""Shape of one prior, validated (facts/jukebox.md §2)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from engine.prior.patterns import ORDERS, Kind
from engine.request import Frozen

Positive = Annotated[int, Field(ge=1)]


class UpperConfig(Frozen):
    """The conditioner on the codes of the level above (facts/jukebox.md §4.4)."""

    bins: Positive = 2048
    width: Positive = 64
    depth: Positive = 4
    dilation_growth: Positive = 3
    dilation_cycle: Positive | None = None
    m_conv: Annotated[float, Field(gt=0)] = 1.0
    residual_scale: bool = False
    ups: Positive = 2
    stride: Annotated[int, Field(ge=2)] = 2

    @property
    def ratio(self) -> int:
        """Tokens of this level per token of the level above."""
        return self.stride**self.ups

    @property
    def dilations(self) -> tuple[int, ...]:
        """Dilations of each residual stack, in execution order."""
        cycle = self.dilation_cycle or self.depth
        return tuple(self.dilation_growth ** (d % cycle) for d in range(self.depth))


class TimeConfig(Frozen):
    """The time signal of a top prior: ``bins`` per embedding, song lengths in seconds (facts/jukebox.md §4.1)."""

    bins: Positive = 128
    min_seconds: Annotated[float, Field(gt=0)]
    max_seconds: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _ordered(self) -> TimeConfig:
        if self.min_seconds >= self.max_seconds:
            raise ValueError(f"min_seconds {self.min_seconds} must be below max_seconds {self.max_seconds}")
        return self


class EncoderConfig(Frozen):
    """The separate lyric encoder: a causal transformer over the window's characters (facts/jukebox.md §3)."""

    width: Positive
    depth: Positive
    heads: Positive = 1
    attention_order: int = 2
    blocks: Positive = 32
    m_attn: Annotated[float, Field(gt=0)] = 0.25
    m_mlp: Annotated[float, Field(gt=0)] = 1.0
    init_scale: Annotated[float, Field(gt=0)] = 1.0
    residual_scale: bool = False


class LyricsConfig(Frozen):
    """Lyrics of a top prior: ``tokens`` characters a window (facts/jukebox.md §3, §4.3).

    With an ``encoder`` they are read by cross-attention; without one, lyrics and music are one sequence, the
    lyrics first. ``loss_fraction``: weight of the lyric language-model loss. ``alignment``: layer and head
    whose attention tells which character is being sung.
    """

    tokens: Positive
    vocabulary: Literal["v2", "v3"] = "v3"
    loss_fraction: Annotated[float, Field(ge=0)] = 0.4
    encoder: EncoderConfig | None = None
    alignment: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] | None = None

    @property
    def characters(self) -> int:
        """Size of the character vocabulary, id 0 (unknown, padding) included."""
        return {"v2": 80, "v3": 79}[self.vocabulary]


class PriorConfig(Frozen):
    """One prior. ``n_ctx`` tokens a window, ``hop`` samples a token, ``artists``/``genres`` label table sizes.

    A prior is labelled if ``artists`` and ``genres`` are above 0, has a time signal if ``time`` is set (top
    level), is conditioned on upper codes if ``upper`` is set (lower levels).
    """

    level: Annotated[int, Field(ge=0)]
    n_ctx: Positive = 2048
    hop: Positive
    sample_rate: Positive = 44100
    bins: Positive = 2048
    width: Positive
    depth: Positive
    heads: Positive = 1
    attention_order: int = 2
    blocks: Positive = 32
    m_attn: Annotated[float, Field(gt=0)] = 0.25
    m_mlp: Annotated[float, Field(gt=0)] = 1.0
    init_scale: Annotated[float, Field(gt=0)] = 1.0
    residual_scale: bool = False
    merged_decoder: bool = False
    artists: Annotated[int, Field(ge=0)] = 0
    genres: Annotated[int, Field(ge=0)] = 0
    time: TimeConfig | None = None
    upper: UpperConfig | None = None
    lyrics: LyricsConfig | None = None

    @model_validator(mode="after")
    def _consistent(self) -> PriorConfig:
        if self.n_ctx % self.blocks:
            near = max(b for b in range(1, self.n_ctx + 1) if self.n_ctx % b == 0 and b <= self.blocks)
            raise ValueError(
                f"n_ctx {self.n_ctx} is not a multiple of blocks {self.blocks}; {near} blocks would do"
            )
        if self.attn_width % self.heads:
            raise ValueError(
                f"attention width {self.attn_width} (m_attn x width) is not a multiple of heads {self.heads}"
            )
        if self.attention_order not in ORDERS:
            raise ValueError(
                f"attention_order {self.attention_order} is unknown; choose from {sorted(ORDERS)}"
            )
        if bool(self.artists) != bool(self.genres):
            raise ValueError("artists and genres are given together or not at all")
        if self.upper is not None and self.n_ctx % self.upper.ratio:
            raise ValueError(
                f"n_ctx {self.n_ctx} must be a multiple of {self.upper.ratio}, the upper level's ratio"
            )
        return self

    @property
    def attn_width(self) -> int:
        """Width of queries, keys and values, all heads together."""
        return int(self.m_attn * self.width)

    @property
    def mlp_width(self) -> int:
        """Hidden width of the feed-forward block."""
        return int(self.m_mlp * self.width)

    @property
    def block_ctx(self) -> int:
        """Positions per row of the blocked view."""
        return self.n_ctx // self.blocks

    @property
    def window_samples(self) -> int:
        """Samples one window covers."""
        return self.n_ctx * self.hop

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Attention kind of every layer."""
        return tuple(ORDERS[self.attention_order](layer) for layer in range(self.depth))
