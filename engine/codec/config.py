"""Shape and loss settings of the codec, validated (facts/jukebox.md §1.1)."""

from __future__ import annotations

from math import prod
from typing import Annotated

from pydantic import Field, model_validator

from engine.request import Frozen

Positive = Annotated[int, Field(ge=1)]


LOSSES = ("lmix_l1", "lmix_l2", "lmix_linf", "linf_k", "spectral", "multispectral", "logspectral")


class CodecConfig(Frozen):
    """One VQ-VAE: ``len(downs)`` independent encoder/decoder pairs, level 0 the bottom (finest).

    The defaults are the starter's; :func:`released` gives the paper's. Rates in Hz, widths in channels.
    """

    sample_rate: Positive = 44100
    downs: tuple[Positive, ...] = (3, 2, 2)
    strides: tuple[Annotated[int, Field(ge=2)], ...] = (2, 2, 2)
    embed_width: Positive = 64
    bins: Positive = 2048
    width: Positive = 32
    depth: Positive = 4
    multipliers: tuple[Positive, ...] = (1, 1, 1)  # of width and depth, per level
    m_conv: Annotated[float, Field(gt=0)] = 1.0
    dilation_growth: Positive = 3
    dilation_cycle: Positive | None = None
    reverse_decoder_dilation: bool = True
    residual_scale: bool = False
    codebook_decay: Annotated[float, Field(gt=0, lt=1)] = 0.99
    restart_threshold: Annotated[float, Field(ge=0)] = 1.0
    commit: Annotated[float, Field(ge=0)] = 0.02
    lmix_l1: Annotated[float, Field(ge=0)] = 0.0
    lmix_l2: Annotated[float, Field(ge=0)] = 1.0
    lmix_linf: Annotated[float, Field(ge=0)] = 0.02
    linf_k: Positive = 2048
    spectral: Annotated[float, Field(ge=0)] = 0.0
    multispectral: Annotated[float, Field(ge=0)] = 1.0
    # Beyond the paper: quiet highs count as much as loud lows.
    logspectral: Annotated[float, Field(ge=0)] = 0.0
    stft: tuple[tuple[Positive, Positive, Positive], ...] = (
        (2048, 240, 1200),
        (1024, 120, 600),
        (512, 50, 240),
    )

    @model_validator(mode="after")
    def _consistent(self) -> CodecConfig:
        for name in ("strides", "multipliers"):
            if len(getattr(self, name)) != len(self.downs):
                raise ValueError(
                    f"{name} has {len(getattr(self, name))} entries; it needs one per level, {len(self.downs)}"
                )
        return self

    @property
    def levels(self) -> int:
        """Number of levels."""
        return len(self.downs)

    @property
    def hops(self) -> tuple[int, ...]:
        """Samples per token of each level, e.g. (8, 32, 128)."""
        steps = [stride**down for stride, down in zip(self.strides, self.downs, strict=True)]
        return tuple(prod(steps[: level + 1]) for level in range(self.levels))

    def with_losses_of(self, other: CodecConfig) -> CodecConfig:
        """The same networks, trained for what ``other`` is."""
        return self.model_copy(update={name: getattr(other, name) for name in LOSSES})

    def level_width(self, level: int) -> int:
        """Channels of the residual stacks of one level."""
        return self.width * self.multipliers[level]

    def dilations(self, level: int) -> tuple[int, ...]:
        """Dilations of one residual stack of a level, in the encoder's order."""
        depth = self.depth * self.multipliers[level]
        cycle = self.dilation_cycle or depth
        return tuple(self.dilation_growth ** (d % cycle) for d in range(depth))


def for_spectra(config: CodecConfig) -> CodecConfig:
    """The same with magnitudes before phase, which codes of the upper levels cannot know: a decoder that is asked for
    the waveform plays what it is unsure of too quietly. Measured on the starter's top decoder: see README.md."""
    return config.model_copy(
        update={"lmix_l2": 0.1, "lmix_linf": 0.002, "spectral": 1.0, "multispectral": 1.0, "logspectral": 0.3}
    )


def released() -> CodecConfig:
    """The released 44.1 kHz codec (facts/jukebox.md §1.1, column ``vqvae``)."""
    return CodecConfig(multipliers=(2, 1, 1))
