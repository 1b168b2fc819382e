"""A task small enough to run in milliseconds, and a process that trains it: to be killed, stopped, locked out.

``python -m tests.training.fitting RUN STEPS PAUSE`` trains with a checkpoint at every step.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from engine.training.feeding import Task
from engine.training.loop import Loop, LoopSettings, make_accelerator


class Line(nn.Module):
    """Fits y = w x + b; a buffer counts the steps, as the quantiser's averages would."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 1)
        self.seen: Tensor
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        self.seen += 1
        noise = torch.randn_like(y) * 0.01  # from the step's generator
        error = (self.linear(x) - y + noise).square().mean()
        return error, {"error": error}


class LineTask(Task):
    """``poison``: the step whose inputs are not numbers. ``pause``: seconds per step."""

    title, unit, units_per_item = "line", "samples", 1

    def __init__(self, pause: float = 0.0, poison: int | None = None) -> None:
        torch.manual_seed(3)
        self.module: nn.Module = Line()
        self.pause, self.poison = pause, poison

    def optimizer(self, lr: float) -> Optimizer:
        return Adam(self.module.parameters(), lr=lr)

    def batch(self, step: int, rank: int, world: int) -> tuple[Any, ...]:
        time.sleep(self.pause)
        generator = torch.Generator().manual_seed(100 + step)
        x = torch.randn(8, 4, generator=generator)
        y = x @ torch.tensor([[1.0], [-2.0], [0.5], [3.0]]) + 0.25
        return (x * float("nan") if step == self.poison else x), y

    def evaluate(self) -> dict[str, float]:
        x, y = self.batch(10_000, 0, 1)
        with torch.no_grad():
            return {"error": float((self.module.linear(x) - y).square().mean())}

    def describe(self, figures: dict[str, float]) -> str:
        return f"{figures.get('error', 0):.4f}"


def settings(steps: int | None, **changes: Any) -> LoopSettings:
    return LoopSettings(
        **{
            "steps": steps,
            "batch": 8,
            "lr": 0.05,
            "warmup": 3,
            "device": "cpu",
            "checkpoint_minutes": 0,
            **changes,
        }
    )


def train(run: Path, steps: int | None, task: LineTask | None = None, **changes: Any) -> dict[str, Any]:
    chosen = settings(steps, **changes)
    arguments = {"lr": chosen.lr, "batch": chosen.batch}
    loop = Loop(task or LineTask(), chosen, run, arguments, make_accelerator(chosen), show=False)
    return loop.train()


if __name__ == "__main__":
    folder, count, wait = sys.argv[1:]
    summary = train(Path(folder), int(count), LineTask(pause=float(wait)))
    raise SystemExit(128 + summary["signal"] if summary["signal"] else 0)
