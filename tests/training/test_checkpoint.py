"""Checkpoints: small files, complete or not there."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from engine.errors import BadFormat, DiskFull
from engine.training.checkpoint import load_checkpoint, newest_checkpoint, remove_checkpoints, save_checkpoint

TENSORS = {
    "scalar": torch.tensor(7.5),
    "flag": torch.tensor(True),
    "half": torch.arange(6, dtype=torch.float16).view(2, 3),
    "none": torch.zeros(0, 4),
}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 12, TENSORS, {"seconds": 1.5})
    found = load_checkpoint(tmp_path)
    assert found is not None
    tensors, state = found
    assert (state["step"], state["seconds"]) == (12, 1.5)
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_no_file_is_above_16_megabytes(tmp_path: Path) -> None:
    big = torch.randn(3000, 3000)  # 36 MB in one tensor
    folder = save_checkpoint(tmp_path, 1, {"big": big, "small": torch.ones(3)}, {})
    files = sorted(folder.glob("*.safetensors"))
    assert len(files) == 3
    assert max(file.stat().st_size for file in files) <= 16_000_000
    with safe_open(files[0], "pt") as opened:  # each file is whole by itself
        assert all(opened.get_slice(key).get_shape() for key in opened.keys())  # noqa: SIM118
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert torch.equal(found[0]["big"], big)
    assert torch.equal(found[0]["small"], torch.ones(3))


def test_the_newest_complete_one_counts_and_leftovers_do_not(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 5, {"x": torch.tensor(5.0)}, {})
    (tmp_path / ".checkpoint-00000009-0.part").mkdir()
    (tmp_path / "checkpoint-00000010-0").mkdir()  # without a state.json
    found = load_checkpoint(tmp_path)
    assert found is not None and float(found[0]["x"]) == 5.0
    save_checkpoint(tmp_path, 6, {"x": torch.tensor(6.0)}, {})
    save_checkpoint(tmp_path, 6, {"x": torch.tensor(6.2)}, {})
    save_checkpoint(tmp_path, 6, {"x": torch.tensor(6.5)}, {})
    found = load_checkpoint(tmp_path)
    assert found is not None and float(found[0]["x"]) == 6.5
    assert [p.name for p in tmp_path.glob("checkpoint-*/state.json")] == ["state.json"]
    assert not list(tmp_path.glob(".*.part"))
    remove_checkpoints(tmp_path)
    assert newest_checkpoint(tmp_path) is None


def test_damage_is_named(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path, 5, TENSORS, {})
    part = folder / "part-000.safetensors"
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(
        BadFormat, match=r"the checkpoint '.*' is damaged .*copy it again or start over with --resume never"
    ):
        load_checkpoint(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_no_room_for_the_next_leaves_the_last(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 5, TENSORS, {})
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
        with pytest.raises(DiskFull, match=r"the disk that holds '.*' is full; free some space"):
            save_checkpoint(tmp_path, 6, {"x": torch.zeros(1 << 20)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    found = load_checkpoint(tmp_path)
    assert found is not None and found[1]["step"] == 5
    assert not list(tmp_path.glob(".*.part"))
