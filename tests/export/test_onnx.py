"""Exported graphs against torch: every attention kind, every position, lanes, the codec; files that do not fit."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import psutil
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save_file

from bridge.cli import segue
from engine.backends.choose import open_backend
from engine.backends.onnx_backend import OnnxBackend
from engine.backends.onnx_runner import LevelSessions, OnnxRunner
from engine.backends.onnx_sessions import load_weights, open_graph
from engine.backends.onnx_weights import GraphPrecision
from engine.backends.protocol import WindowInput
from engine.backends.torch_backend import TorchBackend
from engine.backends.torch_runner import TorchRunner
from engine.errors import BadFormat, NoMemory, NoModel
from engine.prior.config import EncoderConfig, LyricsConfig, PulseConfig
from engine.prior.pulse import SongPulse
from engine.prior.vocabulary import LabelVocabulary
from engine.request import Style
from engine.sampling import continue_prime
from engine.store import load_model
from engine.store.files import GRAPHS_FILE
from export.onnx.check import LevelCheck, divergence, require_equal, settle
from export.onnx.write import write_conditions, write_prior
from tests.export.requests import request_of, sound_of
from tests.often import often
from tests.prior.build import ARTISTS, GENRES, tiny_model
from tests.prior.test_lyric_attention import lyric_prior

ENCODER = EncoderConfig(width=16, depth=2, heads=2, blocks=4, m_attn=0.5, init_scale=8.0)
FORMS: dict[str, dict[str, Any]] = {
    "row, column, previous row, dense": {"attention_order": 9, "depth": 8, "n_ctx": 40, "blocks": 5},
    "lyric encoder": {"attention_order": 6, "depth": 8, "lyrics": LyricsConfig(tokens=20, encoder=ENCODER)},
    "joint lyrics": {
        "attention_order": 12,
        "depth": 17,  # prime attention at 15
        "n_ctx": 43,
        "blocks": 7,
        "lyrics": LyricsConfig(tokens=20),
    },
    "merged decoder": {"depth": 3, "merged_decoder": True, "time": None},
    "pulse and style": {"depth": 3, "pulse": PulseConfig(phases=16), "style_signal": True},
    "style alone": {"depth": 3, "time": None, "style_signal": True},
}


def sessions(folder: Path, prior: Any, precision: GraphPrecision = "fp32") -> LevelSessions:
    """The graphs of a prior alone, over weights written for it."""
    weights = folder / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in prior.state_dict().items()}, weights)
    write_conditions(prior, folder / "conditions.onnx", weights)
    held = load_weights(weights, prior.config, precision)
    loaded = []
    for kind in ("step", "row"):
        write_prior(prior.config, kind, precision, folder / f"{kind}.onnx", weights.name)
        loaded.append(open_graph(folder / f"{kind}.onnx", held))
    return LevelSessions(loaded[0], loaded[1], open_graph(folder / "conditions.onnx", {}))


@pytest.mark.parametrize("form", often(FORMS, but=("lyric encoder", "joint lyrics", "style alone")))
def test_every_position_of_every_kind_equals_torch(form: dict[str, Any], tmp_path: Path) -> None:
    """From every kind of prefix (none, partial rows, whole rows), two lanes, one window after another."""
    torch.manual_seed(1)
    prior = lyric_prior({}, **form)
    if prior.pulse is not None:
        torch.nn.init.normal_(prior.pulse.phase)
    if prior.style is not None:
        torch.nn.init.normal_(prior.style.genre)
    names = LabelVocabulary.own(ARTISTS, GENRES)
    theirs = TorchRunner.__new__(TorchRunner)
    theirs.prior, theirs.names, theirs.caches = prior, names, prior.caches(2)
    ours = OnnxRunner(sessions(tmp_path, prior), prior.config, names, 2)
    n, block = prior.config.n_ctx, prior.config.shape.block_ctx
    rng = np.random.default_rng(0)
    lyrics = rng.integers(1, 79, (2, 20)) if prior.config.lyrics else None
    styles = (Style(artists={"ada": 1}), Style(genres={"dub": 1, "jazz": 2}))
    for known in (0, 1, block - 1, block, 2 * block + 1):
        tokens = rng.integers(0, 16, (2, n))
        window = WindowInput(
            tokens[:, :known], None, styles, 44100 * 9, (44100, 20000), lyrics, SongPulse(5000.0, 77.0, 3)
        )
        for runner in (ours, theirs):
            runner.begin(window)
        for position in range(known, n):
            before = tokens[:, position - 1] if position else None
            np.testing.assert_allclose(ours.step(before), theirs.step(before), atol=1e-4)
    looks = iter((False, True))
    ours.begin(window, lambda: next(looks))  # of no use any more, until another window
    with pytest.raises(RuntimeError, match="a window has to be begun first"):
        ours.step(tokens[:, known - 1])
    for runner in (ours, theirs):
        runner.begin(window)
    before = tokens[:, known - 1]
    np.testing.assert_allclose(ours.step(before), theirs.step(before), atol=1e-4)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole tiny model, exported by the command, and what the command printed."""
    folder = tmp_path_factory.mktemp("onnx") / "tiny"
    tiny_model(folder)
    done = CliRunner().invoke(segue, ["export", "onnx", str(folder), "--tokens", "80", "--json"])
    assert done.exit_code == 0, done.output
    (folder / "printed.json").write_text(done.stdout)
    return folder


