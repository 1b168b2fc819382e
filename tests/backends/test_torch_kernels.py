"""The fused kernels against plain torch: in Triton's interpreter, compiled for GPUs that are not there, and on one.

The first two need Triton, no GPU; ``scripts/setup.sh`` does not install it, torch's CUDA builds do.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from engine.backends.torch_operations import TOLERANCES, checked, difference, operations_for
from engine.backends.torch_steps import Here, PlainOperations
from engine.prior.cache import LayerCache
from engine.prior.int8 import quantise
from tests.backends.priors import DEPTHS, FORMS, form_prior

ROOT = Path(__file__).resolve().parents[2]
BYTES = {"*fp16": 2, "*bf16": 2, "*fp32": 4}
SHARED = 99 * 1024  # bytes of shared memory that a program may have on every GPU from Ampere on
TRITON = pytest.mark.skipif(
    importlib.util.find_spec("triton") is None, reason="needs Triton (pip install triton)"
)


class Wrong(PlainOperations):
    """Attention that is 3 % off."""

    def attend(self, projected: Tensor, cache: LayerCache, here: Here, heads: int) -> Tensor:
        return super().attend(projected, cache, here, heads) * 1.03


class Careless(PlainOperations):
    """Right results, and a cache that was not written."""

    def attend(self, projected: Tensor, cache: LayerCache, here: Here, heads: int) -> Tensor:
        keys = cache.keys.clone()
        y = super().attend(projected, cache, here, heads)
        cache.keys.copy_(keys)
        return y


class Broken(PlainOperations):
    """Does not run."""

    def linear(
        self,
        part: nn.Module,
        x: Tensor,
        norm: nn.LayerNorm | None = None,
        gelu: bool = False,
        residual: Tensor | None = None,
    ) -> Tensor:
        raise RuntimeError("no such instruction")


@pytest.mark.parametrize("form", FORMS)
def test_operations_that_do_what_they_should_are_taken(form: str) -> None:
    operations = PlainOperations()
    assert checked(form_prior(form), operations) is operations
    assert difference(form_prior(form), operations) == 0.0


@pytest.mark.parametrize(
    ("fused", "message"),
    [
        (Wrong(), "the fused kernels for level 2 are off by 0.0"),
        (Careless(), "the fused kernels for level 2 are off by "),
        (
            Broken(),
            "the fused kernels for level 2 do not run here (no such instruction), so torch's own are used, slower",
        ),
    ],
)
def test_others_are_not_and_a_line_says_why(
    fused: PlainOperations, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert type(checked(form_prior("order-2"), fused)) is PlainOperations
    assert message in caplog.text


def test_on_a_cpu_there_are_none() -> None:
    assert type(operations_for(form_prior("order-2"))) is PlainOperations


@TRITON
@pytest.mark.slow
@pytest.mark.parametrize("form", DEPTHS)
@pytest.mark.parametrize("weights", ["plain", "int8"])
def test_interpreted_kernels_compute_what_torch_does(form: str, weights: str) -> None:
    """In float32, at the beginning of a window and where a row ends."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.backends.interpreted", form, weights, "float32", "0", "7"],
        cwd=ROOT,
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 1e-5


