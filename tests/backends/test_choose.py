"""Which runtime and which device a model gets: the rule, what is said, and a card that is too small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from bridge.cli import segue
from bridge.cli.options import chosen_device
from engine.backends import choose as choosing
from engine.backends.choose import (
    CUDA_PROVIDER,
    SMALL,
    Choice,
    Device,
    Found,
    Wanted,
    choose,
    open_backend,
    require_card,
)
from engine.backends.torch_backend import TorchBackend
from engine.errors import NoMemory
from engine.host.process import EngineOptions
from engine.store import model_folder
from engine.store.files import prior_file
from engine.store.released import released_model
from tests.prior.build import tiny_model

GB = 10**9


def found(card: bool, **changes: Any) -> Found:
    """A machine with ONNX Runtime for processors only, and a small exported model."""
    usual: dict[str, Any] = {
        "missing": "",
        "providers": ("CPUExecutionProvider",),
        "precision": None,
        "exported": True,
        "for_cards": False,
        "stored": SMALL // 2,
    }
    return Found(**(usual | changes), card=lambda: card)


LARGE: dict[str, Any] = {"stored": 14 * GB, "exported": False}


@pytest.mark.parametrize(
    ("wanted", "device", "there", "choice"),
    [
        # The starter is played by the processor, card or not; where the card is named it goes there.
        ("auto", "auto", found(True), Choice("onnx", "cpu")),
        ("auto", "auto", found(False), Choice("onnx", "cpu")),
        ("auto", "cuda", found(True), Choice("torch", "cuda")),
        ("torch", "auto", found(True), Choice("torch", "cuda")),
        ("torch", "cpu", found(True), Choice("torch", "cpu")),
        # What is large, has no graphs, or is in half precision wants the card.
        ("auto", "auto", found(True, **LARGE), Choice("torch", "cuda")),
        ("auto", "auto", found(True, stored=14 * GB), Choice("torch", "cuda")),
        ("auto", "auto", found(False, stored=14 * GB), Choice("onnx", "cpu")),
        ("auto", "cpu", found(True, stored=14 * GB), Choice("onnx", "cpu")),
        ("auto", "auto", found(True, exported=False), Choice("torch", "cuda")),
        ("auto", "auto", found(True, precision="bf16"), Choice("torch", "cuda")),
        ("auto", "auto", found(False, precision="bf16"), Choice("torch", "cpu")),
        ("auto", "auto", found(True, missing="is not installed"), Choice("torch", "cuda")),
        # Graphs, where they are named.
        ("onnx", "auto", found(True, stored=14 * GB), Choice("onnx", "cpu")),
        ("onnx", "cuda", found(True, providers=(CUDA_PROVIDER,), for_cards=True), Choice("onnx", "cuda")),
        ("auto", "cuda", found(False, providers=(CUDA_PROVIDER,), for_cards=True), Choice("onnx", "cuda")),
    ],
)  # fmt: skip
def test_what_is_wanted_and_there_decides(
    wanted: Wanted, device: Device, there: Found, choice: Choice
) -> None:
    assert choose("m", wanted, device, there) == choice


PROVIDER = "this build of ONNX Runtime has no CUDAExecutionProvider (pip install onnxruntime-gpu)"


@pytest.mark.parametrize(
    ("wanted", "there", "choice"),
    [
        ("onnx", found(True), Choice("torch", "cuda", (f"{PROVIDER}; torch runs m on the card",))),
        ("onnx", found(False),
         Choice("onnx", "cpu", (f"{PROVIDER}, and torch sees no CUDA card; the processor runs m",))),
        ("onnx", found(False, providers=(CUDA_PROVIDER,)),
         Choice("onnx", "cpu", ("m has no graphs for a card (write them with: segue export onnx m), and torch "
                                "sees no CUDA card; the processor runs m",))),
        ("onnx", found(True, providers=(CUDA_PROVIDER,), for_cards=True, precision="int8"),
         Choice("torch", "cuda", ("graphs for a card are in single precision only; torch runs m on the card",))),
        ("torch", found(False),
         Choice("torch", "cpu", ("CUDA is wanted and torch sees no CUDA card here; the processor runs m",))),
        ("onnx", found(False, precision="fp16"),
         Choice("torch", "cpu", ("ONNX Runtime runs in single precision and in 8 bits only; torch runs m",
                                 "CUDA is wanted and torch sees no CUDA card here; the processor runs m"))),
    ],
)  # fmt: skip
def test_a_line_says_what_is_missing_where_cuda_is_named(
    wanted: Wanted, there: Found, choice: Choice
) -> None:
    assert choose("m", wanted, "cuda", there) == choice


def test_a_card_is_not_looked_for_where_it_would_not_matter() -> None:
    """Looking for it loads torch, which takes longer than loading the starter."""

    def looked() -> bool:
        raise AssertionError("looked")

    there = Found("", ("CPUExecutionProvider",), None, True, False, SMALL, looked)
    assert choose("m", "auto", "auto", there) == choose("m", "onnx", "auto", there) == Choice("onnx", "cpu")
    assert choose("m", "torch", "cpu", there) == Choice("torch", "cpu")


def test_the_starter_is_small() -> None:
    folder = model_folder("starter")
    assert sum((folder / prior_file(level)).stat().st_size for level in range(3)) < SMALL


def test_a_card_too_small_is_told_by_the_plan() -> None:
    """The released top of 5 billion numbers in half precision: 14.1 GB of weights (tests/store/test_memory.py)."""
    with pytest.raises(NoMemory) as caught:
        require_card("5b@fp16", released_model("5b"), 12 * GB)
    words = caught.value.message
    assert words.startswith("the model '5b' needs ") and "as fp16 (weights 14.1" in words
    assert "device " in words and "and 12.0 GB are free; " in words and "as int8" in words


def test_lanes_that_do_not_fit_are_told_in_a_line(caplog: pytest.LogCaptureFixture) -> None:
    config = released_model("5b")
    require_card("5b@fp16", config, 140 * GB)
    assert not caplog.text
    require_card("5b@fp16", config, 20 * GB)
    assert "on the card the model '5b' needs" in caplog.text and "make takes with --lanes 1" in caplog.text


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    """A card of one megabyte, as far as torch can tell."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1_000_000, 2_000_000))


