"""Guided attention: the head that is to tell which character is sung is led to it, where files state when that is.

After the guided attention of text-to-speech (Tachibana et al. 2017, arXiv 1710.08969), with the stated times in place
of a diagonal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.errors import TrainingError
from engine.lyrics import SongLyrics
from engine.prior.config import PriorConfig

NEAR = 1.5  # characters to either side that still count, as the deviation of a bell
FLOOR = 1e-6  # attention is never taken for less: a lost row must not drown the others
UNKNOWN = -1


def check_guided(config: PriorConfig, lyrics: Mapping[str, SongLyrics] | None) -> None:
    """Raises TrainingError when there is nothing that attention could be led to: a prior of this shape that reads no
    lyrics or tells nothing of them, or songs whose words have no times."""
    if lyrics is None or config.lyrics is None or config.lyrics.alignment is None:
        raise TrainingError("--guided leads a prior that reads lyrics; add --lyrics 64")
    if all(song.times is None for song in lyrics.values()):
        raise TrainingError(
            "--guided needs to know when words are sung, and no song here has lyrics with times; put song.lrc next to "
            "song.wav, or leave --guided out"
        )


def sung_places(
    song: SongLyrics, places: NDArray[np.int64], samples: NDArray[np.int64], total: int
) -> NDArray[np.int64]:
    """Which of a window's characters is sung at each of ``samples`` [n] of the song: int64 [n], an index into
    ``places`` [P], where the window's characters stand in the song's text (-1: padding).

    Between lines it is the last character before. UNKNOWN before the first word, from ``total`` on, where the
    window lacks the character, and throughout where no times are stated.
    """
    if song.times is None or not song.ids.size:
        return np.full(samples.size, UNKNOWN, np.int64)
    sung = np.searchsorted(song.times, samples, side="right") - 1
    inside = np.flatnonzero(places >= 0)
    index = np.full(song.ids.size, UNKNOWN, np.int64)
    index[places[inside]] = inside
    return np.where((sung >= 0) & (samples < total), index[np.maximum(sung, 0)], UNKNOWN)


def astray(attention: Tensor, sung: Tensor) -> Tensor:
    """Bits by which attention [N, L, P] misses the characters int64 [N, L] that are sung: scalar, differentiable,
    0 at best. Positions where that is UNKNOWN do not count; without any it is 0."""
    known = sung != UNKNOWN
    places = torch.arange(attention.shape[-1], device=attention.device)
    bell = torch.exp(-0.5 * ((places - sung.unsqueeze(-1)) / NEAR) ** 2)
    bits = -(attention * bell).sum(-1).clamp_min(FLOOR).log() / math.log(2)
    return (bits * known).sum() / known.sum().clamp_min(1)
