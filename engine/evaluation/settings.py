"""What is measured, and how."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from engine.evaluation.continuations import MIN_SECONDS, TOLD
from engine.evaluation.data import Split
from engine.request import MAX_SECONDS, MAX_SEED, Fidelity, Frozen, Sampling

MAX_BARS = 64.0


class EvalSettings(Frozen):
    """What is measured. ``primes`` = 0 leaves continuations out; ``seconds`` of each, after ``prime_seconds``, or
    ``bars`` bars at the tempo of its song.

    ``told``: what requests state of the pulse (:func:`engine.evaluation.continuations.request_of`). ``long``: of how
    many primes ``long_seconds`` are made as well; ``then``: how many are made again with a change of style; ``style``:
    whether genres are judged.
    """

    primes: Annotated[int, Field(ge=0, le=1000)] = 12
    prime_seconds: Annotated[float, Field(ge=MIN_SECONDS, le=MAX_SECONDS)] = 6.0
    seconds: Annotated[float, Field(ge=MIN_SECONDS, le=MAX_SECONDS)] = 8.0
    bars: Annotated[float, Field(gt=0.0, le=MAX_BARS)] | None = None
    fidelity: Fidelity = Fidelity.DRAFT
    sampling: Sampling = Sampling()
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0
    split: Split = "held-out"
    told: TOLD = "heard"
    long: Annotated[int, Field(ge=0, le=1000)] = 0
    long_seconds: Annotated[float, Field(ge=20.0, le=MAX_SECONDS)] = 60.0
    then: Annotated[int, Field(ge=0, le=1000)] = 0
    style: bool = True
