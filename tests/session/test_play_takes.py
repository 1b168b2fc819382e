"""Playing takes from pads and over OSC: on the bar, beside the prime, held; how loud."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from bridge.session import performing
from tests.bridge.client import OscClient, prime
from tests.bridge.conftest import RunningSession, StartSession, wait_idle

RATE = 44_100


@pytest.fixture
def running(start_session: StartSession, tmp_path: Path) -> RunningSession:
    return start_session(device=f"file:{tmp_path / 'heard.wav'}", speed=20.0)


@pytest.fixture
def client(running: RunningSession, riff: Path) -> Iterator[OscClient]:
    """With a take of four seconds that has been played."""
    client = running.client()
    wait_idle(client)
    client.send("/segue/notify", 1)
    prime(client, riff)
    client.send("/segue/param/bpm", 120)
    client.send("/segue/param/fidelity", "draft")
    client.send("/segue/generate", 4.0)
    client.wait("/segue/take", 1)
    client.wait("/segue/sounding", "J1", "start")
    client.send("/segue/take/stop")
    client.wait("/segue/sounding", "J1", "stopped")
    yield client
    client.close()


def heard_in(tmp_path: Path) -> np.ndarray:
    samples = sf.read(tmp_path / "heard.wav", dtype="float32")[0]
    return samples if samples.ndim == 1 else samples[:, 0]


def place_of(part: np.ndarray, whole: np.ndarray) -> int:
    spectrum = np.fft.rfft(whole, 2 * len(whole)) * np.conj(np.fft.rfft(part, 2 * len(whole)))
    return int(np.argmax(np.fft.irfft(spectrum)[: len(whole)]))


def test_where_the_listener_is_is_told_ten_times_a_second(client: OscClient) -> None:
    client.send("/segue/take/play", 1)
    client.wait("/segue/sounding", "1", "start")
    beats = [client.wait("/segue/playing", "1")[1] for _ in range(12)]
    assert (np.diff(beats) > 0).all()
    assert np.median(np.diff(beats)) == pytest.approx(0.2, abs=0.1)
    client.wait("/segue/sounding", "1", "end")


def test_the_prime_and_the_take_by_turns(client: OscClient, tmp_path: Path) -> None:
    assert client.ask("/segue/take/ab", reply="/segue/done")[1] == "prime"
    client.wait("/segue/sounding", "prime", "start")
    time.sleep(0.5)
    assert client.ask("/segue/take/ab", reply="/segue/done")[1] == "A01"
    client.wait("/segue/sounding", "1", "start")
    client.wait("/segue/sounding", "prime", "stopped")
    assert client.wait("/segue/playing", "1")[1] > 0.8  # it goes on where the prime was
    client.send("/segue/panic")
    client.wait("/segue/sounding", "1", "stopped")


def test_a_take_that_ends_while_its_prime_is_looked_for(
    client: OscClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place is no longer known then: the prime is heard from its beginning."""
    client.send("/segue/generate", 4.0)
    client.wait("/segue/take", 2)
    client.wait("/segue/sounding", "J2", "start")
    gone, found = threading.Event(), performing._side_of

    def slowly(path: str) -> Any:
        assert gone.wait(10)
        return found(path)

    monkeypatch.setattr(performing, "_side_of", slowly)
    client.send("/segue/take/ab")
    client.send("/segue/take/stop")
    client.wait("/segue/sounding", "J2", "stopped")
    gone.set()
    assert client.wait("/segue/done", "/segue/take/ab")[1] == "prime"
    client.wait("/segue/sounding", "prime", "start")


def test_a_bar_is_held_and_then_it_goes_on(
    client: OscClient, running: RunningSession, tmp_path: Path
) -> None:
    path = client.ask("/segue/takes", reply="/segue/takes.item")[8]
    client.send("/segue/take/play", 1)
    client.wait("/segue/sounding", "1", "start")
    client.send("/segue/take/hold", 1)
    client.wait("/segue/sounding", "hold", "start")
    time.sleep(3.0)
    client.send("/segue/take/hold", 0)
    client.wait("/segue/sounding", "1", "start")
    client.wait("/segue/sounding", "1", "end")
    running.stop()
    take = sf.read(path, dtype="float32")[0]
    heard = heard_in(tmp_path)
    bar, fade = 2 * RATE, 600
    end = place_of(take[bar : 2 * bar], heard[-12 * RATE :]) + max(0, len(heard) - 12 * RATE)
    assert np.array_equal(heard[end + fade : end + bar - fade], take[bar + fade : 2 * bar - fade])
    for times in (1, 2):  # the bar before it was heard again and again, each time to the sample in its place
        again = heard[end - times * bar :][:bar]
        assert np.array_equal(again[fade : bar - fade], take[fade : bar - fade])


@pytest.mark.parametrize("ending", ["/segue/panic", "/segue/take/stop"])
def test_silence_before_the_held_bar_has_begun(client: OscClient, ending: str) -> None:
    client.send("/segue/take/play", 1)
    client.wait("/segue/sounding", "1", "start")
    client.send("/segue/take/hold", 1)
    client.wait("/segue/done", "/segue/take/hold")
    client.drain(0.02)
    client.send(ending)
    client.wait("/segue/sounding", "hold", "stopped")
    client.wait("/segue/sounding", "1", "stopped")
    assert client.ask("/segue/test") == ("ok",)
    assert "/segue/fail" not in {address for address, _ in client.heard}


def test_mix_and_gain(client: OscClient, running: RunningSession, tmp_path: Path) -> None:
    assert client.ask("/segue/param/gain_db", -20) == (-20.0,)
    client.send("/segue/take/play", 1)
    client.wait("/segue/sounding", "1", "end")
    assert client.ask("/segue/param/mix", 0.0) == (0.0,)
    client.send("/segue/take/play", 1)
    client.wait("/segue/sounding", "1", "start")
    client.wait("/segue/sounding", "1", "end")
    path = client.ask("/segue/takes", reply="/segue/takes.item")[8]
    running.stop()
    take, heard = sf.read(path, dtype="float32")[0], heard_in(tmp_path)
    loud = np.flatnonzero(np.abs(heard) > 0.105 * np.abs(take).max())[-1]  # before the gain was set
    assert len(heard) - loud > 8 * RATE - 2_000  # and neither of the two times that it was played after
    after = heard[loud + 3_000 :]  # (what was stopped there faded out)
    assert np.abs(after).max() == pytest.approx(0.1 * np.abs(take).max(), rel=0.01)


@pytest.mark.parametrize(
    ("address", "values", "slug", "words"),
    [
        ("/segue/take/play", (7,), "no_take", "there is no take '7'; the only take is A01"),
        ("/segue/take/hold", (1,), "no_take", "nothing plays that could be held; play a take first"),
        ("/segue/param/mix", (1.5,), "out_of_range", "from 0 to 1"),
        ("/segue/param/gain_db", (12,), "out_of_range", "from -60 to 6 dB"),
    ],
)
def test_what_is_refused(
    client: OscClient, address: str, values: tuple[object, ...], slug: str, words: str
) -> None:
    client.send(address, *values)
    failed = client.wait("/segue/fail", address)
    assert failed[2] == slug
    assert words in failed[3]
