"""Trees and sessions of choosing: what is on disk, after an end and after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from engine.backends.torch_backend import TorchBackend
from engine.errors import BadFormat, OutOfRange
from engine.host.branching import Nodes, check_size, grow_tree, tree_paths
from engine.host.composing import Composition
from engine.request import Fidelity, PrimeRef, Request
from engine.store import load_model
from engine.take import Take
from tests.host.tiny import make_tiny_model, write_riff

RATE = 44_100
BPM, BARS = 700.0 / 2, 0.25  # a quarter of a bar of 0.6857 s: 7560 samples a step


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def riff(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_riff(tmp_path_factory.mktemp("riff") / "riff.wav", seconds=0.6)


def first_request(riff: Path, **changes: object) -> Request:
    values = {"prime": PrimeRef(path=str(riff)), "frames": 7_560, "bpm": BPM, "bars": BARS, "seed": 5}
    return Request.model_validate({**values, "fidelity": Fidelity.DRAFT, **changes})


def nodes_of(model: Path, riff: Path, root: Path, **changes: object) -> Nodes:
    return Nodes(TorchBackend(load_model(model)), first_request(riff, **changes), root)


def grow(model: Path, riff: Path, root: Path, **changes: object) -> list[Take]:
    made: list[Take] = []
    grow_tree(nodes_of(model, riff, root, **changes), 2, 2, made.append)
    return made


def test_a_tree_of_two_levels(model: Path, riff: Path, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    made = grow(model, riff, root)
    assert [str(take.folder.relative_to(root)) for take in made] == ["1", "1/1", "1/2", "2", "2/1", "2/2"]
    record = json.loads((root / "tree.json").read_text())
    assert [(node["path"], node["parent"]) for node in record["nodes"]] == [
        ("1", ""),
        ("1/1", "1"),
        ("1/2", "1"),
        ("2", ""),
        ("2/1", "2"),
        ("2/2", "2"),
    ]
    assert len({node["seed"] for node in record["nodes"]}) == 6
    for node, take in zip(record["nodes"], made, strict=True):
        assert node["seed"] == take.info.head.request.seed
        assert Request.model_validate(node["request"]) == take.info.head.request
    # A child's first codes are its parent's last ones; two children of one parent differ.
    parent, left, right = made[0].codes()[2], made[1].codes()[2], made[2].codes()[2]
    np.testing.assert_array_equal(left[:48], parent[-48:])
    np.testing.assert_array_equal(right[:48], parent[-48:])
    assert (left[48:] != right[48:]).any()


def test_the_whole_path_is_one_piece_of_audio(model: Path, riff: Path, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    made = grow(model, riff, root)
    assert sorted(str(path.relative_to(root)) for path in root.rglob("path.wav")) == [
        "1/1/path.wav",
        "1/2/path.wav",
        "2/1/path.wav",
        "2/2/path.wav",
    ]
    path, rate = soundfile.read(root / "2" / "1" / "path.wav", dtype="float32")
    source = soundfile.read(riff, dtype="float32")[0]
    assert rate == RATE and path.size == source.size + 2 * 7_560
    np.testing.assert_allclose(path[: source.size], source, atol=2**-23)
    before, after = made[3].codes()[2], made[4].codes()[2]
    codec = load_model(model).codec
    whole = codec.decode(torch.from_numpy(np.concatenate([before, after[48:]])), 2).clamp(-1, 1).numpy()
    seam = made[3].info.prime_tokens[2] * 128
    np.testing.assert_allclose(path[source.size :], whole[seam : seam + 2 * 7_560], atol=2**-23)


def test_a_step_in_bars_never_drifts(model: Path, riff: Path, tmp_path: Path) -> None:
    """A third of a bar at 350 bpm is 10080 samples; at 349 bpm a step of 1/4 bar is 7581.66."""
    made = grow(model, riff, tmp_path / "tree", bpm=349.0)
    assert [take.info.frames for take in made[:2]] == [7_582, 7_581]
    assert round(2 * 0.25 * 4 * 60 / 349 * RATE) == 7_582 + 7_581


def test_the_same_tree_again_makes_nothing_new(model: Path, riff: Path, tmp_path: Path) -> None:
    root = tmp_path / "tree"
    made = grow(model, riff, root)
    stamps = {path: path.stat().st_mtime_ns for path in root.rglob("take.json")}
    again = grow(model, riff, root)
    assert [take.info for take in again] == [take.info for take in made]
    assert stamps == {path: path.stat().st_mtime_ns for path in root.rglob("take.json")}
    with pytest.raises(BadFormat) as raised:
        grow(model, riff, root, seed=6)
    assert raised.value.message == (
        f"'{root}' holds another tree; give the options it was begun with, or another folder"
    )


@pytest.mark.slow
def test_a_killed_tree_is_the_tree_that_was_not_killed(model: Path, riff: Path, tmp_path: Path) -> None:
    whole = grow(model, riff, tmp_path / "whole")
    root = tmp_path / "killed"
    code = (
        "import sys; from pathlib import Path; from tests.sampling.test_branching import grow; "
        "grow(*(Path(part) for part in sys.argv[1:]))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(model), str(riff), str(root)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    deadline = time.monotonic() + 60
    while not (root / "1" / "1" / "journal").is_file() and child.poll() is None:
        assert time.monotonic() < deadline
    child.send_signal(signal.SIGKILL)
    child.wait()
    again = grow(model, riff, root)
    for one, other in zip(whole, again, strict=True):
        assert one.info.head.request.seed == other.info.head.request.seed
        np.testing.assert_array_equal(one.codes()[2], other.codes()[2])
        assert one.wav.read_bytes() == other.wav.read_bytes()
    for path in (tmp_path / "whole").rglob("path.wav"):
        assert path.read_bytes() == (root / path.relative_to(tmp_path / "whole")).read_bytes()


def test_the_size_of_a_tree() -> None:
    assert check_size(4, 2) == 20 == len(list(tree_paths(4, 2)))
    for branch, depth, message in (
        (4, 6, "branch 4 and depth 6 make 5460 takes; at most 400 are made in one tree"),
        (0, 2, "the branch is 0; it must be from 1 to 16"),
        (2, 9, "the depth is 9; it must be from 1 to 8"),
    ):
        with pytest.raises(OutOfRange) as raised:
            check_size(branch, depth)
        assert raised.value.message == message


def test_composing_step_by_step(model: Path, riff: Path, tmp_path: Path) -> None:
    session = Composition.open(nodes_of(model, riff, tmp_path), 2)
    for complaint, act in (
        ("nothing was chosen yet, so there is no step to go back to; choose a candidate", session.back),
        ("nothing was chosen yet, so there is nothing to finish; choose a candidate first", session.finish),
        ("candidate 1 was chosen at step 1; choose from 1 to 0", lambda: session.choose(1)),
    ):
        with pytest.raises(OutOfRange) as raised:
            act()
        assert raised.value.message == complaint
    assert list(session.offer()) == [1, 2]
    assert list(session.offer(again=True)) == [3, 4]
    with pytest.raises(OutOfRange, match="candidate 5 was chosen at step 1; choose from 1 to 4"):
        session.choose(5)
    third = session.choose(3)
    session.offer()
    session.choose(2)
    session.back()
    session.choose(1)

    resumed = Composition.open(nodes_of(model, riff, tmp_path), 2)
    assert resumed.chosen == (3, 1)
    whole, path = resumed.finish()
    assert whole.info.frames == 15_120 and whole.info.head.request.bars == 0.5
    codes = whole.codes()[2]
    np.testing.assert_array_equal(codes[: third.codes()[2].size], third.codes()[2])
    last = Take.load(tmp_path / "3" / "1").codes()[2]
    np.testing.assert_array_equal(codes[-(last.size - 48) :], last[48:])
    assert soundfile.info(path).frames == round(0.6 * RATE) + 15_120
    assert resumed.finish()[0].info == whole.info  # found, not made again

    full, _ = resumed.finish(Fidelity.FULL)
    np.testing.assert_array_equal(full.codes()[2], codes)
    assert sorted(full.codes()) == [0, 1, 2] and full.info.frames == 15_120


def test_another_session_in_the_same_folder(model: Path, riff: Path, tmp_path: Path) -> None:
    Composition.open(nodes_of(model, riff, tmp_path), 2)
    with pytest.raises(BadFormat) as raised:
        Composition.open(nodes_of(model, riff, tmp_path), 3)
    assert raised.value.message == (
        f"'{tmp_path}' holds another session; give the options it was begun with, or another folder"
    )
    with pytest.raises(OutOfRange, match="17 candidates were asked for; it must be from 1 to 16"):
        Composition.open(nodes_of(model, riff, tmp_path), 17)
