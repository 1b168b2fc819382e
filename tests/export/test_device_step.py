"""The step graph for a card, run on the processor: against the graphs of the processor, and where its nodes ran."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto
from safetensors.torch import save_file

from engine.backends import choose
from engine.backends.choose import CARD_GRAPH, open_backend
from engine.backends.onnx_backend import OnnxBackend
from engine.backends.onnx_cuda import DeviceRunner, DeviceStep, Place, on_card, refused, require_on_device
from engine.backends.onnx_runner import LevelSessions, OnnxPrefill, OnnxRunner
from engine.backends.onnx_weights import graph_weights
from engine.backends.protocol import Codes, WindowInput
from engine.errors import BadFormat, NoMemory
from engine.prior.prior import Prior
from engine.prior.pulse import SongPulse
from engine.prior.vocabulary import LabelVocabulary
from engine.request import LevelSampling, Style
from engine.sampling import continue_prime
from engine.sampling.noise import uniforms
from engine.store.files import GRAPHS_FILE
from export.onnx import check_device
from export.onnx.check_device import check_device_steps, place_here, require_staying
from export.onnx.model import export_model
from export.onnx.write import write_device_step
from tests.export.requests import request_of, sound_of
from tests.export.test_onnx import FORMS, collected, sessions
from tests.often import often
from tests.prior.build import ARTISTS, GENRES, tiny_model
from tests.prior.test_lyric_attention import lyric_prior

MIXED = FORMS["row, column, previous row, dense"]
NAMES = LabelVocabulary.own(ARTISTS, GENRES)


def loud_prior(form: dict[str, Any]) -> Prior:
    torch.manual_seed(1)
    prior: Prior = lyric_prior({}, **form)
    if prior.pulse is not None:
        torch.nn.init.normal_(prior.pulse.phase)
    return prior


def device_step(folder: Path, prior: Prior, place: Place = "cpu", profile: Path | None = None) -> DeviceStep:
    """Beside the weights that :func:`tests.export.test_onnx.sessions` wrote."""
    weights = folder / "weights.safetensors"
    path = folder / "device_step.onnx"
    write_device_step(prior.config, path, weights.name)
    return DeviceStep(path, graph_weights(weights, prior.config, "fp32"), place, profile)


def write_with_weights(folder: Path, prior: Prior) -> None:
    """The graph and its weights, without the processor's graphs, whose conditions take seconds to trace."""
    weights = folder / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in prior.state_dict().items()}, weights)
    write_device_step(prior.config, folder / "device_step.onnx", weights.name)


def runners(
    folder: Path, prior: Prior, lanes: int, place: Place = "cpu", profile: Path | None = None
) -> tuple[DeviceRunner, OnnxRunner]:
    """The runner for a card, and the processor's."""
    found: LevelSessions = sessions(folder, prior)
    prefill = OnnxPrefill(found.row, found.conditions, prior.config, NAMES, lanes)
    theirs = OnnxRunner(found, prior.config, NAMES, lanes)
    return DeviceRunner(device_step(folder, prior, place, profile), prefill), theirs


def window_of(prior: Prior, prefix: Codes) -> WindowInput:
    lanes = len(prefix)
    lyrics = np.random.default_rng(3).integers(1, 79, (lanes, 20)) if prior.config.lyrics else None
    styles = tuple(Style(artists={ARTISTS[lane % 3]: 1.0}) for lane in range(lanes))
    offsets = tuple(44100 + 999 * lane for lane in range(lanes))
    return WindowInput(prefix, None, styles, 44100 * 9, offsets, lyrics, SongPulse(5000.0, 77.0, 3))


def compare(ours: DeviceRunner, theirs: OnnxRunner, prior: Prior, lanes: int) -> None:
    """Logits at every position of windows with every kind of prefix, one window after another."""
    n, block = prior.config.n_ctx, prior.config.shape.block_ctx
    rng = np.random.default_rng(0)
    for known in (0, 1, block - 1, block, 2 * block + 1):
        tokens = rng.integers(0, 16, (lanes, n))
        for runner in (ours, theirs):
            runner.begin(window_of(prior, tokens[:, :known]))
        for position in range(known, n):
            before = tokens[:, position - 1] if position else None
            np.testing.assert_allclose(ours.step(before), theirs.step(before), atol=1e-4)