@pytest.mark.slow
def test_the_command_compares_with_torch_and_says_so(exported: Path) -> None:
    printed = json.loads((exported / "printed.json").read_text())
    rows = printed["levels"]
    assert [(row["level"], row["precision"]) for row in rows] == [
        (level, precision) for level in (2, 1, 0) for precision in ("fp32", "int8")
    ]
    for row in rows:
        assert row["tokens"] == 80 and row["step_us"] > 0
        if row["precision"] == "fp32":
            assert row["logits"] < 1e-4 and row["samples"] < 1e-4 and row["codes_alike"] > 0.99
            assert row["tokens_alike"] + row["tokens_rounded"] == 80 and abs(row["bits"]) < 1e-6
        else:
            assert 1e-4 < row["logits"] < 0.5 and 0 < row["bits"] < 0.01
    assert json.loads((exported / GRAPHS_FILE).read_text())["precisions"] == printed["precisions"]
    assert printed["card"]["run_on"] in ("cpu", "cuda")
    assert {level: off < 1e-4 for level, off in printed["card"]["logits"].items()} == dict.fromkeys(
        "012", True
    )


def check(level: int, precision: GraphPrecision, bits: float, step_us: float) -> LevelCheck:
    """What a comparison may have found."""
    return LevelCheck(level, precision, 0.0, 10, 10, 0, bits, step_us, 1.0, 0.0, 1)


def test_8_bits_are_the_default_where_they_are_faster_and_cost_next_to_nothing(
    exported: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "tiny"))
    found = [check(level, "fp32", 0.0, 100.0) for level in range(3)]
    found += [check(0, "int8", 0.009, 99.0), check(1, "int8", 0.011, 50.0), check(2, "int8", 0.001, 101.0)]
    assert settle(folder, found) == ("int8", "fp32", "fp32")
    assert OnnxBackend(folder).runtime == "onnx int8 fp32 fp32"
    assert OnnxBackend(folder, "int8").runtime == "onnx int8 int8 int8"


def test_a_token_drawn_otherwise_is_a_difference_unless_the_noise_fell_on_a_boundary() -> None:
    one_apart = replace(check(1, "fp32", 0.0, 100.0), tokens_alike=9)
    require_equal([replace(one_apart, tokens_rounded=1), replace(one_apart, precision="int8")])
    with pytest.raises(BadFormat, match=r"the graphs of level 1 differ from torch: .*'tokens_alike': 9"):
        require_equal([one_apart])