@TRITON
@pytest.mark.slow
@pytest.mark.parametrize("architecture", [80, 90])
@pytest.mark.parametrize("numbers", ["*fp16", "*bf16", "*fp32"])
def test_kernels_compile_for_gpus_that_are_not_here(architecture: int, numbers: str) -> None:
    """The shapes of 5b_lyrics, 1b_lyrics and an upsampler, down to machine code (facts/jukebox.md §2.1)."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from engine.backends import torch_kernels as kernels

    target = GPUTarget("cuda", architecture, 32)
    for eight in (False, True):
        tensors = ("x", "bias", "gain", "shift", "residual", "y")
        signature = dict.fromkeys(tensors, numbers) | dict.fromkeys(
            ("lanes", "n_out", "stride_in", "stride_out"), "i32"
        )
        signature |= {"weight": "*i8" if eight else numbers, "scale": "*fp32" if eight else numbers}
        constants = {
            "n_in": 1920, "epsilon": 1e-5, "SCALED": eight, "NORMED": True, "GELU": True, "ADDED": True,
            "LANES": kernels.MOST_LANES, "OUTPUTS": kernels.OUTPUTS,
            "INPUTS": kernels.tile_inputs(1 if eight else BYTES[numbers], BYTES[numbers]),
        }  # fmt: skip
        ordered = {name: signature[name] for name in kernels.linear_kernel.arg_names if name in signature}
        options = {"num_warps": kernels.LINEAR_WARPS, "num_stages": kernels.LINEAR_STAGES}
        source = ASTSource(kernels.linear_kernel, ordered, constants)
        done = triton.compile(source, target=target, options=options)
        assert done.asm["cubin"] and done.metadata.shared <= SHARED
    for kind, heads, size, block_ctx, blocks, slots in (
        (0, 2, 256, 102, 1, 6528), (1, 8, 150, 64, 1, 64), (2, 1, 480, 64, 128, 8192), (3, 8, 150, 64, 1, 128),
        (6, 8, 150, 64, 1, 512), (7, 2, 256, 102, 1, 448),
    ):  # fmt: skip
        padded = triton.next_power_of_2(size)
        signature = dict.fromkeys(("projected", "keys", "values"), numbers)
        signature |= {"position": "*i64", "y": numbers, "softmax_scale": "fp32"}
        constants = {
            "KIND": kind, "heads": heads, "size": size, "block_ctx": block_ctx, "blocks": blocks, "slots": slots,
            "SIZE": padded, "SLOTS": kernels.tile_slots(padded),
        }  # fmt: skip
        source = ASTSource(kernels.attend_kernel, signature, constants)
        done = triton.compile(source, target=target, options={"num_warps": kernels.ATTEND_WARPS})
        assert done.asm["cubin"] and done.metadata.shared <= SHARED


@pytest.mark.gpu
@pytest.mark.parametrize("weights", ["plain", "int8"])
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("form", FORMS)
def test_kernels_compute_what_torch_does(
    form: str, dtype: torch.dtype, weights: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Every kind, lanes 1 to 35, both kinds of weights; and the choice takes them."""
    from engine.backends.torch_kernels import MOST_LANES, FusedOperations

    prior = form_prior(form, residual_scale=False).to("cuda")
    if weights == "int8":
        quantise(prior)
    for parameter in prior.parameters():
        parameter.data = parameter.data.to(dtype)
    for lanes in (1, 2, 5, MOST_LANES, 2 * MOST_LANES + 3):
        assert difference(prior, FusedOperations(), lanes) < TOLERANCES[dtype]
    assert type(operations_for(prior)) is FusedOperations, caplog.text


@pytest.mark.gpu
def test_a_lane_gets_the_same_bits_however_many_there_are() -> None:
    from engine.backends.torch_kernels import FusedOperations

    prior = form_prior("order-2").to("cuda").half()
    layer, x = prior.transformer.layers[0], torch.randn(16, 24, device="cuda").half()
    together = FusedOperations().linear(layer.mlp.c_fc, x, norm=layer.ln_1, gelu=True)
    alone = [
        FusedOperations().linear(layer.mlp.c_fc, x[i : i + 1], norm=layer.ln_1, gelu=True) for i in range(16)
    ]
    assert torch.equal(together, torch.cat(alone))


@pytest.mark.gpu
@pytest.mark.parametrize("weights", ["fp16", "int8"])
def test_kernels_at_the_size_of_an_upsampler(weights: str) -> None:
    """One layer of each kind of a released upsampler, by the tolerance of half precision (facts/jukebox.md §2.1)."""
    from engine.backends.torch_kernels import FusedOperations
    from engine.prior.prior import Prior
    from engine.store.released import PRIORS

    shape = PRIORS["upsampler_level_0"].model_copy(update={"depth": 3, "upper": None})
    torch.manual_seed(0)
    prior = Prior(shape).eval().requires_grad_(False).to("cuda")
    if weights == "int8":
        quantise(prior)
    prior = prior.half() if weights == "fp16" else prior
    for parameter in prior.parameters():
        parameter.data = parameter.data.half()
    for lanes in (1, 8, 16):
        assert difference(prior, FusedOperations(), lanes) < TOLERANCES[torch.float16]
