"""Exported graphs against torch: every attention kind, every position, lanes, the codec; files that do not fit."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
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
from engine.backends.protocol import WindowInput
from engine.backends.torch_backend import TorchBackend, TorchRunner
from engine.errors import BadFormat, NoMemory, NoModel
from engine.prior.config import EncoderConfig, LyricsConfig, PulseConfig
from engine.prior.pulse import SongPulse
from engine.prior.vocabulary import LabelVocabulary
from engine.request import Style
from engine.sampling import continue_prime
from engine.store import load_model
from engine.store.files import GRAPHS_FILE
from export.onnx.write import write_conditions, write_row, write_step
from tests.export.requests import request_of, sound_of
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
    "pulse": {"depth": 3, "pulse": PulseConfig(phases=16)},
}


def sessions(folder: Path, prior: Any) -> LevelSessions:
    """The graphs of a prior alone, pointing into weights written for it."""
    weights = folder / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in prior.state_dict().items()}, weights)
    loaded = []
    for name, write in (("step", write_step), ("row", write_row), ("conditions", write_conditions)):
        write(prior, folder / f"{name}.onnx", weights)
        loaded.append(
            onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])
        )
    return LevelSessions(*loaded)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_position_of_every_kind_equals_torch(form: dict[str, Any], tmp_path: Path) -> None:
    """From every kind of prefix (none, partial rows, whole rows), two lanes, one window after another."""
    torch.manual_seed(1)
    prior = lyric_prior({}, **form)
    if prior.pulse is not None:
        torch.nn.init.normal_(prior.pulse.phase)
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


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole tiny model, exported by the command, and what the command printed."""
    folder = tmp_path_factory.mktemp("onnx") / "tiny"
    tiny_model(folder)
    done = CliRunner().invoke(segue, ["export", "onnx", str(folder), "--tokens", "80", "--json"])
    assert done.exit_code == 0, done.output
    (folder / "printed.json").write_text(done.stdout)
    return folder


def test_the_command_compares_with_torch_and_says_so(exported: Path) -> None:
    rows = json.loads((exported / "printed.json").read_text())["levels"]
    assert [row["level"] for row in rows] == [0, 1, 2]
    for row in rows:
        assert row["logits"] < 1e-4 and row["samples"] < 1e-4
        assert row["tokens_alike"] == row["tokens"] == 80
        assert row["codes_alike"] > 0.99


def test_a_take_is_the_same_by_either_backend_at_every_fidelity(exported: Path) -> None:
    ours, theirs = OnnxBackend(exported), TorchBackend(load_model(exported))
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
    return windows, np.concatenate(chunks)


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
    assert "ONNX Runtime runs in single precision only; torch runs" in caplog.text
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert isinstance(open_backend(str(exported)), TorchBackend)
    assert isinstance(open_backend(str(exported), "onnx"), TorchBackend)
    assert "ONNX Runtime is not installed (pip install onnxruntime); torch runs" in caplog.text


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
    other = copy("other")
    tiny_model(tmp_path / "another", seed=5)
    shutil.copy(tmp_path / "another" / "prior_2.safetensors", other / "prior_2.safetensors")
    for record in other.glob("SHA256SUMS"):
        record.unlink()
    with pytest.raises(
        BadFormat, match="are of other weights than those beside them; export the model again"
    ):
        OnnxBackend(other)
