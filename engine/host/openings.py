"""What a take that goes on from other takes starts from: their codes and what was heard, as sampling wants them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.audio import Waveform
from engine.errors import BadFormat, OutOfRange
from engine.request import Mode, Request
from engine.take import Take
from engine.take.lineage import Ancestor, Codes, Samples, ancestor

if TYPE_CHECKING:
    from engine.backends.protocol import Backend
    from engine.sampling import Start
    from engine.store.config import ModelConfig

HEARD_SECONDS = 60.0  # of what a take goes on from that are filed with it: the take before has the rest


@dataclass(frozen=True, eq=False)
class Opening:
    """``heard``: the audio before the seam, mono at the model's rate, but for the first ``left_out`` frames of it."""

    heard: Waveform
    start: Start
    left_out: int = 0


def opening(backend: Backend, request: Request) -> Opening:
    """What a take of any mode but primed starts from.

    Raises NoFile for a parent that is not there, BadFormat for one of another model, without the codes that are needed
    or unfinished, OutOfRange for one that is too short.
    """
    from engine.sampling import Start, decode

    config = backend.config
    if request.mode is Mode.ANCESTRAL:
        return Opening(Waveform.of_mono(np.zeros(0, np.float32), config.rate), Start())
    parents = _parents(backend, request)

    def hear(codes: Codes, level: int, first: int, frames: int, leads: dict[int, Codes]) -> Samples:
        return decode(backend, codes, level, first, frames, leads)

    found = ancestor(parents, _kept(request), config.hops, hear)
    if request.mode is Mode.CONTINUE:
        return _continued(config, request, found)
    return _same_again(config, request, found)


def unheard_start(backend: Backend, request: Request) -> Start | None:
    """What a continuation starts from of whose parents something is held in codes only: all but the audio, which
    takes a while to decode and which sampling hardly needs.

    None where everything is there as audio, and where the pulse has yet to be heard in it. Raises as :func:`opening`.
    """
    from engine.sampling.pulse import is_pulse_known

    if request.mode is not Mode.CONTINUE:
        return None
    parents, kept = _parents(backend, request), _kept(request)
    if not any(f is not None and f > take.info.frames for take, f in zip(parents, kept, strict=True)):
        return None
    config = backend.config
    start = _continued(config, request, ancestor(parents, kept, config.hops, _silence)).start
    return start if is_pulse_known(config, request, start.pulse) else None


def _kept(request: Request) -> list[int | None]:
    return [reference.frames for reference in request.parents]


def _parents(backend: Backend, request: Request) -> list[Take]:
    parents = [Take.load(reference.folder) for reference in request.parents]
    for parent in parents:
        if parent.info.head.model_hash != backend.hash:
            raise BadFormat(
                f"the take '{parent.folder}' was made with another model; load the model "
                f"'{parent.info.head.request.model}' it was made with"
            )
    return parents


def _silence(codes: Codes, level: int, first: int, frames: int, leads: dict[int, Codes]) -> Samples:
    """In place of what is decoded, for whoever looks at codes only."""
    return np.zeros(frames, np.float32)


def _continued(config: ModelConfig, request: Request, parent: Ancestor) -> Opening:
    """The end of the parent's codes that is of use; the prime is what was heard last.

    Of a parent that was cut short the finer levels may end before the seam. They begin anew there: what was heard is
    encoded so that every code is known, but it sounded as the coarser level does, and they shall not go on so.
    """
    from engine.sampling import Start
    from engine.sampling.plan import prime_context
    from engine.sampling.pulse import later_pulse

    hop = config.hops[config.top]
    cut = parent.seam(hop) + parent.continuation.size
    tokens = -(-cut // hop)
    first = max(0, tokens - prime_context(config, request.sampling))
    heard = np.concatenate([parent.prime.mono_samples(), parent.continuation])
    seam = cut - first * hop
    before = heard.size - seam
    codes, leads, fresh = {}, {}, set()
    for level in range(request.fidelity.level, config.top + 1):
        scale = hop // config.hops[level]
        if parent.whole or level == config.top:
            parent.require(level, tokens * scale)
        elif parent.codes.get(level, heard[:0]).size < tokens * scale:
            fresh.add(level)
            continue
        codes[level] = parent.codes[level][first * scale : tokens * scale]
        held = parent.leads.get(level, {}).items()
        leads[level] = {begin - first * scale: lead for begin, lead in held if begin >= first * scale}
    audio = _padded(heard[before:], (tokens - first) * hop) if fresh else heard[:0]
    start = Start(
        tokens - first,
        seam,
        parent.left_out + before,
        codes,
        audio,
        leads,
        frozenset(fresh),
        later_pulse(parent.pulse, parent.last, config.rate),
    )
    spare = max(0, heard.size - round(HEARD_SECONDS * config.rate))
    return Opening(Waveform.of_mono(heard[spare:], config.rate), start, parent.left_out + spare)


def _padded(samples: Samples, size: int) -> Samples:
    """The first ``size`` samples, with silence where there are fewer: a take may end inside a token."""
    return np.pad(samples[:size], (0, max(0, size - samples.size))).astype(np.float32)


def _same_again(config: ModelConfig, request: Request, parent: Ancestor) -> Opening:
    """The parent's prime and its codes, the continuation's included, for upsampling and infill."""
    from engine.sampling import Start

    hop, made = config.hops[config.top], parent.continuation.size
    if request.frames != made:
        raise OutOfRange(
            f"{parent.names} has {made} frames and {request.frames} were asked for; ask for {made}"
        )
    tokens = -(-(parent.seam(hop) + made) // hop)
    parent.require(config.top, tokens)
    if request.mode is Mode.INFILL:
        for level in range(request.fidelity.level, config.top):
            parent.require(level, tokens * (hop // config.hops[level]))
    codes = {
        level: found
        for level, found in parent.codes.items()
        if found.size >= tokens * (hop // config.hops[level])
    }
    prime, seam = parent.prime.mono_samples(), parent.seam(hop)
    before = prime.size - seam
    used = parent.prime_tokens * hop
    audio = np.concatenate([prime, parent.continuation])[before : before + used]
    audio = np.pad(audio, (0, used - audio.size)).astype(
        np.float32
    )  # a continuation shorter than its first token
    start = Start(parent.prime_tokens, seam, parent.left_out + before, codes, audio, parent.leads)
    return Opening(parent.prime, start, parent.left_out)
