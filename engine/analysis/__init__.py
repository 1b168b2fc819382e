"""What can be heard in a signal: onsets, tempo, key, loudness, and pictures of it. numpy and scipy only."""

from engine.analysis.key import KeyEstimate, estimate_key
from engine.analysis.loudness import integrated_loudness, sample_peak
from engine.analysis.onsets import onset_strength, onset_times
from engine.analysis.pulse import PulseEstimate, estimate_pulse
from engine.analysis.tempo import TempoEstimate, estimate_tempo

__all__ = [
    "KeyEstimate",
    "PulseEstimate",
    "TempoEstimate",
    "estimate_key",
    "estimate_pulse",
    "estimate_tempo",
    "integrated_loudness",
    "onset_strength",
    "onset_times",
    "sample_peak",
]
