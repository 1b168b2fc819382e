"""ONNX Runtime on a card: a step graph over caches that stay there, bound once, held by one CUDA graph.

The graph is :class:`export.onnx.device_step.DeviceStepGraph`. It gives the same when it is run again at a position,
which capturing does. Conditions and prefill are computed by the processor's graphs and carried over once a window; of
a step, a token and a position go up and the logits come back.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from engine.backends.choose import CUDA_PROVIDER
from engine.backends.onnx_caches import NAMES, Array, WindowCaches, by_layer, positions_kept
from engine.backends.onnx_runner import OnnxPrefill
from engine.backends.onnx_sessions import PROVIDERS, options
from engine.backends.protocol import Codes, Stopped, WindowInput, never
from engine.errors import BadFormat, NoDevice, NoMemory, SegueError
from engine.prior.config import PriorConfig
from engine.prior.patterns import Kind
from engine.request import LevelSampling
from engine.sampling.draw import sample_here

Place = Literal["cpu", "cuda"]
# TF32 keeps 10 bits of float32 and changes which token is drawn (facts/peers.md §B.3).
CUDA_OPTIONS = {"device_id": "0", "use_tf32": "0", "enable_cuda_graph": "1"}
_COPIES = ("MemcpyFromHost", "MemcpyToHost")  # what the runtime puts between nodes on a card and others
_numbers = itertools.count(1)  # of captured graphs; a session holds one for every runner


def slots(config: PriorConfig, kind: Kind) -> int:
    """Positions that a cache of a kind has room for on a card: of columns all, of rows two by parity, and of the
    prime's one more, which takes the positions that are not kept."""
    kept = positions_kept(config, kind)
    return {
        Kind.COLUMN: kept * config.shape.block_ctx,
        Kind.PREVIOUS_ROW: 2 * kept,
        Kind.PRIME: kept + 1,
    }.get(kind, kept)


def on_card(caches: WindowCaches) -> Iterator[tuple[str, Array]]:
    """Names and contents [N * H, slots, D] of a window's caches as the step graph has them."""
    held = dict(caches.arrays)
    if caches.previous:  # [L, 2, N, H, block_ctx, D] each: the even rows', the odd rows'
        held[NAMES[Kind.PREVIOUS_ROW]] = np.concatenate(caches.previous[:2], axis=-2)
    for kind, name in NAMES.items():
        if name not in held:
            continue
        array = held[name]
        if kind is Kind.COLUMN:  # [L, 2, columns, N, H, rows, D]
            array = np.moveaxis(array, 2, 4)
            array = array.reshape(*array.shape[:4], -1, caches.d)
        elif kind is Kind.PRIME:
            array = np.pad(array, [(0, 0)] * 4 + [(0, 1), (0, 0)])
        for part, view in by_layer(name, array, caches.lanes):
            yield part, np.ascontiguousarray(view).reshape(-1, slots(caches.config, kind), caches.d)


class DeviceStep:
    """The step graph of a level, loaded on a card (or, for tests, on the processor). One pass at a time.

    ``weights``: arrays by the names that the graph gives them, see
    :func:`engine.backends.onnx_weights.graph_weights`. ``profile``: where the runtime writes what ran where.
    Raises NoDevice without a card that the runtime can use, NoMemory if the card has no room, BadFormat if the
    runtime refuses the graph, as it does for one that could not be captured.
    """

    def __init__(
        self,
        path: Path,
        weights: dict[str, NDArray[Any]],
        place: Place = "cuda",
        profile: Path | None = None,
    ) -> None:
        self.place: Place = place
        self.lock = threading.Lock()
        chosen = options()
        if profile is not None:
            chosen.enable_profiling, chosen.profile_file_prefix = True, str(profile)
        held = [
            np.ascontiguousarray(array) for array in weights.values()
        ]  # until the runtime has copied them
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in held]
        chosen.add_external_initializers(list(weights), values)
        providers: Sequence[Any] = PROVIDERS
        if place == "cuda":
            # A profiled session is not captured: it is looked at node by node.
            captured = {} if profile is None else {"enable_cuda_graph": "0"}
            providers = [(CUDA_PROVIDER, CUDA_OPTIONS | captured), *PROVIDERS]
        try:
            self.session = onnxruntime.InferenceSession(str(path), chosen, providers=providers)
        except Exception as error:  # the runtime has no common base class for its failures
            raise refused(path, error) from error
        if place == "cuda" and CUDA_PROVIDER not in self.session.get_providers():
            raise NoDevice(
                "ONNX Runtime found no CUDA card that it can use (its driver or libraries are missing)"
            )

    def hold(self, array: NDArray[Any]) -> onnxruntime.OrtValue:
        """Memory on the device with a copy of an array."""
        value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
            array.shape, array.dtype.type, self.place, 0
        )
        value.update_inplace(np.ascontiguousarray(array))
        return value


