"""`segue models import`: the same weights by every road give the same model, and it computes what the original does."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from torch import Tensor

from bridge.cli import segue
from engine.prior.labels import Labels, make_labels
from engine.prior.prior import Conditions
from engine.request import Style
from engine.store import load_model, read_config
from engine.store.folder import Model
from tests.store.conftest import Sources
from tests.store.oracle import CODES, N_CTX, write_openai


def imported(*arguments: str | Path) -> str:
    result = CliRunner().invoke(segue, ["models", "import", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_both_layouts_give_the_same_folder_bit_by_bit(sources: Sources, models: Path, tmp_path: Path) -> None:
    imported(sources.hf, "--name", "tiny")
    imported(sources.openai, "--name", "tiny", "--out", tmp_path / "other")
    assert contents(models / "tiny") == contents(tmp_path / "other" / "tiny")
    assert sorted(contents(models / "tiny")) == [
        "SHA256SUMS", "codec.safetensors", "model.json", "prior_0.safetensors", "prior_1.safetensors",
        "prior_2.safetensors",
    ]  # fmt: skip


def test_zip_files_parallel_names_and_files_one_by_one(joint: Sources, models: Path, tmp_path: Path) -> None:
    """``torch.save``'s newer format, the ``module.`` of parallel training, and the other spelling of a stack."""
    imported(joint.hf, "--name", "tiny")
    zipped = write_openai(joint.model, tmp_path / "zipped", "joint", zipped=True)
    for file in zipped.iterdir():
        outer = torch.load(file, weights_only=True)
        outer["model"] = {f"module.{k.replace('.blocks.', '.model.')}": v for k, v in outer["model"].items()}
        torch.save(outer, file)
    imported(*zipped.iterdir(), "--name", "tiny", "--out", tmp_path / "other", "--labels", joint.openai)
    assert contents(models / "tiny") == contents(tmp_path / "other" / "tiny")


