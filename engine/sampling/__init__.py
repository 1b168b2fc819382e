"""Sampling: a plan of windows, counter-based noise, a scheduler that interleaves the levels (DESIGN.md §4)."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from engine.backends.protocol import Backend, Codes
from engine.events import Event
from engine.request import Request
from engine.sampling.decoding import decode
from engine.sampling.start import Start
from engine.sampling.stream import Making, continue_takes, continue_with, warm_start

if TYPE_CHECKING:
    from engine.store.folder import Model

__all__ = ["Making", "Start", "continue_prime", "continue_takes", "continue_with", "decode", "warm_start"]


def continue_prime(
    model: "Model | Backend",
    request: Request,
    prime: NDArray[np.float32],
    *,
    start: Start | None = None,
    done: Mapping[int, Codes] | None = None,
    chunk_frames: int = 4096,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[Event]:
    """:func:`continue_with` for a loaded torch model or any backend."""
    if not isinstance(model, Backend):
        from engine.backends.torch_backend import TorchBackend

        model = TorchBackend(model)
    return continue_with(
        model, request, prime, start=start, done=done, chunk_frames=chunk_frames, should_stop=should_stop
    )
