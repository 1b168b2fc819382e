"""Resampling, the stand-in WAV, and the choice of a device."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bridge.audio.devices import Device, find_device
from bridge.audio.outputs import resolve
from bridge.audio.protocol import Open
from bridge.audio.source import ResampledSource
from bridge.audio.wav import WavSink
from engine.errors import BadFormat, DiskFull, NoDevice, NoFile
from engine.ring import Ring, ring_name
from tests.rig.jack import wait_until

from .harness import noise


def read_wav(path: Path) -> npt.NDArray[np.float64]:
    """A mono 24-bit WAV, read by Python's own module, as fractions of full scale."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 3)
        raw = np.frombuffer(file.readframes(file.getnframes()), np.uint8).reshape(-1, 3)
    padded = np.zeros((len(raw), 4), np.uint8)
    padded[:, 1:] = raw
    return padded.view("<i4")[:, 0] / 2.0**31


# -- resampling --------------------------------------------------------------------------------------------


def take_all(source: ResampledSource, seconds: float = 20.0) -> npt.NDArray[np.float32]:
    parts, out = [], np.empty(700, np.float32)

    def pull() -> bool:
        parts.append(out[: source.read_into(out)].copy())
        return source.exhausted

    wait_until(pull, seconds)
    return np.concatenate(parts)


@pytest.mark.parametrize("rate", [48_000, 96_000, 22_050])
def test_resampled_tone_has_its_length_and_shape(rate: int) -> None:
    ring = Ring.local(1 << 15)
    tone = np.sin(2 * np.pi * 440 * np.arange(30_000) / 44_100).astype(np.float32)
    ring.write(tone)
    ring.finish()
    source = ResampledSource(ring, None, rate)
    out = take_all(source)
    assert source.close() == 30_000
    assert abs(len(out) - 30_000 * rate / 44_100) <= 1
    expected = np.sin(2 * np.pi * 440 * np.arange(len(out)) / rate)
    margin = rate // 50
    assert np.abs(out - expected)[margin:-margin].max() < 1e-4


def test_what_is_left_out_is_not_resampled_either() -> None:
    ring = Ring.local(1 << 15)
    source = ResampledSource(ring, None, 48_000, 20_000)
    ring.write(np.ones(15_000))
    wait_until(lambda: ring.fill == 0, what="room for what is to be heard")
    assert not source.ready(1)
    ring.write(np.concatenate([np.ones(5_000), np.zeros(10_000)]))
    ring.finish()
    wait_until(lambda: source.ready(1_000))
    assert source.position == 20_000
    out = take_all(source)
    assert source.close() == 30_000
    assert abs(len(out) - 10_000 * 48_000 / 44_100) <= 1 and not out.any()


def test_the_read_counter_follows_what_was_played_not_what_was_resampled() -> None:
    with Ring.create(ring_name("played"), 1 << 15) as ring:
        ring.write(noise(30_000))
        source = ResampledSource(Ring.attach(ring.name), 30_000, 48_000)
        wait_until(lambda: source.ready(1_000))
        assert ring.read == 0
        out = np.empty(4_800, np.float32)
        assert source.read_into(out) == 4_800
        wait_until(lambda: ring.read == 4_410)
        assert source.close() == 4_410
        assert ring.read == 4_410, "its successor begins with the first frame that was not heard"


def test_a_resampled_source_is_ready_with_what_was_asked_for_and_not_before() -> None:
    ring = Ring.local(1 << 15)
    source = ResampledSource(ring, None, 48_000)
    ring.write(noise(5_000))
    time_up = time.monotonic() + 0.1
    while time.monotonic() < time_up:
        assert not source.ready(6_000)
    ring.write(noise(1_000))
    wait_until(lambda: source.ready(6_000), 2)
    source.close()


def test_draining_a_resampled_source_skips_both_rings() -> None:
    ring = Ring.local(1 << 15)
    source = ResampledSource(ring, None, 48_000)
    ring.write(noise(20_000))
    wait_until(lambda: source.ready(100))
    source.drain()
    assert source.read_into(np.empty(64, np.float32)) == 0
    wait_until(lambda: ring.read == 20_000)
    ring.write(np.full(3_000, 0.25, np.float32))
    ring.finish()
    out = take_all(source)
    source.close()
    assert abs(len(out) - 3_000 * 48_000 / 44_100) <= 1
    assert np.abs(out[1_000:-1_000] - 0.25).max() < 1e-3


# -- the WAV -----------------------------------------------------------------------------------------------


def test_the_wav_keeps_24_bits_exactly_and_clips(tmp_path: Path) -> None:
    sink = WavSink(tmp_path / "new" / "x.wav", 44_100, append=False)
    samples = np.concatenate([noise(1_000), [-1.0, 1.5, -7.0, 0.0]]).astype(np.float32)
    sink.write(samples)
    sink.close()
    expected = np.clip(samples, -1, 1 - 2.0**-23)
    np.testing.assert_array_equal(read_wav(tmp_path / "new" / "x.wav"), expected)


