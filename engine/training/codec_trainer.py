"""Training of the codec: every level is a run of its own, so levels can be trained side by side.

``RUN/level_L`` holds one level's checkpoints, figures and plots; :func:`assemble` joins the levels' EMA weights
and codebooks into ``RUN/codec.safetensors``.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from engine.codec.config import LOSSES, CodecConfig
from engine.codec.losses import SINGLE_SCALE, Bandwidth, codec_loss, measure_bandwidth, spectral_convergence
from engine.codec.vqvae import Codec, CodecLevel
from engine.errors import BadFormat, NoModel, TrainingError
from engine.training.cache import AudioCache, CropSampler
from engine.training.checkpoint import load_checkpoint
from engine.training.feeding import Task
from engine.training.files import write_bytes, write_json
from engine.training.finishing import FINISHED, Finishing
from engine.training.loop import Loop, LoopSettings
from engine.training.record import require_agreement, training_record

DEFAULT_CROPS = (8192, 16384, 32768)  # samples, per level (facts/training.md)
LEVEL_SHARES = (0.5, 0.25, 0.25)  # of a time budget shared by levels: the bottom wants most steps
RESTART_FRACTION = 0.05  # of the expected count per code; the trap of facts/training.md
GAIN_DB = (-6.0, 2.0)
_BANDWIDTH_CROPS = 256
_HELD_OUT_CROPS, _HELD_OUT_FRAMES = 12, 1 << 16


class LevelLoss(nn.Module):
    """Forward of one level with its losses; the spectra stay in float32 at any precision."""

    def __init__(self, level: CodecLevel, bandwidth: Bandwidth, config: CodecConfig) -> None:
        super().__init__()
        self.level, self.bandwidth, self.config = level, bandwidth, config

    def forward(self, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        made = self.level(target)
        with torch.autocast(target.device.type, enabled=False):
            parts = codec_loss(target, made.reconstruction.float(), self.bandwidth, self.config)
        loss = parts.pop("loss") + self.config.commit * made.commit
        figures = {**parts, "commit": made.commit, **made.metrics}
        if "usage" in figures:
            figures["restarts"] = self.config.bins - figures["usage"]
        return loss, figures


class DecoderLoss(LevelLoss):
    """The same where only the decoder learns: encoder and codebook stay as they are, and with them every code."""

    def __init__(self, level: CodecLevel, bandwidth: Bandwidth, config: CodecConfig) -> None:
        super().__init__(level, bandwidth, config)
        level.encoder.requires_grad_(False)

    def train(self, mode: bool = True) -> DecoderLoss:
        """Training mode, but for what stays."""
        super().train(mode)
        self.level.encoder.eval()
        self.level.bottleneck.eval()
        return self


def codec_optimizer(module: nn.Module, lr: float) -> Optimizer:
    """Adam, as facts/training.md probed it."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return Adam(parameters, lr=lr, betas=(0.9, 0.999), fused=parameters[0].is_cuda)


