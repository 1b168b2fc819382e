"""The torch backend: eager, static caches."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.backends.protocol import Codes, WindowInput
from engine.prior.labels import Labels, make_labels
from engine.prior.prior import Conditions, Prior
from engine.prior.pulse import pulse_rows
from engine.request import LevelSampling, Style
from engine.sampling.draw import sample_here
from engine.store.config import ModelConfig
from engine.store.folder import Model


class TorchRunner:
    """One level's prior with caches for ``lanes`` lanes."""

    def __init__(self, prior: Prior, config: ModelConfig, lanes: int) -> None:
        self.prior, self.names = prior, config.vocabulary(prior.config.level)
        self.caches = prior.caches(lanes)
        self.conditions: Conditions | None = None
        self.position = 0

    def _tensor(self, codes: Codes) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(codes)).to(self.prior.embed.device)

    @torch.inference_mode()
    def begin(self, window: WindowInput) -> None:
        """See :class:`engine.backends.protocol.LevelRunner`."""
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
        self.conditions = self.prior.condition(labels, upper, len(window.styles), lyrics)
        prefix = self._tensor(window.prefix)
        self.prior.prefill(self.caches, self.conditions, prefix)
        self.position = prefix.shape[1]

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


class TorchBackend:
    """A loaded :class:`engine.store.Model` behind the backend protocol."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @property
    def config(self) -> ModelConfig:
        """The model's configuration."""
        return self.model.config

    @property
    def hash(self) -> str:
        """The model's identity."""
        return self.model.hash

    def _device(self) -> torch.device:
        return next(self.model.codec.parameters()).device

    def check_style(self, style: Style) -> None:
        """Raise NoStyle if the model lacks a label of ``style``."""
        make_labels(style, 1, 0, self.config.vocabulary(self.config.top))

    def encode(self, samples: NDArray[np.float32], levels: tuple[int, ...]) -> dict[int, Codes]:
        """Codes of mono samples [T]."""
        found = self.model.codec.encode(torch.from_numpy(samples).to(self._device()), levels)
        return {level: codes.cpu().numpy() for level, codes in found.items()}

    def runner(self, level: int, lanes: int) -> TorchRunner:
        """A new sampling state of one level."""
        return TorchRunner(self.model.priors[level], self.config, lanes)

    def decode_grid(self, level: int) -> int:
        """Tokens per decoded piece."""
        return self.model.codec.decode_grid(level)

    def decode_margin(self, level: int) -> int:
        """Tokens needed on either side of a piece."""
        return self.model.codec.decode_margin(level)

    def decode_piece(self, codes: Codes, level: int, piece: int, total: int) -> NDArray[np.float32]:
        """Samples [frames] of one piece."""
        tensor = torch.from_numpy(np.ascontiguousarray(codes)).unsqueeze(0).to(self._device())
        return self.model.codec.decode_piece(tensor, level, piece, total)[0].cpu().numpy()