def test_the_cost_of_other_logits_is_their_divergence_in_bits() -> None:
    """Against the closed form for two outcomes: p = 1/2, q = 1/4."""
    even, tilted = np.zeros(2, np.float32), np.log(np.array([1, 3], np.float32))
    assert divergence(even, tilted) == pytest.approx(0.5 * np.log2(2) + 0.5 * np.log2(2 / 3), abs=1e-6)
    assert divergence(tilted, tilted + 5) == pytest.approx(0.0, abs=1e-6)


def test_a_take_is_the_same_by_either_backend_at_every_fidelity(exported: Path) -> None:
    ours, theirs = OnnxBackend(exported, "fp32"), TorchBackend(load_model(exported))
    assert ours.hash == theirs.hash
    for fidelity in ("draft", "fine", "full"):
        request = request_of(exported, fidelity)
        made = [list(continue_prime(backend, request, sound_of(request))) for backend in (ours, theirs)]
        codes, audio = zip(*map(collected, made), strict=True)
        assert codes[0] == codes[1] and codes[0]
        np.testing.assert_allclose(audio[0], audio[1], atol=1e-4)


def collected(events: list[Any]) -> tuple[list[tuple[int, int, bytes]], np.ndarray]:
    """Windows and audio of a take."""
    windows = [(e.level, e.start, e.codes.tobytes()) for e in events if type(e).__name__ == "WindowDone"]
    chunks = [e.samples for e in events if type(e).__name__ == "AudioChunk"]
    return sorted(windows), np.concatenate(chunks)  # levels sample side by side


