"""What a run says about itself: its arguments, for resuming, and its record, for the model folder."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from engine.errors import TrainingError


def hardware(accelerator: Accelerator) -> str:
    """The machine in words, for the training record."""
    if accelerator.device.type == "cuda":
        return f"{accelerator.num_processes} x {torch.cuda.get_device_name(accelerator.device)}"
    return f"{accelerator.num_processes} x {torch.get_num_threads()} thread(s) {platform.machine()} CPU"


def require_agreement(run: Path, now: dict[str, Any], before: dict[str, Any]) -> None:
    """Raise :class:`TrainingError` naming every argument in which a resumed run differs from its checkpoint."""
    names = sorted({*now, *before})
    apart = [
        f"{name} was {before.get(name)}, now {now.get(name)}"
        for name in names
        if before.get(name) != now.get(name)
    ]
    if apart:
        raise TrainingError(
            f"'{run}' was trained with other arguments ({'; '.join(apart)}); repeat the old ones, "
            "choose another --out, or take the new ones with --resume always"
        )


def training_record(state: dict[str, Any]) -> dict[str, Any]:
    """What ``model.json`` keeps of a checkpoint's state: effort, hardware, data, command and last figures."""
    arguments = state["arguments"]
    kept = {key: arguments[key] for key in ("batch", "crop", "lr", "seed") if key in arguments}
    return {
        "steps": state["step"],
        "hours": round(state["seconds"] / 3600, 3),
        "hardware": state["hardware"],
        "data": state["data"],
        "command": state["command"],
        "seconds_of_audio": state["seconds_of_audio"],
        **kept,
        "held_out": state["held_out"],
    }