class CodecTask(Task):
    """One level of a codec as a training task; ``crop`` in samples, ``batch`` crops a step and rank.

    ``make``: builds the level from (config, level); another class than :class:`CodecLevel` is a variant of it.
    ``start``: a trained level to begin with, its codebook as if every row had been used evenly; ``keep_codes``: its
    codes stay as they are and only the decoder learns, so that priors of these codes stay good.
    """

    def __init__(
        self,
        level: int,
        config: CodecConfig,
        cache: AudioCache,
        batch: int,
        crop: int,
        seed: int,
        restart_fraction: float = RESTART_FRACTION,
        world: int = 1,
        make: type[CodecLevel] = CodecLevel,
        start: CodecLevel | None = None,
        keep_codes: bool = False,
    ) -> None:
        assert start is not None or not keep_codes
        hop = config.hops[level]
        least = max(n_fft for n_fft, _, _ in (*config.stft, SINGLE_SCALE))
        if crop % hop or crop < least:
            raise TrainingError(
                f"a crop of {crop} samples does not fit level {level}; "
                f"it must be a multiple of {hop} and at least {least}"
            )
        self.title, self.unit, self.units_per_item = f"codec level {level}", "samples", crop
        self.level, self.config, self.batch_size = level, config, batch
        self.crops = CropSampler(cache, "train", crop, seed, GAIN_DB)
        longest = max(song.frames for song in cache.songs("held-out"))
        frames = min(_HELD_OUT_FRAMES, longest) // config.hops[-1] * config.hops[-1]
        if frames < SINGLE_SCALE[0]:
            raise TrainingError(
                f"the longest held-out file is {longest} samples; at least one must be 2,048 samples or longer"
            )
        held_out = CropSampler(cache, "held-out", frames, seed)
        self.held_out = torch.from_numpy(held_out.spread(_HELD_OUT_CROPS))
        plain = CropSampler(cache, "train", crop, seed).spread(_BANDWIDTH_CROPS)
        self.bandwidth = measure_bandwidth(torch.from_numpy(crop) for crop in plain)
        torch.manual_seed(seed)
        module = make(config, level)
        for bottleneck, below in zip(module.bottlenecks, reversed(config.hops[: level + 1]), strict=False):
            bottleneck.scale_restarts(batch * world * crop / below, restart_fraction)
        if start is not None:
            module.load_state_dict(start.state_dict())
            for bottleneck in module.bottlenecks:
                bottleneck.begin_from(bottleneck.codebook.clone(), batch * world * crop / hop / config.bins)
        loss = DecoderLoss if keep_codes else LevelLoss
        self.module: nn.Module = loss(module, self.bandwidth, config)
        self.codec_level = module

    def optimizer(self, lr: float) -> Optimizer:
        """See :func:`codec_optimizer`."""
        return codec_optimizer(self.module, lr)

    def begin(self, step: int) -> None:
        """Sets how fast the codebook follows at this step."""
        # A fresh encoder moves faster than an average over 100 steps can follow, and its codes would all restart.
        for bottleneck in self.codec_level.bottlenecks:
            bottleneck.decay = min(self.config.codebook_decay, (1 + step) / (4 + step))

    def place(self, device: torch.device) -> None:
        """Keep the audio on the card, if it takes up less than half of what is free there."""
        free, _ = torch.cuda.mem_get_info(device)
        if self.crops.cache.samples.nbytes < free / 2:
            self.crops.place(device)

    def batch(self, step: int, rank: int, world: int) -> tuple[Tensor, ...]:
        """Random crops [batch, crop] of the training split; where they begin, if the audio lies on the card."""
        if self.crops.placed:
            picks, gains = self.crops.draw(step, self.batch_size, rank, world)
            return torch.from_numpy(picks), torch.from_numpy(gains)
        return (torch.from_numpy(self.crops.batch(step, self.batch_size, rank, world)),)

    def inputs(self, batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The crops, from the card if they lie there."""
        return (self.crops.cut(*batch),) if self.crops.placed else batch

    def compile(self) -> None:
        """The networks; the quantiser between them changes with every step."""
        for name in ("encoder", "decoder"):
            if hasattr(self.codec_level, name):
                getattr(self.codec_level, name).compile()

    def evaluate(self) -> dict[str, float]:
        """Spectral convergence (dB) on the held-out crops, and how much of the codebook they use."""
        device = next(self.module.parameters()).device
        ratios = []
        counts = torch.zeros(self.config.bins, dtype=torch.int64, device=device)
        for crop in self.held_out.to(device).split(1 if device.type == "cpu" else 8):
            reconstruction, codes = self.codec_level.reconstruct(crop)
            ratios.append(spectral_convergence(crop, reconstruction))
            counts += torch.bincount(codes.flatten(), minlength=self.config.bins)
        share = counts[counts > 0].double() / counts.sum()
        return {
            "sc_db": 20 * math.log10(max(float(torch.cat(ratios).mean()), 1e-6)),
            "codes_used": float((counts > 0).sum()),
            "entropy_bits": float(-(share * share.log2()).sum()),
        }

    def describe(self, figures: dict[str, float]) -> str:
        """Loss, held-out spectral convergence and codes in use."""
        words = [f"loss {figures['loss']:.3f}"] if "loss" in figures else []
        if "sc_db" in figures:
            words.append(f"held-out SC {figures['sc_db']:.2f} dB, {figures['codes_used']:.0f} codes")
        return "  ".join(words)

    def example(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """A held-out crop and its reconstruction, each [T]."""
        target = self.held_out[len(self.held_out) // 2][None].to(next(self.module.parameters()).device)
        self.module.eval()
        with torch.no_grad():
            reconstruction, _ = self.codec_level.reconstruct(target)
        return target[0].cpu().numpy(), reconstruction[0].cpu().numpy()


def train_level(
    level: int,
    config: CodecConfig,
    cache: AudioCache,
    settings: LoopSettings,
    crop: int,
    run: Path,
    accelerator: Accelerator,
    *,
    restart_fraction: float = RESTART_FRACTION,
    plots: bool = True,
    show: bool = True,
    origin: dict[str, str] | None = None,
    make: type[CodecLevel] = CodecLevel,
    start: CodecLevel | None = None,
    keep_codes: bool = False,
) -> dict[str, Any]:
    """Train one level in ``run/level_L``; returns the loop's summary. ``origin``: ``data`` and ``command`` in words;
    ``make``, ``start`` and ``keep_codes`` as in :class:`CodecTask`."""
    folder = level_folder(run, level)
    task = CodecTask(
        level,
        config,
        cache,
        settings.batch,
        crop,
        settings.seed,
        restart_fraction,
        accelerator.num_processes,
        make,
        start,
        keep_codes,
    )
    arguments = {
        "level": level,
        "codec": config.model_dump(mode="json"),
        "audio": cache.fingerprint,
        "batch": settings.batch,
        "crop": crop,
        "lr": settings.lr,
        "seed": settings.seed,
        **({"keep_codes": True} if keep_codes else {}),
    }
    extra = {
        "bandwidth": task.bandwidth.model_dump(),
        "seconds_of_audio": round(cache.seconds("train"), 1),
        **(origin or {"data": "", "command": ""}),
    }
    loop = Loop(task, settings, folder, arguments, accelerator, extra, show)

    def draw() -> None:
        from engine.training.plots import plot_curves, plot_reconstruction

        plot_curves(folder / "metrics.jsonl", folder / "curves.png", task.title)
        plot_reconstruction(*task.example(), config.sample_rate, folder / "reconstruction.png", task.title)

    return loop.train(draw if plots else None)


def level_folder(run: Path, level: int) -> Path:
    """Where one level of a codec run keeps its files."""
    return run / f"level_{level}"


def missing_levels(run: Path, levels: int = 3) -> list[int]:
    """Levels of a codec run that have no checkpoint yet."""
    return [level for level in range(levels) if not list(level_folder(run, level).glob("checkpoint-*"))]


def assemble(
    run: Path,
    base: Codec | None = None,
    base_record: dict[str, Any] | None = None,
    finishing: Finishing | None = None,
) -> tuple[Codec, dict[str, Any]]:
    """The codec of a run from the newest checkpoint of every level, and its training record.

    Levels that have none are those of ``base``. What a level was trained for is in its record: levels of one shape
    belong together whatever their losses. ``finishing`` is
    done to their decoders; without it they are as they were finished before. Writes ``codec.safetensors``,
    ``codec.json`` (the configuration) and ``codec_training.json`` into ``run``. Raises :class:`TrainingError` when a
    level is missing or the levels do not belong together.
    """
    codec: Codec | None = None
    before = _read_record(run)
    record: dict[str, Any] = {}
    shared: dict[str, Any] = {}
    lacking = missing_levels(run)
    if lacking and base is None:
        raise TrainingError(
            f"'{run}' has no checkpoint of level {', '.join(map(str, lacking))}; "
            f"train it with: segue train codec --levels {','.join(map(str, lacking))}"
        )
    if base is not None:
        codec, record = Codec(base.config), dict(base_record or {})
        codec.load_state_dict(base.state_dict())
        shared = {"codec": _shape(base.config)}
    for level in sorted({*range(3)} - {*lacking}):
        found = load_checkpoint(level_folder(run, level))
        assert found is not None
        tensors, state = found
        config = CodecConfig.model_validate(state["arguments"]["codec"])
        mine = {"codec": _shape(config), "audio": state["arguments"]["audio"]}
        require_agreement(run, mine, {**mine, **shared})
        shared = mine
        codec = codec or Codec(config)
        module = codec.levels[level]
        module.load_state_dict(_ema_level(tensors))
        record[str(level)] = training_record(state)
        record[str(level)] |= _finished(
            run, level, module.eval(), finishing, before.get(str(level), {}), state
        )
    assert codec is not None
    codec.eval()
    write_codec(run, codec, record)
    return codec, record


def _finished(
    run: Path,
    level: int,
    module: CodecLevel,
    finishing: Finishing | None,
    before: dict[str, Any],
    state: dict[str, Any],
) -> dict[str, float]:
    """Finishes a level's decoder, or leaves it as the same weights were finished when they were last joined; what is
    said of it in the record."""
    if finishing is not None:
        return finishing.apply(module)
    known = {key: before[key] for key in FINISHED if key in before}
    if not known or before.get("steps") != state["step"]:
        return {}
    own = f"levels.{level}."
    left = {n.removeprefix(own): v for n, v in load_codec(run).state_dict().items() if n.startswith(own)}
    module.load_state_dict(left)
    return known


def _read_record(run: Path) -> dict[str, Any]:
    path = run / "codec_training.json"
    found: dict[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {}
    return found


def _shape(config: CodecConfig) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude=set(LOSSES))


def write_codec(run: Path, codec: Codec, record: dict[str, Any]) -> None:
    """Leave a codec and its training record in ``run``, where encoding, priors and export look for them."""
    weights = {name: value.contiguous() for name, value in codec.state_dict().items()}
    write_json(run / "codec.json", codec.config.model_dump(mode="json"))
    write_json(run / "codec_training.json", record)
    write_bytes(run / "codec.safetensors", save(weights))


def finished_codec(
    run: Path, base: Codec | None = None, base_record: dict[str, Any] | None = None
) -> tuple[Codec, dict[str, Any]]:
    """The codec of a run with its record: joined from its levels as :func:`assemble` does, or one that was put there
    whole."""
    if (run / "codec.safetensors").is_file() and not any(run.glob("level_*")):
        return load_codec(run), json.loads((run / "codec_training.json").read_bytes())
    return assemble(run, base, base_record)


def _ema_level(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """State dict of one :class:`CodecLevel` out of a checkpoint: EMA weights, those that were not trained as they
    are, and codebook buffers."""
    found = {}
    for wanted in ("weights", "ema", "buffers"):
        for key, value in tensors.items():
            kind, _, name = key.partition("/")
            if kind == wanted:
                found[name.removeprefix("level.")] = value
    return found


def load_codec(run: Path) -> Codec:
    """The codec that :func:`assemble` left in ``run``, in eval mode.

    Raises :class:`NoModel` when it is not there and :class:`BadFormat` when it is damaged.
    """
    from safetensors.torch import load_file

    if not (run / "codec.json").is_file() or not (run / "codec.safetensors").is_file():
        raise NoModel(f"there is no codec in '{run}'; make one with: segue train codec DATA --out {run}")
    try:
        codec = Codec(CodecConfig.model_validate_json((run / "codec.json").read_bytes()))
        codec.load_state_dict(load_file(run / "codec.safetensors"))
    except (ValidationError, RuntimeError, OSError) as error:
        raise BadFormat(f"the codec in '{run}' cannot be read ({error}); assemble it again") from error
    return codec.eval()
