"""The graph wrapper's contract, which holds with and without a graph; the capture itself needs a GPU."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.backends.torch_graphs import SWITCH, WARM_UP, Graphed, GraphMisuse, graphs_wanted, new_pool

CPU = torch.device("cpu")
CUDA = torch.device("cuda")
NAME = "the step of level 2 with 4 lanes"


def count_up(total: Tensor, step: Tensor) -> None:
    total.add_(step)


def tensors(device: torch.device = CPU) -> dict[str, Tensor]:
    return {"total": torch.zeros(4, device=device), "step": torch.full((4,), 2.0, device=device)}


def test_it_runs_as_often_as_it_is_told() -> None:
    given = tensors()
    graphed = Graphed(count_up, NAME, CPU)
    graphed(**given)
    graphed(times=3, **given)
    assert given["total"].tolist() == [8.0] * 4
    assert not graphed.captured


def test_views_of_the_captured_tensors_are_the_captured_tensors() -> None:
    given = tensors()
    graphed = Graphed(count_up, NAME, CPU)
    graphed(**given)
    graphed(total=given["total"][:], step=given["step"].view(4))
    assert given["total"].tolist() == [4.0] * 4


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"step": torch.ones(3)},
            "argument 'step' of the step of level 2 with 4 lanes has shape (3,); it was captured with (4,): "
            "give it that, or set SEGUE_NO_CUDA_GRAPH=1 and make it anew to run without graphs",
        ),
        (
            {"step": torch.ones(4, dtype=torch.float64)},
            "argument 'step' of the step of level 2 with 4 lanes has type torch.float64; it was captured with "
            "torch.float32: give it that, or set SEGUE_NO_CUDA_GRAPH=1 and make it anew to run without graphs",
        ),
        (
            {"step": torch.ones(4, device="meta")},
            "argument 'step' of the step of level 2 with 4 lanes has device meta; it was captured with cpu: "
            "give it that, or set SEGUE_NO_CUDA_GRAPH=1 and make it anew to run without graphs",
        ),
        (
            {"total": torch.zeros(4)},
            "argument 'total' of the step of level 2 with 4 lanes is another tensor of shape (4,) than the one of "
            "shape (4,) that was captured: copy into that one, or set SEGUE_NO_CUDA_GRAPH=1 and make it anew to run "
            "without graphs",
        ),
        (
            {"more": torch.zeros(4)},
            "argument 'more' is new to the step of level 2 with 4 lanes, which was captured with 'total', 'step'",
        ),
        (
            {"step": None},
            "argument 'step' is missing from the step of level 2 with 4 lanes, which was captured with 'total', "
            "'step'",
        ),
    ],
    ids=["shape", "type", "device", "identity", "new", "missing"],
)
def test_other_arguments_are_refused_in_a_sentence(changed: dict[str, Any], message: str) -> None:
    given = tensors()
    graphed = Graphed(count_up, NAME, CPU)
    graphed(**given)
    wrong = {name: tensor for name, tensor in (given | changed).items() if tensor is not None}
    with pytest.raises(GraphMisuse) as caught:
        graphed(**wrong)
    assert str(caught.value) == message
    assert given["total"].tolist() == [2.0] * 4  # nothing ran
    graphed(**given)  # and it goes on
    assert given["total"].tolist() == [4.0] * 4


def test_arguments_of_another_device_are_refused_at_once() -> None:
    message = "argument 'step' of the step of level 2 with 4 lanes is on meta; it has to be on cpu"
    with pytest.raises(GraphMisuse, match=re.escape(message)):
        Graphed(count_up, NAME, CPU)(total=torch.zeros(4), step=torch.ones(4, device="meta"))


def test_what_is_to_be_put_back_has_to_be_given() -> None:
    with pytest.raises(GraphMisuse, match="is to put back 'position' after its warm-up and was not given it"):
        Graphed(count_up, NAME, CPU, restored=("position",))(**tensors())


def test_it_does_not_run_inside_itself() -> None:
    def again(total: Tensor, step: Tensor) -> None:
        graphed(total=total, step=step)

    graphed = Graphed(again, NAME, CPU)
    message = (
        f"{NAME} is running already; it works on one set of tensors, so let it finish first or make a runner"
    )
    with pytest.raises(GraphMisuse, match=re.escape(message)):
        graphed(**tensors())


def test_two_threads_cannot_run_it_at_once() -> None:
    inside, leave = threading.Event(), threading.Event()

    def wait(total: Tensor, step: Tensor) -> None:
        inside.set()
        assert leave.wait(20)

    graphed, given = Graphed(wait, NAME, CPU), tensors()
    other = threading.Thread(target=lambda: graphed(**given))
    other.start()
    try:
        assert inside.wait(20)
        with pytest.raises(GraphMisuse, match="is running already"):
            graphed(**given)
    finally:
        leave.set()
        other.join()
    graphed(**given)  # afterwards it is free


def test_after_a_reset_it_takes_other_tensors() -> None:
    graphed = Graphed(count_up, NAME, CPU)
    graphed(**tensors())
    graphed.reset()
    wide = {"total": torch.zeros(7), "step": torch.ones(7)}
    graphed(**wide)
    assert wide["total"].tolist() == [1.0] * 7


def test_a_failure_leaves_it_free() -> None:
    def fail(total: Tensor, step: Tensor) -> None:
        raise ValueError("no")

    graphed, given = Graphed(fail, NAME, CPU), tensors()
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            graphed(**given)


@pytest.mark.parametrize(("value", "wanted"), [(None, True), ("", True), ("0", True), ("1", False)])
def test_the_switch(value: str | None, wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SWITCH, raising=False)
    if value is not None:
        monkeypatch.setenv(SWITCH, value)
    assert graphs_wanted(CUDA) is wanted
    assert graphs_wanted(CPU) is False and new_pool(CPU) is None


@pytest.mark.gpu
def test_a_replay_does_what_the_function_does() -> None:
    given = tensors(CUDA)
    graphed = Graphed(count_up, NAME, given["total"].device, restored=("total",))
    graphed(**given)
    assert graphed.captured
    assert given["total"].tolist() == [2.0] * 4  # the warm-up left no trace
    given["step"].fill_(5.0)
    graphed(times=WARM_UP, **given)
    assert given["total"].tolist() == [17.0] * 4


@pytest.mark.gpu
def test_what_cannot_be_captured_runs_without_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    def look(total: Tensor, step: Tensor) -> None:
        total.add_(float(step[0]))  # waits for the device

    given = tensors(CUDA)
    graphed = Graphed(look, NAME, given["total"].device, restored=("total",))
    graphed(**given)
    assert not graphed.captured and given["total"].tolist() == [2.0] * 4
    assert f"{NAME} could not be captured into a CUDA graph and runs without, slower" in caplog.text


@pytest.mark.gpu
def test_the_switch_turns_graphs_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "1")
    given = tensors(CUDA)
    graphed = Graphed(count_up, NAME, given["total"].device)
    graphed(times=2, **given)
    assert not graphed.captured and given["total"].tolist() == [4.0] * 4
