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
BPM, BARS, RATE = 200, 4, 44_100
FRAMES = BARS * 4 * 60 * RATE // BPM
PROBE = 64
PCM_24 = 2.0**-23


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a quarter of the starter's tokens, so that a busy machine still has the finest level in time."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", bottom_down=5)


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


def assert_heard(heard: npt.NDArray[np.float32], done: subprocess.CompletedProcess[str]) -> None:
    """What the engine says is heard of the finest level is the take, frame by frame and in order.

    Before that the draft is heard, which no file has. A few ms are faded where the level changes, and after a gap
    where a busy machine made the engine late (bridge/audio/player.py); whatever lies in a gap is not of the take.
    """
    told = re.search(r"is heard as (.+)", done.stderr)
    assert told, done.stderr
    seconds = {int(level): float(count) for count, level in re.findall(r"([\d.]+) s of level (\d)", told[1])}
    assert abs(sum(seconds.values()) - FRAMES / RATE) < 0.1 * len(seconds)  # each is told to 0.1 s
    take = the_take(done.stdout)
    at = exact = ear = 0  # frame of the take, frames found equal, frame of what was heard
    while at + PROBE < len(take):
        place = place_of(take[at : at + PROBE], heard[ear:])
        if place is None:
            at += PROBE
            continue
        ear += place
        count = min(len(take) - at, len(heard) - ear)
        differ = np.flatnonzero(np.abs(heard[ear : ear + count] - take[at : at + count]) > PCM_24)
        same = int(differ[0]) if len(differ) else count
        at, ear, exact = at + same, ear + same, exact + same
    if seconds.get(0, 0.0) <= 0.2:
        pytest.skip("the machine is so busy that only the draft was heard")
    assert exact > 0.8 * seconds[0] * RATE


def place_of(probe: npt.NDArray[np.float32], heard: npt.NDArray[np.float32]) -> int | None:
    """Where ``probe`` begins in ``heard``; None where it does not occur."""
    places = np.arange(len(heard) - len(probe) + 1)
    for offset, value in enumerate(probe):
        places = places[np.abs(heard[places + offset] - value) <= PCM_24]
    return int(places[0]) if len(places) else None


@pytest.mark.slow
def test_without_a_device_it_plays_into_a_file_and_says_so(
    segue: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    played = tmp_path / "played.wav"
    done = segue("--device", f"file:{played}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no device plays" in done.stdout
    heard = soundfile.read(played, dtype="float32", always_2d=True)[0]
    assert_heard(np.ascontiguousarray(heard[:, 0]), done)


def test_what_a_sound_server_gets_is_the_take(
    jack_server: JackServer, recorder: Recorder, segue: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = segue()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no device plays" not in done.stdout
    assert_heard(recorder.audio, done)
