"""bfloat16 is for machines that compute in it: what the processor says of itself decides."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest
import torch

from engine.training.precision import fast_precision

CPUINFO = Path("/proc/cpuinfo")


@pytest.mark.skipif(
    platform.machine() != "x86_64" or not CPUINFO.is_file(), reason="reads what Linux says of x86"
)
def test_a_processor_that_would_imitate_it_trains_in_float32() -> None:
    flags = set(next(line for line in CPUINFO.read_text().splitlines() if line.startswith("flags")).split())
    able = bool(flags & {"avx512_bf16", "amx_bf16"})
    assert fast_precision("cpu") == ("bf16" if able else "no")


def test_a_build_of_torch_that_cannot_tell_trains_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.ops, "mkldnn", raising=False)
    monkeypatch.setattr(type(torch.ops), "__getattr__", lambda self, name: object())
    assert fast_precision("cpu") == "no"


def test_a_card_without_it_trains_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for able, wanted in ((True, "bf16"), (False, "no")):
        monkeypatch.setattr(
            torch.cuda,
            "is_bf16_supported",
            lambda including_emulation, able=able: able and not including_emulation,
        )
        assert fast_precision("auto") == fast_precision("cuda") == wanted
