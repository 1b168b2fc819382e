"""`segue models list | show | verify`, and models found by name."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from bridge.cli import segue
from engine.errors import NoModel
from engine.store import load_model, model_folder
from engine.store.files import model_hash
from tests.prior.build import tiny_model


def run(*arguments: str | Path, code: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(segue, ["models", *map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout, result.stderr


@pytest.fixture
def own(models: Path) -> Path:
    """A tiny random model in the user's folder."""
    return tiny_model(models / "mine").folder


def test_list_has_shipped_and_own_models(own: Path) -> None:
    listed = {entry["name"]: entry for entry in json.loads(run("list", "--json")[0])}
    assert list(listed) == ["mine", "starter"]
    assert (listed["mine"]["origin"], listed["starter"]["origin"]) == ("own", "shipped")
    assert listed["mine"]["levels"] == 3
    loaded = load_model("mine")
    modules = (loaded.codec, *loaded.priors.values())
    parameters = sum(p.numel() for module in modules for p in module.parameters()) + 3 * 16 * 8  # codebooks
    assert listed["mine"]["parameters"] == parameters
    assert listed["mine"]["nbytes"] == sum(file.stat().st_size for file in own.glob("*.safetensors"))
    table, _ = run("list")
    assert [line.split()[:3] for line in table.splitlines()[1:3]] == [
        ["mine", "own", "3"],
        ["starter", "shipped", "3"],
    ]


def test_a_broken_model_does_not_hide_the_others(own: Path) -> None:
    (own / "prior_1.safetensors").unlink()
    out, errors = run("list")
    assert "starter" in out and "mine" not in out
    missing = f"{own / 'prior_1.safetensors'} is missing; the model folder is incomplete"
    assert errors == f"segue: mine is broken: {missing}\n"
    assert json.loads(run("list", "--json")[0])[1] == {"name": "mine", "folder": str(own), "problem": missing}


def test_show(own: Path) -> None:
    shown, _ = run("show", "mine")
    lines = shown.splitlines()
    assert lines[0].startswith("mine (own): 0.1 M parameters, ")
    assert lines[1] == "codec: 44100 Hz, 16 codes, 3 levels"
    assert lines[2] == (
        "level 2: windows of 64 tokens (0.19 s), width 24, 5 layers, 2 heads, attention order 2"
    )
    assert lines[5:] == [
        "artists: unknown, ada, bix",
        "genres: unknown, house, dub, jazz",
        "training: not recorded",
        "metrics: not recorded",
    ]
    assert json.loads(run("show", own, "--json")[0])["labels"]["artists"] == ["unknown", "ada", "bix"]


def test_show_what_a_model_needs_in_memory(own: Path) -> None:
    rows = {row["precision"]: row for row in json.loads(run("show", "mine", "--memory", "--json")[0])}
    priors = load_model("mine").priors
    assert [rows["fp32"][f"weights_{level}"] for level in range(3)] == [
        sum(p.numel() * 4 for p in priors[level].parameters()) for level in range(3)
    ]
    lines = run("show", "mine", "--memory")[0].splitlines()
    assert lines[0].split() == [*rows]
    assert [line.split("  ")[0].strip() for line in lines[1:5]] == [
        "codec",
        "weights of level 0",
        "weights of level 1",
        "weights of level 2",
    ]


def test_show_of_an_unknown_model(models: Path) -> None:
    assert run("show", "nobody", code=2)[1] == (
        "segue: there is no model 'nobody'; give one that is here (starter) or a folder that holds model.json\n"
    )


def test_verify_says_that_all_is_well(own: Path) -> None:
    out, _ = run("verify", "mine")
    assert out.splitlines() == [
        f"{name}.safetensors: as it should be" for name in ("codec", "prior_0", "prior_1", "prior_2")
    ]
    (own / "SHA256SUMS").unlink()
    assert run("verify", "mine")[0].splitlines()[-1] == "no digests were recorded, so none were compared"


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-7] ^= 1
    file.write_bytes(data)


def spoil(file: Path, value: float) -> None:
    state = load_file(file)
    state = {name: tensor.clone() for name, tensor in state.items()}
    state["transformer.layers.1.ln_0.weight"][2] = value
    save_file(state, file)


def widen(file: Path) -> None:
    save_file(load_file(file) | {"position": torch.zeros(65, 24)}, file)


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        (flip, "its SHA-256 is not the recorded one; copy or import the model again"),
        (lambda file: spoil(file, float("nan")), "its SHA-256 is not the recorded one; copy or import"),
        (widen, "'position' is not as model.json wants it"),
        (
            lambda file: file.write_bytes(file.read_bytes()[:5000]),
            "ends in the middle; it was not downloaded",
        ),
    ],
)
def test_verify_finds_damage(own: Path, damage: object, wrong: str) -> None:
    damage(own / "prior_1.safetensors")  # type: ignore[operator]
    out, errors = run("verify", "mine", code=2)
    assert f"prior_1.safetensors: {wrong}" in out.replace(f"{own}/prior_1.safetensors ", "")
    assert "prior_0.safetensors: as it should be" in out
    assert errors.splitlines()[-1].startswith(f"segue: {own / 'prior_1.safetensors'} is damaged: ")
    found = CliRunner().invoke(segue, ["models", "verify", "mine", "--json"])
    assert json.loads(found.stdout)["ok"] is False


def test_verify_finds_values_that_are_no_numbers_without_digests(own: Path) -> None:
    (own / "SHA256SUMS").unlink()
    spoil(own / "prior_2.safetensors", float("inf"))
    wrong = "'transformer.layers.1.ln_0.weight' holds values that are not numbers"
    assert f"prior_2.safetensors: {wrong}" in run("verify", "mine", code=2)[0]


def test_verify_of_an_incomplete_folder(own: Path) -> None:
    (own / "prior_0.safetensors").unlink()
    assert run("verify", "mine", code=2)[1] == (
        f"segue: {own / 'prior_0.safetensors'} is missing; copy or import the model again\n"
    )


def test_models_are_found_by_name_and_shipped_ones_first(own: Path, models: Path) -> None:
    assert model_folder("mine") == own
    tiny_model(models / "starter")
    assert model_folder("starter").parent.name == "models" and model_folder("starter").parent != models
    with pytest.raises(NoModel, match=r"give one that is here \(mine, starter\)"):
        model_folder("other")


def test_a_models_identity_is_of_its_files(own: Path) -> None:
    """Recorded digests are believed only while the files are no newer than they are."""
    before = model_hash(own, 3)
    (own / "SHA256SUMS").rename(own / "kept")
    assert model_hash(own, 3) == before
    (own / "kept").rename(own / "SHA256SUMS")
    flip(own / "prior_2.safetensors")
    assert model_hash(own, 3) != before


def test_a_setting_that_a_later_version_adds_makes_no_other_model(own: Path) -> None:
    """Takes are recalled by the digests of what decided them; ``model.json`` counts as it was written."""
    path = own / "model.json"
    written = json.loads(path.read_text())
    for prior in written["priors"]:
        del prior["style_signal"]  # as a model from before there was such a thing
    path.write_text(json.dumps(written))
    deciding = {name: value for name, value in written.items() if name not in ("training", "metrics")}
    digest = hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()
    assert load_model("mine").files["model.json"] == digest


def test_a_damaged_list_of_digests(own: Path) -> None:
    (own / "SHA256SUMS").write_text("hello\n")
    assert run("verify", "mine", code=2)[1].splitlines()[-1] == (
        f"segue: {own / 'SHA256SUMS'} is damaged; delete it, or copy the model folder again"
    )
