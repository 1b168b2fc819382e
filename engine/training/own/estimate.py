"""How long it will take and what it needs, from a few steps that are timed on this machine."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from engine.codec.losses import Bandwidth
from engine.codec.vqvae import CodecLevel
from engine.errors import DiskFull, NoMemory
from engine.prior.config import PriorConfig
from engine.prior.labels import Labels
from engine.prior.prior import Prior
from engine.request import Frozen
from engine.store import Model
from engine.training.cache import AudioCache
from engine.training.codec_trainer import DEFAULT_CROPS, LevelLoss, codec_optimizer
from engine.training.optimizers import make_optimizer
from engine.training.own.plan import Stage, Wish, stages
from engine.training.prior_trainer import PriorLoss

ENCODED_SECONDS = 3.0  # of audio, to see how fast the codec encodes
_STEPS = 2  # timed, after one to warm up
_PER_PARAMETER = 2 * (
    4 + 4 + 8
)  # bytes on disk: weights, their averages, an optimiser's two moments; new beside old


class StageEstimate(Frozen):
    """One stage: seconds that it will still take, how many steps that comes to, seconds of one."""

    name: str
    seconds: float
    steps: int | None = None
    step_seconds: float | None = None


class Estimate(Frozen):
    """``memory``: most that a step needed, bytes (of the card, on one); ``disk``: bytes in the working folder."""

    stages: tuple[StageEstimate, ...]
    memory: int
    disk: int
    device: str

    @property
    def seconds(self) -> float:
        """All stages together."""
        return sum(stage.seconds for stage in self.stages)


def estimate(
    wish: Wish,
    model: Model,
    configs: dict[int, PriorConfig],
    audio: AudioCache,
    device: torch.device,
    precision: str,
    spent: Mapping[str, tuple[int, float]],
) -> Estimate:
    """Time a few steps of every stage. ``configs``: shape of the prior of every level; ``spent``: steps and seconds
    that stages have had already, by name."""
    seconds = audio.seconds("train") + audio.seconds("held-out")
    rate, found = encoding_speed(model, audio, device), []
    found.append(StageEstimate(name="encoding", seconds=0.0 if "encoding" in spent else seconds / rate))
    for stage in stages(wish):
        if stage.kind == "codec":
            step = codec_step(model, stage.level, wish.batch, device)
        else:
            step = prior_step(configs[stage.level], wish.batch, device, precision)
        found.append(_of_stage(stage, step, *spent.get(stage.name, (0, 0.0))))
    return Estimate(
        stages=tuple(found), memory=_peak(device), disk=disk_needed(wish, configs, audio), device=device.type
    )


def _of_stage(stage: Stage, step: float, done: int, seconds: float) -> StageEstimate:
    by_time = None if stage.minutes is None else round((stage.minutes * 60 - seconds) / step)
    by_steps = None if stage.steps is None else stage.steps - done
    steps = max(0, min(count for count in (by_steps, by_time) if count is not None))
    return StageEstimate(name=stage.name, seconds=steps * step, steps=steps, step_seconds=step)


def encoding_speed(model: Model, audio: AudioCache, device: torch.device) -> float:
    """Seconds of audio that are encoded in one, at all levels."""
    song = max(audio.index.songs, key=lambda song: song.frames)
    frames = min(song.frames, round(ENCODED_SECONDS * audio.rate))
    samples = torch.from_numpy(audio.audio(song, 0, frames)).to(device)
    codec = model.codec.to(device)
    codec.encode(samples[: frames // 4])
    start = time.perf_counter()
    codec.encode(samples)
    _wait(device)
    taken = time.perf_counter() - start
    codec.to("cpu")
    return frames / audio.rate / max(taken, 1e-6)


def codec_step(model: Model, level: int, batch: int, device: torch.device) -> float:
    """Seconds of one training step of a level of the codec."""
    config = model.config.codec
    module = LevelLoss(CodecLevel(config, level), Bandwidth(l1=0.1, l2=0.01, spec=10.0), config).to(device)
    crop = torch.randn(batch, DEFAULT_CROPS[level], device=device) * 0.1
    return timed(module, codec_optimizer(module, 1e-9), (crop,), device, "no")


def prior_step(config: PriorConfig, batch: int, device: torch.device, precision: str) -> float:
    """Seconds of one training step of a prior."""
    module = PriorLoss(Prior(config)).to(device)
    codes = torch.randint(config.bins, (batch, config.n_ctx), device=device)
    upper = None
    if config.upper is not None:
        upper = torch.randint(config.bins, (batch, config.n_ctx // config.upper.ratio), device=device)
    lyrics = None
    if config.lyrics is not None:
        lyrics = torch.zeros(batch, config.lyrics.tokens, dtype=torch.int64, device=device)
    labels = Labels(
        torch.zeros(batch, config.artists),
        torch.zeros(batch, config.genres),
        torch.full((batch,), 60 * config.sample_rate),
        torch.zeros(batch, dtype=torch.int64),
    ).to(device)
    return timed(module, make_optimizer(module, 1e-9), (codes, labels, upper, lyrics), device, precision)


def timed(
    module: nn.Module, optimizer: Optimizer, inputs: tuple[Any, ...], device: torch.device, precision: str
) -> float:
    """Seconds of one training step: the fastest of a few, after one to warm up."""
    module.train()
    taken = []
    for _ in range(1 + _STEPS):
        start = time.perf_counter()
        try:
            _step(module, optimizer, inputs, device, precision)
        except torch.OutOfMemoryError as error:
            raise NoMemory(
                f"a step with {len(inputs[0])} items does not fit into the memory; use a smaller --batch"
            ) from error
        taken.append(time.perf_counter() - start)
    return min(taken[1:])


def _step(
    module: nn.Module, optimizer: Optimizer, inputs: tuple[Any, ...], device: torch.device, precision: str
) -> None:
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        loss: Tensor = module(*inputs)[0]
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    _wait(device)


def disk_needed(wish: Wish, configs: dict[int, PriorConfig], audio: AudioCache) -> int:
    """Bytes that the working folder and the finished model take at most."""
    with torch.device("meta"):
        parameters = sum(p.numel() for config in configs.values() for p in Prior(config).parameters())
    samples = audio.samples.size
    tokens = sum(samples // config.hop for config in configs.values())
    return audio.samples.nbytes + 2 * 2 * tokens + (_PER_PARAMETER + 4) * parameters


def require_room(folder_there: Any, needed: int, used: int, folder: Any) -> None:
    """Raise DiskFull when what is still to be written does not fit. ``folder_there``: one on that disk."""
    free = psutil.disk_usage(str(folder_there)).free
    if needed - used > free:
        raise DiskFull(
            f"the training needs {(needed - used) / 1e9:.2f} GB in '{folder}' and {free / 1e9:.2f} GB are free there; "
            "free some space or choose another folder with --work"
        )


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
