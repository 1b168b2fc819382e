"""What a take that goes on from other takes starts from: their codes and what was heard, as sampling wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.audio import Waveform
from engine.errors import BadFormat, OutOfRange
from engine.request import Mode, Request
from engine.take import Take
from engine.take.lineage import Ancestor, ancestor

if TYPE_CHECKING:
    from engine.sampling import Start
    from engine.store.config import ModelConfig


def opening(config: ModelConfig, model_hash: str, request: Request) -> tuple[Waveform, Start]:
    """The audio before the seam (mono, at the model's rate) and the start, of any mode but primed.

    Raises NoFile for a parent that is not there, BadFormat for one of another model, without the codes that are
    needed or unfinished, OutOfRange for one that is too short.
    """
    from engine.sampling import Start

    if request.mode is Mode.ANCESTRAL:
        return Waveform.of_mono(np.zeros(0, np.float32), config.rate), Start()
    parents = [Take.load(reference.folder) for reference in request.parents]
    for parent in parents:
        if parent.info.head.model_hash != model_hash:
            raise BadFormat(
                f"the take '{parent.folder}' was made with another model; load the model "
                f"'{parent.info.head.request.model}' it was made with"
            )
    found = ancestor(parents, [reference.frames for reference in request.parents], config.hops)
    if request.mode is Mode.CONTINUE:
        return _continued(config, request, found)
    return _same_again(config, request, found)


def _continued(config: ModelConfig, request: Request, parent: Ancestor) -> tuple[Waveform, Start]:
    """The end of the parent's codes that is of use; the prime is all that was heard so far."""
    from engine.sampling import Start
    from engine.sampling.plan import prime_context

    hop = config.hops[config.top]
    cut = parent.seam(hop) + parent.continuation.size
    tokens = -(-cut // hop)
    first = max(0, tokens - prime_context(config, request.sampling))
    codes, leads = {}, {}
    for level in range(request.fidelity.level, config.top + 1):
        scale = hop // config.hops[level]
        parent.require(level, tokens * scale)
        codes[level] = parent.codes[level][first * scale : tokens * scale]
        held = parent.leads.get(level, {}).items()
        leads[level] = {begin - first * scale: lead for begin, lead in held if begin >= first * scale}
    heard = np.concatenate([parent.prime.mono_samples(), parent.continuation])
    seam = cut - first * hop
    return Waveform.of_mono(heard, config.rate), Start(
        tokens - first, seam, heard.size - seam, codes, leads=leads
    )


def _same_again(config: ModelConfig, request: Request, parent: Ancestor) -> tuple[Waveform, Start]:
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
    audio = np.pad(audio, (0, used - audio.size))  # a continuation shorter than its first token
    return parent.prime, Start(
        parent.prime_tokens, seam, before, codes, audio.astype(np.float32), parent.leads
    )
