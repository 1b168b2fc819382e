"""CUDA graphs of functions that work in place on tensors that stay where they are.

A graph replays launches with the addresses that it was captured with. What would go wrong in silence then (another
tensor, another shape) is refused in one sentence here, also where nothing is captured: on a CPU or with
``SEGUE_NO_CUDA_GRAPH=1`` the same contract holds and the function simply runs.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

SWITCH = "SEGUE_NO_CUDA_GRAPH"
WARM_UP = 3  # runs before the capture: libraries choose their kernels and take their workspaces in them
_log = logging.getLogger(__name__)
_capturing = threading.Lock()  # captures of several threads at once would see each other's allocations


class GraphMisuse(RuntimeError):
    """A captured function was called with something else than it was captured with, or from two places at once."""


@dataclass(frozen=True)
class Signature:
    """What a captured argument has to be again."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    address: int

    @staticmethod
    def of(tensor: Tensor) -> Signature:
        """The signature of a tensor."""
        return Signature(tuple(tensor.shape), tensor.dtype, tensor.device, tensor.data_ptr())


def graphs_wanted(device: torch.device) -> bool:
    """Whether functions on ``device`` are captured: on CUDA, unless ``SEGUE_NO_CUDA_GRAPH`` says otherwise."""
    return device.type == "cuda" and os.environ.get(SWITCH, "") in ("", "0")


class Graphed:
    """``function(**tensors)``, which returns nothing and writes its results into its arguments.

    ``name`` says in messages what it is, such as "the step of level 2 with 4 lanes". The first call runs it
    ``WARM_UP`` times and captures it; arguments named in ``restored`` are put back after each of these runs, so that
    they leave no trace: whatever else the function writes it has to write again in the same way. ``pool``: memory
    shared with other graphs, see :func:`new_pool`; ``stream``: where everything runs.
    """

    def __init__(
        self,
        function: Callable[..., None],
        name: str,
        device: torch.device,
        *,
        restored: tuple[str, ...] = (),
        pool: Any = None,
        stream: torch.cuda.Stream | None = None,
    ) -> None:
        self.function, self.name, self.device = function, name, device
        self.restored, self.pool, self.stream = restored, pool, stream
        self.graph: torch.cuda.CUDAGraph | None = None
        self.enabled = graphs_wanted(device)
        self._signatures: dict[str, Signature] = {}
        self._kept: dict[str, Tensor] = {}  # an address stays taken for as long as the graph may write there
        self._running = threading.Lock()

    @property
    def captured(self) -> bool:
        """Whether calls replay a graph."""
        return self.graph is not None

    def __call__(self, times: int = 1, **tensors: Tensor) -> None:
        """Run it ``times`` times over; the arguments are checked once.

        Raises GraphMisuse, before anything has run, for arguments other than those of the first call, and while
        another call is under way.
        """
        if not self._running.acquire(blocking=False):
            raise GraphMisuse(
                f"{self.name} is running already; it works on one set of tensors, so let it finish first or make "
                "a runner for every thread"
            )
        try:
            if self._kept:
                self._check(tensors)
            else:
                self._first(tensors)
            for _ in range(times):
                if self.graph is not None:
                    self.graph.replay()
                else:
                    self.function(**tensors)
        finally:
            self._running.release()

    def reset(self) -> None:
        """Forget graph and arguments; the next call captures anew."""
        self.graph = None
        self._signatures, self._kept = {}, {}

    def _first(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            if tensor.device != self.device:
                raise GraphMisuse(
                    f"argument '{name}' of {self.name} is on {tensor.device}; it has to be on {self.device}"
                )
        unknown = [name for name in self.restored if name not in tensors]
        if unknown:
            raise GraphMisuse(
                f"{self.name} is to put back '{unknown[0]}' after its warm-up and was not given it"
            )
        if self.enabled:
            self._capture(tensors)
        self._signatures = {name: Signature.of(tensor) for name, tensor in tensors.items()}
        self._kept = dict(tensors)

    def _check(self, tensors: Mapping[str, Tensor]) -> None:
        advice = f"or set {SWITCH}=1 and make it anew to run without graphs"
        different = tensors.keys() ^ self._signatures.keys()
        if different:
            name = min(different)
            state = "is missing from" if name in self._signatures else "is new to"
            known = ", ".join(f"'{known}'" for known in self._signatures)
            raise GraphMisuse(f"argument '{name}' {state} {self.name}, which was captured with {known}")
        for name, tensor in tensors.items():
            found, wanted = Signature.of(tensor), self._signatures[name]
            for what, one, other in (
                ("shape", found.shape, wanted.shape),
                ("type", found.dtype, wanted.dtype),
                ("device", found.device, wanted.device),
            ):
                if one != other:
                    raise GraphMisuse(
                        f"argument '{name}' of {self.name} has {what} {one}; it was captured with {other}: give it "
                        f"that, {advice}"
                    )
            if found.address != wanted.address:
                raise GraphMisuse(
                    f"argument '{name}' of {self.name} is another tensor of shape {found.shape} than the one of shape "
                    f"{wanted.shape} that was captured: copy into that one, {advice}"
                )

    def _capture(self, tensors: Mapping[str, Tensor]) -> None:
        """Warm up and capture; where the device refuses, say so once and go on without a graph."""
        stream = self.stream or torch.cuda.Stream(self.device)
        before = {name: tensors[name].clone() for name in self.restored}
        stream.wait_stream(torch.cuda.current_stream(self.device))
        try:
            with torch.cuda.stream(stream), _capturing:
                for _ in range(WARM_UP):
                    self.function(**tensors)
                    for name, value in before.items():
                        tensors[name].copy_(value)
                graph = torch.cuda.CUDAGraph()
                # Other threads run other levels meanwhile; only what this one does may spoil its capture.
                with torch.cuda.graph(
                    graph, pool=self.pool, stream=stream, capture_error_mode="thread_local"
                ):
                    self.function(**tensors)
            self.graph = graph
        except RuntimeError as error:
            self.enabled = False
            _log.warning(
                "%s could not be captured into a CUDA graph and runs without, slower: %s", self.name, error
            )
        torch.cuda.current_stream(self.device).wait_stream(stream)


def new_pool(device: torch.device) -> Any:
    """Memory for graphs that never run at the same time: those of one runner. None where nothing is captured.

    Graphs in one pool use each other's memory between replays, so two levels that overlap need a pool each.
    """
    return torch.cuda.graph_pool_handle() if graphs_wanted(device) else None
