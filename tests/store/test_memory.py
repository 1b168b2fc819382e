"""The memory plan: against arithmetic from the facts, the shipped model's real tensors, and measured activations."""

from __future__ import annotations

import subprocess
import sys
import types
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from engine.backends.choose import open_backend
from engine.backends.protocol import WindowInput
from engine.backends.torch_backend import TorchBackend
from engine.errors import NoMemory, NoModel
from engine.prior.config import EncoderConfig, LyricsConfig, PriorConfig
from engine.prior.labels import make_labels
from engine.prior.prior import Prior
from engine.prior.vocabulary import LabelVocabulary
from engine.request import Style
from engine.store import ModelConfig, load_model
from engine.store.folder import DTYPES
from engine.store.memory import Precision, memory_table, plan_memory, require_memory
from engine.store.released import released_model
from tests.prior.build import ARTISTS, GENRES, prior_config, tiny_model

GB = 10**9


@pytest.fixture(scope="module")
def five() -> ModelConfig:
    return released_model("5b")


@pytest.mark.parametrize(
    ("name", "parameters", "full", "other"),
    [  # facts/jukebox.md §2.1, §3: unique parameters; 23 or 24 column layers and a dense one keep all
        ("5b", 5_060_452_800, 24 * 8192, 24 * 64 + 24 * 128),
        ("1b_lyrics", 942_643_200, (23 + 1) * 6528, 22 * 102 + 23 * 204 + 3 * 448),
    ],
)
def test_released_tops(name: str, parameters: int, full: int, other: int) -> None:
    plan = plan_memory(released_model(name), precision="fp16")
    top = plan.levels[2]
    width = {"5b": 1200, "1b_lyrics": 512}[name]
    assert top.parameters == parameters and top.weights == 2 * parameters
    assert top.caches == (full + other) * width * 2 * 2
    # facts §3, end: what the full-length layers keep, in fp16
    known = {"5b": 944e6, "1b_lyrics": 321e6}[name]
    assert full * width * 2 * 2 == pytest.approx(known, rel=0.002)
    assert plan.levels[0].parameters == plan.levels[1].parameters == 981_298_176
    assert plan.levels[0].caches == (24 * 8192 + 24 * 64 + 24 * 128) * 480 * 2 * 2
    assert pytest.approx(377e6, rel=0.002) == 24 * 8192 * 480 * 2 * 2


@pytest.mark.parametrize(("precision", "bytes_each"), [("fp32", 4), ("fp16", 2), ("bf16", 2)])
def test_sizes_follow_the_precision(five: ModelConfig, precision: Precision, bytes_each: int) -> None:
    plan = plan_memory(five, precision=precision, lanes=3)
    assert plan.levels[2].weights == 5_060_452_800 * bytes_each
    assert plan.levels[2].caches == 3 * (24 * 8192 + 24 * 192) * 1200 * 2 * bytes_each
    assert plan.codec >= 1_878_979 * 4  # always float32 (facts §1.6)


def test_int8_keeps_a_byte_a_number_of_the_matrices(five: ModelConfig) -> None:
    """Per layer of 5b: c_attn 4800 x 3600, c_proj 1200 x 4800, c_fc and c_proj 4800 x 4800."""
    matrices = 72 * (4800 * 3600 + 1200 * 4800 + 2 * 4800 * 4800)
    scales = 72 * (3600 + 4800 + 4800 + 4800)
    rest = 5_060_452_800 - matrices
    assert plan_memory(five, precision="int8").levels[2].weights == matrices + 4 * scales + 2 * rest


