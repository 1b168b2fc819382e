"""Requests of every mode reach the engine process as plain data and come back as takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.host.protocol import Generate, JobFailed, TakeDone
from engine.request import Fidelity, Mode, Request, Span, TakeRef
from engine.take import Take
from tests.host import pipe
from tests.host.tiny import make_request, make_tiny_model, write_riff


@pytest.mark.timeout(120)
def test_every_mode_over_the_pipe(tmp_path: Path) -> None:
    model, riff = make_tiny_model(tmp_path / "tiny"), write_riff(tmp_path / "riff.wav", 0.6)
    draft = make_request(model, riff, seconds=0.2, fidelity=Fidelity.DRAFT)
    with pipe.engine() as engine:
        engine.load(str(model))

        def make(name: str, request: Request, takes: int = 1) -> list[Take]:
            engine.send(Generate(job=name, request=request, takes=takes, folder=str(tmp_path / "takes")))
            found = []
            for _ in range(takes):
                done = engine.wait_for(TakeDone)
                assert done.job == name
                found.append(Take.load(done.folder))
            return found

        def after(take: Take, mode: Mode, **changes: object) -> Request:
            values = {"mode": mode, "prime": None, "parents": (TakeRef(folder=str(take.folder)),), **changes}
            return Request.model_validate(draft.model_dump() | values)

        (parent,) = make("primed", draft)
        offered = make("candidates", after(parent, Mode.CONTINUE, seed=40), takes=3)
        assert [take.info.head.request.seed for take in offered] == [40, 41, 42]
        assert {take.info.head.parent for take in offered} == {parent.folder.name}
        firsts = {take.codes()[2][:48].tobytes() for take in offered}
        assert firsts == {parent.codes()[2][-48:].tobytes()}
        assert len({take.codes()[2][48:].tobytes() for take in offered}) == 3

        (fine,) = make("upsample", after(parent, Mode.UPSAMPLE, fidelity=Fidelity.FINE))
        np.testing.assert_array_equal(fine.codes()[2], parent.codes()[2])
        (again,) = make("infill", after(parent, Mode.INFILL, span=Span(start_frame=2_000, stop_frame=6_000)))
        assert again.info.frames == parent.info.frames
        (nothing,) = make("sample", Request(model=str(model), mode=Mode.ANCESTRAL, frames=4_000))
        assert nothing.info.prime_tokens == {0: 0, 1: 0, 2: 0}

        lost = TakeRef(folder=str(tmp_path / "lost"))
        engine.send(
            Generate(job="lost", request=after(parent, Mode.CONTINUE, parents=(lost,)), folder=str(tmp_path))
        )
        failed = engine.wait_for(JobFailed)
        assert (failed.slug, failed.message) == (
            "no_file",
            f"'{tmp_path / 'lost'}' is not a take's folder: it holds no readable take.json",
        )
