"""Several takes of one job through the real engine process, and the options that shape how they are made."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner

from bridge.cli import segue
from bridge.cli.wishes import exact_sampling
from bridge.supervision.engine_client import EngineSetup
from engine.request import LevelSampling, Sampling
from engine.take import Take
from tests.bridge.client import prime
from tests.bridge.conftest import StartSession, wait_idle
from tests.bridge.test_supervision import engine_pid, progress_beyond
from tests.host.tiny import make_tiny_model, write_riff


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def plucks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_riff(tmp_path_factory.mktemp("riff") / "plucks_240bpm.wav", 1.0)


def continued(tiny: Path, riff: Path, out: Path, *more: object) -> list[Take]:
    arguments = ["continue", riff, "--model", tiny, "--out", out, "--json", *more]
    for option, value in (("--seconds", 0.3), ("--seed", 5)):
        arguments += [] if option in more else [option, value]
    result = CliRunner().invoke(segue, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return [Take.load(Path(take["path"]).parent) for take in json.loads(result.stdout)["takes"]]


@pytest.mark.slow
def test_takes_of_a_killed_engine_are_all_gone_on_with(
    start_session: StartSession, tiny: Path, plucks: Path, tmp_path: Path
) -> None:
    running = start_session(setup={"engine": EngineSetup(model=str(tiny))})
    client = running.client()
    wait_idle(client, timeout=60)
    client.send("/segue/notify", 1)
    prime(client, plucks)
    for name, value in (("seed", 77), ("takes", 3)):
        client.send(f"/segue/param/{name}", value)
    client.send("/segue/generate", 1.5)  # (1.0 would be a press)
    progress_beyond(client, "J1", 0.3)
    os.kill(engine_pid(running), signal.SIGKILL)
    made = [client.wait("/segue/take", timeout=90) for _ in range(3)]
    client.wait("/segue/job", "J1", "done")
    assert [take[5] for take in made] == [77, 78, 79]
    takes = [Take.load(Path(take[8]).parent) for take in made]
    assert [take.info.timings.runs for take in takes] == [2, 2, 2]
    assert sorted(take.folder for take in takes) == sorted(
        f for f in running.session.takes.iterdir() if f.is_dir()
    )
    calm = continued(tiny, plucks, tmp_path / "calm", "--seconds", 1.5, "--seed", 77, "--takes", 3)
    for one, other in zip(takes, calm, strict=True):
        assert all(np.array_equal(one.codes()[level], other.codes()[level]) for level in range(3))


def test_lanes_change_no_take(tiny: Path, plucks: Path, tmp_path: Path) -> None:
    usual = continued(tiny, plucks, tmp_path / "usual", "--takes", 2)
    other = continued(tiny, plucks, tmp_path / "other", "--takes", 2, "--lanes", 3)
    for one, two in zip(usual, other, strict=True):
        assert all(np.array_equal(one.codes()[level], two.codes()[level]) for level in range(3))
        assert np.abs(sf.read(one.wav)[0] - sf.read(two.wav)[0]).max() < 1e-6


def test_exact_is_the_plan_of_the_paper(
    tiny: Path, plucks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = Sampling(bottom=LevelSampling(strand=4), middle=LevelSampling(temperature=0.9, strand=2))
    exact = exact_sampling(usual)
    assert (exact.bottom.strand, exact.middle.strand, exact.middle.temperature) == (None, None, 0.9)
    monkeypatch.setattr("bridge.cli.wishes.Sampling", lambda: usual)
    (take,) = continued(tiny, plucks, tmp_path / "exact", "--exact")
    (strands,) = continued(tiny, plucks, tmp_path / "strands")
    sampling = take.info.head.request.sampling
    assert (sampling.bottom.strand, sampling.middle.strand) == (None, None)
    assert strands.info.head.request.sampling.bottom.strand == 4


@pytest.mark.parametrize("lanes", [0, 65])
def test_lanes_have_limits(plucks: Path, lanes: int) -> None:
    result = CliRunner().invoke(segue, ["continue", str(plucks), "--lanes", str(lanes)])
    assert result.exit_code == 2
    assert f"segue: --lanes is {lanes}; it must be from 1 to 64" in result.stderr
