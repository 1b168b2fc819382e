"""Which runtime a model is run by: what the user wants, and what the machine and the model folder have."""

from __future__ import annotations

import importlib.util
import logging
from typing import TYPE_CHECKING, Literal

from engine.backends import SAMPLING_THREADS
from engine.errors import NoMemory
from engine.store import model_folder, read_config
from engine.store.files import CODEC_FILE, GRAPHS_FILE, prior_file
from engine.store.home import INT8, named_precision, split_precision

if TYPE_CHECKING:
    from engine.backends.protocol import Backend

Wanted = Literal["auto", "torch", "onnx"]
_GRAPH_COPIES = 3  # of the weights: one that step and row graphs share, and one of each, packed for speed
OLDEST_RUNTIME = (1, 22)  # the first with 8-bit matrices on the processor
_LOADED_AT_ONCE = 1 << 30  # bytes; of a model that needs more, a level is loaded when it is first wanted
_log = logging.getLogger(__name__)


def open_backend(name: str, wanted: Wanted = "auto", threads: int = SAMPLING_THREADS) -> Backend:
    """The model ``name`` (shipped, imported, or a folder; ``@fp16`` or ``@bf16`` behind it for half precision) behind
    a backend, on the CPU. ``@int8`` and ``@fp32`` are precisions of graphs; without one, each level runs in what its
    export found best.

    ``auto`` takes ONNX Runtime where it is installed and the model was exported, else torch. Where ONNX Runtime is
    wanted and missing, or 8 bits are wanted and torch runs, torch takes its place and a line says so. Raises NoModel,
    BadFormat for graphs that do not fit the weights, NoMemory before anything is loaded that there is no room for.

    Torch is set to ``threads`` threads. Sums round differently on another number of them, and then a token now
    and again comes out otherwise: the same request gives the same take only with the same number everywhere,
    whatever the machine or the environment says. One token's matrices are too small to share out in any case.
    """
    folder = model_folder(name)
    named = named_precision(name)[1]
    half = named in ("fp16", "bf16")
    missing = _runtime_missing()
    if wanted == "onnx" and (half or missing):
        why = "runs in single precision and in 8 bits only" if half else missing
        _log.warning("ONNX Runtime %s; torch runs %s", why, name)
    exported = (folder / GRAPHS_FILE).is_file()
    if wanted == "torch" or half or missing or (wanted == "auto" and not exported):
        if named == INT8:
            _log.warning("8 bits are for ONNX graphs; torch runs %s in single precision", name)
        return _torch(name, threads)
    from engine.backends.onnx_backend import OnnxBackend
    from engine.backends.onnx_weights import GRAPH_PRECISIONS

    need = _require_room(name)
    backend = OnnxBackend(folder, next((own for own in GRAPH_PRECISIONS if own == named), None))
    if need <= _LOADED_AT_ONCE:
        backend.load()
    return backend


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


def _torch(name: str, threads: int) -> Backend:
    import psutil
    import torch

    from engine.backends.torch_backend import TorchBackend
    from engine.store import load_model
    from engine.store.memory import require_memory

    torch.set_num_threads(threads)
    config = read_config(model_folder(name))
    require_memory(config, psutil.virtual_memory().available, precision=split_precision(name)[1])
    return TorchBackend(load_model(name))


def _require_room(name: str) -> int:
    """Bytes that float32 copies of the weights take. Raises NoMemory if they would not fit."""
    import psutil

    folder = model_folder(name)
    files = [
        folder / CODEC_FILE,
        *(folder / prior_file(level) for level in range(len(read_config(folder).priors))),
    ]
    # Stored in two bytes or four a value; two is the worse case.
    need = _GRAPH_COPIES * 2 * sum(file.stat().st_size for file in files if file.is_file())
    available = psutil.virtual_memory().available
    if need > available:
        raise NoMemory(
            f"the graphs of '{name}' need {need / 1e9:.1f} GB and {available / 1e9:.1f} GB are free; "
            "torch in half precision needs less: --backend torch and @bf16 behind the model's name"
        )
    return need
