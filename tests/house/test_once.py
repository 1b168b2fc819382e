"""The whole path: riff over OSC, engine, ring, audio process, take. Real processes, a model of random weights."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from tests.host.tiny import make_tiny_model, write_riff
from tests.rig.jack import JackServer, Recorder, jack_server, recorder

__all__ = ["jack_server", "recorder"]

SEGUE = Path(sys.executable).with_name("segue")
BPM, BARS, RATE = 400, 4, 44_100
FRAMES = BARS * 4 * 60 * RATE // BPM
FADE_IN = round(0.005 * RATE) + 1
PROBE = 64
PCM_24 = 2.0**-23


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def segue(tmp_path: Path, model: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``segue serve --once`` on a riff with its tempo in its name."""
    riff = write_riff(tmp_path / f"riff_{BPM}bpm.wav", seconds=0.6)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        fixed = [
            "--model",
            str(model),
            "--riff",
            str(riff),
            "--takes",
            str(tmp_path / "takes"),
            "--port",
            "0",
        ]
        # A sound server of this machine is not this test's: only one that a fixture started is found.
        environment = {"JACK_DEFAULT_SERVER": "none-of-this-name", "JACK_NO_START_SERVER": "1", **os.environ}
        return subprocess.run(
            [SEGUE, "serve", "--once", *fixed, *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )

    return run


def the_take(printed: str) -> npt.NDArray[np.float32]:
    """The one take that was printed, shape [frames], having checked its format."""
    paths = re.findall(r"^take: (.+)$", printed, re.M)
    assert len(paths) == 1, printed
    info = soundfile.info(paths[0])
    assert (info.subtype, info.samplerate, info.channels, info.frames) == ("PCM_24", RATE, 1, FRAMES)
    samples: npt.NDArray[np.float32] = soundfile.read(paths[0], dtype="float32")[0]
    assert np.abs(samples).max() > 0.001
    return samples


def assert_heard(heard: npt.NDArray[np.float32], take: npt.NDArray[np.float32]) -> None:
    """``heard`` is ``take``, frame by frame and in order.

    Apart from its first 5 ms, and those after a gap where a busy machine made the engine late: there it is faded in
    (bridge/audio/player.py). Whatever lies in a gap is not of the take.
    """
    at = exact = 0  # frame of the take, frames found equal
    ear = 0  # frame of what was heard
    while at + FADE_IN + PROBE < len(take):
        at += FADE_IN
        ear += place_of(take[at : at + PROBE], heard[ear:])
        count = min(len(take) - at, len(heard) - ear)
        differ = np.flatnonzero(np.abs(heard[ear : ear + count] - take[at : at + count]) > PCM_24)
        same = int(differ[0]) if len(differ) else count
        at, ear, exact = at + same, ear + same, exact + same
    assert exact > 0.8 * len(take)


def place_of(probe: npt.NDArray[np.float32], heard: npt.NDArray[np.float32]) -> int:
    """Where ``probe`` begins in ``heard``."""
    places = np.arange(len(heard) - len(probe) + 1)
    for offset, value in enumerate(probe):
        places = places[np.abs(heard[places + offset] - value) <= PCM_24]
    assert len(places), "a part of the take was not heard"
    return int(places[0])


def test_without_a_device_it_plays_into_a_file_and_says_so(
    segue: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    played = tmp_path / "played.wav"
    done = segue("--device", f"file:{played}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no device plays" in done.stdout
    heard = soundfile.read(played, dtype="float32", always_2d=True)[0]
    assert_heard(np.ascontiguousarray(heard[:, 0]), the_take(done.stdout))


def test_what_a_sound_server_gets_is_the_take(
    jack_server: JackServer, recorder: Recorder, segue: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = segue()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no device plays" not in done.stdout
    assert_heard(recorder.audio, the_take(done.stdout))
