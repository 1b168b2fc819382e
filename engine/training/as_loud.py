"""Decoders that give audio back as loud as it was: trained ones give what they are unsure of too quietly."""

from __future__ import annotations

import math

import numpy as np
import torch

from engine.analysis.loudness import integrated_loudness
from engine.codec.vqvae import CodecLevel
from engine.training.cache import AudioCache, CropSampler

CROPS = 24  # of the training split: held-out songs are to measure the result
SECONDS = 3.0
MOST_DB = 6.0


class AsLoud:
    """Measures decoders by the audio of ``cache``, at the codec's largest ``hop``. Raises TooShort where no song is as
    long as a hop."""

    def __init__(self, cache: AudioCache, rate: int, hop: int, seed: int = 0) -> None:
        self._rate = rate
        longest = max(song.frames for song in cache.songs("train"))
        frames = max(hop, min(round(SECONDS * rate), longest) // hop * hop)
        self._crops = torch.from_numpy(CropSampler(cache, "train", frames, seed).spread(CROPS))

    def gain(self, level: CodecLevel) -> float:
        """The median of how much too quiet what the decoder of ``level`` gives is, in dB (BS.1770), at most 6; 0 where
        all crops are silent."""
        missing = []
        for crop in self._crops.split(1):
            with torch.no_grad():
                found, _ = level.reconstruct(crop)
            before, after = (integrated_loudness(x[0].numpy(), self._rate) for x in (crop, found))
            if math.isfinite(before) and math.isfinite(after):
                missing.append(before - after)
        return float(np.clip(np.median(missing), -MOST_DB, MOST_DB)) if missing else 0.0


def scale_output(level: CodecLevel, gain_db: float) -> None:
    """Makes what the decoder of ``level`` gives louder by ``gain_db``."""
    with torch.no_grad():
        for parameter in level.decoder.out.parameters():
            parameter.mul_(10.0 ** (gain_db / 20.0))
