"""What can be heard in a signal: onsets, tempo, key, loudness, and pictures of it. numpy and scipy only.

A name is loaded when it is first used: who asks for loudness or seams does not wait for scipy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.analysis.key import KeyEstimate, estimate_key
    from engine.analysis.loudness import (
        Loudness,
        integrated_loudness,
        loudness_drift,
        measure_loudness,
        sample_peak,
        true_peak,
    )
    from engine.analysis.onsets import onset_strength, onset_times
    from engine.analysis.pulse import PulseEstimate, beat_offset, estimate_pulse
    from engine.analysis.tempo import TempoEstimate, estimate_tempo

__all__ = [
    "KeyEstimate",
    "Loudness",
    "PulseEstimate",
    "TempoEstimate",
    "beat_offset",
    "estimate_key",
    "estimate_pulse",
    "estimate_tempo",
    "integrated_loudness",
    "loudness_drift",
    "measure_loudness",
    "onset_strength",
    "onset_times",
    "sample_peak",
    "true_peak",
]

_MODULES = {
    "key": ("KeyEstimate", "estimate_key"),
    "loudness": (
        "Loudness",
        "integrated_loudness",
        "loudness_drift",
        "measure_loudness",
        "sample_peak",
        "true_peak",
    ),
    "onsets": ("onset_strength", "onset_times"),
    "pulse": ("PulseEstimate", "beat_offset", "estimate_pulse"),
    "tempo": ("TempoEstimate", "estimate_tempo"),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"engine.analysis.{module}"), name)
    raise AttributeError(f"module 'engine.analysis' has no attribute '{name}'")
