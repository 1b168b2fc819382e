"""Wrong, truncated and malicious files: one clear sentence each, nothing run, nothing half-imported."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from bridge.cli import segue
from engine.store import importing
from engine.store.pickled import read_checkpoint
from tests.store.conftest import Sources
from tests.store.oracle import write_openai


@pytest.fixture
def openai(joint: Sources, tmp_path: Path) -> Path:
    """A copy of OpenAI-style files to spoil."""
    return Path(shutil.copytree(joint.openai, tmp_path / "openai"))


@pytest.fixture
def hf(joint: Sources, tmp_path: Path) -> Path:
    """A copy of a Hugging Face folder to spoil."""
    return Path(shutil.copytree(joint.hf, tmp_path / "hf"))


def refusal(models: Path, *arguments: str | Path) -> str:
    """The sentence with which an import is refused; nothing of it is left behind."""
    result = CliRunner().invoke(segue, ["models", "import", *map(str, arguments), "--name", "tiny"])
    assert result.exit_code == 2, (result.output, result.exception)
    assert not models.exists() or list(models.iterdir()) == []
    sentence = result.stderr.strip().splitlines()[-1]
    assert sentence.startswith("segue: ")
    return sentence.removeprefix("segue: ")


def legacy(outer: object, file: Path) -> None:
    torch.save(outer, file, _use_new_zipfile_serialization=False)


class Evil:
    """Runs a shell command when it is unpickled by a reader that believes everything."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (self.command,)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("place", ["hps", "model", "opt"])
def test_a_malicious_pickle_is_refused_and_not_run(
    openai: Path, models: Path, tmp_path: Path, zipped: bool, place: str
) -> None:
    victim, file = tmp_path / "victim", openai / "prior_level_1.pth.tar"
    outer = torch.load(file, weights_only=True)
    evil = Evil(f"touch {victim}")
    outer[place] = evil if place == "opt" else outer[place] | {"x": evil}
    torch.save(outer, file, _use_new_zipfile_serialization=zipped)
    assert re.fullmatch(
        rf"{file} asks for '(posix|nt)\.system', which no weights need, so it was not opened; get the file from a "
        r"source you trust, or save only its tensors again",
        refusal(models, openai),
    )
    assert not victim.exists()
    torch.load(
        file, weights_only=False
    )  # the file is what it claims to be: a believing reader runs the command
    assert victim.exists()


@pytest.mark.parametrize("name", ["builtins.eval", "builtins.getattr", "torch.load", "torch.hub.load"])
def test_no_other_name_is_answered(tmp_path: Path, name: str) -> None:
    """A bare pickle that asks for a name, behind the beginning of a legacy file."""
    module, _, attribute = name.rpartition(".")
    file = tmp_path / "prior_level_0.pth.tar"
    head = b"".join(pickle.dumps(o, 2) for o in (0x1950A86A20F9469CFC6C, 1001, {}))
    file.write_bytes(head + b"\x80\x02c" + f"{module}\n{attribute}\n".encode() + b".")
    with pytest.raises(Exception, match=rf"asks for '{name}', which no weights need"):
        read_checkpoint(file)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_checkpoint(openai: Path, models: Path, zipped: bool, kept: float) -> None:
    file = openai / "prior_level_2.pth.tar"
    torch.save(torch.load(file, weights_only=True), file, _use_new_zipfile_serialization=zipped)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * kept)])
    assert (
        refusal(models, openai)
        == f"{file} ends in the middle; it was not downloaded completely, get it again"
    )


def test_an_incomplete_state(openai: Path, models: Path) -> None:
    file = openai / "prior_level_2.pth.tar"
    outer = torch.load(file, weights_only=True)
    del outer["model"]["prior.transformer._attn_mods.9.mlp.c_fc.w"]
    legacy(outer, file)
    assert refusal(models, openai) == (
        f"{file} is incomplete or of another model: 'prior.transformer._attn_mods.9.mlp.c_fc.w' is missing"
    )


