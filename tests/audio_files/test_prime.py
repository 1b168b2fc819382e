"""Primes: limits, spans, and files that nobody should have to wait for."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.audio import MAX_PRIME_SECONDS, read_prime
from engine.errors import BadFormat, OutOfRange, PathNotAllowed, SegueError, TooLarge, TooShort
from engine.request import PrimeRef

RATE = 44_100


def noise(path: Path, seconds: float, rate: int = RATE, gain: float = 0.3, subtype: str = "FLOAT") -> Path:
    samples = gain * np.random.default_rng(1).uniform(-1, 1, (round(seconds * rate), 2))
    soundfile.write(path, samples.astype(np.float32), rate, subtype=subtype)
    return path


def ref(path: Path, start: float = 0.0, length: float | None = None) -> PrimeRef:
    return PrimeRef(path=str(path), start_seconds=start, length_seconds=length)


def test_a_prime_is_the_mean_of_the_channels_of_its_span(tmp_path: Path):
    path = noise(tmp_path / "riff.wav", 3.0)
    prime = read_prime(ref(path, 0.5, 2.0), RATE)
    expected = soundfile.read(path, dtype="float32")[0][22_050:110_250].mean(axis=1)
    assert prime.rate == RATE and prime.samples.shape == (88_200, 1)
    assert np.allclose(prime.samples[:, 0], expected, atol=1e-7)


def test_a_prime_comes_at_the_models_rate(tmp_path: Path):
    prime = read_prime(ref(noise(tmp_path / "riff.wav", 2.0, rate=96_000)), RATE)
    assert (prime.rate, prime.frames) == (RATE, 2 * RATE)


def message_of(kind: type[SegueError], prime: PrimeRef) -> str:
    with pytest.raises(kind) as raised:
        read_prime(prime, RATE)
    return raised.value.message


def test_too_short(tmp_path: Path):
    path = noise(tmp_path / "riff.wav", 2.0)
    assert message_of(TooShort, ref(path, 1.0, 0.4)) == (
        f"the prime '{path}' is 0.400 s long; at least 0.5 s are needed to continue it"
    )
    assert read_prime(ref(path, 1.5), RATE).seconds == 0.5


@pytest.mark.parametrize("gain", [0.0, 0.0003])
def test_silent(tmp_path: Path, gain: float):
    path = noise(tmp_path / "riff.wav", 1.0, gain=gain)  # 0.0003 is -70.5 dBFS
    assert message_of(BadFormat, ref(path)) == (
        f"'{path}' is silent (its peak is below -70 dBFS); give a span with sound in it"
    )


def test_silent_in_mono_only(tmp_path: Path):
    path = tmp_path / "riff.wav"
    left = np.random.default_rng(1).uniform(-0.5, 0.5, RATE).astype(np.float32)
    soundfile.write(path, np.stack([left, -left], axis=1), RATE, subtype="FLOAT")
    assert message_of(BadFormat, ref(path)) == (
        f"'{path}' is silent in mono because its channels cancel out; export it with one channel inverted"
    )


def test_absurdly_loud(tmp_path: Path):
    path = noise(tmp_path / "riff.wav", 1.0, gain=32_768.0)  # 16-bit integers stored as floats
    message = message_of(BadFormat, ref(path))
    assert message == (
        f"'{path}' peaks at +90 dBFS; export it with its peaks near 0 dBFS (full scale is 1.0)"
    )


def test_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    noise(tmp_path / "riff.wav", 1.0)
    monkeypatch.chdir(tmp_path)
    assert message_of(PathNotAllowed, PrimeRef(path="riff.wav")) == (
        "the path 'riff.wav' is relative; give an absolute path"
    )


def ten_hours(path: Path, container: str) -> Path:
    """A sparse file whose last seconds alone hold sound: 10 h of 16-bit audio."""
    channels = {"RIFF": 1, "RF64": 4}[container]
    size = 36_000 * RATE * 2 * channels
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, RATE, RATE * 2 * channels, 2 * channels, 16)
    with path.open("wb") as file:
        if container == "RIFF":
            file.write(
                struct.pack("<4sI4s", b"RIFF", 36 + size, b"WAVE") + fmt + struct.pack("<4sI", b"data", size)
            )
        else:
            ds64 = struct.pack("<4sIQQQI", b"ds64", 28, size + 72, size, 36_000 * RATE, 0)
            head = struct.pack("<4sI4s", b"RF64", 0xFFFFFFFF, b"WAVE") + ds64 + fmt
            file.write(head + struct.pack("<4sI", b"data", 0xFFFFFFFF))
        header = file.tell()
        file.truncate(header + size)
        file.seek(header + size - RATE * 2 * channels)
        square = np.tile(np.repeat(np.array([9_000, -9_000], "<i2"), 50 * channels), RATE // 100)
        file.write(square.tobytes())
    return path


@pytest.mark.parametrize("container", ["RIFF", "RF64"])
def test_ten_hours_are_answered_at_once(tmp_path: Path, container: str):
    path = ten_hours(tmp_path / "long.wav", container)
    began = time.monotonic()
    assert message_of(TooLarge, ref(path)) == (
        f"'{path}' leaves 10 h 0 min 0 s to continue, more than 600 s; "
        "give a span, such as its end: start 35970, length 30"
    )
    assert read_prime(ref(path, 35_999.0), RATE).peak == pytest.approx(9_000 / 32_768)
    assert time.monotonic() - began < 1.0


def test_a_huge_header_over_a_small_file(tmp_path: Path):
    path = ten_hours(tmp_path / "long.wav", "RIFF")
    with path.open("r+b") as file:
        file.truncate(44 + 2 * RATE)
    assert "promises 36000.00 s but 1.00 s are there" in message_of(BadFormat, ref(path))


def test_a_span_may_not_be_longer_than_the_limit(tmp_path: Path):
    path = ten_hours(tmp_path / "long.wav", "RIFF")
    assert message_of(OutOfRange, ref(path, 0.0, MAX_PRIME_SECONDS + 1)) == (
        f"the span of '{path}' is 10 min 1 s long; a prime may have 600 s at most"
    )
