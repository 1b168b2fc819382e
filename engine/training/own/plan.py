"""What is asked for, and the stages that it comes to."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from engine.request import Frozen
from engine.training.codec_trainer import LEVEL_SHARES

CODEC_SHARE = 0.4  # of the time, when the codec is trained further as well
PRIOR_SHARES = (0.25, 0.25, 0.5)  # bottom, middle, top: what is played is decided at the top
LEAST_SECONDS = 30.0  # of audio to train on
Kind = Literal["codec", "prior"]


class Wish(Frozen):
    """Everything that decides what is trained. ``base``: the model to begin with, by name or folder; ``fresh``: only
    its codec and its shapes are taken over; ``codec``: used as it is, or trained further on the new audio.

    ``minutes``: all stages together, over all resumes; ``steps``: of every stage.
    """

    name: str
    base: str = "starter"
    fresh: bool = False
    codec: Literal["reuse", "tune"] = "reuse"
    minutes: Annotated[float, Field(gt=0)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    batch: Annotated[int, Field(ge=1)] = 4
    lr: Annotated[float, Field(gt=0)] | None = None
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _has_an_end(self) -> Wish:
        if self.minutes is None and self.steps is None:
            raise ValueError("the training has no end; give --minutes, --steps or both")
        return self

    @property
    def rate(self) -> float:
        """The learning rate: gentle where something trained is trained further."""
        return self.lr or (1e-3 if self.fresh else 4e-4)


class Stage(Frozen):
    """One training run: a level of the codec or a prior, within its part of the budget."""

    kind: Kind
    level: int
    minutes: float | None
    steps: int | None

    @property
    def name(self) -> str:
        """As in ``prior 2``; also names its folder."""
        return f"{self.kind} {self.level}"


def stages(wish: Wish) -> list[Stage]:
    """The training runs in order: the codec if it is to be trained, then the priors from the top down."""
    share = CODEC_SHARE if wish.codec == "tune" else 0.0

    def stage(kind: Kind, level: int, part: float) -> Stage:
        minutes = None if wish.minutes is None else wish.minutes * part
        return Stage(kind=kind, level=level, minutes=minutes, steps=wish.steps)

    found = [stage("codec", level, share * LEVEL_SHARES[level]) for level in range(3) if share]
    return found + [stage("prior", level, (1 - share) * PRIOR_SHARES[level]) for level in (2, 1, 0)]