def test_a_checkpoint_of_another_size(openai: Path, models: Path) -> None:
    """No settings in the file and none of the released shapes: the nearest released prior is named."""
    file = openai / "prior_level_2.pth.tar"
    legacy({"model": torch.load(file, weights_only=True)["model"]}, file)
    assert refusal(models, openai) == (
        f"{file} is incomplete or of another model than the released prior_5b: 'prior.x_emb.weight' is [111, 16] "
        "and should be [2048, 4800]"
    )


def swap(a: str, b: str) -> Callable[[Path], None]:
    def exchange(folder: Path) -> None:
        (folder / a).rename(folder / "held")
        (folder / b).rename(folder / a)
        (folder / "held").rename(folder / b)

    return exchange


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            swap("prior_level_0.pth.tar", "prior_level_1.pth.tar"),
            "prior_level_0.pth.tar is called the prior of level 0 and is the prior of level 1; give each file its",
        ),
        (
            swap("prior_level_1.pth.tar", "prior_level_2.pth.tar"),
            "prior_level_1.pth.tar is called the prior of level 1 and is the top prior; give each file its own name",
        ),
        (
            lambda folder: (folder / "prior_level_1.pth.tar").unlink(),
            "the prior of level 1 is missing; get it from where the others came from and put it beside them as "
            "prior_level_1.pth.tar",
        ),
        (lambda folder: (folder / "prior_level_2.pth.tar").unlink(), "the top prior is missing; get it from"),
        (lambda folder: (folder / "vqvae.pth.tar").unlink(), "the VQ-VAE is missing; get it from where the others"),
        (
            lambda folder: shutil.copy(folder / "vqvae.pth.tar", folder / "vqvae_2.pth.tar"),
            "are both the VQ-VAE; give one of them",
        ),
        (
            lambda folder: (folder / "v3_artist_ids.txt").unlink(),
            "give its folder with --labels, or import with --no-labels (then every artist and genre is 'unknown')",
        ),
        (
            lambda folder: (folder / "v2_genre_ids.txt").write_text("unknown;0\nrock;119\n"),
            "do not fit the model: genre 'rock' has id 119; the embedding has rows 0 to 4",
        ),
        (
            lambda folder: (folder / "prior_level_0.pth.tar").write_text("<!DOCTYPE html><title>Not found</title>"),
            "prior_level_0.pth.tar is a web page and not weights; the download failed, get it again",
        ),
        (
            lambda folder: (folder / "prior_level_0.pth.tar").write_text("version https://git-lfs.github.com/spec/v1"),
            "prior_level_0.pth.tar is a pointer of Git LFS and not the weights; fetch the file itself",
        ),
        (lambda folder: (folder / "vqvae.pth.tar").write_bytes(b""), "vqvae.pth.tar is empty; get it again"),
        (
            lambda folder: (folder / "vqvae.pth.tar").write_text("hello"),
            "vqvae.pth.tar is not a PyTorch checkpoint; give the .pth.tar file as it was downloaded",
        ),
        (
            lambda folder: legacy({"step": 3, "loss": 0.5}, folder / "vqvae.pth.tar"),
            "vqvae.pth.tar has no entry 'model' with tensors (it holds: loss, step); give the whole checkpoint",
        ),
        (
            lambda folder: legacy({"model": {"fc.weight": torch.zeros(2)}}, folder / "vqvae.pth.tar"),
            "vqvae.pth.tar is neither Jukebox's VQ-VAE nor one of its priors (its first tensor is 'fc.weight'); give",
        ),
        (
            lambda folder: legacy([1, 2], folder / "vqvae.pth.tar"),
            "vqvae.pth.tar holds no dictionary; a checkpoint with an entry 'model' is needed",
        ),
    ],
)  # fmt: skip
def test_spoiled_folders(openai: Path, models: Path, spoil: Callable[[Path], object], sentence: str) -> None:
    spoil(openai)
    assert sentence in refusal(models, openai)


