"""Jobs in process, as the command line runs them, and what the engine process promises around them."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.backends.choose import open_backend
from engine.backends.torch_backend import TorchBackend
from engine.errors import BadFormat, Cancelled, DiskFull, OutOfRange, SegueError
from engine.events import Event
from engine.host.failures import named
from engine.host.feeder import RingFeeder
from engine.host.jobs import JobEvent, TakeFinished, TakeProgress, TakeStarted, run_request
from engine.host.primes import PrimeShelf
from engine.host.protocol import Generate, JobFailed, TakeDone
from engine.request import MAX_SEED, Fidelity, PrimeRef, Sampling
from engine.ring import Ring, ring_name
from engine.take.take import REQUEST, TakeHead, read_record
from tests.host.pipe import engine
from tests.host.tiny import RATE, make_request, make_tiny_model, write_riff

SECONDS = 0.25


@pytest.fixture(scope="module")
def backend(tiny_model: Path) -> TorchBackend:
    return open_backend(str(tiny_model))


def samples(take) -> np.ndarray:
    return take.audio().samples[:, 0]


def test_takes_differ_by_seed_and_repeat_by_seed(backend, tiny_model: Path, riff: Path, tmp_path: Path):
    first, second = run_request(
        backend, make_request(tiny_model, riff, SECONDS, seed=10), folder=tmp_path, takes=2
    )
    (again,) = run_request(backend, make_request(tiny_model, riff, SECONDS, seed=11), folder=tmp_path)
    assert not np.array_equal(samples(first), samples(second))
    assert np.array_equal(samples(second), samples(again))
    assert second.info.timings.prime_seconds == 0.0 < first.info.timings.prime_seconds  # encoded once


def test_events_tell_the_whole_story(backend, tiny_model: Path, riff: Path, tmp_path: Path):
    told: list[JobEvent] = []
    made = run_request(
        backend, make_request(tiny_model, riff, SECONDS), folder=tmp_path, takes=2, on_event=told.append
    )
    starts = [event for event in told if isinstance(event, TakeStarted)]
    assert [(e.index, e.folder, e.total_frames, e.rate) for e in starts] == [
        (index, take.folder, round(SECONDS * RATE), RATE) for index, take in enumerate(made)
    ]
    ends = [event for event in told if isinstance(event, TakeFinished)]
    assert [(event.take, event.last) for event in ends] == [(made[0], False), (made[1], True)]
    for index, take in enumerate(made):
        steps = [event for event in told if isinstance(event, TakeProgress) and event.index == index]
        assert steps[-1].fraction == 1.0 and steps[-1].audio_frames == steps[-1].total_frames
        assert sum(event.window for event in steps) == len(take.info.plan)
        assert [e.fraction for e in steps] == sorted(e.fraction for e in steps)


@pytest.mark.parametrize("hop_fraction", [None, 0.75])
def test_a_prime_taken_in_ahead_changes_nothing(
    backend, tiny_model: Path, riff: Path, tmp_path: Path, hop_fraction: float | None
):
    sampling = Sampling()
    if hop_fraction is not None:  # uses another span of the prime than was encoded ahead
        top = sampling.top.model_copy(update={"hop_fraction": hop_fraction})
        sampling = sampling.model_copy(update={"top": top})
    request = make_request(tiny_model, riff, SECONDS, sampling=sampling)
    shelf = PrimeShelf()
    shelf.take_in(backend, request.prime)
    known = shelf.find(backend, request.prime)
    assert known is not None
    (plain,) = run_request(backend, request, folder=tmp_path)
    (ahead,) = run_request(backend, request, folder=tmp_path, prime=known)
    assert np.array_equal(samples(plain), samples(ahead))
    assert (ahead.info.timings.prime_seconds == 0.0) == (hop_fraction is None)


def test_the_shelf_notices_a_changed_file(backend, tmp_path: Path):
    path = write_riff(tmp_path / "riff.wav", seconds=1.0)
    ref = PrimeRef(path=str(path))
    shelf = PrimeShelf()
    first = shelf.take_in(backend, ref)
    assert shelf.take_in(backend, ref) is first and shelf.find(backend, ref) is first.known
    write_riff(path, seconds=2.0)
    assert shelf.find(backend, ref) is None
    assert shelf.take_in(backend, ref).known.waveform.seconds == 2.0
    path.unlink()
    assert shelf.find(backend, ref) is None


@pytest.mark.parametrize("fidelity", list(Fidelity))
def test_every_fidelity_files_the_levels_it_sampled(
    backend, tiny_model: Path, riff: Path, tmp_path: Path, fidelity: Fidelity
):
    (take,) = run_request(
        backend, make_request(tiny_model, riff, SECONDS, fidelity=fidelity), folder=tmp_path
    )
    assert sorted(take.codes()) == list(range(fidelity.level, 3))
    assert take.info.frames == round(SECONDS * RATE)


def test_limits_of_seeds_and_takes(backend, tiny_model: Path, riff: Path, tmp_path: Path):
    with pytest.raises(OutOfRange) as raised:
        run_request(backend, make_request(tiny_model, riff, seed=MAX_SEED), folder=tmp_path, takes=2)
    assert raised.value.message == (
        f"2 takes from seed {MAX_SEED} on need seeds up to {MAX_SEED + 1}; the largest is {MAX_SEED}"
    )
    with pytest.raises(OutOfRange, match="0 takes were asked for; ask for at least 1"):
        run_request(backend, make_request(tiny_model, riff), folder=tmp_path, takes=0)


def stop_when(windows: int):
    """An event listener and a question: whether that many windows are done."""
    seen = [0]

    def listen(event: JobEvent) -> None:
        seen[0] += isinstance(event, TakeProgress) and event.window

    return listen, lambda: seen[0] >= windows


def test_a_stopped_job_can_be_resumed_in_the_middle_of_its_takes(
    backend, tiny_model: Path, riff: Path, tmp_path: Path
):
    request = make_request(tiny_model, riff, SECONDS)
    whole = run_request(backend, request, folder=tmp_path / "whole", takes=3)
    listen, stop = stop_when(9)
    root = tmp_path / "stopped"
    with pytest.raises(Cancelled):
        run_request(backend, request, folder=root, takes=3, on_event=listen, should_stop=stop)
    folders = sorted(root.glob("2*"))
    assert len(folders) == 3  # they are sampled side by side
    told: list[JobEvent] = []
    rest = run_request(backend, request, folder=root, takes=3, resume=folders[1:], on_event=told.append)
    assert [take.info.head.request.seed for take in rest] == [8, 9]
    assert [np.array_equal(samples(a), samples(b)) for a, b in zip(rest, whole[1:], strict=True)] == [
        True,
        True,
    ]
    again = run_request(backend, request, folder=root, takes=3, resume=sorted(root.glob("2*")))
    assert [take.folder for take in again] == sorted(root.glob("2*"))
    assert np.array_equal(samples(again[0]), samples(whole[0]))


def test_a_take_is_resumed_by_its_own_request_and_model_only(
    backend, tiny_model: Path, riff: Path, tmp_path: Path
):
    request = make_request(tiny_model, riff, SECONDS)
    listen, stop = stop_when(3)
    with pytest.raises(Cancelled):
        run_request(backend, request, folder=tmp_path / "t", on_event=listen, should_stop=stop)
    (folder,) = (tmp_path / "t").glob("2*")
    with pytest.raises(BadFormat) as other:
        hotter = request.model_copy(update={"frames": 999})
        run_request(backend, hotter, folder=tmp_path / "t", resume=[folder])
    assert (
        other.value.message == f"the take in '{folder}' was made by another request; resume it with its own"
    )
    retrained = open_backend(str(make_tiny_model(tmp_path / "retrained", seed=5)))
    with pytest.raises(BadFormat) as weights:
        run_request(retrained, request, folder=tmp_path / "t", resume=[folder])
    assert weights.value.message == (
        f"the take in '{folder}' was begun with other weights; load the model it was made with"
    )
    half = open_backend(f"{tiny_model}@bf16")
    with pytest.raises(BadFormat) as runtime:
        run_request(half, request, folder=tmp_path / "t", resume=[folder])
    assert runtime.value.message == (
        f"the take in '{folder}' was begun by 'torch cpu float32' and this is 'torch cpu bfloat16', which rounds "
        "otherwise; resume it by the same (--backend, --device, and what stands behind the model's name)"
    )
    assert read_record(folder, REQUEST, TakeHead).runtime == "torch cpu float32"


def test_a_job_that_never_sampled_leaves_no_folder(backend, tiny_model: Path, riff: Path, tmp_path: Path):
    with pytest.raises(Cancelled):
        run_request(backend, make_request(tiny_model, riff), folder=tmp_path, should_stop=lambda: True)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_from_the_start_leaves_no_folder(
    backend, tiny_model: Path, riff: Path, tmp_path: Path
):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(DiskFull, match=r"there is no room to write '.*prime\.wav'; free some space"):
            run_request(backend, make_request(tiny_model, riff), folder=tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process need Linux")
def test_a_full_disk_fails_the_job_and_the_engine_goes_on(tiny_model: Path, tmp_path: Path):
    riff = write_riff(tmp_path / "riff.wav", seconds=0.5)
    request, root = make_request(tiny_model, riff, seconds=0.6), tmp_path / "takes"
    with engine() as started:
        started.load(str(tiny_model))
        pid = started.process.pid
        assert pid is not None
        limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(
            pid, resource.RLIMIT_FSIZE, (95_000, limits[1])
        )  # more than the prime, less than the take
        started.send(Generate(job="full", request=request, folder=str(root)))
        failed = started.terminal()
        (folder,) = root.glob("2*")
        assert failed == JobFailed(
            job="full",
            code=507,
            slug="disk_full",
            message=f"there is no room to write '{folder / 'audio.part'}'; free some space or choose another "
            "takes folder, and the take can be resumed",
        )
        resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
        started.send(Generate(job="on", request=request, folder=str(root), resume=[str(folder)]))
        resumed = started.terminal()
        started.send(Generate(job="anew", request=request, folder=str(root)))
        anew = started.terminal()
    assert isinstance(resumed, TakeDone) and resumed.folder == str(folder)
    assert Path(resumed.wav).read_bytes() == Path(anew.wav).read_bytes()


def broken_sampler(*_: object, **__: object) -> Iterator[Event]:
    raise ZeroDivisionError("division by zero")
    yield


def serve_broken(connection, options) -> None:
    """An engine process whose sampling has a bug."""
    from engine.host.process import EngineHost, leave

    EngineHost(connection, open_backend, sampler=broken_sampler).run()
    leave(0)


def test_a_bug_is_a_named_failure_and_not_the_end(tiny_model: Path, riff: Path, tmp_path: Path):
    with engine(serve_broken) as started:
        started.load(str(tiny_model))
        for job in ("one", "two"):
            request = make_request(tiny_model, riff)
            started.send(Generate(job=job, request=request, folder=str(tmp_path)))
            assert started.terminal() == JobFailed(
                job=job,
                code=500,
                slug="internal",
                message="the engine met an unexpected error (ZeroDivisionError: division by zero); see its log",
            )
    assert list(tmp_path.iterdir()) == []


def test_want_of_memory_has_a_name():
    failure = named(MemoryError())
    assert (failure.code, failure.slug) == (507, "out_of_memory")
    assert failure.message == "there is not enough memory; ask for a shorter continuation or free some"
    known = SegueError("as it is", code=418, slug="teapot")
    assert named(known) is known


def test_a_feeder_skips_waits_and_ends():
    ramp = np.arange(3_000, dtype=np.float32)
    heard, part = [], np.empty(300, np.float32)
    with Ring.create(ring_name("feed"), 1024) as ring:
        feeder = RingFeeder(Ring.attach(ring.name), skip=100)
        for start in (0, 80, 500):  # an early chunk is known, a later one partly
            feeder.feed(start, ramp[start : start + 600])
        feeder.feed(1_100, ramp[1_100:])
        feeder.end()
        while not ring.finished or ring.fill:
            heard.append(part[: ring.read_into(part)].copy())
    assert np.array_equal(np.concatenate(heard), ramp[100:])
    assert feeder.wait(5.0) and not feeder.alive


def test_a_stopped_feeder_drops_what_is_left():
    ring = Ring.local(1024)
    feeder = RingFeeder(ring)
    feeder.feed(0, np.ones(5_000, np.float32))
    feeder.stop()
    assert feeder.wait(5.0)


def test_importing_the_process_loads_no_torch():
    script = "import sys, engine.host.process; print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_sampling_runs_on_one_thread_whatever_torch_was_set_to(tiny_model: Path) -> None:
    """Sums round differently on two threads, and a take is a pure function of its request."""
    import torch

    torch.set_num_threads(2)
    open_backend(str(tiny_model))
    assert torch.get_num_threads() == 1
