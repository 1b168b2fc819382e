"""Several takes of one request in the same lanes: each is what it is alone, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from engine.backends.choose import open_backend
from engine.backends.torch_backend import TorchBackend
from engine.errors import Cancelled, DiskFull
from engine.events import Event
from engine.host.feeder import RingFeeder
from engine.host.jobs import run_request
from engine.host.protocol import Cancel, Generate, JobCancelled, JobState, TakeDone
from engine.host.telling import JobEvent, TakeProgress
from engine.request import Fidelity, Mode, Request, Span, TakeRef
from engine.ring import Ring, ring_name
from engine.sampling import continue_with
from engine.take import Take, TakeWriter
from tests.host.pipe import engine
from tests.host.tiny import RATE, make_request
from tests.often import often

SECONDS = 0.25


@pytest.fixture(scope="module")
def backend(tiny_model: Path) -> TorchBackend:
    return open_backend(str(tiny_model))


class Filed:
    """What a take's files hold. Equal: the same codes bit for bit, and audio that is the same to the last bit of 24
    (a decoder's sums round as the machine pleases)."""

    def __init__(self, folder: Path) -> None:
        self.codes = (folder / "codes.safetensors").read_bytes()
        self.pcm = soundfile.read(folder / "continuation.wav", dtype="int32")[0] >> 8

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, Filed)
        return (
            self.codes == other.codes
            and self.pcm.shape == other.pcm.shape
            and np.abs(self.pcm - other.pcm).max() <= 1
        )


def alone(backend: TorchBackend, request: Request, folder: Path, count: int) -> list[Filed]:
    """The files of takes that are made one job each."""
    made = []
    for index in range(count):
        own = request.model_copy(update={"seed": request.seed + index})
        (take,) = run_request(backend, own, folder=folder / f"alone{index}")
        made.append(Filed(take.folder))
    return made


@pytest.mark.parametrize("lanes", often((None, 1, 5), but=(1,)))
def test_three_takes_are_what_three_jobs_make(
    backend: TorchBackend, tiny_model: Path, riff: Path, tmp_path: Path, lanes: int | None
) -> None:
    request = make_request(tiny_model, riff, SECONDS)
    made = run_request(backend, request, folder=tmp_path / "together", takes=3, lanes=lanes)
    assert [Filed(take.folder) for take in made] == alone(backend, request, tmp_path, 3)