@pytest.mark.parametrize(
    ("form", "lanes"),
    [
        pytest.param(
            form,
            lanes,
            id=name,
            marks=[] if name in ("merged decoder", "pulse and style") else [pytest.mark.slow],
        )
        for (name, form), lanes in zip(FORMS.items(), (2, 3, 1, 4, 2, 3), strict=True)
    ],
)
def test_every_position_of_every_kind_equals_the_processors_graphs(
    form: dict[str, Any], lanes: int, tmp_path: Path
) -> None:
    prior = loud_prior(form)
    ours, theirs = runners(tmp_path, prior, lanes)
    compare(ours, theirs, prior, lanes)


@pytest.mark.parametrize("lanes", often((1, 2, 3, 4), but=(1, 2, 4)))
def test_tokens_drawn_are_the_processors(lanes: int, tmp_path: Path) -> None:
    prior = loud_prior(MIXED)
    prefix = np.random.default_rng(5).integers(0, 16, (lanes, 3))
    noise = np.stack([uniforms(lane, 2, 3, prior.config.n_ctx) for lane in range(lanes)])
    drawn = []
    for runner in runners(tmp_path, prior, lanes):
        runner.begin(window_of(prior, prefix))
        drawn.append(runner.sample(prefix[:, -1], noise, LevelSampling()))
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert len(np.unique(drawn[0])) > 4


@pytest.mark.slow
def test_a_step_writes_one_slot_in_place_and_can_be_run_again(tmp_path: Path) -> None:
    """As capturing does: the same logits, and of every cache but one slot of each lane and head as it was."""
    prior = loud_prior(MIXED)
    ours, _ = runners(tmp_path, prior, 2)
    ours.begin(window_of(prior, np.zeros((2, 9), np.int64)))
    ours.step(None)
    before = {name: value.numpy().copy() for name, value in ours.caches.items()}
    addresses = {name: value.data_ptr() for name, value in ours.caches.items()}
    first = ours.step(np.array([3, 5])).copy()
    after = {name: value.numpy().copy() for name, value in ours.caches.items()}
    for name, held in before.items():
        changed = (after[name] != held).any(-1)  # [N * H, slots]
        assert (changed.sum(1) == 1).all() and len({tuple(row) for row in changed}) == 1, name
    ours.position -= 1
    np.testing.assert_array_equal(ours.step(np.array([3, 5])), first)
    assert {name: value.data_ptr() for name, value in ours.caches.items()} == addresses
    for name, value in ours.caches.items():
        np.testing.assert_array_equal(value.numpy(), after[name])


def test_the_graph_is_straight_computes_no_shape_and_takes_its_numbers_from_the_device(
    tmp_path: Path,
) -> None:
    for number, form in enumerate(FORMS.values()):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_with_weights(folder, loud_prior(form))
        model = onnx.load(folder / "device_step.onnx", load_external_data=False)
        onnx.checker.check_model(str(folder / "device_step.onnx"))
        constants = {tensor.name for tensor in model.graph.initializer}
        for node in model.graph.node:
            assert node.op_type not in {"Loop", "If", "Scan", "Shape", "Size", "NonZero", "Expand", "Range"}
            on_host = {"Reshape": 1, "Split": 1}.get(node.op_type)  # what CUDA kernels read on the host
            assert on_host is None or node.input[on_host] in constants
        whole = {
            value.name for value in model.graph.input if value.type.tensor_type.elem_type == TensorProto.INT64
        }
        assert whole == {"place", "previous", "lane_heads"}


def test_lanes_of_the_caches_are_carried_over_by_kind(tmp_path: Path) -> None:
    """Column c, row r of lane n, head h: slot c * rows + r of line n * heads + h."""
    prior = loud_prior(MIXED)
    _, theirs = runners(tmp_path, prior, 3)
    caches, shape = theirs.caches, prior.config.shape
    rng = np.random.default_rng(0)
    for array in (*caches.arrays.values(), *caches.previous):
        array[:] = rng.normal(size=array.shape)
    found = dict(on_card(caches))
    columns = caches.arrays["columns"]  # [L, 2, columns, N, H, rows, D]
    line, slot = 2 * prior.config.heads + 1, 5 * shape.blocks + 3
    np.testing.assert_array_equal(found["columns.0.values"][line, slot], columns[0, 1, 5, 2, 1, 3])
    odd = caches.previous[1]  # [L, 2, N, H, block_ctx, D]
    np.testing.assert_array_equal(
        found["previous_rows.0.keys"][line, shape.block_ctx + 4], odd[0, 0, 2, 1, 4]
    )


