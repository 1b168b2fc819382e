"""A take in a folder that was chosen for it, and codes that an earlier take gave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import Busy, OutOfRange
from engine.events import KeptCodes
from engine.host.jobs import run_request
from engine.request import Request, TakeRef
from engine.take import Take, TakeWriter, recover
from tests.take.growing import FRAMES, HOPS, PRIME_FRAMES, codes, events, prime, prime_encoded, request


def test_a_place_is_used_once(tmp_path: Path) -> None:
    place = tmp_path / "2" / "3"
    writer = TakeWriter.create(tmp_path, request(), "hash", prime(), place=place)
    assert (writer.folder, writer.head.name) == (place, "3")
    for event in events():
        writer.event(event)
    assert writer.finish().info == Take.load(place).info
    with pytest.raises(Busy) as raised:
        TakeWriter.create(tmp_path, request(), "hash", prime(), place=place)
    assert raised.value.message == f"the folder '{place}' is not empty; give one of its own for the take"


def test_several_takes_do_not_fit_into_one_place(tmp_path: Path) -> None:
    with pytest.raises(OutOfRange, match="2 takes do not fit into one folder; ask for 1"):
        run_request(None, request(), folder=tmp_path, takes=2, place=tmp_path / "1")  # type: ignore[arg-type]


def test_kept_codes_are_codes_that_nobody_sampled(tmp_path: Path) -> None:
    """They are in the take's codes, in a recovered take too, but not in its plan or its count of tokens."""
    total = {level: (PRIME_FRAMES + FRAMES) // hop for level, hop in HOPS.items()}
    known = PRIME_FRAMES // HOPS[2]
    child = Request.model_validate(
        request().model_dump()
        | {
            "mode": "upsample",
            "prime": None,
            "parents": (TakeRef(folder=str(tmp_path / "2026-01-02_030405_A07")),),
        }
    )
    writer = TakeWriter.create(tmp_path, child, "hash", prime(), overhang=17)
    writer.event(prime_encoded())
    kept = KeptCodes(2, known, codes(2, known, total[2] - known))
    writer.event(kept)
    writer.event(kept)  # told again after a resume
    writer.close()
    take = recover(writer.folder)
    np.testing.assert_array_equal(take.codes()[2], codes(2, 0, total[2]))
    assert take.info.plan == () and take.info.timings.tokens == {}
    assert (take.info.head.parent, take.info.head.overhang) == ("2026-01-02_030405_A07", 17)
    resumed = TakeWriter.resume(writer.folder)
    assert resumed.done is not None and resumed.done[2].size == total[2] and resumed.windows == 0
    resumed.close()