def test_safetensors_shards_without_tied_copies(joint: Sources, models: Path, tmp_path: Path) -> None:
    imported(joint.hf, "--name", "tiny")
    folder = tmp_path / "sharded"
    shutil.copytree(joint.hf, folder)
    state = torch.load(folder / "pytorch_model.bin", weights_only=True)
    (folder / "pytorch_model.bin").unlink()
    kept = {name: value.clone() for name, value in state.items() if not name.endswith("fc_proj_out.weight")}
    names = sorted(kept)
    shards = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, part in shards.items():
        save_file({name: kept[name] for name in part}, folder / file)
    weight_map = {name: file for file, part in shards.items() for name in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    imported(folder, "--name", "tiny", "--out", tmp_path / "other")
    assert contents(models / "tiny") == contents(tmp_path / "other" / "tiny")


def test_older_settings_of_hugging_face_say_the_same(joint: Sources, models: Path, tmp_path: Path) -> None:
    """Priors under keys of their own, and tied decoders called merged: the tables tell what they are."""
    imported(joint.hf, "--name", "tiny")
    folder = shutil.copytree(joint.hf, tmp_path / "older")
    settings = json.loads((folder / "config.json").read_text())
    for place, prior in enumerate(settings.pop("prior_config_list")):
        settings[f"prior_{place}"] = prior | {"merged_decoder": True, "timing_dims": 5, "max_duration": 1.0}
    (folder / "config.json").write_text(json.dumps(settings))
    imported(folder, "--name", "tiny", "--out", tmp_path / "other")
    assert contents(models / "tiny") == contents(tmp_path / "other" / "tiny")


@pytest.mark.parametrize("place", ["jukebox-1b-lyrics", "models--openai--jukebox-1b-lyrics/snapshots/0f3a"])
def test_a_hugging_face_model_keeps_its_name(
    joint: Sources, models: Path, tmp_path: Path, place: str
) -> None:
    imported(shutil.copytree(joint.hf, tmp_path / place))
    assert read_config(models / "1b_lyrics").name == "1b_lyrics"


def test_an_import_that_is_killed_leaves_no_model(joint: Sources, models: Path) -> None:
    """Killed while it writes its second file; the next import clears up and is whole."""
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from engine.store import importing\n"
        "from engine.store.hf_folder import plan_hf\n"
        "write, files = importing.write_tensors, []\n"
        "def killed(path, *rest):\n"
        "    files.append(path)\n"
        "    return os.kill(os.getpid(), signal.SIGKILL) if len(files) == 2 else write(path, *rest)\n"
        "importing.write_tensors = killed\n"
        f"importing.execute(plan_hf(Path({str(joint.hf)!r}), 'tiny', None), None)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    (part,) = models.iterdir()
    assert part.name.startswith(".tiny.") and (part / "codec.safetensors").is_file()
    assert json.loads(CliRunner().invoke(segue, ["models", "list", "--json"]).stdout)[0]["name"] == "starter"
    imported(joint.hf, "--name", "tiny")
    assert [path.name for path in models.iterdir()] == ["tiny"]


def test_other_programs_read_what_was_written(joint: Sources, models: Path) -> None:
    imported(joint.hf, "--name", "tiny")
    check = subprocess.run(
        ["sha256sum", "--check", "SHA256SUMS"], cwd=models / "tiny", capture_output=True, text=True
    )
    assert check.returncode == 0, check.stderr
    top = load_file(models / "tiny" / "prior_2.safetensors")
    there = joint.model.state_dict()
    assert torch.equal(top["embed"], there["priors.0.prior.embed_tokens.weight"])
    assert torch.equal(top["labels.genre"], there["priors.0.metadata_embedding.bow_genre_emb.weight"])
    assert "out.weight" not in top


def test_half_precision_stays_half(joint: Sources, models: Path, tmp_path: Path) -> None:
    """Released 5b files hold half-precision linears beside full-precision norms (facts/jukebox.md §6.1)."""
    source = tmp_path / "half"
    shutil.copytree(joint.openai, source)
    outer = torch.load(source / "prior_level_2.pth.tar", weights_only=True)
    for name, value in outer["model"].items():
        if name.endswith(".w"):
            outer["model"][name] = value.half()
    torch.save(outer, source / "prior_level_2.pth.tar", _use_new_zipfile_serialization=False)
    imported(source, "--name", "half")
    state = load_file(models / "half" / "prior_2.safetensors")
    assert state["transformer.layers.0.mlp.c_fc.weight"].dtype == torch.float16
    assert state["transformer.layers.0.ln_0.weight"].dtype == torch.float32
    model = load_model("half")
    assert {p.dtype for p in model.priors[2].parameters()} == {torch.float32}
    halved = load_model("half", dtype=torch.bfloat16)
    assert {p.dtype for p in halved.priors[2].parameters()} == {torch.bfloat16}
    assert {p.dtype for p in halved.codec.parameters()} == {torch.float32}


def test_configuration_from_either_source(joint: Sources, models: Path) -> None:
    """config.json's own rules: priors counted from the top, the outer settings over the priors' own."""
    imported(joint.hf, "--name", "tiny")
    config = read_config(models / "tiny")
    assert config.hops == (8, 32, 128)
    assert [prior.label_version for prior in config.priors] == ["v2", "v2", "v3"]
    top, middle, bottom = config.priors[2], config.priors[1], config.priors[0]
    assert top.time is not None
    assert (top.time.bins, top.time.min_seconds, top.time.max_seconds) == (9, 0.1, 60.0)
    assert top.lyrics is not None and top.lyrics.alignment == (15, 1)
    assert middle.upper is not None and bottom.upper is not None
    assert (middle.upper.residual_scale, bottom.upper.residual_scale) == (True, False)
    assert middle.time is None and config.vocabularies["v2"].bag == 5
    assert config.vocabularies["v3"].genres == {"unknown": 0, "country rock": 3}


# ---- The imported model computes what the original computes -------------------------------------------------


def codes(seed: int, length: int = N_CTX) -> Tensor:
    return torch.randint(0, CODES, (2, length), generator=torch.Generator().manual_seed(seed))


def hf_logits(model: object, place: int, tokens: Tensor, upper: Tensor | None, metadata: Tensor) -> Tensor:
    prior = model.priors[place]  # type: ignore[attr-defined]
    with torch.no_grad():
        added, start, lyrics = prior.get_cond([upper] if upper is not None else [], metadata)
        states = None
        if prior.is_encoder_decoder:
            tokens, added = prior.prior_preprocess([lyrics, tokens], [None, added])
        elif prior.nb_relevant_lyric_tokens:
            states = prior.get_encoder_states(lyrics)
        found: Tensor = prior.prior(tokens, added, start, states, get_preds=True)[1]
    return found[:, -N_CTX:]


TOTAL, OFFSET = 44100 * 20, 44100 * 3


def metadata(model: Model, level: int, style: Style, lyrics: Tensor | None) -> Tensor:
    """The label vector of facts/jukebox.md §4.1 for the style, genres padded with -1."""
    names, window = model.config.vocabulary(level), model.config.priors[level].window_samples
    artist = next(iter(names.artist_weights(style, strict=False)))
    genres = [*names.genre_weights(style, strict=False)]
    row = torch.tensor([[TOTAL, OFFSET, window, artist, *genres, *[-1] * (5 - len(genres))]]).repeat(2, 1)
    return row if lyrics is None else torch.cat((row, lyrics), 1)


STYLE = Style(artists={"bix": 1.0}, genres={"country rock": 1.0})


def conditions_of(model: Model, level: int) -> tuple[Conditions, Tensor | None, Tensor]:
    """Two lanes' conditions of a level, the codes above them, and the same as the original's label vector."""
    labels = make_labels(STYLE, TOTAL, OFFSET, model.config.vocabulary(level), strict=False)
    lyrics = upper = None
    if level < 2:
        upper = codes(7, N_CTX // 4)
    else:
        lyrics = torch.randint(1, 70, (2, 12), generator=torch.Generator().manual_seed(5))
    conditions = model.priors[level].condition(Labels.stack([labels, labels]), upper, 2, lyrics)
    return conditions, upper, metadata(model, level, STYLE, lyrics)


def test_imported_model_computes_what_the_original_does(sources: Sources, models: Path) -> None:
    imported(sources.openai, "--name", "tiny")
    model = load_model("tiny")
    for level in range(3):
        conditions, upper, row = conditions_of(model, level)
        wanted = hf_logits(sources.model, 2 - level, codes(level), upper, row)
        assert float(wanted.std()) > 0.1  # the weights are loud enough to tell right from wrong
        torch.testing.assert_close(model.priors[level](codes(level), conditions), wanted, rtol=0, atol=1e-5)


def test_every_road_leads_to_the_originals_tokens(sources: Sources, models: Path) -> None:
    """All levels of a window, primed with five tokens, with the original's sampler plugged in."""
    from tests.oracle.test_models import (
        TEMPERATURE,
        sample_as_they_do,
    )  # needs the library that `sources` asks for

    imported(sources.hf, "--name", "a")
    imported(sources.openai, "--name", "b")
    for level in range(3):
        drawn = []
        for name in ("a", "b"):
            model = load_model(name)
            conditions, upper, row = conditions_of(model, level)
            torch.manual_seed(7)
            drawn.append(sample_as_they_do(model.priors[level], conditions, codes(level, 5), N_CTX))
        torch.manual_seed(7)
        wanted = sources.model.priors[2 - level].sample(
            2, codes(level, 5), [upper], row, temp=TEMPERATURE, chunk_size=8, sample_tokens=N_CTX
        )
        assert torch.equal(drawn[0], wanted) and torch.equal(drawn[1], wanted)
        assert wanted.unique().numel() > 5


def test_imported_codec_computes_what_the_original_does(joint: Sources, models: Path) -> None:
    imported(joint.hf, "--name", "tiny")
    model = load_model("tiny")
    samples = torch.rand(2, 128 * 8, generator=torch.Generator().manual_seed(0)) - 0.5
    with torch.no_grad():
        wanted = joint.model.vqvae.encode(samples.unsqueeze(2))
        found = model.codec.encode(samples)
        for level in range(3):
            assert torch.equal(found[level], wanted[level])
            assert found[level].unique().numel() > 2
            audio = joint.model.vqvae.decode([wanted[level]], start_level=level, end_level=level + 1)[..., 0]
            torch.testing.assert_close(model.codec.decode(found[level], level), audio, rtol=0, atol=1e-5)