def rewrite(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    outer = torch.load(file, weights_only=True)
    change(outer)
    legacy(outer, file)


@pytest.mark.parametrize(
    ("level", "change", "sentence"),
    [
        (
            2,
            lambda outer: outer["model"].update({"prior.x_out.weight": torch.zeros(111, 16)}),
            "'prior.x_out.weight' differs from 'prior.x_emb.weight', which should be the same table",
        ),
        (
            2,
            lambda outer: outer["model"].update({"prior.x_cond.weight": torch.zeros(1)}),
            "'prior.x_cond.weight' belongs to no such model",
        ),
        (
            1,
            lambda outer: outer["model"]["prior.pos_emb.pos_emb"].fill_(float("nan")),
            "prior_level_1.pth.tar holds values that are not numbers in 'position'; it is damaged, get it again",
        ),
        (
            2,
            lambda outer: outer["hps"].update(heads=3),
            "make no model: attention width 8 (m_attn x width) is not a multiple of heads 3",
        ),
        (1, lambda outer: outer["hps"].pop("cond_width"), "lack 'cond_width'; import a checkpoint with its whole"),
    ],
)  # fmt: skip
def test_spoiled_checkpoints(
    openai: Path, models: Path, level: int, change: Callable[[dict[str, Any]], object], sentence: str
) -> None:
    rewrite(openai / f"prior_level_{level}.pth.tar", change)
    assert sentence in refusal(models, openai)


def test_an_upsampler_whose_level_nothing_tells(openai: Path, models: Path) -> None:
    file = openai / "prior_level_1.pth.tar"
    rewrite(file, lambda outer: outer["hps"].pop("level"))
    file = file.rename(openai / "upsampler.pth.tar")
    assert refusal(models, openai) == (
        f"nothing tells whether {file} is the upsampler of level 0 or of level 1; call it prior_level_0.pth.tar or "
        "prior_level_1.pth.tar"
    )


def test_a_missing_path_and_a_folder_without_weights(models: Path, tmp_path: Path) -> None:
    assert refusal(models, tmp_path / "nowhere").startswith(
        f"'{tmp_path / 'nowhere'}' is not there; give the folder"
    )
    (tmp_path / "empty").mkdir()
    assert refusal(models, tmp_path / "empty").startswith(
        "there are no .pth.tar files there; give the folder"
    )


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            lambda folder: (folder / "artists.json").unlink(),
            "the label list artists.json is not in ",
        ),
        (
            lambda folder: (folder / "pytorch_model.bin").unlink(),
            "holds neither model.safetensors nor pytorch_model.bin; download the whole model",
        ),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be read as JSON"),
        (
            lambda folder: (folder / "config.json").write_text('{"model_type": "bert"}'),
            "config.json is of a 'bert' model; give a Jukebox folder",
        ),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(b"\x40\0\0\0\0\0\0\0{}"),
            "model.safetensors ends in the middle; it was not downloaded completely, get it again",
        ),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0[]"),
            "model.safetensors has a damaged header",
        ),
    ],
)  # fmt: skip
def test_spoiled_hugging_face_folders(
    hf: Path, models: Path, spoil: Callable[[Path], object], sentence: str
) -> None:
    spoil(hf)
    assert sentence in refusal(models, hf)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda settings: settings["prior_config_list"][0].update(num_layers=18),
            "(priors.0) is incomplete or of another model: 'prior.transformer._attn_mods.17.attn.c_attn.weight' is",
        ),
        (
            lambda settings: settings["prior_config_list"][1].update(attention_pattern="spiral"),
            "asks for the attention 'spiral'; known are full_dense_attention, raw_column_previous_row_attention,",
        ),
        (lambda settings: settings["prior_config_list"].clear(), "describes no priors; give the folder of a whole"),
        (
            lambda settings: settings["prior_config_list"][0].update(lyric_vocab_size=81),
            "has 81 characters; Jukebox's vocabularies have 80 (v2) or 79 (v3)",
        ),
        (
            lambda settings: settings.update(min_duration=70.0),
            "describes no model: min_seconds 70.0 must be below max_seconds 60.0",
        ),
    ],
)  # fmt: skip
def test_spoiled_hugging_face_settings(
    hf: Path, models: Path, change: Callable[[dict[str, Any]], object], sentence: str
) -> None:
    settings = json.loads((hf / "config.json").read_text())
    change(settings)
    (hf / "config.json").write_text(json.dumps(settings))
    assert sentence in refusal(models, hf)


