"""Tensors read from where they lie are those that PyTorch and the safetensors library read."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from engine.errors import BadFormat
from engine.store import tensors as stored
from engine.store.pickled import read_checkpoint
from engine.store.safefile import read_header, write_tensors

TYPES = [
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.uint8,
    torch.bool,
]


def state() -> dict[str, Tensor]:
    """Every type, a scalar, an empty tensor, two views of one storage, and elements that are not in order."""
    torch.manual_seed(0)
    found: dict[str, Tensor] = OrderedDict((str(t), (torch.randn(3, 5) * 4).to(t)) for t in TYPES)
    whole = torch.randn(6, 7)
    return found | {
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "rows": whole[2:4],
        "columns": whole[:, 1:3],
        "turned": whole.t(),
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
        "thin": torch.randn(4, 1).t(),
    }


@pytest.mark.parametrize("zipped", [False, True])
def test_a_checkpoint_as_pytorch_reads_it(
    tmp_path: Path, zipped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "PIECE", 16)  # many pieces to a tensor
    file = tmp_path / "some.pt"
    torch.save({"model": state(), "hps": {"width": 3}}, file, _use_new_zipfile_serialization=zipped)
    wanted = torch.load(file, weights_only=True)["model"]
    found = read_checkpoint(file)
    assert found.settings == {"width": 3}
    assert list(found.tensors) == list(wanted)
    write_tensors(tmp_path / "out.safetensors", found.tensors)
    copied = load_file(tmp_path / "out.safetensors")
    for name, value in wanted.items():
        assert copied[name].dtype == value.dtype, name
        assert torch.equal(copied[name], value), name


def test_a_state_dictionary_by_itself(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(3, 2).state_dict(), tmp_path / "linear.pt")
    assert {name: t.shape for name, t in read_checkpoint(tmp_path / "linear.pt").tensors.items()} == {
        "weight": (2, 3),
        "bias": (2,),
    }


def test_figures_of_numpy_beside_the_weights_do_no_harm(tmp_path: Path) -> None:
    outer = {"model": {"w": torch.ones(2)}, "loss": np.float64(0.25), "steps": np.int64(7), "all": np.ones(3)}
    torch.save(outer, tmp_path / "some.pt", _use_new_zipfile_serialization=False)
    assert read_checkpoint(tmp_path / "some.pt").tensors["w"].shape == (2,)


def test_a_written_file_is_aligned_and_read_again(tmp_path: Path) -> None:
    save_file(
        {name: value.contiguous().clone() for name, value in state().items()}, tmp_path / "a.safetensors"
    )
    digest = write_tensors(tmp_path / "b.safetensors", read_header(tmp_path / "a.safetensors"))
    again = read_header(tmp_path / "b.safetensors")
    assert min(tensor.offset for tensor in again.values()) % 64 == 0
    for tensor in again.values():
        assert tensor.offset % stored.SIZES[tensor.dtype] == 0
    assert write_tensors(tmp_path / "c.safetensors", again) == digest
    assert (tmp_path / "b.safetensors").read_bytes() == (tmp_path / "c.safetensors").read_bytes()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_no_numbers_are_found(tmp_path: Path, dtype: torch.dtype, value: float) -> None:
    spoiled = torch.full((10,), 60000.0).to(dtype)
    save_file({"w": spoiled}, tmp_path / "a.safetensors")
    write_tensors(tmp_path / "good.safetensors", read_header(tmp_path / "a.safetensors"))
    spoiled[3] = value
    save_file({"w": spoiled}, tmp_path / "b.safetensors")
    with pytest.raises(
        BadFormat, match=r"b.safetensors holds values that are not numbers in 'w'; it is damaged"
    ):
        write_tensors(tmp_path / "bad.safetensors", read_header(tmp_path / "b.safetensors"))


def test_a_tensor_that_reaches_out_of_its_storage(tmp_path: Path) -> None:
    """A shape that was made larger in the file would read its neighbour's numbers."""
    file = tmp_path / "some.pt"
    torch.save(
        {"model": {"w": torch.zeros(5), "v": torch.ones(100)}}, file, _use_new_zipfile_serialization=False
    )
    data = file.read_bytes()
    shape = b"K\x05\x85q"  # BININT1 5, TUPLE1, memo: the shape of w
    assert data.count(shape) == 1
    file.write_bytes(data.replace(shape, b"K\x07\x85q"))
    with pytest.raises(BadFormat, match=r"is damaged \(a tensor reaches out of its storage\); get it again"):
        read_checkpoint(file)
