"""Released checkpoints at their full size, as files of holes: recognised by their shapes, imported in little memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import BadArguments, BadFormat
from engine.store import read_config
from engine.store.importing import lists_in, shapes_of, their_names
from engine.store.keys import TIED
from engine.store.openai_files import plan_openai
from engine.store.openai_settings import codec_from_settings, prior_from_settings
from engine.store.released import PRIORS, TOPS, released_model
from tests.store.oracle import CODEC_SETTINGS
from tests.store.sparse import write_sparse
from tests.store.tables import Table, released_table

TOTALS = {"5b": 5_060_452_800, "5b_lyrics": 5_640_506_800, "1b_lyrics": 942_643_200}
LISTS = {"v2": ("unknown;0\nzac_brown_band;1069\n", "unknown;0\ncountry;11\n"),
         "v3": ("unknown;0\nzac brown band;7169\n", "unknown;0\ncountry rock;546\n")}  # fmt: skip


def write_released(file: Path, name: str) -> Path:
    """A released file by the table of its tensors, not by our own maps."""
    table: Table = released_table(name)
    copy, original = TIED["openai"]
    tied = None
    if name not in ("prior_5b", "prior_5b_lyrics") and copy in table:
        del table[copy]
        tied = (copy, original)
    return write_sparse(file, table, tied, step=1)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder as facts/jukebox.md §6.1 lays it out, with all three top priors: 58 GB of holes."""
    folder = tmp_path_factory.mktemp("models")
    write_released(folder / "5b" / "vqvae.pth.tar", "vqvae")
    for level in (0, 1):
        write_released(folder / "5b" / f"prior_level_{level}.pth.tar", f"upsampler_level_{level}")
    for model, prior in TOPS.items():
        write_released(folder / model / "prior_level_2.pth.tar", prior)
    for version, (artists, genres) in LISTS.items():
        (folder / f"{version}_artist_ids.txt").write_text(artists)
        (folder / f"{version}_genre_ids.txt").write_text(genres)
    return folder


@pytest.mark.parametrize("model", sorted(TOPS))
def test_released_files_are_known_by_their_shapes(released: Path, model: str) -> None:
    plan = plan_openai([released], model, None, lists_in(released))
    known = released_model(model)
    assert (plan.config.name, plan.config.codec, plan.config.priors) == (model, known.codec, known.priors)
    assert plan.parameters == TOTALS[model] + 2 * 981_298_176 + 1_878_979  # facts/jukebox.md §1.6, §2.1
    assert plan.nbytes == 4 * plan.parameters
    name, row = ("zac brown band", 7169) if model == "1b_lyrics" else ("zac_brown_band", 1069)
    assert plan.config.vocabulary(2).artists[name] == row  # facts/jukebox.md §4.2
    assert plan.config.vocabulary(0).artists["zac_brown_band"] == 1069


def test_several_top_priors_need_a_choice(released: Path) -> None:
    with pytest.raises(
        BadArguments, match="several top priors here \\(1b_lyrics, 5b, 5b_lyrics\\); choose one with --model"
    ):
        plan_openai([released], None, None, None)


def test_a_released_folder_by_itself_needs_no_choice(released: Path) -> None:
    files = [*sorted((released / "5b").iterdir())[:2], released / "5b" / "vqvae.pth.tar"]
    plan = plan_openai([*files, released / "1b_lyrics"], None, "mine", None)
    assert plan.config.name == "mine"
    assert plan.config.priors[2] == PRIORS["prior_1b_lyrics"]


def test_a_released_upsampler_under_the_top_priors_name(released: Path, tmp_path: Path) -> None:
    (tmp_path / "prior_level_2.pth.tar").symlink_to(released / "5b" / "prior_level_1.pth.tar")
    files = [released / "5b" / "vqvae.pth.tar", tmp_path / "prior_level_2.pth.tar"]
    with pytest.raises(
        BadFormat, match="should be the top prior and is an upsampler; give each file its own name"
    ):
        plan_openai(files, None, None, None)


SETTINGS = {
    "level": 0, "n_ctx": 2048, "prior_width": 1024, "prior_depth": 96, "heads": 2, "attn_order": 2, "blocks": 32,
    "init_scale": 0.2, "labels": False,
}  # fmt: skip


def peak_of(command: list[str], folder: Path) -> int:
    """Peak resident memory, in bytes, of a process that must succeed."""
    environment = {**os.environ, "SEGUE_MODELS": str(folder)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.stderr is not None
    assert process.returncode == 0, process.stderr.read().decode()
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "wait4"), reason="the system does not measure a process's peak")
def test_importing_needs_little_memory(tmp_path: Path) -> None:
    """A prior of 1.3 GB, in a process that stays under 0.6 GB, most of which is the program itself."""
    codec_settings = CODEC_SETTINGS | {
        "downs_t": (3,),
        "strides_t": (2,),
        "hvqvae_multipliers": (1,),
        "levels": 1,
    }
    codec = codec_from_settings(codec_settings)
    prior = prior_from_settings(SETTINGS, codec)
    for file, config, settings in (
        ("vqvae.pth.tar", codec, codec_settings),
        ("prior_level_0.pth.tar", prior, SETTINGS),
    ):
        names, shapes = their_names(config, "openai"), shapes_of(config)
        tied = TIED["openai"] if config is prior else None
        write_sparse(tmp_path / file, {names[k]: shapes[k] for k in names}, tied, hps=settings)
    size = (tmp_path / "prior_level_0.pth.tar").stat().st_size
    assert size > 1_200_000_000
    segue = [sys.executable, "-c", "from bridge.cli import segue; segue()", "models"]
    peak = peak_of([*segue, "import", str(tmp_path), "--name", "large", "--no-labels"], tmp_path / "out")
    assert peak < 600_000_000
    assert read_config(tmp_path / "out" / "large").priors == (prior,)
    assert (tmp_path / "out" / "large" / "prior_0.safetensors").stat().st_size > 1_200_000_000
    # Loading needs the tensors once in the type that is wanted, and one more tensor: here half of the file.
    load = "import torch; from engine.store import load_model; load_model('large', dtype=torch.{})"
    for dtype, share in (("float32", 1.0), ("bfloat16", 1.5)):
        peak = peak_of([sys.executable, "-c", load.format(dtype)], tmp_path / "out")
        assert peak < share * size + 500_000_000  # the file's own pages count while they are mapped
