"""The mock engine: the real process over a real pipe, its takes on disk, its failures on request."""

from __future__ import annotations

import json
import multiprocessing
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from engine.host.mock.orders import Order, order_in
from engine.host.mock.process import main
from engine.host.protocol import (
    Cancel,
    Failed,
    Generate,
    JobCancelled,
    JobFailed,
    JobState,
    LoadModel,
    PrimeReady,
    TakeDone,
    TakePrime,
)
from engine.request import Fidelity, Mode, PrimeRef, Request, Span, Style, TakeRef
from engine.take import Take, recover
from tests.host.pipe import Engine, engine
from tests.host.tiny import write_riff

RATE = 44_100


@pytest.fixture(scope="module")
def plucks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_riff(tmp_path_factory.mktemp("riff") / "plucks.wav", 2.0)


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A fast one for all tests that do not end it."""
    with engine(main, {"speed": 200.0}) as started:
        started.load("mock")
        yield started


def asked(riff: Path, seconds: float = 2.0, **more: object) -> Request:
    values = {
        "model": "mock",
        "prime": PrimeRef(path=str(riff)),
        "frames": round(seconds * RATE),
        "seed": 3,
        "bpm": 120.0,
    }
    return Request.model_validate(values | more)


def made(mock: Engine, request: Request, folder: Path, **more: object) -> Take:
    mock.send(Generate(job="J", request=request, folder=str(folder), **more))
    done = mock.terminal()
    assert isinstance(done, TakeDone), done
    return Take.load(done.folder)


def onsets(samples: np.ndarray) -> np.ndarray:
    """Where the loudness of 512 samples jumps: in seconds."""
    loud = np.sqrt(np.mean(np.square(samples[: samples.size // 512 * 512].reshape(-1, 512)), axis=1))
    jumps = np.flatnonzero((loud[1:] > 2.0 * loud[:-1]) & (loud[1:] > 0.02)) + 1
    return jumps[np.diff(jumps, prepend=-10) > 2] * 512 / RATE


def test_it_is_ready_within_two_seconds_and_loads_no_runtime(plucks: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    with engine(main, {"speed": 50.0}, multiprocessing.get_context("spawn")) as started:
        ready = started.load("mock")
        assert time.monotonic() - began < 6.0  # (two on an idle machine)
        assert (ready.model, ready.rate, ready.lyrics) == ("mock", RATE, None)
        assert ready.artists[0] == ready.genres[0] == "unknown" and "house" in ready.genres
        made(started, asked(plucks, 0.2), tmp_path)
        maps = Path(f"/proc/{started.process.pid}/maps").read_text()
        assert "libtorch" not in maps and "onnxruntime" not in maps


@pytest.mark.parametrize("bpm", [90.0, 120.0, 174.0])
def test_notes_fall_on_the_beats_of_the_tempo(mock: Engine, plucks: Path, tmp_path: Path, bpm: float) -> None:
    request = asked(plucks, 4.0, bpm=bpm, pulse={"bpm": bpm, "downbeat_frame": 0})
    samples = made(mock, request, tmp_path).audio().mono_samples()
    heard, beat = onsets(samples), 60.0 / bpm
    assert len(heard) >= int(4.0 / beat) - 1  # (the first comes out of the riff)
    assert np.abs(heard - np.round(heard / beat) * beat).max() < 0.03  # a top token is 12 ms


def test_style_seed_and_temperature_are_heard_and_the_same_request_is_the_same_take(
    mock: Engine, plucks: Path, tmp_path: Path
) -> None:
    def heard(**more: object) -> np.ndarray:
        return made(mock, asked(plucks, 4.0, **more), tmp_path).audio().mono_samples()

    plain = heard()
    assert np.array_equal(plain, heard())
    for more in (
        {"seed": 4},
        {"style": Style(genres={"techno": 1.0})},
        {"sampling": {"top": {"temperature": 0.1}}},
    ):
        assert not np.array_equal(plain, heard(**more)), more
    levels = [np.abs(np.fft.rfft(heard(fidelity=fidelity))) for fidelity in Fidelity]
    shares = [spectrum[(4 * 1000) :].sum() / spectrum.sum() for spectrum in levels]
    assert shares == sorted(shares) and shares[0] < 0.8 * shares[2]  # a finer take has more in it above 1 kHz


def test_a_take_is_gone_on_with_upsampled_and_sampled_again(
    mock: Engine, plucks: Path, tmp_path: Path
) -> None:
    parent = made(mock, asked(plucks, 2.0, fidelity=Fidelity.DRAFT), tmp_path)
    own = TakeRef(folder=str(parent.folder), frames=RATE)
    base = {"prime": None, "bpm": 120.0}
    child = made(
        mock,
        asked(plucks, 1.0, mode=Mode.CONTINUE, parents=(own,), fidelity=Fidelity.DRAFT, **base),
        tmp_path,
    )
    assert child.info.head.parent == parent.folder.name and child.info.frames == RATE
    assert child.info.head.prime_frames == 3 * RATE  # the riff and the second of it that was used
    whole = TakeRef(folder=str(parent.folder))
    finer = made(mock, asked(plucks, 2.0, mode=Mode.UPSAMPLE, parents=(whole,), **base), tmp_path)
    assert np.array_equal(finer.codes()[2], parent.codes()[2]) and set(finer.codes()) == {0, 1, 2}
    span = Span(start_frame=RATE // 2, stop_frame=RATE, candidates=2)
    filled = made(
        mock,
        asked(
            plucks,
            2.0,
            mode=Mode.INFILL,
            parents=(TakeRef(folder=str(finer.folder)),),
            span=span,
            seed=9,
            **base,
        ),
        tmp_path,
    )
    assert filled.info.frames == 2 * RATE


def test_it_reads_files_as_the_real_one_does(mock: Engine, plucks: Path, tmp_path: Path) -> None:
    mock.send(TakePrime(tag="P1", prime=PrimeRef(path=str(plucks))))
    ready = mock.wait_for(PrimeReady)
    assert (ready.tag, ready.seconds, ready.rate) == ("P1", 2.0, RATE)
    mock.send(TakePrime(tag="P2", prime=PrimeRef(path=str(tmp_path / "none.wav"))))
    assert mock.wait_for(Failed).message == f"there is no file '{tmp_path}/none.wav'; check the path"
    sf.write(tmp_path / "refused_1.wav", np.ones(RATE), RATE)
    mock.send(TakePrime(tag="P3", prime=PrimeRef(path=str(tmp_path / "refused_1.wav"))))
    refused = mock.wait_for(Failed)
    assert (refused.code, refused.slug) == (415, "bad_format")
    assert refused.message == "refused_1.wav is refused, as its name asks; use another file"


@pytest.mark.parametrize(
    ("name", "slug", "sentence"),
    [
        ("absent", "no_model", "there is no model 'absent'; the mock engine has mock, mock-2, "),
        ("mock-huge", "out_of_memory", "the model 'mock-huge' needs 512.0 GB and less is free"),
    ],
)
def test_models_that_cannot_be_loaded_leave_the_old_one(
    mock: Engine, plucks: Path, tmp_path: Path, name: str, slug: str, sentence: str
) -> None:
    mock.send(LoadModel(name=name))
    failed = mock.wait_for(Failed)
    assert (failed.tag, failed.slug) == (name, slug) and failed.message.startswith(sentence)
    made(mock, asked(plucks, 0.2), tmp_path)


def test_orders_in_lyrics_are_read() -> None:
    assert order_in("la la") is None
    assert order_in("mock: fail") == Order("fail")
    assert order_in("mock: fail disk_full at 0.5") == Order("fail", "disk_full", 0.5)
    assert order_in("mock: die at 0.25") == Order("die", at=0.25)
    assert order_in("mock: die always at 0.25") == Order("die", at=0.25, always=True)
    assert order_in("mock:hang") == Order("hang")
    assert order_in("mock: explode") == Order("fail", "bad_args")
    failure = Order("fail", "disk_full").error()
    assert (failure.code, failure.slug) == (507, "disk_full")
    assert (
        failure.message
        == "the mock engine was told to fail with 'disk_full'; take the order out of the lyrics"
    )


def test_a_job_fails_on_request_and_keeps_its_windows(plucks: Path, tmp_path: Path) -> None:
    with engine(main, {"speed": 20.0}) as started:
        started.load("mock")
        request = asked(plucks, 4.0, lyrics="mock: fail disk_full at 0.5")
        started.send(Generate(job="J1", request=request, folder=str(tmp_path)))
        failed = started.terminal()
        assert isinstance(failed, JobFailed) and (failed.code, failed.slug) == (507, "disk_full")
        (folder,) = tmp_path.glob("2*")
        assert recover(folder).info.state == "partial"
        made(started, asked(plucks, 0.2), tmp_path)


def test_it_dies_on_request_once_and_its_successor_goes_on(plucks: Path, tmp_path: Path) -> None:
    request = asked(plucks, 4.0, lyrics="mock: die at 0.5")
    with engine(main, {"speed": 20.0}) as started:
        started.load("mock")
        started.send(Generate(job="J1", request=request, folder=str(tmp_path)))
        with pytest.raises((EOFError, ConnectionResetError)):
            started.terminal()
        started.process.join(10)
        assert started.process.exitcode == -9
        state = next(report for report in reversed(started.reports) if isinstance(report, JobState))
    with engine(main, {"speed": 20.0}) as successor:
        successor.load("mock")
        take = made(successor, request, tmp_path, resume=[state.take_folder])
        assert take.info.timings.runs == 2
        calm = made(successor, request.model_copy(update={"lyrics": ""}), tmp_path)
        assert np.array_equal(take.audio().mono_samples(), calm.audio().mono_samples())


def test_it_hangs_on_request_without_a_heartbeat(plucks: Path, tmp_path: Path) -> None:
    with engine(main, {"speed": 20.0}) as started:
        started.load("mock")
        started.send(
            Generate(job="J1", request=asked(plucks, 4.0, lyrics="mock: hang at 0.3"), folder=str(tmp_path))
        )
        while started.connection.poll(1.5):  # three heartbeats
            started.connection.recv_bytes()
        assert started.process.is_alive()


def test_cancelling_with_keep_leaves_a_partial_take(plucks: Path, tmp_path: Path) -> None:
    with engine(main, {"speed": 2.0}) as started:
        started.load("mock")
        started.send(Generate(job="J1", request=asked(plucks, 8.0), folder=str(tmp_path)))
        state = started.growing(3)
        started.send(Cancel(job="J1", keep=True))
        assert isinstance(started.terminal(), JobCancelled)
        take = Take.load(state.take_folder)
        assert take.info.state == "partial" and take.info.plan


def test_the_diary_has_commands_reports_and_windows(plucks: Path, tmp_path: Path) -> None:
    diary = tmp_path / "diary.jsonl"
    with engine(main, {"speed": 200.0, "diary": str(diary)}) as started:
        started.load("mock-2")
        made(started, asked(plucks, 0.5, model="mock-2"), tmp_path)
        lines = [json.loads(line) for line in diary.read_text().splitlines()]
        assert all(line["pid"] == started.process.pid for line in lines)
    told = [line.get("kind", line["what"]) for line in lines]
    assert [
        told.index(kind) for kind in ("load_model", "ready", "generate", "job_state", "take_done")
    ] == sorted(told.index(kind) for kind in ("load_model", "ready", "generate", "job_state", "take_done"))
    assert {line["level"] for line in lines if line["what"] == "window"} == {0, 1, 2}
    assert "heartbeat" not in told


def test_options_that_are_wrong_name_the_limit() -> None:
    from engine.host.mock import MockOptions

    with pytest.raises(ValueError, match=re.escape("less than or equal to 1000")):
        MockOptions(speed=5000.0)
