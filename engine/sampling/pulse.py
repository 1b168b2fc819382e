"""The pulse that a take keeps: what the request states of it, else what is heard in the prime."""

from __future__ import annotations

import hashlib
import math
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.prior.pulse import BEATS_PER_BAR, UNKNOWN, SongPulse, key_row, pulse_at
from engine.request import KEYS, MAX_BPM, MIN_BPM, Pulse, Request
from engine.store.config import ModelConfig

if TYPE_CHECKING:
    from engine.analysis.pulse import PulseEstimate


_KEPT = 8  # primes whose pulse is remembered: a prime is heard once, and continued many times
_remembered: OrderedDict[tuple[bytes, int, float | None], PulseEstimate | None] = OrderedDict()
_remembering = threading.Lock()


def _heard(prime: NDArray[np.float32], rate: int, bpm: float | None) -> PulseEstimate | None:
    """:func:`engine.analysis.pulse.estimate_pulse`, remembered for the primes heard last."""
    from engine.analysis.pulse import estimate_pulse

    key = hashlib.blake2b(np.ascontiguousarray(prime).data, digest_size=16).digest(), rate, bpm
    with _remembering:
        if key in _remembered:
            _remembered.move_to_end(key)
            return _remembered[key]
    found = estimate_pulse(prime, rate, bpm)
    with _remembering:
        _remembered[key] = found
        while len(_remembered) > _KEPT:
            _remembered.popitem(last=False)
    return found


def song_pulse(
    config: ModelConfig,
    request: Request,
    prime: NDArray[np.float32],
    seam: int,
    before: Pulse | None = None,
) -> SongPulse | None:
    """The pulse in samples of the song, for a model whose top prior is told it (else None).

    ``prime``: what was heard before the continuation, float32 [frames] at the model's rate, its end at sample
    ``seam`` of the song; ``before``: the pulse of the take that is gone on from, which is kept. Without a tempo,
    stated or heard, the bar is unknown; from nothing, bars begin at the seam.
    """
    if config.priors[config.top].pulse is None:
        return None
    rate = config.rate
    stated = _stated(request, before)
    bpm = (stated.bpm if stated else None) or request.bpm
    known = is_pulse_known(config, request, before)
    heard = _heard(prime, rate, bpm) if prime.size and not known else None
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


def is_pulse_known(config: ModelConfig, request: Request, before: Pulse | None) -> bool:
    """Whether :func:`song_pulse` has no need to listen to the prime."""
    if config.priors[config.top].pulse is None:
        return True
    stated = _stated(request, before)
    if stated is None or None in (stated.downbeat_frame, stated.key):
        return False
    return (stated.bpm or request.bpm) is not None


def _stated(request: Request, before: Pulse | None) -> Pulse | None:
    """What the request says, and what the take before kept of what it does not say."""
    if before is None:
        return request.pulse
    own = Pulse() if request.pulse is None else request.pulse
    said = own.model_dump(exclude_none=True)
    if request.bpm is not None:
        said = {"bpm": request.bpm} | said
    return Pulse.model_validate(before.model_dump() | said)


def kept_pulse(
    config: ModelConfig, request: Request, prime: NDArray[np.float32], before: Pulse | None
) -> Pulse | None:
    """:func:`song_pulse` as a request would state it, for the takes that go on from this one."""
    found = song_pulse(config, request, prime, 0, before)
    if found is None:
        return None
    key = KEYS[found.key - 1] if found.key != UNKNOWN else None
    if not found.bar > 0:
        return Pulse(key=key)
    bpm = 60.0 * BEATS_PER_BAR * config.rate / found.bar
    if not MIN_BPM <= bpm <= MAX_BPM:
        return Pulse(key=key)
    return Pulse(bpm=bpm, downbeat_frame=round(math.remainder(found.downbeat, found.bar)), key=key)


def later_pulse(pulse: Pulse | None, frames: int, rate: int) -> Pulse | None:
    """The same pulse for a take whose continuation begins ``frames`` after."""
    if pulse is None or pulse.bpm is None or pulse.downbeat_frame is None:
        return pulse
    bar = 60.0 * BEATS_PER_BAR * rate / pulse.bpm
    moved = round(math.remainder(pulse.downbeat_frame - frames, bar))
    return pulse.model_copy(update={"downbeat_frame": moved})
