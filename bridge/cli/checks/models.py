"""The model and what computes it."""

from __future__ import annotations

from bridge.cli.checks.finding import AskFailed, Finding, Level, ask

MODEL_SECONDS = 180

# Checks every file against the digests that were recorded, then opens the model as a session would.
_MODEL = """
import json, os, sys, time
from engine.backends.choose import open_backend
from engine.errors import SegueError
from engine.store import model_folder
from engine.store.inspecting import verify
name, backend, device = sys.argv[1:4]
answer = {}
try:
    checked = verify(model_folder(name))
    answer["wrong"] = {file: wrong for file, wrong in checked["files"].items() if wrong}
    began = time.perf_counter()
    model = open_backend(name, backend, device=device)
    answer |= {"hash": model.hash, "rate": model.config.rate, "runtime": model.runtime,
               "files": len(checked["files"]), "seconds": time.perf_counter() - began}
except SegueError as error:
    answer["error"] = error.message
except OSError as error:
    answer["error"] = f"{error.filename} cannot be read: {error.strerror}"
print("\\n" + json.dumps(answer), flush=True)
os._exit(0)
"""
_OTHERS = """
import json
from engine.errors import SegueError
from engine.store.home import known_models
from engine.store.inspecting import summarise
names, broken = [], {}
for name, folder in known_models().items():
    names.append(name)
    try:
        summarise(name, folder)
    except SegueError as error:
        broken[name] = error.message
print("\\n" + json.dumps({"names": names, "broken": broken}))
"""
_COMPUTE = """
import json, os
answer = {"gpus": [], "torch": "", "providers": [], "onnx": ""}
try:
    import torch
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    answer["gpus"] = [torch.cuda.get_device_name(i) for i in range(count)]
    answer["torch"] = torch.__version__
except ImportError as error:
    answer["no_torch"] = str(error)
try:
    import onnxruntime
    answer["providers"], answer["onnx"] = onnxruntime.get_available_providers(), onnxruntime.__version__
except ImportError as error:
    answer["no_onnx"] = str(error)
print("\\n" + json.dumps(answer), flush=True)
os._exit(0)
"""


def check_model(name: str, backend: str = "auto", device: str = "auto") -> Finding:
    """Whether the model's files are whole and it loads as a session would load it."""
    again = "get the model folder again, or name another: segue serve --model NAME"
    try:
        answer = ask(_MODEL, MODEL_SECONDS, name, backend, device)
    except AskFailed as failure:
        return Finding("model", Level.RED, f"'{name}' does not load: {failure}", again)
    if wrong := answer.get("wrong"):
        file, problem = next(iter(wrong.items()))
        return Finding("model", Level.RED, f"'{name}': {file} is damaged: {problem}", again)
    if "error" in answer:
        return Finding("model", Level.RED, str(answer["error"]), again)
    files = f"{answer['files']} files are whole"
    loads = f"loads in {answer['seconds']:.1f} s ({answer['runtime']}, {answer['rate']} Hz)"
    return Finding("model", Level.OK, f"'{name}' {loads}; {files}, hash {answer['hash'][:12]}")


def check_other_models() -> Finding:
    """Whether the other models that are here could be loaded, by their headers."""
    try:
        answer = ask(_OTHERS, MODEL_SECONDS)
    except AskFailed as failure:
        return Finding(
            "models", Level.RED, f"the models cannot be listed: {failure}", "run scripts/run again"
        )
    if broken := answer["broken"]:
        name, problem = next(iter(broken.items()))
        step = f"get it again, or remove its folder; segue models verify {name} tells more"
        return Finding("models", Level.NOTE, f"{name} is broken: {problem}", step)
    return Finding("models", Level.OK, f"{len(answer['names'])} here: {', '.join(answer['names'])}")


def check_compute() -> Finding:
    """What can compute a model: CUDA cards that torch sees, ONNX Runtime's providers. The starter needs no card."""
    try:
        answer = ask(_COMPUTE, MODEL_SECONDS)
    except AskFailed as failure:
        return Finding(
            "gpu", Level.RED, f"torch or ONNX Runtime does not start: {failure}", "run scripts/run again"
        )
    if "no_torch" in answer and "no_onnx" in answer:
        detail = "neither torch nor ONNX Runtime can be imported, so no model can be run"
        return Finding("gpu", Level.RED, f"{detail} ({answer['no_onnx']})", "run scripts/run again")
    providers = ", ".join(name.removesuffix("ExecutionProvider") for name in answer["providers"]) or "none"
    runtimes = f"torch {answer['torch'] or 'absent'}, ONNX Runtime {answer['onnx'] or 'absent'} ({providers})"
    if answer["gpus"]:
        return Finding("gpu", Level.OK, f"{', '.join(answer['gpus'])}; {runtimes}")
    step = "not needed for the starter model; for bigger ones install an NVIDIA driver and torch's CUDA build"
    return Finding("gpu", Level.NOTE, f"no card; {runtimes}", step)