def test_graphs_are_straight_small_and_share_the_models_weights(exported: Path) -> None:
    for file in exported.glob("*.onnx"):
        model = onnx.load(file, load_external_data=False)
        onnx.checker.check_model(str(file))
        assert not {"Loop", "If", "Scan"} & {node.op_type for node in model.graph.node}
        outside = [t for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
        named = {entry.value for t in outside for entry in t.external_data if entry.key == "location"}
        assert outside and named <= {path.name for path in exported.glob("*.safetensors")}
        own = [t for t in model.graph.initializer if t.data_location != onnx.TensorProto.EXTERNAL]
        assert all(np.prod(t.dims) < 3000 for t in own), [(t.name, t.dims) for t in own]
        assert str(Path.cwd()) not in file.read_bytes().decode("latin-1")


def test_the_engine_makes_takes_of_an_exported_model_without_torch(exported: Path, tmp_path: Path) -> None:
    """Everything that the engine process does for a take, in a process of its own."""
    script = f"""
import sys
from pathlib import Path
import numpy as np, soundfile
import engine.host.process
from engine.backends.choose import open_backend
from engine.host.jobs import run_request
from engine.request import PrimeRef, Request
soundfile.write({str(tmp_path / "riff.wav")!r}, 0.3 * np.sin(np.arange(30000) / 15), 44100)
backend = open_backend({str(exported)!r})
request = Request(model={str(exported)!r}, prime=PrimeRef(path={str(tmp_path / "riff.wav")!r}), frames=9000)
(take,) = run_request(backend, request, folder={str(tmp_path / "takes")!r})
print(take.info.frames, type(backend).__name__, sorted(m for m in sys.modules if m in ("torch", "onnxruntime")))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split(maxsplit=2) == ["9000", "OnnxBackend", "['onnxruntime']\n"], done.stderr


def test_the_backend_is_chosen_by_wish_and_by_what_is_there(
    exported: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = tmp_path / "bare"
    tiny_model(bare)
    assert isinstance(open_backend(str(exported)), OnnxBackend)
    assert isinstance(open_backend(str(exported), "torch"), TorchBackend)
    assert isinstance(open_backend(str(bare)), TorchBackend)
    with pytest.raises(NoModel, match="has no ONNX graphs; write them with: segue export onnx bare"):
        open_backend(str(bare), "onnx")
    assert isinstance(open_backend(f"{exported}@bf16", "onnx"), TorchBackend)
    assert "ONNX Runtime runs in single precision and in 8 bits only; torch runs" in caplog.text
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert isinstance(open_backend(str(exported)), TorchBackend)
    assert isinstance(open_backend(str(exported), "onnx"), TorchBackend)
    assert "ONNX Runtime is not installed (pip install onnxruntime); torch runs" in caplog.text


def test_8_bits_are_asked_for_behind_the_models_name(
    exported: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = [open_backend(f"{exported}@{precision}") for precision in ("int8", "fp32")]
    assert [getattr(backend, "runtime", "") for backend in chosen] == [
        "onnx int8 int8 int8",
        "onnx fp32 fp32 fp32",
    ]
    assert chosen[0].hash == chosen[1].hash
    by_torch = open_backend(f"{exported}@int8", "torch")
    assert isinstance(by_torch, TorchBackend) and not caplog.text
    held = by_torch.model.priors[2].transformer.state_dict()
    numbers = [tensor for name, tensor in held.items() if name.endswith("c_fc.weight")]
    assert numbers and {tensor.dtype for tensor in numbers} == {torch.int8}


def test_a_runtime_that_cannot_be_used_is_told_in_a_line(
    exported: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnxruntime, "__version__", "1.21.9")
    assert isinstance(open_backend(str(exported), "onnx"), TorchBackend)
    assert (
        "ONNX Runtime 1.21.9 is too old, 1.22 is needed (pip install -U onnxruntime); torch runs"
        in caplog.text
    )
    package = tmp_path / "onnxruntime"
    package.mkdir()
    (package / "__init__.py").write_text("raise ImportError('libmissing.so.7: cannot open')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "onnxruntime")
    assert isinstance(open_backend(str(exported), "onnx"), TorchBackend)
    assert (
        "ONNX Runtime cannot be imported (libmissing.so.7: cannot open); install it again; torch runs"
        in caplog.text
    )


def test_a_card_too_small_is_told_before_loading(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1000))
    with pytest.raises(NoMemory, match=r"GB and 0\.0 GB are free; torch in half precision needs less"):
        open_backend(str(exported), "onnx")


def test_what_does_not_fit_together_is_named(exported: Path, tmp_path: Path) -> None:
    def copy(name: str) -> Path:
        return Path(shutil.copytree(exported, tmp_path / name))

    bare = copy("bare")
    (bare / GRAPHS_FILE).unlink()
    with pytest.raises(NoModel, match="'bare' has no ONNX graphs; write them with: segue export onnx bare"):
        OnnxBackend(bare)
    changed = copy("changed")
    (changed / "step_1.onnx").write_bytes((changed / "step_0.onnx").read_bytes())
    with pytest.raises(
        BadFormat, match=r"step_1\.onnx is not the one that onnx\.json names; export the model again"
    ):
        OnnxBackend(changed)
    gone = copy("gone")
    (gone / "row_2.onnx").unlink()
    with pytest.raises(BadFormat, match=r"row_2\.onnx is missing, which onnx\.json names"):
        OnnxBackend(gone)
    broken = copy("broken")
    (broken / GRAPHS_FILE).write_text("{")
    with pytest.raises(BadFormat, match=r"onnx\.json is damaged; export the model again"):
        OnnxBackend(broken)
    old = copy("old")
    (old / GRAPHS_FILE).write_text('{"format": 1}')
    with pytest.raises(BadFormat, match=r"is of format 1, this program reads 2; export the model again"):
        OnnxBackend(old)
    fewer = copy("fewer")
    named = json.loads((fewer / GRAPHS_FILE).read_text())
    del named["graphs"]["row_1.int8.onnx"]
    (fewer / GRAPHS_FILE).write_text(json.dumps(named))
    with pytest.raises(BadFormat, match=r"does not name row_1\.int8\.onnx, which this model needs; export"):
        OnnxBackend(fewer)
    other = copy("other")
    tiny_model(tmp_path / "another", seed=5)
    shutil.copy(tmp_path / "another" / "prior_2.safetensors", other / "prior_2.safetensors")
    for record in other.glob("SHA256SUMS"):
        record.unlink()
    with pytest.raises(
        BadFormat, match="are of other weights than those beside them; export the model again"
    ):
        OnnxBackend(other)
