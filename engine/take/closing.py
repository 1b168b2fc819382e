"""Putting a take's final files in place."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np

from engine.audio import write_wav24
from engine.audio.durable import write_durably
from engine.take.measuring import end_of_prime, measured
from engine.take.state import Growth
from engine.take.take import (
    AUDIO_PART,
    CODES,
    CONTINUATION,
    LEADS,
    TAKE,
    Metrics,
    Take,
    TakeHead,
    TakeInfo,
    Timings,
    codes_to_bytes,
    leads_to_bytes,
)


def close_take(folder: Path, head: TakeHead, growth: Growth, state: Literal["complete", "partial"]) -> Take:
    """Writes ``codes.safetensors``, ``continuation.wav`` and last ``take.json``, each all or nothing."""
    audio = np.fromfile(folder / AUDIO_PART, dtype="<f4", count=growth.audio_frames)
    audio = audio[: head.request.frames].astype(np.float32)
    codes = growth.all_codes()
    write_durably(folder / CODES, codes_to_bytes(codes, growth.prime_tokens))
    if leads := growth.settled_leads():
        write_durably(folder / LEADS, leads_to_bytes(leads))
    clipped = write_wav24(folder / CONTINUATION, audio, head.rate)
    info = TakeInfo(
        state=state,
        head=head,
        finished=datetime.now().astimezone().isoformat(timespec="seconds"),
        frames=audio.size,
        prime_tokens=growth.prime_tokens,
        tokens={level: array.size for level, array in codes.items()},
        plan=tuple(growth.plan),
        timings=_timings(growth, audio.size / head.rate),
        metrics=Metrics(peak_dbfs=None, rms_dbfs=None, clipped=clipped),
    )
    info = info.model_copy(update={"metrics": measured(info, audio, end_of_prime(folder, head))})
    write_durably(folder / TAKE, info.model_dump_json(indent=1).encode())
    return Take(folder, info)


def _timings(growth: Growth, audio_seconds: float) -> Timings:
    tokens, seconds = growth.sampled()
    return Timings(
        prime_seconds=growth.prime_seconds,
        first_audio_ms=_known(growth.first_audio_ms),
        first_final_ms=_known(growth.first_final_ms),
        total_seconds=growth.elapsed,
        real_time_factor=audio_seconds / growth.elapsed if growth.elapsed > 0 else 0.0,
        tokens=tokens,
        seconds=seconds,
        runs=growth.runs,
    )


def _known(figure: float) -> float | None:
    return None if math.isnan(figure) else figure
