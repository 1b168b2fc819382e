"""One level's prior as graphs: steps and draws follow each other on the device, tokens come back by the chunk.

Each runner has a CUDA stream of its own, so that levels in threads of their own overlap on the device; on a CPU
streams are nothing. What passes between levels passes through host memory, so no stream waits for another.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.backends.protocol import Codes, Stopped, WindowInput, never
from engine.backends.torch_draw import Filter, device_draw, filter_of, threshold_of
from engine.backends.torch_graphs import Graphed, new_pool
from engine.backends.torch_runner import TorchRunner
from engine.backends.torch_steps import Operations, PlainOperations, begin_window, make_state, step_logits
from engine.errors import BadFormat, OutOfRange
from engine.prior.config import PriorConfig
from engine.prior.prior import Prior
from engine.request import LevelSampling
from engine.store.config import ModelConfig

CHUNK = 256  # tokens of noise and codes that lie on the device at once


@dataclass(frozen=True)
class ChunkState:
    """What a run of draws reads and writes, on the device: ``noise`` float64 [CHUNK, N], ``codes`` int64 [CHUNK, N]
    (-1 where logits were not finite), ``drawn`` int64 [1], how many are drawn; ``temperature`` and ``threshold``
    float64 [1]; ``logits`` float32 [N, bins] of the last step that did not draw."""

    noise: Tensor
    codes: Tensor
    drawn: Tensor
    temperature: Tensor
    threshold: Tensor
    logits: Tensor

    @staticmethod
    def empty(lanes: int, bins: int, device: torch.device) -> ChunkState:
        """A state for ``lanes`` lanes."""
        return ChunkState(
            noise=torch.zeros(CHUNK, lanes, dtype=torch.float64, device=device),
            codes=torch.zeros(CHUNK, lanes, dtype=torch.int64, device=device),
            drawn=torch.zeros(1, dtype=torch.int64, device=device),
            temperature=torch.ones(1, dtype=torch.float64, device=device),
            threshold=torch.ones(1, dtype=torch.float64, device=device),
            logits=torch.zeros(lanes, bins, dtype=torch.float32, device=device),
        )


def static_bytes(config: PriorConfig, lanes: int, number_bytes: int) -> int:
    """Bytes that a runner keeps on the device beside weights and caches; ``number_bytes``: 4, or 2 in half precision.

    To be reserved by whoever plans a device's memory: of every level, since captured levels stay and overlap.
    """
    conditions = lanes * config.width * ((config.ctx if config.told else 0) + 1) * number_bytes
    table = 0 if number_bytes == 4 else config.bins * config.width * 4
    chunk = CHUNK * lanes * (8 + 8) + lanes * config.bins * 4
    return conditions + table + chunk + lanes * 8 + 4 * 8  # ids; position, count, temperature and threshold


class Pending:
    """Codes on their way to the host."""

    def __init__(self, codes: Tensor, event: torch.cuda.Event | None, what: str) -> None:
        self._codes, self._event, self._what = codes, event, what
        self.fetched = False

    def codes(self) -> Codes:
        """The codes int64 [N, count]; waits for them. Raises BadFormat where the model gave no probabilities."""
        if self._event is not None:
            self._event.synchronize()
        self.fetched = True
        found = self._codes.numpy().T.copy()
        if (found < 0).any():
            raise BadFormat(
                f"the prior of {self._what} gives no finite logits; float16 is too narrow for it: write @bf16 behind "
                "the model's name, or @fp32"
            )
        return found


class StaticRunner(TorchRunner):
    """Sampling state of one level for ``lanes`` lanes whose steps are captured, see
    :class:`engine.backends.protocol.LevelRunner`.

    One graph for steps that give logits and one for each way of filtering that is asked for; they never run at the
    same time, so they share their memory. A runner is one thread's at a time.
    """

    def __init__(
        self, prior: Prior, config: ModelConfig, lanes: int, operations: Operations | None = None
    ) -> None:
        super().__init__(prior, config, lanes)
        self.lanes, self.device = lanes, prior.embed.device
        self.operations = operations or PlainOperations()
        self.state = make_state(prior, lanes, self.caches)
        self.chunk = ChunkState.empty(lanes, prior.config.bins, self.device)
        cuda = self.device.type == "cuda"
        self.stream = torch.cuda.Stream(self.device) if cuda else None
        self._pool = new_pool(self.device)
        self._graphs: dict[Filter | None, Graphed] = {}
        self._pending: Pending | None = None
        self._host_noise = torch.zeros(CHUNK, lanes, dtype=torch.float64, pin_memory=cuda)
        self._host_codes = torch.zeros(CHUNK, lanes, dtype=torch.int64, pin_memory=cuda)
        self._host_logits = torch.zeros(lanes, prior.config.bins, pin_memory=cuda)
        self._host_ids = torch.zeros(lanes, dtype=torch.int64, pin_memory=cuda)
        if self.stream is not None:  # weights and buffers were made on the stream that is current here
            self.stream.wait_stream(torch.cuda.current_stream(self.device))

    @property
    def what(self) -> str:
        """The level, for messages."""
        return f"level {self.prior.config.level}"

    @contextmanager
    def _here(self) -> Iterator[None]:
        """Work inside goes to the runner's own stream, and keeps no gradients."""
        with torch.inference_mode(), torch.cuda.stream(self.stream):
            yield

    def begin(self, window: WindowInput, stopped: Stopped = never) -> None:
        """See :class:`engine.backends.protocol.LevelRunner`."""
        given = len(window.styles)
        if given != self.lanes:
            raise OutOfRange(
                f"windows for {given} lanes are given to a runner of {self.what} with {self.lanes}; "
                f"give it {self.lanes} or make a runner for {given}"
            )
        self._require_fetched()
        with self._here():
            for cache in self.caches:
                # What a mask hides is multiplied by zero, and an infinity that a window too wide for float16 left
                # there would not become zero by it.
                cache.keys.zero_()
                cache.values.zero_()
            super().begin(window, stopped)
            assert self.conditions is not None
            begin_window(self.prior, self.state, self.conditions, self.position)
            self.conditions = replace(self.conditions, added=None, states=None)  # copied, or in the caches

    def step(self, previous: Codes | None) -> NDArray[np.float32]:
        """See :class:`engine.backends.protocol.LevelRunner`."""
        self._require(1)
        with self._here():
            self._put_previous(previous)
            self._run(None, 1)
            self._host_logits.copy_(self.chunk.logits, non_blocking=True)
            event = self._mark()
        if event is not None:
            event.synchronize()
        self.position += 1
        return self._host_logits.numpy()

    def sample(self, previous: Codes | None, noise: NDArray[np.float64], settings: LevelSampling) -> Codes:
        """See :class:`engine.backends.protocol.LevelRunner`."""
        self._require(noise.shape[1])
        codes = np.empty(noise.shape, np.int64)
        for first in range(0, noise.shape[1], CHUNK):
            part = noise[:, first : first + CHUNK]
            found = codes[:, first : first + CHUNK] = self.launch(previous, part, settings).codes()
            previous = found[:, -1]
        return codes

    def launch(self, previous: Codes | None, noise: NDArray[np.float64], settings: LevelSampling) -> Pending:
        """Have the next tokens sampled, at most ``CHUNK`` of them, and come back at once; see :meth:`sample`.

        On a CPU they are sampled before this returns. What is pending has to be fetched before the next launch.
        """
        lanes, count = noise.shape
        self._require(count)
        if lanes != self.lanes or count > CHUNK:
            raise OutOfRange(
                f"noise of {lanes} lanes and {count} tokens is given to a runner of {self.what}; it takes "
                f"{self.lanes} lanes and up to {CHUNK} tokens"
            )
        with self._here():
            self._host_noise[:count].copy_(torch.from_numpy(noise.T))
            self.chunk.noise[:count].copy_(self._host_noise[:count], non_blocking=True)
            self.chunk.temperature.fill_(settings.temperature)
            self.chunk.threshold.fill_(threshold_of(settings))
            self.chunk.drawn.zero_()
            self._put_previous(previous)
            self._run(filter_of(settings), count)
            self._host_codes[:count].copy_(self.chunk.codes[:count], non_blocking=True)
            event = self._mark()
        self.position += count
        self._pending = Pending(self._host_codes[:count], event, self.what)
        return self._pending

    def _require(self, count: int) -> None:
        if self.conditions is None:
            raise RuntimeError("step before begin: a window has to be begun first")
        self._require_fetched()
        left = self.prior.config.n_ctx - self.position
        if count > left:  # the device could only stop the whole process
            raise OutOfRange(
                f"{count} tokens are wanted of {self.what} and its window has room for {left}; begin the next window"
            )

    def _require_fetched(self) -> None:
        if self._pending is not None and not self._pending.fetched:
            raise RuntimeError(
                "tokens of this runner are pending; fetch them first, their memory is used again"
            )

    def _put_previous(self, previous: Codes | None) -> None:
        """Without one, ``ids`` are the last of the lyrics in a joint sequence, and are not looked at elsewhere."""
        if previous is not None:
            self._host_ids.copy_(torch.from_numpy(np.ascontiguousarray(previous)))
            self.state.ids.copy_(self._host_ids.add_(self.prior.first_code), non_blocking=True)

    def _mark(self) -> torch.cuda.Event | None:
        if self.stream is None:
            return None
        event = torch.cuda.Event(blocking=True)  # whoever waits leaves the processor to the other levels
        event.record(self.stream)
        return event

    def _run(self, kind: Filter | None, times: int) -> None:
        """Steps that draw with a filter of this kind, or (None) give logits."""
        if kind not in self._graphs:
            self._graphs[kind] = self._graph(kind)
        state, chunk = self.state, self.chunk
        given = {"position": state.position, "ids": state.ids}
        if kind is None:
            given["logits"] = chunk.logits
        else:
            given |= {"noise": chunk.noise, "codes": chunk.codes, "drawn": chunk.drawn}
        self._graphs[kind](times, **given)

    def _graph(self, kind: Filter | None) -> Graphed:
        how = "that gives logits" if kind is None else f"that draws with filter '{kind}'"
        lanes = f"{self.lanes} lane{'s' * (self.lanes > 1)}"
        return Graphed(
            self._step_only if kind is None else partial(self._step_and_draw, kind),
            f"the step of {self.what} with {lanes} {how}",
            self.device,
            restored=("position", "ids") if kind is None else ("position", "ids", "drawn"),
            pool=self._pool,
            stream=self.stream,
        )

    def _step_only(self, position: Tensor, ids: Tensor, logits: Tensor) -> None:
        logits.copy_(step_logits(self.prior, self.state, self.operations))
        position.add_(1)

    def _step_and_draw(
        self, kind: Filter, position: Tensor, ids: Tensor, noise: Tensor, codes: Tensor, drawn: Tensor
    ) -> None:
        """A step and the draw of its token, which the next step reads."""
        logits = step_logits(self.prior, self.state, self.operations)  # [N, bins]
        uniforms = noise.index_select(0, drawn).squeeze(0)  # [N]
        token = device_draw(logits, uniforms, self.chunk.temperature, kind, self.chunk.threshold)  # [N]
        codes.index_copy_(0, drawn, token.unsqueeze(0))
        # That there is no token is told when the chunk is fetched; an id outside the table would stop the device.
        ids.copy_(token.clamp(min=0) + self.prior.first_code)
        drawn.add_(1)
        position.add_(1)
