"""What is done to trained decoders in the end: the tone of their own is taken away, and audio comes back as loud as it
was. Trained ones give what they are unsure of too quietly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.analysis.loudness import integrated_loudness
from engine.codec.vqvae import CodecLevel
from engine.training.cache import AudioCache, CropSampler
from engine.training.even import even_out, tone_db

CROPS = 24  # of the training split: held-out songs are to measure the result
SECONDS = 3.0
MOST_DB = 6.0
FINISHED = ("gain_db", "tone_db")  # what a level's record says of it


def finishing_crops(cache: AudioCache, rate: int, hop: int, seed: int = 0) -> Tensor:
    """Audio [N, T] to measure decoders by, T a multiple of ``hop``. Raises TooShort where no song is as long as a
    hop."""
    longest = max(song.frames for song in cache.songs("train"))
    frames = max(hop, min(round(SECONDS * rate), longest) // hop * hop)
    return torch.from_numpy(CropSampler(cache, "train", frames, seed).spread(CROPS))


@dataclass(frozen=True, eq=False)
class Finishing:
    """Which of it is done, measured by ``crops`` [N, T] at ``rate`` Hz; T is a multiple of the codec's largest hop,
    ``hop``."""

    crops: Tensor
    rate: int
    hop: int
    even: bool = False
    loud: bool = False

    def apply(self, level: CodecLevel) -> dict[str, float]:
        """Changes the decoder of ``level``; for its record ``tone_db`` that is left and ``gain_db`` that it was
        given."""
        done: dict[str, float] = {}
        if self.even:
            even_out(level, self.crops)
        if self.loud:
            done["gain_db"] = round(quieter_by(level, self.crops, self.rate), 2)
            scale_output(level, done["gain_db"])
        if self.even:
            done["tone_db"] = round(tone_db(level, self.crops, self.hop), 2)
        return done


def quieter_by(level: CodecLevel, crops: Tensor, rate: int) -> float:
    """The median of how much too quiet what the decoder gives is, in dB (BS.1770), at most 6; 0 where all crops are
    silent."""
    missing = []
    for crop in crops.split(1):
        with torch.no_grad():
            found, _ = level.reconstruct(crop)
        before, after = (integrated_loudness(x[0].numpy(), rate) for x in (crop, found))
        if math.isfinite(before) and math.isfinite(after):
            missing.append(before - after)
    return float(np.clip(np.median(missing), -MOST_DB, MOST_DB)) if missing else 0.0


def scale_output(level: CodecLevel, gain_db: float) -> None:
    """Makes what the decoder of ``level`` gives louder by ``gain_db``."""
    with torch.no_grad():
        for parameter in level.decoder.out.parameters():
            parameter.mul_(10.0 ** (gain_db / 20.0))