def refused(path: Path, error: Exception) -> SegueError:
    """What to raise for a graph that the runtime does not load: NoMemory if the card is full, else BadFormat."""
    if "allocate memory" in str(error) or "out of memory" in str(error):
        return NoMemory(
            f"{path.name} in single precision does not fit on the card; torch in half precision needs less: --backend "
            "torch and @bf16 behind the model's name"
        )
    return BadFormat(f"{path} cannot be loaded: {error}")


class DeviceRunner:
    """Sampling state of one level, see :class:`engine.backends.protocol.LevelRunner`, whose steps run on a card."""

    def __init__(self, step: DeviceStep, prefill: OnnxPrefill) -> None:
        self.graph, self.prefill = step, prefill
        config, lanes = prefill.config, prefill.lanes
        self.place = step.hold(np.zeros((), np.int64))
        self.previous = step.hold(np.zeros(lanes, np.int64))
        self.added = step.hold(prefill.added)
        self.logits = step.hold(np.zeros((lanes, config.bins), np.float32))
        numbers = np.arange(lanes * config.heads)
        self.lane_heads = step.hold(np.stack((numbers, np.zeros_like(numbers)), 1))
        self.caches = {name: step.hold(array) for name, array in on_card(prefill.caches)}
        self.position = -1
        self.options = onnxruntime.RunOptions()
        self.options.add_run_config_entry("gpu_graph_id", str(next(_numbers)))
        self.binding = self._bound()

    def _bound(self) -> onnxruntime.IOBinding:
        binding = self.graph.session.io_binding()
        given = {
            "place": self.place,
            "previous": self.previous,
            "added": self.added,
            "lane_heads": self.lane_heads,
        }
        for name, value in (given | self.caches).items():
            binding.bind_ortvalue_input(name, value)
        names = {node.name for node in self.graph.session.get_outputs()}
        for name, value in self.caches.items():
            if f"new_{name}" in names:
                binding.bind_ortvalue_output(f"new_{name}", value)
        binding.bind_ortvalue_output("logits", self.logits)
        return binding

    def begin(self, window: WindowInput, stopped: Stopped = never) -> None:
        """See :class:`engine.backends.protocol.LevelRunner`."""
        self.prefill.begin(window, stopped)
        self.position = self.prefill.position
        if self.position < 0:
            return
        with self.graph.lock:
            self.added.update_inplace(self.prefill.added)
            for name, array in on_card(self.prefill.caches):
                self.caches[name].update_inplace(array)

    def step(self, previous: Codes | None) -> Array:
        """See :class:`engine.backends.protocol.LevelRunner`."""
        if self.position < 0:
            raise RuntimeError("step before begin: a window has to be begun first")
        if self.prefill.waiting is not None:
            logits, self.prefill.waiting = self.prefill.waiting, None
            return logits
        assert previous is not None
        self.position += 1
        with self.graph.lock:
            self.place.update_inplace(np.array(self.position, np.int64))
            self.previous.update_inplace(np.ascontiguousarray(previous + self.prefill.first_code))
            self.graph.session.run_with_iobinding(self.binding, self.options)
            found: Array = self.logits.numpy()
        return found

    def sample(self, previous: Codes | None, noise: NDArray[np.float64], settings: LevelSampling) -> Codes:
        """See :class:`engine.backends.protocol.LevelRunner`."""
        return sample_here(self.step, previous, noise, settings)


def require_on_device(profile: Path, place: Place = "cuda") -> None:
    """Raise BadFormat unless every node in a profile that the runtime wrote ran on the card, and none copied to it
    or from it."""
    wanted = CUDA_PROVIDER if place == "cuda" else PROVIDERS[0]
    try:
        events = json.loads(profile.read_text())
        ran = [
            event["args"] for event in events if event.get("cat") == "Node" and "provider" in event["args"]
        ]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise BadFormat(f"{profile} is not a profile of ONNX Runtime; run the graph again") from error
    if not ran:
        raise BadFormat(f"{profile} names no node that ran; run the graph before its profile is ended")
    copies = sum(args["op_name"] in _COPIES for args in ran)
    elsewhere = sorted({args["op_name"] for args in ran if args["provider"] != wanted})
    if copies or elsewhere:
        raise BadFormat(
            f"a step copies {copies} times between card and processor, and runs {', '.join(elsewhere) or 'nothing'} "
            f"outside {wanted}; it must stay on the card"
        )
