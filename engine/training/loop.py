"""The training loop that codec levels and priors share: budget, schedule, EMA, checkpoints, figures, resume.

Every random draw of a step comes from (seed, step), so a run that is killed and resumed from a checkpoint goes
on along the same curve, and a checkpoint holds no generator state.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, broadcast
from pydantic import Field, model_validator
from torch import Tensor

from engine.errors import TrainingError
from engine.request import Frozen
from engine.training.checkpoint import load_checkpoint, newest_checkpoint, remove_checkpoints, save_checkpoint
from engine.training.ema import Ema
from engine.training.feeding import Feed, Task
from engine.training.guard import StopFlag, locked, together
from engine.training.metrics import Display, MetricsFile
from engine.training.record import hardware, require_agreement
from engine.training.schedule import Decay, fraction_used, learning_rate

LOG_STEPS = 10


class LoopSettings(Frozen):
    """How long and how a run trains. ``minutes`` is wall time over all resumes; ``lr`` the peak rate."""

    minutes: Annotated[float, Field(gt=0)] | None = None
    steps: Annotated[int, Field(ge=1)] | None = None
    batch: Annotated[int, Field(ge=1)]
    lr: Annotated[float, Field(gt=0)]
    warmup: Annotated[int, Field(ge=0)] = 100
    decay: Decay = "cosine"
    clip: Annotated[float, Field(gt=0)] = 1.0
    seed: Annotated[int, Field(ge=0)] = 0
    precision: Literal["no", "bf16", "fp16"] = "no"
    compile: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(ge=1)] | None = None
    checkpoint_minutes: Annotated[float, Field(ge=0)] = 3.0
    evaluate_minutes: Annotated[float, Field(ge=0)] = 2.0
    resume: Literal["auto", "always", "never"] = "auto"

    @model_validator(mode="after")
    def _has_an_end(self) -> LoopSettings:
        if self.minutes is None and self.steps is None:
            raise ValueError("the run has no end; give --minutes, --steps or both")
        return self


def make_accelerator(settings: LoopSettings) -> Accelerator:
    """The device, precision and process group to train with."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise TrainingError("there is no CUDA device here; use --device cpu or --device auto")
    if settings.threads:
        torch.set_num_threads(settings.threads)
    AcceleratorState._reset_state()  # runs of one process may differ in precision
    on_cpu = settings.device == "cpu" or not torch.cuda.is_available()
    if not on_cpu:
        torch.backends.cudnn.benchmark = True  # every step has the same shapes
    # Codebooks are all-reduced by the quantiser itself, so buffers need no broadcast.
    kwargs = DistributedDataParallelKwargs(broadcast_buffers=False)
    # (torch would now call that by another name, which accelerate does not pass on yet)
    warnings.filterwarnings("ignore", message=".*broadcast_buffers", category=FutureWarning)
    return Accelerator(
        cpu=on_cpu,
        mixed_precision=settings.precision,
        kwargs_handlers=[kwargs],
        step_scheduler_with_optimizer=False,
    )


