"""Training of the prior of one level on encoded songs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from engine.errors import TrainingError
from engine.lyrics import SongLyrics
from engine.prior.config import PriorConfig, TimeConfig
from engine.prior.labels import Labels
from engine.prior.prior import Prior
from engine.prior.pulse import SongPulse
from engine.store import starter_config
from engine.training.cache import Split
from engine.training.checkpoint import load_checkpoint
from engine.training.codes import CodeStore
from engine.training.feeding import Task
from engine.training.files import write_bytes, write_json
from engine.training.guidance import UNKNOWN, astray
from engine.training.loop import Loop, LoopSettings
from engine.training.optimizers import Name, make_optimizer
from engine.training.windows import UNKNOWN_SHARE, Windows, WindowSampler, unigram_bits

_HELD_OUT_WINDOWS, _TRAIN_WINDOWS = 32, 16
_EVALUATE_BATCH = {"cpu": 4, "cuda": 16}  # windows at once
_OTHER_WINDOW = 5  # places to the window whose lyrics are given instead: far enough to be another song's


class PriorLoss(nn.Module):
    """What training minimises, for a batch of windows; beside it the music's bits and the lyrics'.

    ``guided``: weight of leading the alignment head to the character that is sung; 0 leaves it alone.
    """

    def __init__(self, prior: Prior, guided: float = 0.0) -> None:
        super().__init__()
        self.prior, self.guided = prior, guided

    def forward(
        self,
        codes: Tensor,
        labels: Labels,
        upper: Tensor | None,
        lyrics: Tensor | None,
        sung_at: Tensor | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        if not self.guided or lyrics is None or sung_at is None:
            music, sung = self.prior.losses(codes, labels, upper, lyrics)
            figures = {} if sung is None else {"music": music.mean(), "lyrics": sung.mean()}
            return self.prior.objective(music, sung, codes.shape[1]).mean(), figures
        music, sung, attention = self.prior.watched_losses(codes, labels, lyrics)
        lost = astray(attention, sung_at)
        figures = {"music": music.mean(), "astray": lost} | ({} if sung is None else {"lyrics": sung.mean()})
        return self.prior.objective(music, sung, codes.shape[1]).mean() + self.guided * lost, figures


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


class PriorTask(Task):
    """The prior of one level as a training task; ``batch`` windows a step and rank.

    ``start``: a prior whose weights training begins from; ``lyrics``, ``pulses``: those of every song, for a
    prior that reads them; ``guided`` as in :class:`PriorLoss`.
    """

    def __init__(
        self,
        config: PriorConfig,
        store: CodeStore,
        batch: int,
        seed: int,
        precision: str = "no",
        *,
        optimizer: Name = "muon",
        start: Prior | None = None,
        lyrics: Mapping[str, SongLyrics] | None = None,
        pulses: Mapping[str, SongPulse] | None = None,
        guided: float = 0.0,
    ) -> None:
        self.title, self.unit, self.units_per_item = f"prior level {config.level}", "tokens", config.n_ctx
        self.batch_size, self.precision, self.optimizer_name = batch, precision, optimizer

        def sampler(split: Split, unknown_share: float = 0.0) -> WindowSampler:
            return WindowSampler(
                store,
                config.level,
                config.n_ctx,
                split,
                seed,
                store.names,
                unknown_share,
                lyrics,
                None if pulses is None else (config, pulses),
            )

        self.windows = sampler("train", UNKNOWN_SHARE)
        self.train_windows = sampler("train").spread(_TRAIN_WINDOWS)
        self.held_out = sampler("held-out").spread(_HELD_OUT_WINDOWS)
        self.unigram, self.guided = unigram_bits(store, config.level), guided
        torch.manual_seed(seed)
        self.prior = Prior(config)
        if start is not None:
            self.prior.load_state_dict(
                self.prior.state_dict() | start.state_dict()
            )  # a new pulse, a new style signal begins as zero
        self.module: nn.Module = PriorLoss(self.prior, guided)

    def optimizer(self, lr: float) -> Optimizer:
        """See :mod:`engine.training.optimizers`."""
        return make_optimizer(self.module, lr, self.optimizer_name)

    def batch(self, step: int, rank: int, world: int) -> tuple[Any, ...]:
        """Random windows: codes, labels, upper codes, lyrics."""
        return self.windows.batch(step, self.batch_size, rank, world)

    def evaluate(self) -> dict[str, float]:
        """Bits per token on fixed held-out and training windows, and the unigram baseline; with lyrics also bits
        per character, and bits per token when every window is given another window's lyrics; where attention is led,
        the bits by which it misses what is sung."""
        held_out, sung = self._bits(self.held_out)
        figures = {
            "bits_per_token": held_out,
            "train_bits_per_token": self._bits(self.train_windows)[0],
            "unigram_bits": self.unigram,
        }
        if sung is not None and self.held_out.lyrics is not None:
            other = self.held_out._replace(lyrics=self.held_out.lyrics.roll(_OTHER_WINDOW, 0))
            figures |= {"bits_per_character": sung, "other_lyrics_bits_per_token": self._bits(other)[0]}
        if self.guided:
            figures["astray_bits"] = self._astray(self.held_out)
        return figures

    @torch.inference_mode()
    def _astray(self, windows: Windows) -> float:
        """Bits by which the attention misses what is sung, over all tokens of which that is known."""
        device = next(self.module.parameters()).device
        assert windows.lyrics is not None and windows.sung is not None
        total, known = 0.0, 0
        for rows in torch.arange(len(windows.codes)).split(_EVALUATE_BATCH.get(device.type, 4)):
            labels = windows.labels
            conditions = self.prior.condition(
                labels.rows(rows).to(device), None, len(rows), windows.lyrics[rows].to(device)
            )
            seen = self.prior.attention(windows.codes[rows].to(device), conditions)
            sung = windows.sung[rows].to(device)
            count = int((sung != UNKNOWN).sum())
            total, known = total + float(astray(seen, sung)) * count, known + count
        return total / max(1, known)

    def _bits(self, windows: Windows) -> tuple[float, float | None]:
        """Bits per token of the music, and per character of its lyrics."""
        device = next(self.module.parameters()).device
        count = len(windows.codes)
        totals: list[float] = []
        sung_totals: list[float] = []
        for rows in torch.arange(count).split(_EVALUATE_BATCH.get(device.type, 4)):
            labels = windows.labels
            part = labels.rows(rows)
            above, lyrics = (
                None if x is None else x[rows].to(device) for x in (windows.upper, windows.lyrics)
            )
            with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                music, sung = self.prior.losses(
                    windows.codes[rows].to(device), part.to(device), above, lyrics
                )
            totals.append(float(music.sum()))
            if sung is not None:
                sung_totals.append(float(sung.sum()))
        return sum(totals) / count, sum(sung_totals) / count if sung_totals else None

    def describe(self, figures: dict[str, float]) -> str:
        """Bits per token in training and held out, beside the unigram baseline."""
        words = [f"{figures['loss']:.3f} bits"] if "loss" in figures else []
        if "bits_per_token" in figures:
            words.append(f"held-out {figures['bits_per_token']:.3f} bits (unigram {self.unigram:.3f})")
        if "other_lyrics_bits_per_token" in figures:
            words.append(f"other lyrics {figures['other_lyrics_bits_per_token']:.3f}")
        if "astray_bits" in figures:
            words.append(f"attention astray by {figures['astray_bits']:.2f}")
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
    optimizer: Name = "muon",
    start: Prior | None = None,
    lyrics: Mapping[str, SongLyrics] | None = None,
    pulses: Mapping[str, SongPulse] | None = None,
    guided: float = 0.0,
) -> dict[str, Any]:
    """Train the prior of ``config.level`` in ``run`` and leave its EMA weights there; returns the loop's summary.

    ``origin``: ``data`` and ``command`` in words, for the record; ``start``, ``lyrics``, ``pulses`` and ``guided`` as
    in :class:`PriorTask`. A resumed run goes on from its checkpoint, not from ``start``.
    """
    task = PriorTask(
        config,
        store,
        settings.batch,
        settings.seed,
        settings.precision,
        optimizer=optimizer,
        start=start,
        lyrics=lyrics,
        pulses=pulses,
        guided=guided,
    )
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
        "optimizer": optimizer,
        **({"guided": guided} if guided else {}),
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