def storages(*holders: Any) -> int:
    """Bytes of all distinct storages behind modules' parameters and buffers, or tensors."""
    tensors: list[torch.Tensor] = []
    for holder in holders:
        if isinstance(holder, torch.nn.Module):
            tensors += [*holder.parameters(), *holder.buffers()]
        else:
            tensors.append(holder)
    return sum({t.untyped_storage().data_ptr(): t.numel() * t.element_size() for t in tensors}.values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_shipped_model_takes_exactly_what_was_planned(precision: Precision) -> None:
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    model = load_model("starter", dtype=dtype)
    plan = plan_memory(model.config, lanes=4, precision=precision)
    assert plan.codec == storages(model.codec)
    for level in plan.levels:
        assert level.weights == storages(model.priors[level.level])
        assert level.parameters == sum(p.numel() for p in model.priors[level.level].parameters())
        caches = TorchBackend(model).runner(level.level, 4).caches
        assert level.caches == storages(*(t for cache in caches for t in (cache.keys, cache.values)))


@pytest.mark.slow
def test_loading_takes_no_more_memory_than_planned() -> None:
    """In a process of its own: the resident set grows by the weights (two copies of one tensor, and little else)."""
    code = """
import psutil, engine.store.memory as memory
from engine.store import load_model, model_folder, read_config
process, before = psutil.Process(), 0
load_model("starter", levels=[0])
before = process.memory_info().rss
model = load_model("starter", levels=[1, 2])
print(process.memory_info().rss - before, memory.plan_memory(model.config, levels=[1, 2]).weights)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    grown, planned = map(int, done.stdout.split())
    assert 0.7 * planned < grown < 1.3 * planned + 16e6


class Alive(TorchDispatchMode):
    """Counts the bytes of storages made inside it, and the most that were alive at once; ``known`` ones are not
    counted."""

    def __init__(self, *known: torch.Tensor) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.seen = {tensor.untyped_storage()._cdata for tensor in known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                key, size = storage._cdata, storage.nbytes()
                if key not in self.seen:
                    self.seen.add(key)
                    self.now += size
                    self.peak = max(self.peak, self.now)
                    weakref.finalize(storage, self.gone, key, size)
        return out

    def gone(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.now -= size


LARGER: dict[str, Any] = {"n_ctx": 512, "width": 96, "heads": 2, "blocks": 16, "bins": 64}
SUNG = LyricsConfig(tokens=64, encoder=EncoderConfig(width=32, depth=3, blocks=8))


@pytest.mark.parametrize(
    "config",
    [
        prior_config(2, **LARGER, m_attn=0.25, m_mlp=1.0),
        prior_config(2, **LARGER, m_attn=1.0, m_mlp=1.0),
        prior_config(2, **LARGER, m_attn=0.5, m_mlp=4.0),
        prior_config(2, **LARGER, lyrics=SUNG, attention_order=10, depth=12),
        prior_config(2, **LARGER, lyrics=LyricsConfig(tokens=64), attention_order=12, depth=16),
        prior_config(0, **(LARGER | {"bins": 16}), m_attn=0.25, m_mlp=1.0),
    ],
    ids=["released", "wide attention", "wide mlp", "lyric encoder", "joint lyrics", "upsampler"],
)
def test_activations_are_bounded(config: PriorConfig) -> None:
    """What is really alive while a window is conditioned and prefilled: below the plan, and not far below."""
    prior, lanes = Prior(config).eval(), 2
    caches = prior.caches(lanes)
    kept = [tensor for cache in caches for tensor in (cache.keys, cache.values)]
    upper = torch.zeros(lanes, config.n_ctx // 4, dtype=torch.int64) if config.upper else None
    labels = make_labels(Style(), 44100 * 9, 0, LabelVocabulary.own(ARTISTS, GENRES))
    labels = type(labels).stack([labels] * lanes)
    tokens = torch.zeros(lanes, config.n_ctx, dtype=torch.int64)
    with torch.inference_mode(False), torch.no_grad(), Alive(*prior.parameters(), *kept) as alive:
        conditions = prior.condition(labels, upper, lanes)
        prior.prefill(caches, conditions, tokens)
    model = ModelConfig.model_validate(
        {"name": "x", "codec": {"bins": config.bins, "downs": (3, 2, 2)}, "priors": [
            config if level == config.level else prior_config(level, bins=config.bins) for level in range(3)
        ], "artists": ARTISTS, "genres": GENRES}
    )  # fmt: skip
    [planned] = plan_memory(model, levels=[config.level], lanes=lanes).levels
    assert 0.65 * planned.activations < alive.peak <= planned.activations


@pytest.mark.parametrize(
    ("gigabytes", "moved"),
    [(80, []), (17, []), (15, [0, 2]), (13, [0, 1, 2])],
)
def test_levels_are_moved_when_they_must(five: ModelConfig, gigabytes: int, moved: list[int]) -> None:
    plan = plan_memory(five, precision="fp16", available=gigabytes * GB)
    assert plan.fits
    assert [level.level for level in plan.levels if not level.resident] == moved
    assert plan.host == sum(level.weights for level in plan.levels if level.level in moved)


def test_moving_leaves_the_largest_one_on_the_device(five: ModelConfig) -> None:
    plan = plan_memory(five, precision="fp16", available=12 * GB)
    assert not plan.fits
    weights = plan.codec + 2 * 5_060_452_800
    assert plan.weights == weights
    assert plan.needed == weights + plan.caches + plan.activations
    assert plan_memory(five, precision="fp16", available=15 * GB, move=False).host == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"available": 20 * GB},
         r"^the model '5b' needs 33\.2 GB as fp32 \(weights 28\.1, caches 3\.5, activations 1\.6\) and 20\.0 GB are "
         r"free; it would fit as fp16 with 1 lane \(write @fp16 behind its name\): "
         r"it needs 16\.6 GB as fp16 \(weights 14\.1, caches 1\.7, "
         r"activations 0\.8\)$"),
        ({"available": 4 * GB},
         r"and 4\.0 GB are free; at the least it needs 10\.0 GB as int8 .*, so free some memory or choose a smaller "
         r"model$"),
        ({"available": 16 * GB, "precision": "fp16", "lanes": 3},
         r"it would fit as int8 with 3 lanes \(write @int8 behind its name\): it needs 15\.1 GB as int8 with 3 lanes"),
        ({"available": 4 * GB, "offered": ("fp32", "fp16", "bf16")},
         r"and 4\.0 GB are free; at the least it needs 16\.6 GB as fp16 .*, so free some memory or choose a smaller "
         r"model$"),
        ({"available": 16 * GB, "precision": "fp16", "move": True, "lanes": 3, "offered": ("fp32", "fp16")},
         r"needs 17\.7 GB as fp16 with levels moved in turn with 3 lanes .*; "
         r"it would fit as fp16 with 1 lane \(write @fp16 behind its name\): "
         r"it needs 14\.6 GB as fp16 with levels moved in turn"),
        ({"available": 17 * GB, "precision": "fp16", "reserve": GB},
         r"needs 17\.6 GB as fp16 \(weights 14\.1, caches 1\.7, activations 0\.8, device 1\.0\) and 17\.0 GB are free"),
    ],
)  # fmt: skip
def test_refusals_give_the_numbers_and_a_way_out(
    five: ModelConfig, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(NoMemory, match=message) as caught:
        require_memory(five, **options)
    assert (caught.value.code, caught.value.slug) == (507, "out_of_memory")


def test_levels_that_overlap_need_room_to_compute_together(five: ModelConfig) -> None:
    plan, apart = plan_memory(five, overlap=True), plan_memory(five)
    assert plan.activations == plan.working + sum(level.activations for level in plan.levels)
    assert plan.needed - apart.needed == plan.activations - apart.activations > 0
    with pytest.raises(NoMemory, match=r"needs .* as fp32"):
        require_memory(five, apart.needed, overlap=True)


def test_a_plan_that_fits_is_given_back(five: ModelConfig) -> None:
    assert require_memory(five, 40 * GB).fits
    assert require_memory(five, 18 * GB, precision="fp16").precision == "fp16"


def test_every_precision_that_is_offered_samples() -> None:
    """Logits of the shipped top prior after ten tokens, halved precisions against single."""
    found = {}
    for precision in DTYPES:
        backend = TorchBackend(load_model(f"starter@{precision}", levels=[2]))
        runner = backend.runner(2, 1)
        prefix = np.arange(10, dtype=np.int64)[None]
        runner.begin(WindowInput(prefix, None, (Style(),), 60 * 44100, (0,)))
        found[precision] = runner.step(np.array([9]))[0]
    scale = found["fp32"].std()
    for precision, close in (("fp16", 0.01), ("bf16", 0.1)):
        assert 0 < np.abs(found[precision] - found["fp32"]).max() < close * scale * 4


def test_the_host_refuses_before_it_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the released shapes and no weights at all: only the plan can have said no."""
    (tmp_path / "model.json").write_text(released_model("5b").model_dump_json())
    free = types.SimpleNamespace(available=8 * GB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(NoMemory, match=r"the model '5b' needs 33\.2 GB as fp32 .* and 8\.0 GB are free"):
        open_backend(str(tmp_path), device="cpu")
    free.available = 20 * GB
    with pytest.raises(NoModel, match=r"\.safetensors is missing"):
        open_backend(f"{tmp_path}@bf16", device="cpu")


def test_the_table_has_every_precision(tmp_path: Path) -> None:
    table = memory_table(tiny_model(tmp_path).config, lanes=2)
    assert [row["precision"] for row in table] == ["fp32", "fp16", "bf16", "int8"]
    assert table[0]["weights_2"] == 2 * int(table[1]["weights_2"])
    for row in table:
        assert int(row["moved"]) < int(row["resident"])
