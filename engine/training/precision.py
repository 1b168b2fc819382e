"""Which numbers a machine trains fast in."""

from __future__ import annotations

from typing import Literal

import torch

Device = Literal["auto", "cpu", "cuda"]


def fast_precision(device: Device) -> Literal["no", "bf16"]:
    """Mixed precision with bfloat16 where the device computes in it, else float32.

    A processor without instructions for bfloat16 imitates them: matrix products of a starter's prior then take up to
    twenty times as long as in float32 (measured: Zen 3 1.9 against 40 GFLOP/s, Ice Lake 30 against 127).
    """
    if device != "cpu" and torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    try:
        supported = bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # a build of torch without oneDNN
        return "no"
    return "bf16" if supported and _computes_bf16() else "no"


def _computes_bf16() -> bool:
    """What the processor says; oneDNN calls x86 able as soon as it has AVX-512, with which it imitates."""
    tell = getattr(torch.cpu, "get_capabilities", None)
    if tell is None:  # an older torch
        return False
    known = tell()
    if known.get("architecture") != "x86_64":
        return True
    return any(known.get(name, False) for name in ("avx512_bf16", "amx_bf16", "avx10_2"))