def test_without_lists_everybody_is_unknown(openai: Path, models: Path) -> None:
    for file in openai.glob("*.txt"):
        file.unlink()
    wanted = (
        f"the label list v3_artist_ids.txt is not in {openai}; give its folder with --labels, or import with"
    )
    assert wanted in refusal(models, openai)
    arguments = ["models", "import", str(openai), "--name", "tiny", "--no-labels", "--json"]
    done = CliRunner().invoke(segue, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["name"] == "tiny"
    shown = json.loads(CliRunner().invoke(segue, ["models", "show", "tiny", "--json"]).stdout)
    assert shown["labels"] == {"artists": ["unknown"], "genres": ["unknown"]}


def test_which_of_several_top_priors(joint: Sources, models: Path, openai: Path) -> None:
    """Two of an own training cannot be told apart by --model; the released ones are asked for by name."""
    assert refusal(models, openai, "--model", "5b") == (
        "the top prior of 5b is missing (here: own); get it from where the others came from and put it beside them "
        "as 5b/prior_level_2.pth.tar"
    )
    (openai / "1b_lyrics").mkdir()
    shutil.copy(openai / "prior_level_2.pth.tar", openai / "1b_lyrics")
    assert refusal(models, openai) == "there are several top priors here (own); choose one with --model"


def test_a_name_that_is_taken_or_no_name(openai: Path, models: Path) -> None:
    def run(name: str) -> str:
        return CliRunner().invoke(segue, ["models", "import", str(openai), "--name", name]).stderr

    assert "'a/b' cannot be a model's name; use up to 64 letters" in run("a/b")
    assert "there is a model 'starter' already in " in run("starter")
    assert "imported" not in run("tiny")
    assert f"there is a model 'tiny' already in {models / 'tiny'}; choose another name with --name" in run(
        "tiny"
    )


def test_no_room_is_said_before_anything_is_written(
    openai: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    assert refusal(models, openai) == (
        f"the model needs 0.0 GB and {models} has 0.0 GB free; free some space or choose another folder with --out"
    )


def test_a_compressed_archive_is_not_a_checkpoint(openai: Path, models: Path) -> None:
    file, packed = openai / "prior_level_0.pth.tar", BytesIO()
    torch.save(torch.load(file, weights_only=True), file)
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    file.write_bytes(packed.getvalue())
    assert re.fullmatch(rf"{file} is damaged \(storage \d+\); get it again", refusal(models, openai))
    with zipfile.ZipFile(file, "w") as other:
        other.writestr("readme.txt", "hello")
    assert "is not a PyTorch checkpoint; give the .pth.tar file as it was downloaded" in refusal(
        models, openai
    )


def test_settings_of_a_strange_dictionary_type(joint: Sources, models: Path, tmp_path: Path) -> None:
    """OpenAI's own dictionary type for its settings: known by name, its class is never looked for."""
    folder = write_openai(joint.model, tmp_path / "odd", "joint", settings=True)
    file = folder / "prior_level_0.pth.tar"
    data = file.read_bytes()
    # {"level": 0, ...} becomes an object of jukebox.hparams.Hyperparams that is filled with the same items.
    plain = pickle.dumps({"a": 1}, 2)
    assert plain.startswith(b"\x80\x02}")
    at = data.index(b"hps") + len(b"hps")
    at = data.index(b"}", at)
    data = data[:at] + b"cjukebox.hparams\nHyperparams\n)\x81" + data[at + 1 :]
    file.write_bytes(data)
    assert read_checkpoint(file).settings["prior_depth"] == 4