@pytest.mark.usefixtures("card")
def test_a_card_too_small_stops_who_named_it_and_no_one_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tiny_model(tmp_path)
    with pytest.raises(NoMemory, match=r"the model 'tiny' needs 0\.\d GB as fp32 .* and 0\.001 GB are free"):
        open_backend(str(tmp_path), device="cuda")
    backend = open_backend(str(tmp_path))
    assert isinstance(backend, TorchBackend) and backend.model.priors[2].embed.device.type == "cpu"
    assert "are free; at the least it needs" in caplog.text
    assert f"; the processor runs {tmp_path}" in caplog.text


def test_the_commands_say_where_the_model_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []

    class Stop(Exception):
        """Enough is known."""

    def opened(name: str, wanted: str, device: str) -> None:
        asked.append((name, wanted, device))
        raise Stop

    monkeypatch.setattr(choosing, "open_backend", opened)
    for flags, environment in ((["--device", "cuda"], {}), ([], {"SEGUE_DEVICE": "cpu"}), ([], {})):
        done = CliRunner().invoke(segue, ["sample", "--model", "starter", *flags], env=environment)
        assert isinstance(done.exception, Stop), done.output
    assert asked == [("starter", "auto", device) for device in ("cuda", "cpu", "auto")]
    assert chosen_device() == "auto"  # outside a command


def test_the_engine_process_is_told_the_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    setups: list[Any] = []
    monkeypatch.setattr("bridge.cli.serve.run", lambda setup, console, errand: setups.append(setup))
    flags = ["serve", "--compute", "cuda", "--device", "none", "--takes", str(tmp_path)]
    done = CliRunner().invoke(segue, flags)
    assert done.exit_code == 0, done.output
    assert EngineOptions.model_validate(setups[0].engine.options).device == "cuda"
    assert setups[0].sound.device == "none"


@pytest.mark.gpu
def test_torch_on_the_card_holds_the_whole_model_there() -> None:
    backend = open_backend("starter@int8", "torch", device="cuda")
    assert isinstance(backend, TorchBackend) and backend.static
    tensors = [*backend.model.codec.parameters(), *backend.model.priors[0].state_dict().values()]
    assert {tensor.device.type for tensor in tensors} == {"cuda"}
