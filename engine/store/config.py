"""Everything about a model but its weights, validated; and the starter's shapes."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from pydantic import model_validator

from engine.codec.config import CodecConfig
from engine.prior.config import PriorConfig, TimeConfig, UpperConfig
from engine.prior.vocabulary import UNKNOWN_NAME, LabelVocabulary, ReleasedVersion
from engine.request import Frozen


class ModelConfig(Frozen):
    """One model: a codec, one prior a level (index = level), label names (id = index, 0 is "unknown").

    ``vocabularies``: the names of priors whose ``label_version`` is not "own".
    ``training`` and ``metrics`` are records: what it was trained on, by which commands, and ``eval.json``.
    """

    format: int = 1
    name: str
    codec: CodecConfig
    priors: tuple[PriorConfig, ...]
    artists: tuple[str, ...] = (UNKNOWN_NAME,)
    genres: tuple[str, ...] = (UNKNOWN_NAME,)
    vocabularies: dict[ReleasedVersion, LabelVocabulary] = {}
    training: dict[str, Any] = {}
    metrics: dict[str, Any] = {}

    @model_validator(mode="after")
    def _consistent(self) -> ModelConfig:
        if len(self.priors) != self.codec.levels:
            raise ValueError(f"{len(self.priors)} priors for {self.codec.levels} levels; give one per level")
        for level, prior in enumerate(self.priors):
            if prior.level != level:
                raise ValueError(f"prior {level} says it is of level {prior.level}; list them bottom first")
            if prior.hop != self.codec.hops[level]:
                raise ValueError(
                    f"prior {level} has hop {prior.hop}; the codec's is {self.codec.hops[level]}"
                )
            if prior.bins != self.codec.bins:
                raise ValueError(f"prior {level} has {prior.bins} bins; the codec has {self.codec.bins}")
            top = level == self.codec.levels - 1
            if top != (prior.upper is None):
                raise ValueError(f"prior {level}: only the top level goes without upper codes")
            if prior.upper and prior.upper.ratio * prior.hop != self.codec.hops[level + 1]:
                raise ValueError(
                    f"prior {level}: {prior.upper.ratio} tokens per upper token; the codec's hops give "
                    f"{self.codec.hops[level + 1] // prior.hop}"
                )
            self._check_labels(prior)
        for version, vocabulary in self.vocabularies.items():
            if vocabulary.version != version:
                raise ValueError(f"the vocabulary '{version}' says it is of version {vocabulary.version}")
        for names in (self.artists, self.genres):
            if not names or names[0] != UNKNOWN_NAME:
                raise ValueError("the first artist and the first genre are 'unknown'")
            if len(set(names)) != len(names):
                raise ValueError("a label name appears twice")
        return self

    def _check_labels(self, prior: PriorConfig) -> None:
        if not prior.artists:
            return
        if prior.label_version != "own" and prior.label_version not in self.vocabularies:
            raise ValueError(
                f"prior {prior.level} has {prior.label_version} labels and the model has no such vocabulary; "
                f"give vocabularies.{prior.label_version}"
            )
        names = self.vocabulary(prior.level)
        if (prior.artists, prior.genres) != (names.artist_rows, names.genre_rows):
            raise ValueError(
                f"prior {prior.level} knows {prior.artists} artists and {prior.genres} genres; the model names "
                f"{names.artist_rows} and {names.genre_rows}"
            )

    def vocabulary(self, level: int) -> LabelVocabulary:
        """The label vocabulary of a level's prior; that of the top level is what users choose names from."""
        version = self.priors[level].label_version
        return self._own_names if version == "own" else self.vocabularies[version]

    @cached_property
    def _own_names(self) -> LabelVocabulary:
        return LabelVocabulary.own(self.artists, self.genres)

    @property
    def rate(self) -> int:
        """Sample rate, Hz."""
        return self.codec.sample_rate

    @property
    def hops(self) -> tuple[int, ...]:
        """Samples per token of each level."""
        return self.codec.hops

    @property
    def bins(self) -> int:
        """Codes per level."""
        return self.codec.bins

    @property
    def top(self) -> int:
        """The highest level."""
        return self.codec.levels - 1


def starter_config(
    artists: tuple[str, ...] = (UNKNOWN_NAME,),
    genres: tuple[str, ...] = (UNKNOWN_NAME,),
    name: str = "starter",
) -> ModelConfig:
    """The starter's shapes: windows of 5.9 s / 1.5 s / 0.37 s, small enough for two CPU cores (DESIGN.md §6)."""
    labels = {"artists": len(artists), "genres": len(genres), "n_ctx": 2048, "blocks": 32}
    return ModelConfig(
        name=name,
        codec=CodecConfig(),
        priors=(
            PriorConfig(
                level=0,
                hop=8,
                width=128,
                depth=4,
                heads=2,
                m_attn=1.0,
                m_mlp=3.0,
                upper=UpperConfig(width=64, depth=4),
                **labels,
            ),
            PriorConfig(
                level=1,
                hop=32,
                width=192,
                depth=6,
                heads=4,
                m_attn=1.0,
                m_mlp=2.0,
                upper=UpperConfig(width=96, depth=4),
                **labels,
            ),
            PriorConfig(
                level=2,
                hop=128,
                width=384,
                depth=10,
                heads=6,
                m_attn=0.5,
                m_mlp=1.0,
                time=TimeConfig(bins=128, min_seconds=16.0, max_seconds=144.0),
                **labels,
            ),
        ),
        artists=artists,
        genres=genres,
    )
