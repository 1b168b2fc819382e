"""Training of the prior of one level on encoded songs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW, Optimizer

from engine.errors import TrainingError
from engine.prior.config import PriorConfig, TimeConfig
from engine.prior.labels import Labels
from engine.prior.prior import Prior
from engine.store import starter_config
from engine.training.checkpoint import load_checkpoint
from engine.training.codes import CodeStore
from engine.training.files import write_bytes, write_json
from engine.training.loop import Loop, LoopSettings
from engine.training.windows import UNKNOWN_SHARE, WindowSampler, unigram_bits

WEIGHT_DECAY = 0.01
_HELD_OUT_WINDOWS, _TRAIN_WINDOWS, _EVALUATE_BATCH = 32, 16, 4


class _PriorLoss(nn.Module):
    """Mean bits per token of a batch of windows."""

    def __init__(self, prior: Prior) -> None:
        super().__init__()
        self.prior = prior

    def forward(
        self, codes: Tensor, labels: Labels, upper: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        logits = self.prior(codes, self.prior.condition(labels, upper, codes.shape[0]))
        nats = F.cross_entropy(logits.flatten(0, 1).float(), codes.flatten())
        return nats / math.log(2), {}


def prior_config(store: CodeStore, level: int, **changes: int) -> PriorConfig:
    """The starter's shape for ``level``, with the labels of ``store``; ``changes``: other width, depth or heads.

    Songs beyond the starter's longest get the paper's time range of 600 s.
    """
    artists, genres = store.names
    config = starter_config(artists, genres).priors[level]
    longest = max(song.tokens for song in store.index.songs) * store.index.hops[-1] / store.index.rate
    if config.time and longest > config.time.max_seconds:
        time = TimeConfig(bins=config.time.bins, min_seconds=config.time.min_seconds, max_seconds=600.0)
        config = config.model_copy(update={"time": time})
    return PriorConfig.model_validate({**config.model_dump(), **changes})


class PriorTask:
    """The prior of one level as a training task; ``batch`` windows a step and rank."""

    def __init__(
        self,
        config: PriorConfig,
        store: CodeStore,
        batch: int,
        seed: int,
        precision: str = "no",
        unknown_share: float = UNKNOWN_SHARE,
    ) -> None:
        self.title, self.unit, self.units_per_item = f"prior level {config.level}", "tokens", config.n_ctx
        self.batch_size, self.precision = batch, precision
        arguments = (store, config.level, config.n_ctx)
        self.windows = WindowSampler(*arguments, "train", seed, store.names, unknown_share)
        self.train_windows = WindowSampler(*arguments, "train", seed, store.names).spread(_TRAIN_WINDOWS)
        self.held_out = WindowSampler(*arguments, "held-out", seed, store.names).spread(_HELD_OUT_WINDOWS)
        self.unigram = unigram_bits(store, config.level)
        torch.manual_seed(seed)
        self.prior = Prior(config)
        self.module: nn.Module = _PriorLoss(self.prior)

    def optimizer(self, lr: float) -> Optimizer:
        """AdamW; weight decay on matrices only."""
        matrices = [p for p in self.module.parameters() if p.dim() >= 2]
        vectors = [p for p in self.module.parameters() if p.dim() < 2]
        groups = [
            {"params": matrices, "weight_decay": WEIGHT_DECAY},
            {"params": vectors, "weight_decay": 0.0},
        ]
        return AdamW(groups, lr=lr, betas=(0.9, 0.95))

    def batch(self, step: int, rank: int, world: int) -> tuple[Any, ...]:
        """Random windows: codes, labels, upper codes."""
        return self.windows.batch(step, self.batch_size, rank)

    def evaluate(self) -> dict[str, float]:
        """Bits per token on fixed held-out and training windows, and the unigram baseline."""
        return {
            "bits_per_token": self._bits(self.held_out),
            "train_bits_per_token": self._bits(self.train_windows),
            "unigram_bits": self.unigram,
        }

    def _bits(self, windows: tuple[Tensor, Labels, Tensor | None]) -> float:
        codes, labels, upper = windows
        device = next(self.module.parameters()).device
        total = 0.0
        for rows in torch.arange(len(codes)).split(_EVALUATE_BATCH):
            part = Labels(labels.artists[rows], labels.genres[rows], labels.total[rows], labels.offset[rows])
            above = None if upper is None else upper[rows].to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                loss, _ = self.module(codes[rows].to(device), part.to(device), above)
            total += float(loss) * len(rows)
        return total / len(codes)

    def describe(self, figures: dict[str, float]) -> str:
        """Bits per token in training and held out, beside the unigram baseline."""
        words = [f"{figures['loss']:.3f} bits"] if "loss" in figures else []
        if "bits_per_token" in figures:
            words.append(f"held-out {figures['bits_per_token']:.3f} bits (unigram {self.unigram:.3f})")
        return "  ".join(words)


def train_prior(
    config: PriorConfig,
    store: CodeStore,
    settings: LoopSettings,
    run: Path,
    accelerator: Accelerator,
    *,
    plots: bool = True,
    show: bool = True,
    origin: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Train the prior of ``config.level`` in ``run`` and leave its EMA weights there; returns the loop's summary.

    ``origin``: ``data`` and ``command`` in words, for the record.
    """
    task = PriorTask(config, store, settings.batch, settings.seed, settings.precision)
    artists, genres = store.names
    arguments = {
        "prior": config.model_dump(mode="json"),
        "codes": {
            str(level): store.index.keys[level]
            for level in (config.level, config.level + 1)
            if level < len(store.index.hops)
        },
        "artists": list(artists),
        "genres": list(genres),
        "batch": settings.batch,
        "lr": settings.lr,
        "seed": settings.seed,
    }
    hop = store.index.hops[-1]
    seconds = sum(song.tokens for song in store.songs("train")) * hop / store.index.rate
    extra = {"seconds_of_audio": round(seconds, 1), **(origin or {"data": "", "command": ""})}
    loop = Loop(task, settings, run, arguments, accelerator, extra, show)

    def draw() -> None:
        from engine.training.plots import plot_curves

        plot_curves(run / "metrics.jsonl", run / "curves.png", task.title)

    summary = loop.train(draw if plots else None)
    if accelerator.is_main_process:
        export_prior(run)
    return summary


def load_prior(run: Path) -> tuple[Prior, dict[str, Any]]:
    """The prior of a run with its EMA weights, and the state of its newest checkpoint.

    Raises :class:`TrainingError` when the folder holds none.
    """
    found = load_checkpoint(run)
    if found is None or "prior" not in found[1]["arguments"]:
        raise TrainingError(
            f"'{run}' holds no trained prior; make one with: segue train prior DATA --out {run}"
        )
    tensors, state = found
    prior = Prior(PriorConfig.model_validate(state["arguments"]["prior"]))
    own = {
        key.partition("/")[2].removeprefix("prior."): value
        for key, value in tensors.items()
        if key.startswith(("ema/", "buffers/"))
    }
    prior.load_state_dict(own)
    return prior.eval(), state


def export_prior(run: Path) -> Path:
    """Write ``prior_L.safetensors`` (EMA weights) and ``prior_L.json`` (shape and label names) into ``run``."""
    prior, state = load_prior(run)
    level = prior.config.level
    weights = {name: value.contiguous() for name, value in prior.state_dict().items()}
    write_bytes(run / f"prior_{level}.safetensors", save(weights))
    arguments = state["arguments"]
    write_json(
        run / f"prior_{level}.json",
        {"prior": arguments["prior"], "artists": arguments["artists"], "genres": arguments["genres"]},
    )
    return run / f"prior_{level}.safetensors"
