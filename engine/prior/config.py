"""Shape of one prior, validated (facts/jukebox.md §2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, model_validator

from engine.prior.patterns import ORDERS, Kind
from engine.prior.vocabulary import Version
from engine.request import Frozen

Positive = Annotated[int, Field(ge=1)]
_SELF_KINDS = {Kind.DENSE, Kind.ROW, Kind.COLUMN, Kind.PREVIOUS_ROW}


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


@dataclass(frozen=True)
class Shape:
    """What a transformer needs to know. ``ctx`` positions in rows of ``block_ctx``; ``source``: states that lyric
    attention reads; ``prime``: first positions that prime attention reads (0 where there is none)."""

    ctx: int
    blocks: int
    width: int
    heads: int
    attn_width: int
    mlp_width: int
    kinds: tuple[Kind, ...]
    init_scale: float
    residual_scale: bool
    source: int = 0
    prime: int = 0

    @property
    def block_ctx(self) -> int:
        """Positions per row of the blocked view."""
        return self.ctx // self.blocks

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.kinds)


def _rows_fit(ctx: int, blocks: int, what: str) -> None:
    if ctx % blocks:
        near = max(b for b in range(1, ctx + 1) if ctx % b == 0 and b <= blocks)
        raise ValueError(f"{what} {ctx} is not a multiple of blocks {blocks}; {near} blocks would do")


def _known_order(order: int) -> None:
    if order not in ORDERS:
        raise ValueError(f"attention_order {order} is unknown; choose from {sorted(ORDERS)}")


def _heads_fit(attn_width: int, heads: int) -> None:
    if attn_width % heads:
        raise ValueError(f"attention width {attn_width} (m_attn x width) is not a multiple of heads {heads}")


class PulseConfig(Frozen):
    """The pulse of a song as signals of a top prior (engine/prior/pulse.py): ``phases`` of a bar; ``tempos`` an octave
    from ``min_bpm`` on over ``octaves``; 24 keys."""

    phases: Positive = 192
    tempos: Positive = 24
    octaves: Positive = 2
    min_bpm: Annotated[float, Field(gt=0)] = 55.0

    @property
    def keys(self) -> int:
        """Rows of the key's table: unknown, 12 major, 12 minor."""
        return 25


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

    @model_validator(mode="after")
    def _consistent(self) -> EncoderConfig:
        _heads_fit(int(self.m_attn * self.width), self.heads)
        _known_order(self.attention_order)
        if not set(map(ORDERS[self.attention_order], range(self.depth))) <= _SELF_KINDS:
            raise ValueError(
                f"attention_order {self.attention_order} reads lyrics; an encoder takes 0, 1, 2 or 9"
            )
        return self

    def shape(self, tokens: int) -> Shape:
        """The encoder's transformer over ``tokens`` characters."""
        return Shape(
            ctx=tokens,
            blocks=self.blocks,
            width=self.width,
            heads=self.heads,
            attn_width=int(self.m_attn * self.width),
            mlp_width=int(self.m_mlp * self.width),
            kinds=tuple(ORDERS[self.attention_order](layer) for layer in range(self.depth)),
            init_scale=self.init_scale,
            residual_scale=self.residual_scale,
        )


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

    @model_validator(mode="after")
    def _consistent(self) -> LyricsConfig:
        if self.encoder is not None:
            _rows_fit(self.tokens, self.encoder.blocks, "lyric tokens")
        return self

    @property
    def characters(self) -> int:
        """Size of the character vocabulary, id 0 (unknown, padding) included."""
        return {"v2": 80, "v3": 79}[self.vocabulary]


