"""The report of `segue bench`: one validated value, a line of the log."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.evaluation.provenance import Provenance
from engine.request import MAX_SECONDS, Fidelity, Frozen

LEVEL_NAMES = {0: "bottom", 1: "middle", 2: "top"}
MAX_LANES = 1024


class BenchSettings(Frozen):
    """What is measured: ``seconds`` of each whole take, ``part_seconds`` for each other, ``levels`` (None: all)."""

    seconds: Annotated[float, Field(ge=0.1, le=MAX_SECONDS)] = 4.0
    part_seconds: Annotated[float, Field(gt=0.0, le=60.0)] = 1.0
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    lanes: tuple[Annotated[int, Field(ge=1, le=MAX_LANES)], ...] = (1, 4)
    levels: tuple[Annotated[int, Field(ge=0, le=2)], ...] | None = None
    fidelities: tuple[Fidelity, ...] = tuple(Fidelity)


class PrefillRow(Frozen):
    """Passing a known prefix of ``tokens`` through one prior, its conditions included."""

    level: int
    tokens: int
    tokens_per_second: float


class StepRow(Frozen):
    """Single steps of one prior at ``lanes`` lanes.

    ``tokens_per_second``: of steps alone, lanes / ``mean_ms``; ``sample_tokens_per_second``: drawing included;
    ``needed_tokens_per_second``: for sound in real time; ``real_time_factor``: what is sampled over what is needed.
    ``weights_gb_per_second``: ``weight_bytes`` that a step reads, over its mean time; ``bandwidth_share``: of the
    measured copy bandwidth, None until that is measured. ``copied_bytes``: see :mod:`engine.bench.traffic`.
    """

    level: int
    lanes: int
    steps: int
    mean_ms: float
    p50_ms: float
    p99_ms: float
    tokens_per_second: float
    sample_tokens_per_second: float
    needed_tokens_per_second: float
    real_time_factor: float
    weight_bytes: int
    weights_gb_per_second: float
    bandwidth_share: float | None = None
    copied_bytes: int | None


class CodecRow(Frozen):
    """Seconds of audio per second of computing, for one level."""

    level: int
    encode_factor: float
    decode_factor: float


class PipelineRow(Frozen):
    """A whole take. ``first_audio_ms``: from the request with a prime of ``prime_seconds`` to the first chunk, of
    whatever fidelity; ``first_audio_known_ms``: the same with the prime encoded before. ``real_time_factor``: audio
    per computing time.

    ``tokens`` and ``level_seconds``: sampled per level, and the time that took; levels may overlap.
    """

    fidelity: Fidelity
    seconds: float
    prime_seconds: float
    first_audio_ms: float
    first_audio_known_ms: float
    real_time_factor: float
    tokens: dict[int, int]
    level_seconds: dict[int, float]


class Memory(Frozen):
    """Most memory of the process so far: resident in main memory; allocated on the card, None without one."""

    peak_resident_bytes: int
    card_bytes: int | None


class FlatRow(Frozen):
    """A long take of one level: time of a token in the ``early`` and in the ``late`` window, counted from 1."""

    level: int
    windows: int
    early: int
    late: int
    early_ms: float
    late_ms: float
    ratio: float


class SoakRow(Frozen):
    """Sampling without pause: memory ``after_seconds`` and at the end, and how much audio was made."""

    fidelity: Fidelity
    seconds: float
    after_seconds: float
    audio_seconds: float
    early_bytes: int
    late_bytes: int
    ratio: float


class TakesRow(Frozen):
    """``takes`` takes in one request beside one take of the same length."""

    fidelity: Fidelity
    takes: int
    seconds: float
    one_seconds: float
    all_seconds: float
    ratio: float


class VersusRow(Frozen):
    """The same random weights sampled by ``peer``, by our torch and by our graphs: one lane, one thread, ``tokens`` of
    a window from nothing, conditions and drawing included. ``logits_differ``: the largest difference on one
    window; ``int8``: the graphs with their matrices in 8 bits, which says something else."""

    peer: str
    shapes: str
    level: int
    lyrics: bool
    width: int
    depth: int
    tokens: int
    logits_differ: float
    peer_tokens_per_second: float
    torch_tokens_per_second: float
    onnx_tokens_per_second: float
    torch_ratio: float
    onnx_ratio: float
    int8_tokens_per_second: float
    int8_ratio: float


class BenchReport(Frozen):
    """Everything one `segue bench` found. ``model_hash`` is None for random weights; ``shortened`` says what was cut
    off the shapes, None for whole ones."""

    kind: Literal["segue-bench"] = "segue-bench"
    schema_version: Literal[2] = 2
    provenance: Provenance
    model: str
    model_hash: str | None
    shortened: str | None = None
    backend: str
    device: str
    precision: str
    threads: int
    settings: BenchSettings
    copy_gb_per_second: float
    draw_us: float | None = None
    prefill: tuple[PrefillRow, ...] = ()
    steps: tuple[StepRow, ...] = ()
    codec: tuple[CodecRow, ...] = ()
    pipeline: tuple[PipelineRow, ...] = ()
    flat: tuple[FlatRow, ...] = ()
    soak: SoakRow | None = None
    takes: TakesRow | None = None
    versus: tuple[VersusRow, ...] = ()
    memory: Memory