@pytest.mark.slow
def test_a_profile_of_the_processor_holds_no_copy(tmp_path: Path) -> None:
    prior = loud_prior(MIXED)
    ours, _ = runners(tmp_path, prior, 1, profile=tmp_path / "ran")
    ours.begin(window_of(prior, np.zeros((1, 3), np.int64)))
    ours.step(None)
    ours.step(np.array([1]))
    profile = Path(ours.graph.session.end_profiling())
    require_on_device(profile, "cpu")
    with pytest.raises(BadFormat, match=r"^a step copies 0 times .* and runs .*Gather, .* outside CUDAExec"):
        require_on_device(profile)


def event(op: str, provider: str = "CUDAExecutionProvider") -> dict[str, Any]:
    return {"cat": "Node", "name": f"{op}_kernel_time", "args": {"op_name": op, "provider": provider}}


def test_copies_and_nodes_elsewhere_are_told(tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"

    def wrote(*events: dict[str, Any]) -> Path:
        profile.write_text(json.dumps([{"cat": "Session", "name": "model_run"}, *events]))
        return profile

    require_on_device(wrote(event("Gemm"), event("Softmax")))
    with pytest.raises(
        BadFormat, match=r"a step copies 2 times between card and processor, and runs nothing outs"
    ):
        require_on_device(wrote(event("MemcpyFromHost"), event("Gemm"), event("MemcpyToHost")))
    with pytest.raises(
        BadFormat, match=r"copies 0 times .*, and runs Gather, Min outside CUDAExecutionProvider"
    ):
        require_on_device(
            wrote(event("Min", "CPUExecutionProvider"), event("Gather", "CPUExecutionProvider"))
        )
    with pytest.raises(BadFormat, match="names no node that ran; run the graph before its profile is ended"):
        require_on_device(wrote())
    profile.write_text("[{")
    with pytest.raises(BadFormat, match="is not a profile of ONNX Runtime; run the graph again"):
        require_on_device(profile)


def test_a_graph_of_other_weights_is_refused(tmp_path: Path) -> None:
    prior = loud_prior(MIXED)
    write_with_weights(tmp_path, prior)
    weights = graph_weights(tmp_path / "weights.safetensors", prior.config, "fp32")
    weights["embed"] = weights["embed"][:, :5]
    with pytest.raises(BadFormat, match=r"device_step\.onnx cannot be loaded: "):
        DeviceStep(tmp_path / "device_step.onnx", weights, "cpu")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole tiny model with its graphs."""
    folder = tmp_path_factory.mktemp("device") / "tiny"
    tiny_model(folder)
    return export_model(folder)


@pytest.mark.slow
def test_an_export_writes_and_checks_the_graphs_for_cards(exported: Path) -> None:
    named = json.loads((exported / GRAPHS_FILE).read_text())["graphs"]
    assert {"device_step_0.onnx", "device_step_1.onnx", "device_step_2.onnx"} <= named.keys()
    assert (exported / CARD_GRAPH).is_file()
    found = check_device_steps(exported, "cpu")
    assert set(found) == {0, 1, 2} and max(found.values()) < 1e-4
    backend = OnnxBackend(exported, place="cpu")
    require_staying(backend, 0, "cpu")
    with pytest.raises(BadFormat, match="outside CUDAExecutionProvider; it must stay on the card"):
        profile_elsewhere(backend)


def profile_elsewhere(backend: OnnxBackend) -> None:
    """What the check says of a level that a card was meant to run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check_device, "require_on_device", lambda profile, place: require_on_device(profile))
        require_staying(backend, 0, "cpu")