def test_more_takes_than_one_batch_holds(
    backend: TorchBackend, tiny_model: Path, riff: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.host.jobs.SIDE_BY_SIDE", 2)
    request = make_request(tiny_model, riff, 0.1, fidelity="draft")
    told: list[JobEvent] = []
    made = run_request(backend, request, folder=tmp_path / "b", takes=5, on_event=told.append)
    assert [Filed(take.folder) for take in made] == alone(backend, request, tmp_path, 5)
    begun = [type(event).__name__ for event in told if not isinstance(event, TakeProgress)]
    assert begun == [*["TakeStarted"] * 2, *["TakeFinished"] * 2] * 2 + ["TakeStarted", "TakeFinished"]


@pytest.mark.slow
def test_other_modes_go_side_by_side_too(
    backend: TorchBackend, tiny_model: Path, riff: Path, tmp_path: Path
) -> None:
    request = make_request(tiny_model, riff, SECONDS)
    (parent,) = run_request(backend, request, folder=tmp_path / "parent")
    (draft,) = run_request(
        backend, request.model_copy(update={"fidelity": Fidelity.DRAFT}), folder=tmp_path / "draft"
    )
    span = Span(start_frame=4_000, stop_frame=8_000, candidates=2)
    changes: list[dict[str, Any]] = [
        {"mode": Mode.CONTINUE, "parents": (TakeRef(folder=str(parent.folder)),)},
        {"mode": Mode.UPSAMPLE, "parents": (TakeRef(folder=str(draft.folder)),)},
        {"mode": Mode.INFILL, "parents": (TakeRef(folder=str(parent.folder)),), "span": span},
    ]
    for change in changes:
        asked = request.model_copy(update={"prime": None, "seed": 40} | change)
        root = tmp_path / str(asked.mode)
        made = run_request(backend, asked, folder=root / "together", takes=2)
        assert [Filed(take.folder) for take in made] == alone(backend, asked, root, 2)


def test_a_stand_in_samples_one_after_the_other(
    backend: TorchBackend, tiny_model: Path, riff: Path, tmp_path: Path
) -> None:
    seeds: list[int] = []

    def sampler(model: Any, request: Request, prime: Any, **more: Any) -> Iterator[Event]:
        seeds.append(request.seed)
        yield from continue_with(model, request, prime, **more)

    request = make_request(tiny_model, riff, SECONDS)
    made = run_request(backend, request, folder=tmp_path / "s", takes=2, sampler=sampler)
    assert seeds == [7, 8]
    assert [Filed(take.folder) for take in made] == alone(backend, request, tmp_path, 2)


def test_takes_that_got_unequally_far_are_gone_on_with(
    backend: TorchBackend, tiny_model: Path, riff: Path, tmp_path: Path
) -> None:
    request = make_request(tiny_model, riff, SECONDS)
    whole = run_request(backend, request, folder=tmp_path / "whole", takes=3)
    root = tmp_path / "part"
    for seed, windows in ((7, 24), (9, 3)):  # the one between them was never begun
        seen = [0]

        def listen(event: JobEvent, seen: list[int] = seen) -> None:
            seen[0] += isinstance(event, TakeProgress) and event.window

        own = request.model_copy(update={"seed": seed})
        with pytest.raises(Cancelled):
            run_request(
                backend,
                own,
                folder=root,
                on_event=listen,
                should_stop=lambda seen=seen, least=windows: seen[0] >= least,
            )
    begun = sorted(root.glob("2*"))
    counts = []
    for folder in begun:
        writer = TakeWriter.resume(folder)
        counts.append(writer.windows)
        writer.close()
    assert counts[0] > counts[1] >= 3
    made = run_request(backend, request, folder=root, takes=3, resume=begun)
    assert [Filed(take.folder) for take in made] == [Filed(take.folder) for take in whole]
    assert [made[0].folder, made[2].folder] == begun
    assert [take.info.timings.runs for take in made] == [3, 1, 3]  # the look at them above counts as one
    plans = [[(w.level, w.start, w.tokens) for w in take.info.plan] for take in (*made, *whole)]
    assert all(sorted(plan) == sorted(plans[-1]) for plan in plans)  # no window is filed twice


@pytest.mark.slow
def test_killed_in_the_middle_three_takes_are_gone_on_with(
    backend: TorchBackend, tiny_model: Path, riff: Path, tmp_path: Path
) -> None:
    request = make_request(tiny_model, riff, 1.0)
    whole = run_request(backend, request, folder=tmp_path / "whole", takes=3)
    command = Generate(job="j", request=request, takes=3, folder=str(tmp_path / "takes"))
    with engine() as started:
        started.load(str(tiny_model))
        started.send(command)
        started.wait_for(JobState, lambda state: state.audio_frames > RATE // 4)
        started.kill()
        folders = {r.take_index: r.take_folder for r in started.reports if isinstance(r, JobState)}
    assert sorted(folders) == [0, 1, 2]
    with engine() as started:
        started.load(str(tiny_model))
        started.send(command.model_copy(update={"resume": [folders[index] for index in range(3)]}))
        assert started.terminal().kind == "take_done"
        done = [report for report in started.reports if isinstance(report, TakeDone)]
    assert [take.folder for take in done] == [folders[index] for index in range(3)]
    assert [take.last for take in done] == [False, False, True]
    assert [Filed(Path(take.folder)) for take in done] == [Filed(take.folder) for take in whole]
    assert all(Take.load(take.folder).info.timings.runs == 2 for take in done)


@pytest.mark.parametrize("keep", [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.slow
def test_a_cancel_is_for_all_takes_of_the_job(
    tiny_model: Path, riff: Path, tmp_path: Path, keep: bool
) -> None:
    with engine() as started:
        started.load(str(tiny_model))
        request = make_request(tiny_model, riff, 30.0)
        started.send(Generate(job="long", request=request, takes=3, folder=str(tmp_path)))
        started.wait_for(JobState, lambda state: state.audio_frames > RATE // 8)
        started.send(Cancel(job="long", keep=keep))
        ended = started.terminal()
        assert isinstance(ended, JobCancelled)
        assert [take.index for take in ended.kept] == ([0, 1, 2] if keep else [])
    left = [Take.load(folder) for folder in sorted(tmp_path.glob("2*"))]
    assert [(take.info.state, take.info.head.request.seed) for take in left] == (
        [("partial", 7), ("partial", 8), ("partial", 9)] if keep else []
    )


@pytest.mark.slow
def test_a_disk_that_fills_up_stops_the_job_and_keeps_every_take(
    backend: TorchBackend, tiny_model: Path, riff: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, event = [0], TakeWriter.event

    def filling(self: TakeWriter, *given: Any) -> None:
        written[0] += 1
        if written[0] > 40:
            raise DiskFull("there is no room")
        event(self, *given)

    monkeypatch.setattr(TakeWriter, "event", filling)
    request = make_request(tiny_model, riff, 1.0)
    with pytest.raises(DiskFull, match="there is no room"):
        run_request(backend, request, folder=tmp_path / "t", takes=2)
    monkeypatch.undo()
    made = run_request(
        backend, request, folder=tmp_path / "t", takes=2, resume=[*(tmp_path / "t").glob("2*")]
    )
    assert [Filed(take.folder) for take in made] == alone(backend, request, tmp_path, 2)


def test_the_first_audio_is_the_drafts_where_somebody_listens(
    backend: TorchBackend, tiny_model: Path, riff: Path, tmp_path: Path
) -> None:
    request = make_request(tiny_model, riff, SECONDS)
    with Ring.create(ring_name("first"), 1 << 16) as ring:
        feeder = RingFeeder(Ring.attach(ring.name), total=request.frames)
        (heard,) = run_request(backend, request, folder=tmp_path, ring=feeder)
        assert feeder.wait(5.0) and ring.finished and ring.fill == request.frames
    (unheard,) = run_request(backend, request, folder=tmp_path)
    assert Filed(heard.folder) == Filed(unheard.folder)
    timings = heard.info.timings
    assert timings.first_audio_ms is not None and timings.first_final_ms is not None
    assert 0 < timings.first_audio_ms < timings.first_final_ms
    assert unheard.info.timings.first_audio_ms == unheard.info.timings.first_final_ms
    assert sum(feeder.heard().values()) == pytest.approx(SECONDS)
