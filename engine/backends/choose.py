"""Which runtime a model is run by, and on what: what the user wants, and what the machine and the model folder have."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from engine.backends import SAMPLING_THREADS
from engine.errors import NoDevice, NoMemory
from engine.store import model_folder, read_config
from engine.store.files import CODEC_FILE, GRAPHS_FILE, prior_file
from engine.store.home import INT8, named_precision, split_precision

if TYPE_CHECKING:
    from engine.backends.protocol import Backend
    from engine.store.config import ModelConfig

Wanted = Literal["auto", "torch", "onnx"]
Tell = Callable[[float, str], None]  # hears how far loading has come, in [0, 1], and what is being loaded
Device = Literal["auto", "cpu", "cuda"]  # where the user wants a model to be run
CUDA_PROVIDER = "CUDAExecutionProvider"
CARD_GRAPH = (
    "device_step_0.onnx"  # there where a model was exported for cards (engine/backends/onnx_manifest.py)
)
# Bytes of priors as they are stored that two processor cores play in real time, with room: the starter has 26 MB. A
# step there takes as long as reading the weights does; on a card a small one takes as long as its launches do.
SMALL = 1 << 26
_GRAPH_COPIES = 3  # of the weights: one that step and row graphs share, and one of each, packed for speed
OLDEST_RUNTIME = (1, 22)  # the first with 8-bit matrices on the processor
_LOADED_AT_ONCE = 1 << 30  # bytes; of a model that needs more, a level is loaded when it is first wanted
# Bytes of a card that torch takes beside tensors: libraries' workspaces, modules loaded on demand, captured graphs.
CARD_RESERVE = 1 << 29
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """What the choice rests on. ``missing``: why ONNX Runtime cannot be used, empty where it can; ``providers``: its
    own; ``precision``: behind the model's ``@``, None without one; ``exported``: the folder has graphs;
    ``for_cards``: also those that run on a card; ``stored``: bytes of all priors' files; ``card``: whether torch
    sees a CUDA card, asked only where it matters, since torch is loaded to answer."""

    missing: str
    providers: tuple[str, ...]
    precision: str | None
    exported: bool
    for_cards: bool
    stored: int
    card: Callable[[], bool]


@dataclass(frozen=True)
class Choice:
    """A runtime and a device, and what has to be said where they are not what was wanted."""

    runtime: Literal["torch", "onnx"]
    device: Literal["cpu", "cuda"]
    said: tuple[str, ...] = ()


def choose(name: str, wanted: Wanted, device: Device, found: Found) -> Choice:
    """The rule, as a pure function; ``name`` is for what is said. What the user names is taken where it is there.

    ``auto`` runs a small model (:data:`SMALL`) that was exported by ONNX Runtime on the processor, which plays it in
    real time, begins within seconds, since torch is not loaded, and leaves the card to the screen. Everything
    larger, every model without graphs and every one in half precision goes to the card by torch, if there is a card,
    since reading the weights for each token is what takes the time (facts/peers.md §B); else to the processor.
    """
    half = found.precision in ("fp16", "bf16")
    if wanted == "onnx" and (half or found.missing):
        why = "runs in single precision and in 8 bits only" if half else found.missing
        found = replace(found, missing=found.missing or why)
        said = (f"ONNX Runtime {why}; torch runs {name}",)
        return _by_torch(name, device, found, said)
    graphs = not (half or found.missing) and (wanted == "onnx" or found.exported)
    if wanted == "torch" or not graphs:
        return _by_torch(name, device, found)
    if device == "cuda":
        return _graphs_on_card(name, wanted, found)
    if wanted == "auto" and device == "auto" and found.stored > SMALL and found.card():
        return Choice("torch", "cuda")
    return Choice("onnx", "cpu")


def _by_torch(name: str, device: Device, found: Found, said: tuple[str, ...] = ()) -> Choice:
    if device != "cpu" and found.card():
        return Choice("torch", "cuda", said)
    if device == "cuda":
        said = (*said, f"CUDA is wanted and torch sees no CUDA card here; the processor runs {name}")
    return Choice("torch", "cpu", said)


def _graphs_on_card(name: str, wanted: Wanted, found: Found) -> Choice:
    """Graphs that may run on a card and were asked to: torch is the faster there, unless ONNX Runtime is named."""
    if wanted == "auto" and found.card():
        return Choice("torch", "cuda")
    why = _no_graphs_on_card(name, found)
    if not why:
        return Choice("onnx", "cuda")
    if found.card():
        return Choice("torch", "cuda", (f"{why}; torch runs {name} on the card",))
    return Choice("onnx", "cpu", (f"{why}, and torch sees no CUDA card; the processor runs {name}",))


def _no_graphs_on_card(name: str, found: Found) -> str:
    """Why graphs cannot run on a card; empty where they can."""
    if CUDA_PROVIDER not in found.providers:
        return f"this build of ONNX Runtime has no {CUDA_PROVIDER} (pip install onnxruntime-gpu)"
    if found.precision == INT8:
        return "graphs for a card are in single precision only"
    if not found.for_cards:
        return f"{name} has no graphs for a card (write them with: segue export onnx {name})"
    return ""


def open_backend(
    name: str,
    wanted: Wanted = "auto",
    threads: int = SAMPLING_THREADS,
    device: Device = "auto",
    tell: Tell = lambda _fraction, _what: None,
) -> Backend:
    """The model ``name`` (shipped, imported, or a folder; a precision behind ``@``) behind a backend, by the rule of
    :func:`choose`. Without a precision, each level of graphs runs in what its export found best, and torch in
    single precision.

    Where something that is wanted is missing, something else takes its place and a line says so. Raises NoModel,
    BadFormat for graphs that do not fit the weights, NoMemory before anything is loaded that there is no room for: on
    a card that is named; where it was not, a line says so and the processor runs the model.

    Torch is set to ``threads`` threads. Sums round differently on another number of them, and then a token now
    and again comes out otherwise: the same request gives the same take only with the same number everywhere,
    whatever the machine or the environment says. One token's matrices are too small to share out in any case.
    """
    found = _look(name)
    choice = choose(name, wanted, device, found)
    for line in choice.said:
        _log.warning("%s", line)
    if (choice.runtime, choice.device) == ("torch", "cuda"):
        try:
            return _torch(name, threads, "cuda", tell)
        except NoMemory as error:
            if device == "cuda":
                raise
            _log.warning("%s; the processor runs %s", error.message, name)
            choice = choose(name, wanted, "cpu", found)
    if choice.runtime == "torch":
        return _torch(name, threads, "cpu", tell)
    return _onnx(name, choice.device, tell)


def _look(name: str) -> Found:
    folder = model_folder(name)
    files = [folder / prior_file(level) for level in range(len(read_config(folder).priors))]
    missing = _runtime_missing()
    return Found(
        missing=missing,
        providers=() if missing else runtime_providers(),
        precision=named_precision(name)[1],
        exported=(folder / GRAPHS_FILE).is_file(),
        for_cards=(folder / CARD_GRAPH).is_file(),
        stored=_bytes_of(files),
        card=_torch_sees_card,
    )


def runtime_providers() -> tuple[str, ...]:
    """What this build of ONNX Runtime, which has to be there, can run graphs on."""
    import onnxruntime

    return tuple(onnxruntime.get_available_providers())


def _torch_sees_card() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def _runtime_missing() -> str:
    """Why ONNX Runtime cannot be used here; nothing where it can."""
    if importlib.util.find_spec("onnxruntime") is None:
        return "is not installed (pip install onnxruntime)"
    try:
        import onnxruntime
    except ImportError as error:  # a build for another Python, or a library that is not there
        return f"cannot be imported ({error}); install it again"
    if tuple(map(int, onnxruntime.__version__.split(".")[:2])) < OLDEST_RUNTIME:
        oldest = ".".join(map(str, OLDEST_RUNTIME))
        return f"{onnxruntime.__version__} is too old, {oldest} is needed (pip install -U onnxruntime)"
    return ""


def _onnx(name: str, device: Literal["cpu", "cuda"], tell: Tell) -> Backend:
    from engine.backends.onnx_backend import OnnxBackend
    from engine.backends.onnx_weights import GRAPH_PRECISIONS

    need = _require_room(name)
    named = named_precision(name)[1]
    precision = next((own for own in GRAPH_PRECISIONS if own == named), None)
    backend = OnnxBackend(model_folder(name), precision, "cuda" if device == "cuda" else None)
    try:
        backend.require_place()
    except NoDevice as error:
        _log.warning("%s; the processor runs %s", error.message, name)
        return _onnx(name, "cpu", tell)
    if need <= _LOADED_AT_ONCE:
        backend.load(tell)
    return backend


def _torch(name: str, threads: int, device: Literal["cpu", "cuda"], tell: Tell) -> Backend:
    import psutil
    import torch

    from engine.backends.torch_backend import TorchBackend
    from engine.store import load_model
    from engine.store.memory import require_memory

    torch.set_num_threads(threads)
    config = read_config(model_folder(name))
    if device == "cuda":
        require_card(name, config, torch.cuda.mem_get_info()[0])
    else:
        require_memory(config, psutil.virtual_memory().available, precision=split_precision(name)[1])
    return TorchBackend(load_model(name, device=device, tell=tell))


def require_card(name: str, config: ModelConfig, free: int) -> None:
    """Raise NoMemory, by the memory plan, for a model that ``free`` bytes of a card are too few for with one lane a
    level; say in a line where they are too few for as many lanes as are usual.

    Levels overlap on a card, so what all of them need while they compute counts (engine/backends/torch_static.py).
    """
    from engine.sampling.scheduler import LANES
    from engine.store.memory import ACTIVATION_BYTES, require_memory

    precision = split_precision(name)[1]

    def require(lanes: int) -> None:
        usual = {prior.level: 1 if prior.level == config.top else lanes for prior in config.priors}
        reserve = CARD_RESERVE + runners_bytes(config, usual, ACTIVATION_BYTES[precision])
        require_memory(config, free, lanes=usual, precision=precision, reserve=reserve, overlap=True)

    require(1)
    try:
        require(LANES)
    except NoMemory as error:
        _log.warning("on the card %s; or make takes with --lanes 1", error.message)


def runners_bytes(config: ModelConfig, lanes: dict[int, int], number_bytes: int) -> int:
    """Bytes that captured runners of all levels in ``lanes`` keep on a card beside weights and caches."""
    from engine.backends.torch_static import static_bytes

    return sum(static_bytes(config.priors[level], count, number_bytes) for level, count in lanes.items())


def _require_room(name: str) -> int:
    """Bytes that float32 copies of the weights take. Raises NoMemory if they would not fit."""
    import psutil

    folder = model_folder(name)
    files = [
        folder / CODEC_FILE,
        *(folder / prior_file(level) for level in range(len(read_config(folder).priors))),
    ]
    # Stored in two bytes or four a value; two is the worse case.
    need = _GRAPH_COPIES * 2 * _bytes_of(files)
    available = psutil.virtual_memory().available
    if need > available:
        raise NoMemory(
            f"the graphs of '{name}' need {need / 1e9:.1f} GB and {available / 1e9:.1f} GB are free; "
            "torch in half precision needs less: --backend torch and @bf16 behind the model's name"
        )
    return need


def _bytes_of(files: list[Path]) -> int:
    return sum(file.stat().st_size for file in files if file.is_file())
