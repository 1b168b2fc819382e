"""Training priors on codes, and the model folder that runs are joined into."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.codec.vqvae import Codec
from engine.errors import TrainingError
from engine.prior.config import PriorConfig, TimeConfig, UpperConfig
from engine.store import load_model
from engine.training.checkpoint import load_checkpoint, save_checkpoint
from engine.training.codec_trainer import level_folder
from engine.training.codes import CodedSong, CodeIndex, CodeStore, encoder_key
from engine.training.export import export_model
from engine.training.loop import LoopSettings, make_accelerator
from engine.training.prior_trainer import load_prior, prior_config, train_prior
from tests.training.sounds import RATE, TINY_CODEC

RATIO = 2
HOPS = TINY_CODEC.hops


def untrained_codec() -> Codec:
    torch.manual_seed(4)
    return Codec(TINY_CODEC)


def patterned_store(folder: Path, songs: int = 12, tokens: int = 256, walking: bool = True) -> CodeStore:
    """Top codes that go on by steps of 7 (the code before says what comes next) or are random; every code of a level
    below repeats the one above it, which only a conditioner on the upper codes can know in the second case."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = [
        CodedSong(
            name=str(number), artist=f"artist{number % 3}", genres=("pattern",), start=number * tokens, tokens=tokens,
            split="held-out" if number % 4 == 3 else "train",
        )
        for number in range(songs)
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    walk = np.concatenate([(np.arange(tokens) * 7 + number) % TINY_CODEC.bins for number in range(songs)])
    top = walk if walking else rng.integers(0, TINY_CODEC.bins, songs * tokens)
    for level in range(3):
        np.save(folder / f"level_{level}.npy", top.repeat(HOPS[2] // HOPS[level]).astype(np.uint16))
    codec = untrained_codec()
    keys = {level: f"{encoder_key(codec, level)}-patterns" for level in range(3)}
    index = CodeIndex(
        keys=keys,
        rate=RATE,
        bins=TINY_CODEC.bins,
        hops=HOPS,
        songs=tuple(entries),
    )
    return CodeStore(folder, index)


def tiny_prior(store: CodeStore, level: int) -> PriorConfig:
    artists, genres = store.names
    return PriorConfig(
        level=level, hop=HOPS[level], sample_rate=RATE, n_ctx=64, bins=TINY_CODEC.bins, width=32, depth=3, heads=2,
        blocks=8, m_attn=1.0, artists=len(artists), genres=len(genres),
        time=TimeConfig(bins=8, min_seconds=0.05, max_seconds=1.0) if level == 2 else None,
        upper=UpperConfig(bins=TINY_CODEC.bins, width=8, depth=1, ups=1) if level < 2 else None,
    )  # fmt: skip


def train(store: CodeStore, run: Path, level: int, steps: int, **changes: object) -> dict:
    chosen = {
        "steps": steps,
        "batch": 8,
        "lr": 3e-3,
        "warmup": 20,
        "decay": "linear",
        "device": "cpu",
        **changes,
    }
    settings = LoopSettings.model_validate(chosen)
    return train_prior(
        tiny_prior(store, level), store, settings, run, make_accelerator(settings), plots=False, show=False
    )


@pytest.mark.parametrize(("level", "precision"), [(2, "no"), pytest.param(1, "bf16", marks=pytest.mark.slow)])
def test_a_prior_learns_what_a_unigram_cannot(tmp_path: Path, level: int, precision: str) -> None:
    summary = train(
        patterned_store(tmp_path / "codes", walking=level == 2),
        tmp_path / "run",
        level,
        100,
        lr=1e-2,
        precision=precision,
    )
    assert summary["held_out_unigram_bits"] == pytest.approx(5.0, abs=0.05)  # 32 codes, all as frequent
    assert summary["held_out_bits_per_token"] < 1.5
    assert summary["held_out_train_bits_per_token"] < 1.5


def test_averages_are_exported_with_their_labels(tmp_path: Path) -> None:
    train(patterned_store(tmp_path / "codes"), tmp_path / "run", 2, 5)
    found = load_checkpoint(tmp_path / "run")
    prior, _ = load_prior(tmp_path / "run")
    assert found is not None
    assert torch.equal(prior.embed, found[0]["ema/prior.embed"])
    assert not torch.equal(prior.embed, found[0]["weights/prior.embed"])
    assert (tmp_path / "run" / "prior_2.safetensors").is_file()
    described = json.loads((tmp_path / "run" / "prior_2.json").read_text())
    assert described["artists"] == ["unknown", "artist0", "artist1", "artist2"]
    assert PriorConfig.model_validate(described["prior"]).n_ctx == 64


def test_the_starters_shape_takes_the_labels_and_the_length_of_the_songs(tmp_path: Path) -> None:
    store = patterned_store(tmp_path)
    config = prior_config(store, 2, width=96, depth=2)
    assert (config.width, config.depth, config.artists, config.genres) == (96, 2, 4, 2)
    assert config.time is not None and config.time.max_seconds == 144
    long = store.index.songs[0].model_copy(update={"tokens": 200 * RATE // HOPS[2]})
    longer = CodeStore(tmp_path, store.index.model_copy(update={"songs": (long, *store.index.songs[1:])}))
    time = prior_config(longer, 2).time
    assert time is not None and time.max_seconds == 600


def codec_run(folder: Path) -> Path:
    """Checkpoints of an untrained codec."""
    for level, module in enumerate(untrained_codec().levels):
        tensors = {f"ema/level.{name}": value for name, value in module.named_parameters()}
        tensors |= {f"buffers/level.{name}": value for name, value in module.named_buffers()}
        state = {
            "arguments": {"codec": TINY_CODEC.model_dump(mode="json"), "audio": "a", "batch": 1, "lr": 0.1, "seed": 0},
            "seconds": 1800.0, "hardware": "1 x test", "data": "tones", "command": "segue train codec tones",
            "seconds_of_audio": 3.0, "held_out": {"sc_db": -1.0},
        }  # fmt: skip
        save_checkpoint(level_folder(folder, level), 3, tensors, state)
    return folder


def test_runs_become_a_model_folder(tmp_path: Path) -> None:
    store = patterned_store(tmp_path / "codes")
    runs = [tmp_path / f"run{level}" for level in range(3)]
    for level, run in enumerate(runs):
        train(store, run, level, 2)
    codec = codec_run(tmp_path / "codec")
    with pytest.raises(
        TrainingError, match=r"there is no prior of level 0; name one run per level with --prior RUN"
    ):
        export_model(codec, runs[1:], tmp_path / "model", "mine")
    with pytest.raises(TrainingError, match=r"is a second prior of level 1; name one run per level"):
        export_model(codec, [runs[1], runs[1]], tmp_path / "model", "mine")
    with pytest.raises(
        TrainingError, match=r"'.*codec' holds no trained prior; make one with: segue train prior"
    ):
        export_model(codec, [codec], tmp_path / "model", "mine")
    export_model(codec, runs, tmp_path / "model", "mine")
    model = load_model(tmp_path / "model")
    assert model.config.name == "mine"
    assert model.config.artists == ("unknown", "artist0", "artist1", "artist2")
    record = model.config.training
    assert record["codec"]["2"]["command"] == "segue train codec tones"
    assert record["codec"]["2"]["hours"] == 0.5
    assert record["priors"]["0"]["steps"] == 2
    prior, _ = load_prior(runs[0])
    assert torch.allclose(model.priors[0].embed, prior.embed, atol=1e-4)


def test_a_prior_of_another_codecs_codes_does_not_join(tmp_path: Path) -> None:
    store = patterned_store(tmp_path / "codes")
    keys = {**store.index.keys, 1: "0123456789ab-patterns"}
    other = CodeStore(tmp_path / "codes", store.index.model_copy(update={"keys": keys}))
    train(other, tmp_path / "run1", 1, 1)
    codec = codec_run(tmp_path / "codec")
    with pytest.raises(
        TrainingError, match=r"run1' was trained on codes of another codec \(level 1\); train it on"
    ):
        export_model(codec, [tmp_path / "run1"], tmp_path / "model", "mine")
