"""The card of a model of one's own: what it was trained on, how long, and held-out figures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from engine.codec.losses import SINGLE_SCALE, spectral_convergence
from engine.codec.vqvae import CodecLevel
from engine.store import ModelConfig, load_model
from engine.training.cache import AudioCache, CropSampler
from engine.training.files import write_bytes
from engine.training.own.plan import Wish

LEVELS = {2: "top", 1: "middle", 0: "bottom"}
_CROPS, _FRAMES = 8, 1 << 16


def write_card(folder: Path, config: ModelConfig, wish: Wish, audio: AudioCache) -> Path:
    """Write ``README.md`` into a model folder."""
    convergence = held_out_convergence(folder, audio)
    lines = [
        f"# {config.name}",
        "",
        f"A model of your own, begun from '{Path(wish.base).name}'"
        + (" (its codec and shapes only)" if wish.fresh else "")
        + f", trained on {audio.seconds('train') / 60:.1f} minutes of audio; another "
        f"{audio.seconds('held-out') / 60:.1f} minutes were held out, and all figures below are of those.",
        "",
        "| level | codec, spectral convergence | bits per token | on what it was trained on | by frequency alone "
        "| steps | minutes |",
        "|---|---|---|---|---|---|---|",
    ]
    priors: dict[str, Any] = config.training["priors"]
    for level, name in LEVELS.items():
        record = priors[str(level)]
        held_out = record["held_out"]
        lines.append(
            f"| {name} | {convergence[level]:.1f} dB | {held_out['bits_per_token']:.2f} | "
            f"{held_out['train_bits_per_token']:.2f} | {held_out['unigram_bits']:.2f} | {record['steps']:,} | "
            f"{record['hours'] * 60:.1f} |"
        )
    lines += [
        "",
        "Fewer bits per token are better. Many more held out than on what it was trained on: it has learnt your loops "
        "by heart; give it more of them, or less time.",
        "",
        f"Genres: {', '.join(config.genres)}. Artists: {', '.join(config.artists)}.",
        "",
        f"Trained with `{priors['2']['command']}` on {priors['2']['hardware']}.",
        "",
    ]
    write_bytes(folder / "README.md", "\n".join(lines).encode())
    return folder / "README.md"


@torch.no_grad()
def held_out_convergence(folder: Path, audio: AudioCache) -> dict[int, float]:
    """Spectral convergence of every level of the codec on held-out audio, dB."""
    codec = load_model(folder, levels=()).codec
    longest = max(song.frames for song in audio.songs("held-out"))
    step = codec.config.hops[-1]
    frames = max(min(_FRAMES, longest) // step * step, SINGLE_SCALE[0])
    crops = torch.from_numpy(CropSampler(audio, "held-out", frames, 0).spread(_CROPS))
    found = {}
    for level, module in enumerate(codec.levels):
        assert isinstance(module, CodecLevel)
        ratios = [spectral_convergence(crop, module.reconstruct(crop)[0]) for crop in crops.split(1)]
        found[level] = 20 * math.log10(max(float(torch.cat(ratios).mean()), 1e-6))
    return found
