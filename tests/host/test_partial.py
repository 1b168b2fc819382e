"""Takes that were cut short and are gone on with: nothing that was heard is lost, and every fidelity goes on."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.backends.protocol import Codes
from engine.backends.torch_backend import TorchBackend, TorchRunner
from engine.errors import Cancelled, OutOfRange
from engine.host import jobs, openings
from engine.host.jobs import run_request
from engine.host.telling import TakeStarted
from engine.request import Fidelity, LevelSampling, Mode, PrimeRef, Request, Sampling, TakeRef
from engine.sampling import decode
from engine.take import Take, recover
from engine.take.lineage import ancestor
from tests.host.tiny import write_riff
from tests.often import often
from tests.prior.build import tiny_model

FRAMES = 40_001
HOPS = (8, 32, 128)
STRANDS = Sampling(bottom=LevelSampling(strand=1, overlap_fraction=0.25))
EVERY = tuple(Fidelity)


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> TorchBackend:
    return TorchBackend(tiny_model(tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture(scope="module")
def request_(tmp_path_factory: pytest.TempPathFactory) -> Request:
    riff = write_riff(tmp_path_factory.mktemp("riff") / "riff.wav", seconds=0.6)
    return Request(prime=PrimeRef(path=str(riff)), frames=FRAMES, seed=5, sampling=STRANDS)


@pytest.fixture(scope="module")
def whole(backend: TorchBackend, request_: Request, tmp_path_factory: pytest.TempPathFactory) -> Take:
    (take,) = run_request(backend, request_, folder=tmp_path_factory.mktemp("whole"))
    return take


class Stop:
    """Calls a job off once so many windows of a level are told, and remembers what was handed on."""

    def __init__(self, backend: TorchBackend, level: int, windows: int) -> None:
        self.level, self.windows, self.backend = level, windows, backend
        self.stop = threading.Event()
        self.folder: Path | None = None

    def partial(self, request: Request, root: Path) -> Take:
        def see(event: object) -> None:
            if isinstance(event, TakeStarted):
                self.folder = event.folder

        real = TorchBackend.runner
        begun: list[int] = []

        def runner(own: TorchBackend, level: int, lanes: int):  # type: ignore[no-untyped-def]
            made = real(own, level, lanes)
            sample = made.sample

            def counted(*given: object):  # type: ignore[no-untyped-def]
                if level == self.level:
                    begun.append(level)
                    if len(begun) > self.windows:
                        self.stop.set()
                return sample(*given)  # type: ignore[arg-type]

            made.sample = counted  # type: ignore[method-assign]
            return made

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TorchBackend, "runner", runner)
            with pytest.raises(Cancelled):
                run_request(
                    self.backend,
                    request,
                    folder=root,
                    on_event=see,
                    should_stop=self.stop.is_set,
                    keep=lambda: True,
                )
        assert self.folder is not None
        return recover(self.folder)


def child_of(take: Take, at: int | None, fidelity: Fidelity, **more: object) -> Request:
    values = take.info.head.request.model_dump() | {
        "mode": Mode.CONTINUE,
        "prime": None,
        "parents": (TakeRef(folder=str(take.folder), frames=at),),
        "frames": 9_000,
        "seed": 8,
        "fidelity": fidelity,
    }
    return Request.model_validate(values | more)


@pytest.mark.slow
def test_codes_of_windows_that_were_cut_short_are_kept(
    backend: TorchBackend, request_: Request, whole: Take, tmp_path: Path
) -> None:
    """All audio that was handed on can be made of the codes that are kept."""
    take = Stop(backend, 0, 3).partial(request_, tmp_path)
    assert take.info.state == "partial" and 0 < take.info.held <= FRAMES
    for level, codes in take.codes().items():
        np.testing.assert_array_equal(codes, whole.codes()[level][: codes.size])
    reach = (take.codes()[2].size - take.info.prime_tokens[2]) * 128
    assert take.info.held == min(FRAMES, reach)
    seam = take.info.prime_tokens[2] * 128
    assert seam + take.info.frames <= take.codes()[0].size * 8
    for level, own in take.leads().items():
        for start, lead in own.items():
            np.testing.assert_array_equal(lead, whole.leads()[level][start])


@pytest.mark.parametrize(
    ("level", "windows"),
    [(2, 1), *(pytest.param(*more, marks=pytest.mark.slow) for more in ((1, 2), (0, 1), (0, 4)))],
)
@pytest.mark.parametrize("fidelity", often(EVERY, but=(Fidelity.FINE,)))
def test_it_is_continued_from_inside_what_it_holds_at_every_fidelity(
    backend: TorchBackend,
    request_: Request,
    whole: Take,
    tmp_path: Path,
    level: int,
    windows: int,
    fidelity: Fidelity,
) -> None:
    take = Stop(backend, level, windows).partial(request_, tmp_path / "parent")
    held = take.info.held
    assert held > 0
    for frames in (max(1, held // 3), held):
        (child,) = run_request(backend, child_of(take, frames, fidelity), folder=tmp_path / "children")
        # The same as if it went on from the take that was finished, as far as that is known of it.
        (other,) = run_request(backend, child_of(whole, frames, fidelity), folder=tmp_path / "others")
        heard = child.prime().frames
        assert heard == take.info.head.prime_frames + frames == other.prime().frames
        top = child.codes()[2]
        np.testing.assert_array_equal(top, other.codes()[2])
        assert child.info.frames == 9_000 and child.info.head.overhang == other.info.head.overhang
        assert sorted(child.codes()) == list(range(fidelity.level, 3))


@pytest.mark.parametrize("fidelity", EVERY)
def test_it_is_heard_before_its_parents_end_is_decoded(
    backend: TorchBackend,
    request_: Request,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fidelity: Fidelity,
) -> None:
    """Decoding of the parent waits until the first window is sampled; the take is the same."""
    take = Stop(backend, 1, 2).partial(request_, tmp_path / "parent")
    assert take.info.held > take.info.frames
    asked = child_of(take, take.info.held, fidelity)
    (alone,) = run_request(backend, asked, folder=tmp_path / "alone")
    sampled, whole = threading.Event(), openings.opening

    class Told(TorchBackend):
        def runner(self, level: int, lanes: int) -> TorchRunner:
            runner = super().runner(level, lanes)
            own = runner.sample

            def sample(*given: Any) -> Codes:
                codes = own(*given)
                sampled.set()
                return codes

            runner.sample = sample  # type: ignore[method-assign]
            return runner

    def late(*given: Any) -> openings.Opening:
        assert sampled.wait(60)
        return whole(*given)

    monkeypatch.setattr(jobs, "opening", late)
    (child,) = run_request(Told(backend.model), asked, folder=tmp_path / "early")
    np.testing.assert_array_equal(child.audio().mono_samples(), alone.audio().mono_samples())
    np.testing.assert_array_equal(child.prime().mono_samples(), alone.prime().mono_samples())


def test_what_was_heard_only_coarsely_is_filed_as_it_was_heard(
    backend: TorchBackend, request_: Request, tmp_path: Path
) -> None:
    take = Stop(backend, 2, 1).partial(request_, tmp_path / "parent")
    assert take.info.held > take.info.frames
    (child,) = run_request(backend, child_of(take, take.info.held, Fidelity.DRAFT), folder=tmp_path)
    prime = take.prime().frames
    seam = take.info.prime_tokens[2] * 128
    coarse = decode(backend, take.codes()[2], 2, seam + take.info.frames, take.info.held - take.info.frames)
    np.testing.assert_array_equal(child.prime().mono_samples()[prime + take.info.frames :], coarse)


def test_more_than_it_holds_is_refused(backend: TorchBackend, request_: Request, tmp_path: Path) -> None:
    take = Stop(backend, 2, 1).partial(request_, tmp_path / "parent")
    beyond = take.info.held + 1
    with pytest.raises(OutOfRange) as raised:
        run_request(backend, child_of(take, beyond, Fidelity.FULL), folder=tmp_path)
    assert raised.value.message == (
        f"the take '{take.folder}' has {beyond - 1} frames ({(beyond - 1) / 44_100:.2f} s); "
        f"{beyond} ({beyond / 44_100:.2f} s) cannot be kept of it"
    )


@pytest.mark.slow
def test_a_child_of_a_partial_take_that_was_cut_short_itself_goes_on(
    backend: TorchBackend, request_: Request, tmp_path: Path
) -> None:
    """The grandchild of a changing hand: each takes over where the one before was left."""
    take = Stop(backend, 1, 2).partial(request_, tmp_path)
    for _ in range(2):
        again = child_of(take, take.info.held, Fidelity.FULL, frames=FRAMES)
        take = Stop(backend, 0, 2).partial(again, tmp_path)
    (last,) = run_request(backend, child_of(take, take.info.held, Fidelity.FULL), folder=tmp_path)
    chain = [take, last]
    one = ancestor(chain, [take.info.held, None], HOPS, lambda codes, *more: decode(backend, codes, *more))
    assert one.continuation.size == take.info.held + 9_000 and 2 in one.codes


def test_a_partial_take_is_upsampled_to_its_end(
    backend: TorchBackend, request_: Request, whole: Take, tmp_path: Path
) -> None:
    take = Stop(backend, 2, 1).partial(request_, tmp_path / "parent")
    held = take.info.held
    request = child_of(take, held, Fidelity.FULL, mode=Mode.UPSAMPLE, frames=held, seed=request_.seed)
    (full,) = run_request(backend, request, folder=tmp_path)
    np.testing.assert_array_equal(full.codes()[2], take.codes()[2][: full.codes()[2].size])
    middle = full.codes()[1]
    np.testing.assert_array_equal(middle, whole.codes()[1][: middle.size])


def test_only_the_last_minute_of_what_was_heard_is_filed_again(
    backend: TorchBackend, request_: Request, whole: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.host.openings.HEARD_SECONDS", 0.5)
    (child,) = run_request(backend, child_of(whole, None, Fidelity.DRAFT), folder=tmp_path)
    (grandchild,) = run_request(backend, child_of(child, None, Fidelity.DRAFT), folder=tmp_path)
    heard = whole.info.head.prime_frames + FRAMES
    assert (child.prime().frames, child.info.head.left_out) == (22_050, heard - 22_050)
    assert grandchild.info.head.left_out == heard + 9_000 - 22_050
    monkeypatch.setattr("engine.host.openings.HEARD_SECONDS", 60.0)
    (apart,) = run_request(backend, child_of(whole, None, Fidelity.DRAFT), folder=tmp_path)
    np.testing.assert_array_equal(apart.codes()[2], child.codes()[2])


@pytest.mark.slow
def test_a_kept_cancel_changes_nothing_of_a_resumed_take(
    backend: TorchBackend, request_: Request, whole: Take, tmp_path: Path
) -> None:
    take = Stop(backend, 0, 3).partial(request_, tmp_path)
    (again,) = run_request(backend, request_, folder=tmp_path, resume=[take.folder])
    for level in range(3):
        np.testing.assert_array_equal(again.codes()[level], whole.codes()[level])
        for start, lead in whole.leads().get(level, {}).items():
            np.testing.assert_array_equal(again.leads()[level][start], lead)
    np.testing.assert_array_equal(again.audio().samples, whole.audio().samples)
