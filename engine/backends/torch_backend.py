"""The torch backend: eager steps on a CPU, captured ones on CUDA; static caches on both."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from engine.backends.protocol import Codes
from engine.backends.torch_operations import operations_for
from engine.backends.torch_runner import TorchRunner
from engine.backends.torch_static import StaticRunner
from engine.backends.torch_steps import Operations
from engine.prior.labels import make_labels
from engine.request import Style
from engine.store.config import ModelConfig
from engine.store.folder import Model


class TorchBackend:
    """A loaded :class:`engine.store.Model` behind the backend protocol, on the device that it was loaded on.

    ``static``: whether steps have static shapes and are captured where that can be (engine/backends/torch_static.py);
    by default on CUDA, since eager steps, which read no more than is there, are faster on a CPU.
    """

    def __init__(self, model: Model, static: bool | None = None) -> None:
        self.model = model
        cuda = self._device().type == "cuda"
        self.static = cuda if static is None else static
        self._operations: dict[int, Operations] = {}
        if cuda:
            keep_precision()

    @property
    def config(self) -> ModelConfig:
        """The model's configuration."""
        return self.model.config

    @property
    def hash(self) -> str:
        """The model's identity."""
        return self.model.hash

    @property
    def files(self) -> dict[str, str]:
        """Digests of what decides what it makes."""
        return self.model.files

    def _device(self) -> torch.device:
        return next(self.model.codec.parameters()).device

    @property
    def runtime(self) -> str:
        """Torch, the kind of device and the type of the weights, such as ``torch cpu float32``."""
        names = {str(p.dtype).removeprefix("torch.") for p in self.model.priors[self.config.top].parameters()}
        held = {str(b.dtype).removeprefix("torch.") for b in self.model.priors[self.config.top].buffers()}
        precision = "int8" if "int8" in held else "+".join(sorted(names))
        return f"torch {self._device().type} {precision}"

    def check_style(self, style: Style) -> None:
        """Raise NoStyle if the model lacks a label of ``style``."""
        make_labels(style, 1, 0, self.config.vocabulary(self.config.top))

    def encode(self, samples: NDArray[np.float32], levels: tuple[int, ...]) -> dict[int, Codes]:
        """Codes of mono samples [T]."""
        found = self.model.codec.encode(torch.from_numpy(samples).to(self._device()), levels)
        return {level: codes.cpu().numpy() for level, codes in found.items()}

    def runner(self, level: int, lanes: int) -> TorchRunner:
        """A new sampling state of one level."""
        prior = self.model.priors[level]
        if not self.static:
            return TorchRunner(prior, self.config, lanes)
        if level not in self._operations:
            self._operations[level] = operations_for(prior)
        return StaticRunner(prior, self.config, lanes, self._operations[level])

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


def keep_precision() -> None:
    """Have CUDA compute in the precision that its tensors have; the only place where that is set.

    TF32 keeps 10 bits of float32 and changes which token is drawn, and which code is nearest (facts/peers.md §B.3).
    Sums of half-precision products in half precision overflow where the released models do not.
    """
    matmul = torch.backends.cuda.matmul
    matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    matmul.allow_fp16_reduced_precision_reduction = False
    matmul.allow_bf16_reduced_precision_reduction = False
