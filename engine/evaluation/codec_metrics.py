"""How faithfully the codec reproduces held-out audio, and how it uses its codebooks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from engine.codec.losses import spectral_convergence
from engine.codec.vqvae import Codec, CodecLevel
from engine.evaluation.data import Excerpt
from engine.request import Frozen


class CodecLevelReport(Frozen):
    """One level of the codec on held-out excerpts.

    ``spectral_convergence_db``: 20 log10 of the mean over excerpts of the relative spectral error, lower is
    better (arXiv 2005.00341 §5.1, facts/jukebox.md §1.4). ``used``: share 0..1 of the bins that occur.
    ``entropy_bits``: of the codes' distribution; log2(bins) if all were equally frequent. ``tokens``: how
    many were seen.
    """

    level: int
    spectral_convergence_db: float
    used: float
    entropy_bits: float
    tokens: int


def measure_codec(
    codec: Codec, excerpts: Sequence[Excerpt], levels: Iterable[int], tick: Callable[[], None] = lambda: None
) -> list[CodecLevelReport]:
    """Reports of ``levels``; ``tick`` is called after each decoded excerpt."""
    reports = []
    for level in levels:
        ratios = []
        for excerpt in excerpts:
            codes = excerpt.codes[level]
            decoded = decode_whole(codec, codes, level)
            target = torch.from_numpy(excerpt.samples[: decoded.numel()].copy())
            ratios.append(spectral_convergence(target[None], decoded[None]))
            tick()
        mean = float(torch.cat(ratios).mean())
        counts = count_codes((e.codes[level] for e in excerpts), codec.config.bins)
        reports.append(
            CodecLevelReport(
                level=level,
                spectral_convergence_db=20.0 * math.log10(max(mean, 1e-6)),
                used=float((counts > 0).double().mean()),
                entropy_bits=entropy_bits(counts),
                tokens=int(counts.sum()),
            )
        )
    return reports


@torch.inference_mode()
def decode_whole(codec: Codec, codes: Tensor, level: int) -> Tensor:
    """Samples float32 [tokens * hop] of codes int64 [tokens] in one pass.

    The same up to rounding as decoding piece by piece, which overlaps its pieces and takes several times as long.
    """
    module = codec.levels[level]
    assert isinstance(module, CodecLevel)
    vectors = module.bottleneck.decode(codes[None].to(module.bottleneck.codebook.device))
    return module.decoder(vectors)[0, 0].cpu()


def count_codes(codes: Iterable[Tensor], bins: int) -> Tensor:
    """How often each code occurs in int64 tensors of any shape: int64 [bins]."""
    total = torch.zeros(bins, dtype=torch.long)
    for part in codes:
        total += torch.bincount(part.flatten(), minlength=bins)
    return total


def entropy_bits(counts: Tensor) -> float:
    """Entropy in bits of the distribution that counts [bins] describe."""
    p = counts.double() / counts.sum()
    p = p[p > 0]
    return float((p * (1.0 / p).log2()).sum())