class PriorConfig(Frozen):
    """One prior. ``n_ctx`` tokens a window, ``hop`` samples a token, ``artists``/``genres`` label table sizes,
    ``label_version`` the vocabulary that names their rows (engine/prior/vocabulary.py).

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
    label_version: Version = "own"
    time: TimeConfig | None = None
    upper: UpperConfig | None = None
    lyrics: LyricsConfig | None = None
    pulse: PulseConfig | None = None
    style_signal: bool = False  # artist and genre at every position too, not only before the first

    @model_validator(mode="after")
    def _consistent(self) -> PriorConfig:
        _rows_fit(
            self.ctx, self.blocks, "n_ctx" if self.ctx == self.n_ctx else "lyric tokens and n_ctx together"
        )
        _heads_fit(self.attn_width, self.heads)
        _known_order(self.attention_order)
        if bool(self.artists) != bool(self.genres):
            raise ValueError("artists and genres are given together or not at all")
        if self.upper is not None and self.n_ctx % self.upper.ratio:
            raise ValueError(
                f"n_ctx {self.n_ctx} must be a multiple of {self.upper.ratio}, the upper level's ratio"
            )
        if self.pulse is not None and (self.upper is not None or not self.artists):
            raise ValueError("a pulse belongs to a labelled top prior; the levels below follow its codes")
        if self.style_signal and (self.upper is not None or not self.artists):
            raise ValueError(
                "a style signal belongs to a labelled top prior; the levels below follow its codes"
            )
        self._check_lyrics()
        return self

    def _check_lyrics(self) -> None:
        separate = self.lyrics is not None and self.lyrics.encoder is not None
        joint = self.lyrics is not None and not separate
        if self.lyrics is not None and self.upper is not None:
            raise ValueError("lyrics belong to the top prior; a prior with upper codes has none")
        for kind, form, there in (
            (Kind.LYRICS, "a lyric encoder", separate),
            (Kind.PRIME, "joint lyrics", joint),
        ):
            if kind in self.kinds and not there:
                raise ValueError(
                    f"attention_order {self.attention_order} needs {form}; without it order 2 would do"
                )
        if self.lyrics is not None and self.lyrics.alignment is not None:
            layer, head = self.lyrics.alignment
            if (
                layer >= self.depth
                or head >= self.heads
                or self.kinds[layer] not in (Kind.LYRICS, Kind.PRIME)
            ):
                reading = [i for i, kind in enumerate(self.kinds) if kind in (Kind.LYRICS, Kind.PRIME)]
                raise ValueError(
                    f"alignment {self.lyrics.alignment} is no layer and head that reads lyrics; layers that do: "
                    f"{reading or 'none'}, heads: 0 to {self.heads - 1}"
                )

    @property
    def told(self) -> bool:
        """Whether anything is added to every position: codes of the level above, time, pulse, style."""
        signals = (self.artists and self.time, self.pulse, self.style_signal)
        return self.upper is not None or any(bool(signal) for signal in signals)

    @property
    def attn_width(self) -> int:
        """Width of queries, keys and values, all heads together."""
        return int(self.m_attn * self.width)

    @property
    def mlp_width(self) -> int:
        """Hidden width of the feed-forward block."""
        return int(self.m_mlp * self.width)

    @property
    def joint_lyrics(self) -> int:
        """Characters before the music in one sequence with it; 0 with a separate encoder or none."""
        return self.lyrics.tokens if self.lyrics is not None and self.lyrics.encoder is None else 0

    @property
    def ctx(self) -> int:
        """Positions of the transformer: a window, after the lyrics where they are one sequence with it."""
        return self.joint_lyrics + self.n_ctx

    @property
    def vocabulary(self) -> int:
        """Ids the prior embeds and predicts: the codes, after the characters in a joint sequence."""
        return self.bins + (self.lyrics.characters if self.lyrics is not None and self.joint_lyrics else 0)

    @property
    def shape(self) -> Shape:
        """The transformer's shape."""
        joint = self.joint_lyrics
        return Shape(
            ctx=self.ctx,
            blocks=self.blocks,
            width=self.width,
            heads=self.heads,
            attn_width=self.attn_width,
            mlp_width=self.mlp_width,
            kinds=self.kinds,
            init_scale=self.init_scale,
            residual_scale=self.residual_scale,
            source=self.lyrics.tokens if self.lyrics is not None and not joint else 0,
            # The lyrics and always some music beyond them: 448 positions for 384 characters (facts §2.3).
            prime=(joint // self.blocks + 1) * self.blocks if joint else 0,
        )

    @property
    def window_samples(self) -> int:
        """Samples one window covers."""
        return self.n_ctx * self.hop

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Attention kind of every layer."""
        return tuple(ORDERS[self.attention_order](layer) for layer in range(self.depth))
