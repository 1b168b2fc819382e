"""Training a codec level, and the codec that levels are joined into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from engine.errors import NoModel, TrainingError
from engine.training.cache import AudioCache
from engine.training.checkpoint import load_checkpoint
from engine.training.codec_trainer import CodecTask, assemble, load_codec, missing_levels, train_level
from engine.training.loop import LoopSettings, make_accelerator
from tests.training.sounds import TINY_CODEC, tone_cache


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> AudioCache:
    return tone_cache(tmp_path_factory.mktemp("codec"))


def train(cache: AudioCache, run: Path, level: int, steps: int, **changes: Any) -> dict[str, Any]:
    settings = LoopSettings(
        **{"steps": steps, "batch": 2, "lr": 3e-3, "warmup": 10, "device": "cpu", "threads": 1, **changes}
    )
    return train_level(
        level, TINY_CODEC, cache, settings, 2048, run, make_accelerator(settings), plots=False, show=False
    )


@pytest.fixture(scope="module")
def run(cache: AudioCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    for level, steps in ((0, 300), (1, 4), (2, 4)):
        train(cache, folder, level, steps)
    return folder


def test_a_level_learns_sines(run: Path) -> None:
    found = load_checkpoint(run / "level_0")
    assert found is not None
    held_out = found[1]["held_out"]
    assert held_out["sc_db"] < -12  # 0 dB is silence; on a steady sine even a tiny codec does well
    assert held_out["codes_used"] >= 6
    assert 2.0 < held_out["entropy_bits"] <= 5.0  # 32 codes


def test_the_average_weights_are_assembled(run: Path) -> None:
    codec, record = assemble(run)
    found = load_checkpoint(run / "level_0")
    assert found is not None
    tensors = found[0]
    name = "decoder.out.weight"
    exported = codec.levels[0].state_dict()[name]
    assert torch.equal(exported, tensors[f"ema/level.{name}"])
    assert not torch.equal(exported, tensors[f"weights/level.{name}"])
    assert torch.equal(
        codec.levels[0].state_dict()["bottleneck.codebook"], tensors["buffers/level.bottleneck.codebook"]
    )
    assert record["0"]["steps"] == 300
    loaded = load_codec(run)
    samples = torch.sin(torch.arange(4096) * 0.2)
    assert torch.equal(loaded.encode(samples, (0,))[0], codec.encode(samples, (0,))[0])


def test_a_missing_level_is_named(cache: AudioCache, tmp_path: Path) -> None:
    train(cache, tmp_path, 1, 1)
    assert missing_levels(tmp_path) == [0, 2]
    with pytest.raises(
        TrainingError, match=r"has no checkpoint of level 0, 2; train it with: .*--levels 0,2"
    ):
        assemble(tmp_path)
    with pytest.raises(
        NoModel, match=r"there is no codec in '.*'; make one with: segue train codec DATA --out"
    ):
        load_codec(tmp_path)


def test_levels_of_different_audio_do_not_join(cache: AudioCache, tmp_path: Path) -> None:
    other = tone_cache(tmp_path / "other", 5)
    for level, audio in ((0, cache), (1, other), (2, cache)):
        train(audio, tmp_path / "run", level, 1)
    with pytest.raises(TrainingError, match=r"was trained with other arguments .audio was"):
        assemble(tmp_path / "run")


def test_resuming_with_another_crop_is_refused(cache: AudioCache, run: Path) -> None:
    with pytest.raises(TrainingError, match=r"batch was 2, now 3\); repeat the old ones"):
        train(cache, run, 2, 8, batch=3)


def test_a_crop_must_fit_the_level(cache: AudioCache) -> None:
    with pytest.raises(
        TrainingError,
        match=r"a crop of 2052 samples does not fit level 2; .* multiple of 8 and at least 2048",
    ):
        CodecTask(2, TINY_CODEC, cache, 4, 2052, 0)


def test_the_quantiser_stays_exact_in_bf16(cache: AudioCache, tmp_path: Path) -> None:
    summary = train(cache, tmp_path, 2, 10, precision="bf16")
    assert summary["loss"] < 3
    assert summary["used_in_batch"] > 1
