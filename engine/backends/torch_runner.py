"""One level's prior in eager torch: conditions, prefill and steps, one after another."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.backends.protocol import Codes, Stopped, WindowInput, never
from engine.prior.labels import Labels, make_labels
from engine.prior.prior import Conditions, Prior
from engine.prior.pulse import pulse_rows
from engine.request import LevelSampling
from engine.sampling.draw import sample_here
from engine.store.config import ModelConfig


class TorchRunner:
    """One level's prior with caches for ``lanes`` lanes, see :class:`engine.backends.protocol.LevelRunner`."""

    def __init__(self, prior: Prior, config: ModelConfig, lanes: int) -> None:
        self.prior, self.names = prior, config.vocabulary(prior.config.level)
        self.caches = prior.caches(lanes)
        self.conditions: Conditions | None = None
        self.position = 0

    def _tensor(self, codes: Codes) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(codes)).to(self.prior.embed.device)

    @torch.inference_mode()
    def begin(self, window: WindowInput, stopped: Stopped = never) -> None:
        """See :class:`engine.backends.protocol.LevelRunner`."""
        self.conditions = self._condition(window)
        prefix = self._tensor(window.prefix)
        self.prior.prefill(self.caches, self.conditions, prefix)
        self.position = prefix.shape[1]

    def _condition(self, window: WindowInput) -> Conditions:
        labels = None
        if self.prior.labels is not None:
            labels = Labels.stack(
                [
                    make_labels(style, window.total, offset, self.names, strict=False)
                    for style, offset in zip(window.styles, window.offsets, strict=True)
                ]
            )
            if self.prior.pulse is not None and window.pulse is not None:
                pulse = window.pulse
                labels = labels.with_pulse(
                    [pulse_rows(self.prior.config, pulse, offset) for offset in window.offsets]
                )
            labels = labels.to(self.prior.embed.device)
        upper = None if window.upper is None else self._tensor(window.upper)
        lyrics = None if window.lyrics is None else self._tensor(window.lyrics)
        return self.prior.condition(labels, upper, len(window.styles), lyrics)

    def step(self, previous: Codes | None) -> NDArray[np.float32]:
        """See :class:`engine.backends.protocol.LevelRunner`."""
        if self.conditions is None:
            raise RuntimeError("step before begin: a window has to be begun first")
        before = None if previous is None else self._tensor(previous)
        logits = self.prior.step(self.caches, self.conditions, before, self.position)
        self.position += 1
        # Characters of a joint sequence are never drawn where a code belongs.
        return logits[:, self.prior.first_code :].float().cpu().numpy()

    def sample(self, previous: Codes | None, noise: NDArray[np.float64], settings: LevelSampling) -> Codes:
        """See :class:`engine.backends.protocol.LevelRunner`."""
        return sample_here(self.step, previous, noise, settings)