class Loop:
    """One run of one task in one folder. ``arguments``: what must agree for a checkpoint to be resumed."""

    def __init__(
        self,
        task: Task,
        settings: LoopSettings,
        run: Path,
        arguments: dict[str, Any],
        accelerator: Accelerator,
        extra: dict[str, Any] | None = None,
        show: bool = True,
    ) -> None:
        self.task, self.settings, self.run_folder, self.arguments = task, settings, run, arguments
        self.accelerator, self.extra = accelerator, extra or {}
        self.main = accelerator.is_main_process
        self.display = Display(task.title, enabled=show and self.main)
        self.ema = Ema(task.module.to(accelerator.device))
        if accelerator.device.type == "cuda":
            task.place(accelerator.device)
        if settings.compile:
            task.compile()
        self.module, self.optimizer = accelerator.prepare(task.module, task.optimizer(settings.lr))
        self.step, self.seconds_before, self.finished = 0, 0.0, False
        self.held_out: dict[str, float] = {}
        self.figures: dict[str, float] = {}
        self._sums: dict[str, Tensor] = {}
        self._summed = 0
        self._broken = torch.zeros((), dtype=torch.bool, device=accelerator.device)
        self._stop = StopFlag()
        self._logged = 0.0

    @property
    def seconds(self) -> float:
        """Wall time used so far, resumes included."""
        return self.seconds_before + time.monotonic() - self._started

    def train(self, drawing: Callable[[], None] | None = None) -> dict[str, Any]:
        """Train until the budget is used or a signal asks to stop; returns a summary of JSON values.

        ``drawing`` is called with the EMA weights in place after the last step. Raises :class:`Busy`,
        :class:`TrainingError` (arguments disagree, loss not a number) or :class:`engine.errors.DiskFull`.
        """
        with ExitStack() as stack:
            if self.main:
                stack.enter_context(locked(self.run_folder))
            self._started = time.monotonic()
            self._resume()
            self.accelerator.wait_for_everyone()  # all have read the checkpoint before the first may replace it
            self._started = time.monotonic()
            self.metrics = MetricsFile(self.run_folder / "metrics.jsonl", self.step) if self.main else None
            stack.enter_context(self._stop.installed())
            stack.enter_context(together(self.accelerator.num_processes))
            stack.enter_context(self.display)
            with self._feed() as self.feed:
                self._run()
            if self._summed:
                self._log(1.0)
            self._evaluate()
            self.finished = not self._stop.signal
            self._checkpoint()
            if drawing and self.main:
                with self.ema.applied():
                    drawing()
            summary = self.summary()
            self.display.say(
                f"{self.step} steps, {self.seconds / 60:.1f} min, {self.task.describe(self.held_out)}"
            )
        return summary

    def _feed(self) -> Feed:
        accelerator = self.accelerator
        device, rank, world = accelerator.device, accelerator.process_index, accelerator.num_processes
        return Feed(self.task, device, rank, world, ahead=device.type == "cuda")

    def summary(self) -> dict[str, Any]:
        """What the run came to, as JSON values."""
        return {
            "title": self.task.title,
            "run": str(self.run_folder),
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "finished": self.finished,
            "signal": self._stop.signal,
            "hardware": hardware(self.accelerator),
            **self.figures,
            **{f"held_out_{name}": value for name, value in self.held_out.items()},
        }

    def _run(self) -> None:
        saved = evaluated = time.monotonic()
        while True:
            seconds, stop = self._agree()
            fraction = fraction_used(self.step, seconds, self.settings.steps, self.settings.minutes)
            if fraction >= 1.0 or stop:
                return
            self._train_step(fraction)
            if self.step % LOG_STEPS == 0:
                self._log(fraction)
            now = time.monotonic()
            if now - evaluated >= self.settings.evaluate_minutes * 60:
                self._evaluate()
                evaluated = time.monotonic()
            if now - saved >= self.settings.checkpoint_minutes * 60:
                self._checkpoint()
                saved = time.monotonic()

    def _agree(self) -> tuple[float, bool]:
        """Time used and whether to stop, the same on every rank."""
        seconds, stop = self.seconds, bool(self._stop.signal)
        if self.accelerator.num_processes > 1:
            shared = torch.tensor([seconds, float(stop)], dtype=torch.float64, device=self.accelerator.device)
            shared = broadcast(shared)
            seconds, stop = float(shared[0]), bool(shared[1])
        return seconds, stop

    def _train_step(self, fraction: float) -> None:
        settings, accelerator = self.settings, self.accelerator
        rate = learning_rate(settings.lr, self.step, fraction, settings.warmup, settings.decay)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed((settings.seed << 32) + self.step)
        self.task.begin(self.step)
        inputs = self.feed.inputs(self.step)
        self.module.train()
        with accelerator.autocast():
            loss, figures = self.module(*inputs)
        accelerator.backward(loss)
        norm = accelerator.clip_grad_norm_(self.module.parameters(), settings.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.update(self.step)
        self.step += 1
        self._broken |= ~torch.isfinite(loss.detach())
        if settings.precision != "fp16":  # there the scaler skips a step whose gradients overflow
            self._broken |= ~torch.isfinite(norm)
        self._add({"loss": loss, "grad_norm": norm, **figures})

    def _add(self, figures: dict[str, Tensor]) -> None:
        for name, value in figures.items():
            value = value.detach().float()
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._summed += 1
        if self.accelerator.device.type == "cpu":
            self._check()

    def _check(self) -> None:
        if bool(self._broken):
            good = newest_checkpoint(self.run_folder)
            last = f"the last good checkpoint is '{good}'" if good else "there is no checkpoint yet"
            raise TrainingError(
                f"the loss stopped being a number at or before step {self.step}; {last}; "
                "go on from there with a lower --lr and --resume always"
            )

    def _log(self, fraction: float) -> None:
        self._check()
        now = time.monotonic()
        steps_per_second = self._summed / (now - self._logged) if self._logged else math.nan
        self._logged = now
        self.figures = self._means()
        self._sums, self._summed = {}, 0
        items = self.settings.batch * self.accelerator.num_processes
        rate = steps_per_second * items * self.task.units_per_item
        if not math.isnan(rate):
            self.figures[f"{self.task.unit}_per_second"] = rate
        if self.metrics:
            self.metrics.append(
                {
                    "step": self.step,
                    "seconds": round(self.seconds, 2),
                    "lr": self.optimizer.param_groups[0]["lr"],
                    **self.figures,
                }
            )
        words = self.task.describe({**self.figures, **self.held_out})
        speed = "" if math.isnan(rate) else f"  {rate / 1000:.3g}k {self.task.unit}/s"
        self.display.show(fraction, f"step {self.step}  {words}{speed}")

    def _means(self) -> dict[str, float]:
        """Figures since the last log, over all ranks; read off the device in one go."""
        means = torch.stack(list(self._sums.values())) / self._summed
        return dict(zip(self._sums, self.accelerator.reduce(means, "mean").tolist(), strict=True))

    def _evaluate(self) -> None:
        """Held-out figures with the EMA weights, on the first rank."""
        if self.metrics:
            module = self.task.module
            module.eval()
            with self.ema.applied(), torch.no_grad():
                self.held_out = self.task.evaluate()
            module.train()
            record = {f"held_out_{name}": value for name, value in self.held_out.items()}
            self.metrics.append({"step": self.step, "seconds": round(self.seconds, 2), **record})

    def _checkpoint(self) -> None:
        self._check()
        if not self.main:
            return
        state = {
            "arguments": self.arguments,
            "seconds": self.seconds,
            "finished": self.finished,
            "figures": self.figures,
            "held_out": self.held_out,
            "hardware": hardware(self.accelerator),
            "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else None,
            **self.extra,
        }
        save_checkpoint(self.run_folder, self.step, self._tensors(), state)

    def _tensors(self) -> dict[str, Tensor]:
        module = self.task.module
        tensors: dict[str, Tensor] = {f"weights/{name}": value for name, value in module.named_parameters()}
        tensors |= {f"buffers/{name}": value for name, value in module.named_buffers()}
        tensors |= {f"ema/{name}": value for name, value in self.ema.shadow.items()}
        for name, parameter in module.named_parameters():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer/{key}/{name}"] = value
        return tensors

    def _resume(self) -> None:
        if self.settings.resume == "never":
            if self.main:
                remove_checkpoints(self.run_folder)
            return
        found = load_checkpoint(self.run_folder)
        if found is None:
            return
        tensors, state = found
        if self.settings.resume == "auto":
            require_agreement(self.run_folder, self.arguments, state["arguments"])
        self._restore(tensors)
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step, self.seconds_before = state["step"], state["seconds"]
        self.figures, self.held_out = state["figures"], state["held_out"]

    @torch.no_grad()
    def _restore(self, tensors: dict[str, Tensor]) -> None:
        module = self.task.module
        try:
            for name, parameter in module.named_parameters():
                parameter.copy_(tensors[f"weights/{name}"])
                if name in self.ema.shadow:
                    self.ema.shadow[name].copy_(tensors[f"ema/{name}"])
            for name, buffer in module.named_buffers():
                buffer.copy_(tensors[f"buffers/{name}"])
        except (KeyError, RuntimeError) as error:
            raise TrainingError(
                f"the checkpoint in '{self.run_folder}' is of a model of another shape ({error}); "
                "choose another --out or start over with --resume never"
            ) from error
        parameters = dict(module.named_parameters())
        fused = any(group.get("fused") for group in self.optimizer.param_groups)
        for key, value in tensors.items():
            kind, _, rest = key.partition("/")
            if kind == "optimizer":
                field, _, name = rest.partition("/")
                device = "cpu" if field == "step" and not fused else parameters[name].device
                self.optimizer.state[parameters[name]][field] = value.to(device)
