"""Decoders that are trained further while the codes stay: the model's priors go with them."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import cast

import pytest
import torch
from click.testing import CliRunner, Result

from bridge.cli import segue
from engine.codec.config import CodecConfig
from engine.codec.vqvae import CodecLevel
from engine.store import load_model
from engine.training.cache import open_cache
from engine.training.codec_trainer import load_codec
from engine.training.even import even_out, tone_db
from engine.training.finishing import Finishing, finishing_crops, quieter_by
from tests.host.tiny import make_tiny_model
from tests.training.sounds import tone_folder

SMALL = (
    "--steps",
    3,
    "--batch",
    1,
    "--crop",
    4096,
    "--device",
    "cpu",
    "--threads",
    1,
    "--no-plots",
    "--json",
)


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Audio, beside the user's models: one tiny one, ``small``."""
    monkeypatch.setenv("SEGUE_MODELS", str(tmp_path / "models"))
    make_tiny_model(tmp_path / "models" / "small")
    return tone_folder(tmp_path / "tones")


def train(*words: object) -> Result:
    return CliRunner().invoke(segue, ["train", *map(str, words)])


def test_only_a_decoder_learns_and_the_priors_stay(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = train("codec", data, "--out", run, "--from", "small", "--keep-codes", "--levels", 1, *SMALL)
    assert done.exit_code == 0, done.output
    done = train("export", "--codec", run, "--from", "small", "--out", tmp_path / "models" / "better")
    assert done.exit_code == 0, done.output
    before, after = load_model("small"), load_model("better")
    sound = torch.sin(torch.arange(8192) * 0.05)
    old, new = before.codec.encode(sound), after.codec.encode(sound)
    for level in range(3):
        assert torch.equal(old[level], new[level])
        same = torch.equal(before.codec.decode(old[level], level), after.codec.decode(old[level], level))
        assert same is (level != 1)  # the other levels have not changed at all
    for level, prior in before.priors.items():
        for name, value in prior.state_dict().items():
            assert torch.equal(value, after.priors[level].state_dict()[name])
    assert after.config.training["codec"]["1"]["steps"] == 3
    assert after.config.artists == before.config.artists
    assert before.hash != after.hash


def test_resumed_it_goes_on_with_the_decoder(data: Path, tmp_path: Path) -> None:
    usual = ("codec", data, "--from", "small", "--keep-codes", "--levels", 2, "--out", tmp_path / "run")
    states = [load_model("small").codec.levels[2].state_dict()]
    for count in (3, 6):
        done = train(*usual, *SMALL, "--steps", count, "--lr", 1e-3)
        assert done.exit_code == 0, done.output
        states.append(load_codec(tmp_path / "run").levels[2].state_dict())
    trained = [name for name in states[0] if name.startswith("decoder.")]
    for name in {*states[0]} - {*trained}:
        if name.startswith("encoder.") or name.endswith("codebook"):
            assert all(torch.equal(states[0][name], state[name]) for state in states[1:]), name
    for one, other in pairwise(states):
        assert not all(torch.equal(one[name], other[name]) for name in trained)
    assert json.loads((tmp_path / "run" / "codec_training.json").read_text())["2"]["steps"] == 6


def test_levels_trained_for_other_things_belong_together(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    usual = ("codec", data, "--out", run, "--from", "small", "--keep-codes", *SMALL)
    assert train(*usual, "--levels", 2, "--loss", "spectra").exit_code == 0
    done = train(*usual, "--levels", 1)
    assert done.exit_code == 0, done.output
    assert load_codec(run).config == load_model("small").codec.config
    logs = [(run / f"level_{level}" / "metrics.jsonl").read_text() for level in (1, 2)]
    assert ["logspectral" in text for text in logs] == [False, True]
    done = train(*usual, "--levels", 2)
    assert done.exit_code == 2
    assert "was trained with other arguments (codec was {" in done.stderr


class Quiet(torch.nn.Module):
    """A level whose decoder gives everything 3.1 dB too quietly."""

    def __init__(self) -> None:
        super().__init__()
        self.out = torch.nn.Conv1d(1, 1, 1)
        torch.nn.init.constant_(self.out.weight, 0.7)
        torch.nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    @property
    def decoder(self) -> Quiet:
        return self

    def reconstruct(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        return self.out(x[:, None])[:, 0], None


def test_what_came_back_too_quietly_comes_back_as_loud_as_it_was(tmp_path: Path) -> None:
    cache = open_cache(tone_folder(tmp_path / "tones"), tmp_path / "cache", 44100)
    crops, level = finishing_crops(cache, 44100, 128), Quiet()
    done = Finishing(crops, 44100, 128, loud=True).apply(cast(CodecLevel, level))
    gain = done["gain_db"]
    assert gain == pytest.approx(-20 * math.log10(0.7), abs=0.01)
    assert level.out.weight.item() == pytest.approx(1.0, abs=1e-3)
    assert quieter_by(cast(CodecLevel, level), crops, 44100) == pytest.approx(0.0, abs=0.01)
    torch.nn.init.constant_(level.out.weight, 0.01)
    assert (
        quieter_by(cast(CodecLevel, level), crops, 44100) == 6.0
    )  # what is farther off is no matter of loudness


def test_a_constant_comes_out_of_every_phase_alike() -> None:
    """One transposed convolution that says 1 and 3 in turn of what is always 1 says 2 of it, and no more is changed."""
    level = Alternating()
    crops = torch.zeros(3, 64)
    assert tone_db(cast(CodecLevel, level), crops, 4) == pytest.approx(0.0, abs=0.01)  # 1 up, 1 down
    even_out(cast(CodecLevel, level), crops)
    made = level.reconstruct(crops)[0]
    torch.testing.assert_close(made[:, 2:-2], torch.full((3, 60), 2.0))
    assert level.up.weight.flatten().tolist() == pytest.approx([0.25, 0.75, 1.75, 1.25])
    assert tone_db(cast(CodecLevel, level), crops[:, :32], 4) < -12  # the ends, which no tap reaches


class Alternating(torch.nn.Module):
    """A level whose codes are all alike and whose decoder is one transposed convolution, uneven by its taps."""

    def __init__(self) -> None:
        super().__init__()
        self.up = torch.nn.ConvTranspose1d(1, 1, 4, 2, 1, bias=False)
        self.up.weight.data = torch.tensor([[[0.75, 0.25, 2.25, 0.75]]])

    @property
    def bottleneck(self) -> Alternating:
        return self

    @property
    def decoder(self) -> torch.nn.Module:
        return self.up

    def encoder(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ones_like(x[:, :, ::2])

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        return x

    def reconstruct(self, x: torch.Tensor) -> tuple[torch.Tensor, None]:
        return self.up(self.encoder(x[:, None]))[:, 0], None


@pytest.mark.parametrize("seed", range(3))
def test_a_decoder_of_random_weights_loses_its_tone(seed: int) -> None:
    """That is nearly all there is of what it gives: each of its seven transposed convolutions adds to it."""
    torch.manual_seed(seed)
    level, crops = CodecLevel(CodecConfig(), 2).eval(), 0.2 * torch.randn(2, 8192)
    tone = tone_db(level, crops, 128)
    even_out(level, crops)
    assert tone_db(level, crops, 128) < tone - 30


def test_decoders_are_scaled_when_levels_are_joined(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    usual = ("codec", data, "--out", run, "--from", "small", "--keep-codes")
    assert train(*usual, "--levels", 1, *SMALL).exit_code == 0
    before = load_codec(run)
    done = train(*usual, "--assemble", "--as-loud")
    assert done.exit_code == 0, done.output
    record = json.loads((run / "codec_training.json").read_text())
    after, factor = load_codec(run), 10 ** (record["1"]["gain_db"] / 20)
    assert record["1"]["gain_db"] != 0.0 and "gain_db" not in record.get("0", {})
    for level, expected in enumerate((1.0, factor, 1.0)):
        name = f"levels.{level}.decoder.out.weight"
        own, scaled = (codec.state_dict()[name] for codec in (before, after))
        torch.testing.assert_close(scaled, own * expected, rtol=2e-3, atol=0)
    done = train("export", "--codec", run, "--from", "small", "--out", tmp_path / "models" / "louder")
    assert done.exit_code == 0, done.output
    shipped = load_model("louder")
    for name, value in after.state_dict().items():
        if ".decoder." in name:
            assert torch.equal(shipped.codec.state_dict()[name], value), name
    assert shipped.config.training["codec"]["1"]["gain_db"] == record["1"]["gain_db"]
    done = train(*usual, "--assemble", "--as-loud", "--even")
    assert done.exit_code == 0, done.output
    even, record = load_codec(run), json.loads((run / "codec_training.json").read_text())
    assert set(record["1"]) >= {"gain_db", "tone_db"}
    taps = {n: v for n, v in even.state_dict().items() if ".decoder." in n and ".steps." in n}
    assert {n.split(".")[1] for n, v in taps.items() if not torch.equal(v, after.state_dict()[n])} == {"1"}
    assert train(*usual, "--assemble").exit_code == 0  # the same weights stay finished
    for name, value in load_codec(run).state_dict().items():
        assert torch.equal(value, even.state_dict()[name]), name
    missing = train("codec", "--out", run, "--from", "small", "--keep-codes", "--assemble", "--even")
    assert missing.exit_code == 2 and "DATA is missing" in missing.output


def test_codes_that_have_changed_part_with_the_priors(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = train("codec", data, "--out", run, "--from", "small", "--levels", 0, *SMALL)
    assert done.exit_code == 0, done.output
    done = train("export", "--codec", run, "--from", "small", "--out", tmp_path / "models" / "better")
    assert done.exit_code == 2
    assert (
        "the priors of 'small' were trained on other codes of level 0 than this codec makes; "
        "train priors on its own, or the codec with --keep-codes"
    ) in done.stderr
    done = train("codec", data, "--out", run, "--from", "small", "--keep-codes", "--levels", 0, *SMALL)
    assert done.exit_code == 2
    assert "(keep_codes was None, now True)" in done.stderr


def test_there_must_be_codes_to_keep(data: Path, tmp_path: Path) -> None:
    done = train("codec", data, "--out", tmp_path / "run", "--keep-codes", *SMALL)
    assert done.exit_code == 2
    assert "there are no codes to keep; name the model they are of with --from" in done.stderr
