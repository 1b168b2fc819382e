"""The pulse that a take keeps: what the request states of it, else what is heard in the prime."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.prior.pulse import UNKNOWN, SongPulse, key_row, pulse_at
from engine.request import KEYS, Request
from engine.store.config import ModelConfig


def song_pulse(
    config: ModelConfig, request: Request, prime: NDArray[np.float32], seam: int
) -> SongPulse | None:
    """The pulse in samples of the song, for a model whose top prior is told it (else None).

    ``prime``: what was heard before the continuation, float32 [frames] at the model's rate, its end at sample
    ``seam`` of the song. Without a tempo, stated or heard, the bar is unknown; from nothing, bars begin at the seam.
    """
    if config.priors[config.top].pulse is None:
        return None
    from engine.analysis.pulse import estimate_pulse

    rate = config.rate
    stated = request.pulse
    bpm = (stated.bpm if stated else None) or request.bpm
    heard = estimate_pulse(prime, rate, bpm) if prime.size else None
    key = UNKNOWN
    if stated is not None and stated.key is not None:
        key = 1 + KEYS.index(stated.key)
    elif heard is not None and heard.key is not None:
        key = key_row(heard.key.tonic, heard.key.mode == "minor")
    pace = bpm or (heard.bpm if heard else None)
    if pace is None:
        return SongPulse(key=key)
    downbeat = float(seam)
    if stated is not None and stated.downbeat_frame is not None:
        downbeat = seam + stated.downbeat_frame
    elif heard is not None:
        downbeat = seam - prime.size + heard.downbeat * rate
    return pulse_at(pace, rate, downbeat, key)