@pytest.mark.slow
def test_graphs_that_differ_are_named(exported: Path, tmp_path: Path) -> None:
    """Those of level 0 over the processor's weights, with a layer norm that divides by more."""
    folder = Path(shutil.copytree(exported, tmp_path / "tiny"))
    path = folder / CARD_GRAPH
    model = onnx.load(path, load_external_data=False)
    norm = next(node for node in model.graph.node if node.op_type == "LayerNormalization")
    next(given for given in norm.attribute if given.name == "epsilon").f = 1.0
    onnx.save(model, path)
    manifest = json.loads((folder / GRAPHS_FILE).read_text())
    manifest["graphs"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / GRAPHS_FILE).write_text(json.dumps(manifest))
    with pytest.raises(BadFormat, match=r"device_step_0\.onnx differs from the processor's graph by \d"):
        check_device_steps(folder, "cpu")


@pytest.mark.slow
def test_a_take_is_the_same_by_the_graphs_for_cards(exported: Path) -> None:
    ours, theirs = OnnxBackend(exported, place="cpu"), OnnxBackend(exported, "fp32")
    ours.load()
    request = request_of(exported, "full")
    made = [list(continue_prime(backend, request, sound_of(request))) for backend in (ours, theirs)]
    assert collected(made[0])[0] == collected(made[1])[0]
    assert ours.runtime == "onnx fp32 fp32 fp32" and ours.precisions == {0: "fp32", 1: "fp32", 2: "fp32"}


@pytest.mark.slow
def test_a_model_exported_before_there_were_graphs_for_cards_is_told(exported: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(exported, tmp_path / "tiny"))
    manifest = json.loads((folder / GRAPHS_FILE).read_text())
    del manifest["graphs"]["device_step_1.onnx"]
    (folder / GRAPHS_FILE).write_text(json.dumps(manifest))
    OnnxBackend(folder)
    with pytest.raises(
        BadFormat, match=r"does not name device_step_1\.onnx, which this model needs; export the"
    ):
        OnnxBackend(folder, place="cuda")


@pytest.mark.slow
@pytest.mark.skipif(place_here() == "cuda", reason="ONNX Runtime has a card here")
def test_a_card_that_graphs_cannot_use_is_told_in_a_line(
    exported: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    none_built = (
        "this build of ONNX Runtime has no CUDAExecutionProvider (pip install onnxruntime-gpu), and torch "
    )
    none_found = "ONNX Runtime found no CUDA card that it can use (its driver or libraries are missing)"
    for providers, said in (
        (("CPUExecutionProvider",), f"{none_built}sees no CUDA card; the processor runs {exported}"),
        (
            ("CUDAExecutionProvider",),
            f"{none_found}; the processor runs {exported}",
        ),  # a build without its driver
    ):
        caplog.clear()
        monkeypatch.setattr(choose, "runtime_providers", lambda given=providers: given)
        backend = open_backend(str(exported), "onnx", device="cuda")
        assert isinstance(backend, OnnxBackend) and backend.place is None
        assert [r.getMessage() for r in caplog.records if r.name == choose.__name__] == [said]


@pytest.mark.parametrize(
    "said", ["Failed to allocate memory for requested buffer", "CUDA failure 2: out of memory"]
)
def test_a_full_card_is_told(said: str) -> None:
    error = refused(Path("step.onnx"), RuntimeError(said))
    assert isinstance(error, NoMemory)
    assert error.message.startswith("step.onnx in single precision does not fit on the card; torch in half")
    assert isinstance(refused(Path("step.onnx"), RuntimeError("no kernel")), BadFormat)


@pytest.mark.gpu
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_a_captured_step_equals_the_processors_graphs(form: dict[str, Any], tmp_path: Path) -> None:
    require_provider()
    prior = loud_prior(form)
    ours, theirs = runners(tmp_path, prior, 2, "cuda")
    compare(ours, theirs, prior, 2)


@pytest.mark.gpu
def test_a_step_on_the_card_stays_there(tmp_path: Path) -> None:
    require_provider()
    prior = loud_prior(MIXED)
    ours, _ = runners(tmp_path, prior, 2, "cuda", tmp_path / "ran")
    ours.begin(window_of(prior, np.zeros((2, 3), np.int64)))
    ours.step(None)
    ours.step(np.array([1, 2]))
    require_on_device(Path(ours.graph.session.end_profiling()))


def require_provider() -> None:
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this build of ONNX Runtime has no CUDA")