def test_a_wav_whose_writer_was_killed_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "killed.wav"
    script = (
        "import os, sys, signal, pathlib; from bridge.audio.wav import WavSink\n"
        "from tests.audio.harness import noise\n"
        "sink = WavSink(pathlib.Path(sys.argv[1]), 44_100, append=False)\n"
        "for part in noise(50_000).reshape(50, 1_000): sink.write(part)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], timeout=60)
    assert done.returncode == -signal.SIGKILL
    sink = WavSink(path, 44_100, append=True)
    sink.write(noise(700, seed=5))
    sink.close()
    np.testing.assert_array_equal(read_wav(path), np.concatenate([noise(50_000), noise(700, seed=5)]))


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    path = tmp_path / "big.wav"
    sink = WavSink(path, 44_100, append=False)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))  # what a full disk looks like to a writer
    try:
        with pytest.raises(DiskFull, match=r"big\.wav' cannot grow for want of space; free some"):
            sink.write(noise(20_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    sink.close()
    heard = read_wav(path)
    assert 5_000 < len(heard) < 10_000, "what was written before stays readable"
    np.testing.assert_array_equal(heard, noise(20_000)[: len(heard)])


def test_a_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoFile, match=r"cannot be written .*; name a WAV in a folder of yours"):
        WavSink(tmp_path, 44_100, append=False)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"hello, this is no sound" * 30), "is not a WAV; name another file"),
        (lambda path: WavSink(path, 48_000, append=False).close(), "is not a mono 24-bit WAV of 44100 Hz"),
    ],
)
def test_only_a_wav_of_its_kind_is_continued(
    tmp_path: Path, make: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "other.wav"
    make(path)
    with pytest.raises(BadFormat, match=message):
        WavSink(path, 44_100, append=True)


# -- devices -----------------------------------------------------------------------------------------------


def device(name: str, api: str, *, first: bool = False, default: bool = False) -> Device:
    return Device(0, name, api, 2, 48_000, first, default)


SPEAKERS = device("Speakers", "ALSA", default=True)
HDMI = device("HDMI 0", "ALSA", first=True)
USB = device("Scarlett 2i2 USB", "ALSA")
SYSTEM = device("system", "JACK Audio Connection Kit", first=True)
CLIENT = device("recorder", "JACK Audio Connection Kit")


def test_any_device_means_jack_then_the_systems_default_then_the_first() -> None:
    assert find_device(None, [HDMI, SPEAKERS, CLIENT, SYSTEM]) is SYSTEM
    assert find_device(None, [HDMI, SPEAKERS]) is SPEAKERS
    assert find_device(None, [HDMI, USB]) is HDMI


@pytest.mark.parametrize("wanted", ["Scarlett 2i2 USB", "scarlett 2I2 usb, alsa", "2i2", "  scarlett"])
def test_a_device_is_found_by_name_label_or_an_unmistakable_part(wanted: str) -> None:
    assert find_device(wanted, [HDMI, SPEAKERS, USB, SYSTEM]) is USB


def test_an_unknown_or_ambiguous_name_offers_the_nearest() -> None:
    with pytest.raises(
        NoDevice, match=r"no sound device 'Scarlet 2i2'; the nearest are 'Scarlett 2i2 USB, ALSA'"
    ):
        find_device("Scarlet 2i2", [HDMI, SPEAKERS, USB])
    with pytest.raises(NoDevice) as raised:
        find_device("alsa", [HDMI, SPEAKERS, SYSTEM])
    assert "HDMI 0" in raised.value.message and "Speakers" in raised.value.message
    assert "JACK" not in raised.value.message


def test_no_device_at_all_says_what_to_do() -> None:
    with pytest.raises(NoDevice, match="there is no sound device; connect one or use 'file:PATH'"):
        find_device(None, [])
    with pytest.raises(
        NoDevice, match="no sound device 'X', and none at all; connect one or use 'file:PATH'"
    ):
        find_device("X", [])


def test_file_and_none_need_no_device(tmp_path: Path) -> None:
    assert resolve(Open(device=f"file:{tmp_path}/a.wav")) == tmp_path / "a.wav"
    assert resolve(Open(device="none")) is None
    with pytest.raises(NoDevice, match="'file:' names no file; write 'file:PATH'"):
        resolve(Open(device="file:"))


def test_portaudio_missing_is_named_and_falls_back_only_for_any_device(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    fallback = str(tmp_path / "heard.wav")
    assert resolve(Open(fallback=fallback)) == Path(fallback)
    for command in (Open(), Open(device="Speakers", fallback=fallback)):
        with pytest.raises(
            NoDevice, match=r"PortAudio is not installed.*install it \(on Debian: libportaudio2\)"
        ):
            resolve(command)
