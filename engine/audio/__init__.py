"""Audio as values and files: waveforms, reading what a DAW wrote, writing takes, taking in primes."""

from engine.audio.files import (
    AudioFile,
    AudioInfo,
    probe,
    quantise24,
    read_audio,
    write_wav24,
    write_wav_float,
)
from engine.audio.prime import MAX_PRIME_SECONDS, MIN_PRIME_SECONDS, read_prime
from engine.audio.waveform import Waveform

__all__ = [
    "MAX_PRIME_SECONDS",
    "MIN_PRIME_SECONDS",
    "AudioFile",
    "AudioInfo",
    "Waveform",
    "probe",
    "quantise24",
    "read_audio",
    "read_prime",
    "write_wav24",
    "write_wav_float",
]
