"""What `segue doctor` looks at. Every check answers; none raises, hangs, or loads torch into this process.

Things that can hang or print noise (PortAudio, MIDI, torch) are asked in short-lived child processes.
"""

from __future__ import annotations

import json
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

MIN_FREE_BYTES = 1 << 30
SOUND_SECONDS, MIDI_SECONDS, MODEL_SECONDS = 15, 15, 120

_SOUND = """
import json, sounddevice as sd
apis = [api["name"] for api in sd.query_hostapis()]
outputs = [f'{d["name"]} ({apis[d["hostapi"]]}, {d["default_samplerate"]:g} Hz)' for d in sd.query_devices()
           if d["max_output_channels"] > 0]
print("\\n" + json.dumps({"version": sd.get_portaudio_version()[1], "apis": apis, "outputs": outputs}))
"""
_MIDI = """
import json, mido
print("\\n" + json.dumps({"inputs": mido.get_input_names(), "outputs": mido.get_output_names()}))
"""
_GPU = """
import json, torch
count = torch.cuda.device_count() if torch.cuda.is_available() else 0
gpus = [torch.cuda.get_device_name(i) for i in range(count)]
print("\\n" + json.dumps({"gpus": gpus, "torch": torch.__version__}))
"""
_MODEL = """
import json, sys
from engine.errors import SegueError
from engine.store import load_model
try:
    model = load_model(sys.argv[1])
    parts = (model.codec, *model.priors.values())
    numbers = sum(weight.numel() for part in parts for weight in part.parameters())
    answer = {"hash": model.hash, "rate": model.config.rate, "parameters": numbers}
except SegueError as error:
    answer = {"error": error.message}
print("\\n" + json.dumps(answer))
"""


class Level(StrEnum):
    """``ok``: nothing to do. ``note``: Segue works, with less. ``red``: something needed does not work."""

    OK = "ok"
    NOTE = "note"
    RED = "red"


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, how it is, and the next step where there is one."""

    name: str
    level: Level
    detail: str
    next_step: str = ""


class _AskFailed(Exception):
    """A child process did not answer; the message is the last thing that it said."""


def ask(code: str, seconds: float, *arguments: str) -> dict[str, Any]:
    """Run ``code`` in a fresh interpreter for at most ``seconds``; its last line is its answer as JSON."""
    try:
        command = [sys.executable, "-c", code, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        raise _AskFailed(f"no answer within {seconds:g} s") from None
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise _AskFailed(said[-1].strip() if said else f"exit status {done.returncode}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def check_python() -> Finding:
    """The interpreter (an older one than 3.11 does not get this far)."""
    return Finding("python", Level.OK, f"{platform.python_version()} at {sys.executable}")


def check_packages() -> Finding:
    """Everything in the package's metadata, at the versions that it asks for; extras only noted."""
    wrong: list[str] = []
    absent_extras: list[str] = []
    right = 0
    for line in metadata.requires("segue") or ():
        requirement = Requirement(line)
        extra = requirement.marker is not None
        if extra and not (requirement.marker and requirement.marker.evaluate({"extra": "train"})):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            (absent_extras if extra else wrong).append(requirement.name)
            continue
        if requirement.specifier.contains(version, prereleases=True):
            right += 1
        else:
            wrong.append(f"{requirement.name} {version} (needs {requirement.specifier})")
    if wrong:
        detail = "missing or too old: " + ", ".join(wrong)
        return Finding("packages", Level.RED, detail, "run scripts/run again")
    if absent_extras:
        step = "for `segue train`: pip install -e '.[train]'"
        return Finding("packages", Level.NOTE, f"{right} in place; not {', '.join(absent_extras)}", step)
    return Finding("packages", Level.OK, f"{right} in place")


def check_sound() -> Finding:
    """PortAudio and its output devices. Without one Segue plays into a file."""
    try:
        answer = ask(_SOUND, SOUND_SECONDS)
    except _AskFailed as failure:
        if "PortAudio library not found" in str(failure):
            step = "until it is (Debian, Ubuntu: apt-get install libportaudio2) Segue plays into a WAV"
            return Finding("sound", Level.NOTE, "PortAudio is not installed", step)
        step = "restart the sound server, or play into a file: segue serve --device file:out.wav"
        return Finding("sound", Level.RED, f"PortAudio does not answer: {failure}", step)
    outputs = answer["outputs"]
    if not outputs:
        step = "connect a sound device or start a sound server; until then Segue plays into a WAV"
        return Finding("sound", Level.NOTE, f"{answer['version'].split(',')[0]}, but no output device", step)
    more = f" and {len(outputs) - 3} more" if len(outputs) > 3 else ""
    return Finding("sound", Level.OK, f"{len(outputs)} output devices: {'; '.join(outputs[:3])}{more}")


def check_midi() -> Finding:
    """MIDI ports, through mido and RtMidi. Segue plays without them."""
    try:
        answer = ask(_MIDI, MIDI_SECONDS)
    except _AskFailed as failure:
        step = "OSC works without; for MIDI load the system's driver (Linux: modprobe snd-seq) or start JACK"
        return Finding("midi", Level.NOTE, str(failure), step)
    return Finding("midi", Level.OK, f"{len(answer['inputs'])} inputs, {len(answer['outputs'])} outputs")


def check_port(host: str, port: int) -> Finding:
    """Whether the OSC port can be opened (UDP)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, port))
        except OSError as error:
            step = "quit the Segue or other program that holds it, or use another: segue serve --port N"
            return Finding("osc port", Level.RED, f"{host}:{port} cannot be opened: {error.strerror}", step)
    return Finding("osc port", Level.OK, f"{host}:{port} is free")


def check_model(name: str) -> Finding:
    """Whether the model loads, and its hash."""
    try:
        answer = ask(_MODEL, MODEL_SECONDS, name)
    except _AskFailed as failure:
        return Finding("model", Level.RED, f"'{name}' does not load: {failure}", "get the model folder again")
    if "error" in answer:
        step = "get the model folder again, or name another"
        return Finding("model", Level.RED, str(answer["error"]), step)
    size = answer["parameters"] / 1e6
    detail = f"'{name}' loads: {size:.1f} M parameters, {answer['rate']} Hz, hash {answer['hash'][:12]}"
    return Finding("model", Level.OK, detail)


def check_gpu() -> Finding:
    """CUDA GPUs that torch can use. The starter model does without."""
    try:
        answer = ask(_GPU, MODEL_SECONDS)
    except _AskFailed as failure:
        return Finding("gpu", Level.RED, f"torch does not start: {failure}", "run scripts/run again")
    if answer["gpus"]:
        return Finding("gpu", Level.OK, ", ".join(answer["gpus"]))
    step = "not needed for the starter model; for bigger ones install an NVIDIA driver and torch's CUDA build"
    return Finding("gpu", Level.NOTE, f"none that torch {answer['torch']} can use", step)


def check_takes(folder: Path) -> Finding:
    """Whether takes can be filed: ``folder``, or the one it will be made in, is writable and has space."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"segue")
    except OSError as error:
        step = "change its rights, or name another folder: segue serve --takes DIR"
        return Finding("takes", Level.RED, f"{there} cannot be written to: {error.strerror}", step)
    free = shutil.disk_usage(there).free
    gigabytes = f"{folder}: {free / 1e9:.1f} GB free"
    if free < MIN_FREE_BYTES:
        return Finding("takes", Level.RED, gigabytes, "make room (1 GB at least), or segue serve --takes DIR")
    return Finding("takes", Level.OK, gigabytes)
