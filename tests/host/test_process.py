"""The engine process over a real pipe: takes, errors, cancels, deaths."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.host.protocol import (
    Cancel,
    Failed,
    Generate,
    JobCancelled,
    JobFailed,
    JobState,
    LoadModel,
    PrimeReady,
    Quit,
    Ready,
    TakeDone,
    TakePrime,
)
from engine.request import PrimeRef, Style
from engine.ring import Ring, ring_name
from engine.take import Take
from tests.host.pipe import Engine, engine
from tests.host.tiny import ARTISTS, GENRES, RATE, make_request, write_riff

SECONDS = 0.25
TAKE_SECONDS = 1.0
LONG_SECONDS = 30.0


@pytest.fixture(scope="module")
def served(tiny_model: Path):
    """One process that serves most tests: it must survive all they do to it."""
    with engine() as started:
        started.load(str(tiny_model))
        yield started


def generate(
    model: Path, riff: Path, root: Path, job: str = "j1", seconds: float = SECONDS, **more: object
) -> Generate:
    request = more.pop("request", None) or make_request(model, riff, seconds)
    return Generate.model_validate({"job": job, "request": request, "folder": str(root), **more})


def pcm(wav: str | Path) -> np.ndarray:
    return soundfile.read(wav, dtype="int32")[0]


@pytest.fixture(scope="module")
def undisturbed(
    served: Engine, tiny_model: Path, riff: Path, tmp_path_factory: pytest.TempPathFactory
) -> TakeDone:
    served.send(generate(tiny_model, riff, tmp_path_factory.mktemp("undisturbed"), seconds=TAKE_SECONDS))
    done = served.terminal()
    assert isinstance(done, TakeDone)
    return done


def test_ready_names_the_models_labels(tiny_model: Path):
    with engine(options={"threads": 1, "nice": 3, "name": "segue-test"}) as started:
        ready = started.load(str(tiny_model))
        assert (ready.rate, ready.artists, ready.genres) == (44_100, list(ARTISTS), list(GENRES))
        assert os.getpriority(os.PRIO_PROCESS, started.process.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 3
        assert Path(f"/proc/{started.process.pid}/comm").read_text().strip() == "segue-test"
        started.send(Quit())
        started.process.join(2.0)
        assert started.process.exitcode == 0


def test_a_take_is_complete_on_disk_before_it_is_announced(undisturbed: TakeDone):
    assert undisturbed.last and undisturbed.seconds == TAKE_SECONDS and undisturbed.seed == 7
    assert undisturbed.first_audio_ms > 0 and undisturbed.real_time_factor > 0
    said = subprocess.run(["soxi", undisturbed.wav], capture_output=True, text=True, check=True).stdout
    assert "44100 samples" in said and "24-bit" in said and "44100" in said and "Channels       : 1" in said
    assert sorted(p.name for p in Path(undisturbed.folder).iterdir()) == [
        "codes.safetensors", "continuation.wav", "leads.safetensors", "prime.wav", "request.json", "take.json",
    ]  # fmt: skip
    assert np.abs(pcm(undisturbed.wav)).max() > 0


def test_every_report_of_a_job_comes_before_its_end(
    served: Engine, tiny_model: Path, riff: Path, tmp_path: Path
):
    first = len(served.reports)
    served.send(generate(tiny_model, riff, tmp_path, takes=2))
    done = served.terminal()
    mine = served.reports[first:]
    states = [report for report in mine if isinstance(report, JobState)]
    assert [r.progress for r in states] == sorted(r.progress for r in states)
    assert {r.take_index for r in states} == {0, 1} and {r.state for r in states} == {"running", "window"}
    assert all(r.total_frames == round(SECONDS * RATE) for r in states)
    takes = [report for report in mine if isinstance(report, TakeDone)]
    assert [(t.seed, t.last) for t in takes] == [(7, False), (8, True)] and takes[1] == done
    assert not np.array_equal(pcm(takes[0].wav), pcm(takes[1].wav))


@pytest.mark.slow
def test_the_same_request_gives_the_same_samples_whatever_the_chunk(
    served: Engine, tiny_model: Path, riff: Path, tmp_path: Path, undisturbed: TakeDone
):
    for chunk_frames in (4096, 999):
        served.send(generate(tiny_model, riff, tmp_path, seconds=TAKE_SECONDS, chunk_frames=chunk_frames))
        done = served.terminal()
        assert np.array_equal(pcm(done.wav), pcm(undisturbed.wav))


def test_the_ring_gets_exactly_the_first_take(served: Engine, tiny_model: Path, riff: Path, tmp_path: Path):
    heard = np.zeros(2 * RATE, np.float32)
    with Ring.create(
        ring_name("host"), 4096
    ) as ring:  # smaller than the take: pending audio has to wait for room
        asked = {"takes": 2, "seconds": SECONDS, "ring": ring.name, "previews": False}
        served.send(generate(tiny_model, riff, tmp_path, **asked))
        done = [
            served.wait_for(TakeDone),
            served.wait_for(TakeDone),
        ]  # complete although nobody reads the ring
        assert ring.written == 4096
        count, until = 0, time.monotonic() + 10
        while not (ring.finished and ring.fill == 0) and time.monotonic() < until:
            count += ring.read_into(heard[count:])
        assert count == SECONDS * RATE
    assert np.array_equal(heard[:count] * 2**23, pcm(done[0].wav) >> 8)


def test_ring_from_leaves_out_what_the_ring_was_given(
    served: Engine, tiny_model: Path, riff: Path, tmp_path: Path
):
    heard = np.zeros(RATE, np.float32)
    with Ring.create(ring_name("from"), 1 << 16) as ring:
        asked = {"ring": ring.name, "ring_from": 1_000, "previews": False}
        served.send(generate(tiny_model, riff, tmp_path, **asked))
        done = served.terminal()
        until = time.monotonic() + 10
        while not ring.finished and time.monotonic() < until:
            pass
        count = ring.read_into(heard)
    assert np.array_equal(heard[:count] * 2**23, pcm(done.wav)[1_000:] >> 8)


def test_a_ring_that_is_not_there_fails_the_job_with_a_name(
    served: Engine, tiny_model: Path, riff: Path, tmp_path: Path
):
    served.send(generate(tiny_model, riff, tmp_path, ring="segue-1-none"))
    failed = served.terminal()
    assert isinstance(failed, JobFailed) and failed.slug == "no_file"
    assert "there is no ring named 'segue-1-none'" in failed.message


def test_cancel_stops_at_once_and_leaves_nothing(
    served: Engine, tiny_model: Path, riff: Path, tmp_path: Path
):
    served.send(generate(tiny_model, riff, tmp_path, job="long", seconds=LONG_SECONDS))
    growing = served.growing(windows=5)
    assert Path(growing.take_folder).is_dir()
    asked = time.monotonic()
    served.send(Cancel(job="long"))
    assert served.terminal() == JobCancelled(job="long")
    assert time.monotonic() - asked < 2.0
    assert list(tmp_path.iterdir()) == []


def test_cancel_can_keep_what_was_made(served: Engine, tiny_model: Path, riff: Path, tmp_path: Path):
    served.send(generate(tiny_model, riff, tmp_path, job="long", seconds=LONG_SECONDS))
    served.wait_for(JobState, lambda state: state.audio_frames > RATE // 4)
    served.send(Cancel(job="long", keep=True))
    ended = served.terminal()
    assert isinstance(ended, JobCancelled)
    (folder,) = tmp_path.glob("2*")
    take = Take.load(folder)
    assert take.info.state == "partial" and take.audio().seconds > 0.2
    (kept,) = ended.kept
    assert (kept.index, kept.folder, kept.seed) == (0, str(folder), 7) and Path(kept.wav).is_file()
    assert kept.seconds == take.audio().seconds and kept.held >= take.audio().frames


def test_a_job_that_waits_can_be_cancelled(served: Engine, tiny_model: Path, riff: Path, tmp_path: Path):
    served.send(generate(tiny_model, riff, tmp_path, job="first", seconds=LONG_SECONDS))
    served.send(generate(tiny_model, riff, tmp_path, job="second"))
    served.growing(windows=1)
    served.send(Cancel(job="second"))
    served.send(Cancel(job="first"))
    assert served.terminal() == JobCancelled(job="first")
    assert served.terminal() == JobCancelled(job="second")


def test_cancelling_what_does_not_run_is_answered(served: Engine):
    served.send(Cancel(job="nothing"))
    failed = served.wait_for(Failed)
    assert (failed.tag, failed.code, failed.slug) == ("nothing", 404, "no_job")
    assert failed.message == "job 'nothing' is not running; it may have just ended"


def test_primes_are_answered_while_a_take_is_made(
    served: Engine, tiny_model: Path, riff: Path, tmp_path: Path
):
    stereo = write_riff(tmp_path / "stereo.wav", seconds=4.0, rate=48_000, channels=2)
    served.send(generate(tiny_model, riff, tmp_path / "takes", job="long", seconds=LONG_SECONDS))
    served.growing(windows=1)
    ref = PrimeRef(path=str(stereo), start_seconds=0.5, length_seconds=3.25)
    served.send(TakePrime(tag="p1", prime=ref))
    ready = served.wait_for(PrimeReady)
    assert (ready.tag, ready.prime, ready.rate) == ("p1", ref, 48_000)
    assert ready.seconds == pytest.approx(3.25, abs=1 / RATE)
    served.send(Cancel(job="long"))
    served.terminal()


@pytest.mark.parametrize(
    ("content", "slug", "message"),
    [
        (None, "no_file", "there is no file '{}'; check the path"),
        (b"", "bad_format", "'{}' is empty (0 bytes); export it again"),
        (b"plain text, not audio\n" * 50, "bad_format", "'{}' cannot be read as audio"),
    ],
)
def test_a_bad_prime_is_named_and_the_engine_goes_on(
    served: Engine, tiny_model: Path, tmp_path: Path, content: bytes | None, slug: str, message: str
):
    path = tmp_path / "riff.wav"
    if content is not None:
        path.write_bytes(content)
    served.send(TakePrime(tag="bad", prime=PrimeRef(path=str(path))))
    failed = served.wait_for(Failed)
    assert (failed.tag, failed.slug) == ("bad", slug) and message.format(path) in failed.message
    served.send(generate(tiny_model, path, tmp_path / "takes"))
    job_failed = served.terminal()
    assert isinstance(job_failed, JobFailed) and job_failed.message == failed.message
    assert not list((tmp_path / "takes").glob("*"))


def test_a_relative_prime_is_refused(served: Engine):
    served.send(TakePrime(tag="rel", prime=PrimeRef(path="riff.wav")))
    assert served.wait_for(Failed).message == "the path 'riff.wav' is relative; give an absolute path"


def test_an_unknown_style_fails_before_anything_is_written(
    served: Engine, tiny_model: Path, riff: Path, tmp_path: Path
):
    request = make_request(tiny_model, riff, style=Style(genres={"hose": 1.0}))
    served.send(generate(tiny_model, riff, tmp_path, request=request))
    failed = served.terminal()
    assert isinstance(failed, JobFailed) and failed.slug == "no_style"
    assert "'hose'" in failed.message and "house" in failed.message and list(tmp_path.iterdir()) == []


def test_a_command_that_cannot_be_read_is_answered(served: Engine):
    served.connection.send_bytes(b'{"kind": "dance"}')
    failed = served.wait_for(Failed)
    assert (failed.code, failed.slug) == (400, "bad_args") and "cannot read this command" in failed.message
    served.connection.send_bytes(b"\xff\x00")
    assert served.wait_for(Failed).slug == "bad_args"


def test_another_model_is_asked_for_or_missing(served: Engine, tiny_model: Path, riff: Path, tmp_path: Path):
    served.send(generate(tiny_model, riff, tmp_path, request=make_request(Path("other"), riff)))
    failed = served.terminal()
    assert failed.slug == "not_ready" and "the request is for the model 'other'" in failed.message
    served.send(LoadModel(name="other"))
    missing = served.wait_for(Failed)
    assert (missing.tag, missing.slug) == ("other", "no_model")
    served.send(generate(tiny_model, riff, tmp_path))  # the one that is loaded stays
    assert isinstance(served.terminal(), TakeDone)


def test_without_a_model_everything_is_not_ready(tiny_model: Path, riff: Path, tmp_path: Path):
    with engine() as started:
        started.send(TakePrime(tag="p", prime=PrimeRef(path=str(riff))))
        assert started.wait_for(Failed).message == "the engine has no model; load one first"
        started.send(generate(tiny_model, riff, tmp_path))
        assert started.terminal().slug == "not_ready"
        started.send(LoadModel(name=str(tiny_model)))  # a prime right after waits for the model
        started.send(TakePrime(tag="p", prime=PrimeRef(path=str(riff))))
        assert started.wait_for(Ready) and isinstance(started.receive(), PrimeReady)


def test_killed_in_the_middle_and_resumed_it_is_the_same_take(
    tiny_model: Path, riff: Path, tmp_path: Path, undisturbed: TakeDone
):
    source = write_riff(tmp_path / "riff.wav")
    command = generate(tiny_model, source, tmp_path / "takes", seconds=TAKE_SECONDS)
    with Ring.create(ring_name("kill"), 1 << 18) as ring:
        with engine() as started:
            started.load(str(tiny_model))
            command = command.model_copy(update={"ring": ring.name, "previews": False})
            started.send(command)
            state = started.wait_for(JobState, lambda report: report.audio_frames > RATE // 4)
            started.kill()
        given = ring.written
        assert 0 < given < RATE
        source.unlink()  # the take has its own copy of the prime
        with engine() as started:
            started.load(str(tiny_model))
            update = {"ring_from": given, "resume": [state.take_folder]}
            started.send(command.model_copy(update=update))
            done = started.terminal()
            assert isinstance(done, TakeDone) and done.folder == state.take_folder
            until = time.monotonic() + 10
            while not ring.finished and time.monotonic() < until:
                pass
        heard = np.zeros(4 * RATE, np.float32)
        count = ring.read_into(heard)
    assert np.array_equal(pcm(done.wav), pcm(undisturbed.wav))
    assert np.array_equal(heard[:count] * 2**23, pcm(undisturbed.wav) >> 8)
    assert Take.load(done.folder).info.timings.runs == 2
    for level, codes in Take.load(undisturbed.folder).codes().items():
        assert np.array_equal(Take.load(done.folder).codes()[level], codes)


def test_a_complete_take_that_is_resumed_is_announced_again(
    served: Engine, tiny_model: Path, riff: Path, tmp_path: Path, undisturbed: TakeDone
):
    served.send(generate(tiny_model, riff, tmp_path, seconds=TAKE_SECONDS, resume=[undisturbed.folder]))
    assert served.terminal() == undisturbed
    served.send(generate(tiny_model, riff, tmp_path, seconds=SECONDS, resume=[undisturbed.folder]))
    failed = served.terminal()
    assert isinstance(failed, JobFailed) and "was made by another request" in failed.message


@pytest.mark.parametrize("busy", [pytest.param(False, marks=pytest.mark.slow), True])
def test_it_ends_within_a_second_of_the_bridge(tiny_model: Path, riff: Path, tmp_path: Path, busy: bool):
    with engine() as started:
        started.load(str(tiny_model))
        if busy:
            started.send(generate(tiny_model, riff, tmp_path, seconds=LONG_SECONDS))
            started.growing(windows=2)
        closed = time.monotonic()
        started.connection.close()
        started.process.join(5.0)
        assert time.monotonic() - closed < 1.0 and started.process.exitcode == 0
    if busy:  # what was made can still be gone on with
        (folder,) = tmp_path.glob("2*")
        assert {p.name for p in folder.iterdir()} >= {"request.json", "prime.wav", "journal"}


def test_the_heart_beats_during_work(served: Engine, tiny_model: Path, riff: Path, tmp_path: Path):
    served.heartbeats.clear()
    served.send(generate(tiny_model, riff, tmp_path, job="long", seconds=LONG_SECONDS))
    while sum(beat.busy == "long" for _, beat in served.heartbeats) < 5:
        served.receive()
    served.send(Cancel(job="long"))
    served.terminal()
    gaps = np.diff([at for at, beat in served.heartbeats if beat.busy == "long"])
    assert gaps.max() < 2.0


def test_ctrl_c_does_not_reach_it(served: Engine, tiny_model: Path, riff: Path, tmp_path: Path):
    os.kill(served.process.pid, 2)
    served.send(generate(tiny_model, riff, tmp_path))
    assert isinstance(served.terminal(), TakeDone)
