"""Where on the time line a take lies: from the clock, from the take before, from the command line."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pydantic import ValidationError

from bridge.cli.wishes import Wish, wanted
from bridge.clock import Launch, Meter, Timeline
from bridge.session.choices import Choices
from bridge.session.entries import TakeEntry
from bridge.session.launching import Launching
from bridge.session.sources import continued
from engine.host.protocol import Ready
from engine.request import Mode, Place, PrimeRef, Request, TakeRef
from export.tracks.finishing import finish
from export.tracks.wishes import TrackWishes
from tests.tracks.made import RATE, made, sine

READY = Ready(model="mock", rate=RATE, artists=[], genres=[], seconds=0.0)


def launched(beat: Fraction, bpm: float, meter: Meter, request: Request) -> Request:
    clock = SimpleNamespace(meter=meter, song_bars=0.0, known_key=None)
    launching = Launching(cast(Any, clock), cast(Any, None), cast(Any, None))
    return launching.timed(request, READY, Launch(beat, 1, 0, 0, Timeline.at_tempo(bpm, 0)))


def entry_of(folder: str, request: Request, frames: int) -> TakeEntry:
    return TakeEntry.of_request(1, folder, request, wav="", rate=RATE, frames=frames, held=frames)


def test_a_launch_says_the_beat_and_the_meter() -> None:
    request = Request(prime=PrimeRef(path="/riff.wav"), frames=RATE, bpm=93.0, bars=4.0)
    timed = launched(Fraction(67, 2), 93.0, Meter(3, 4), request)
    assert timed.place == Place(beat=33.5) and timed.meter == (3, 4)
    assert timed.place_seconds == Fraction(67, 2) * 60 / 93
    assert Request.model_validate_json(timed.model_dump_json()) == timed


def test_a_place_is_said_once() -> None:
    for wrong in ({}, {"beat": 1.0, "seconds": 2.0}):
        with pytest.raises(
            ValidationError, match="a place is given as a beat or in seconds; give one of the two"
        ):
            Place(**wrong)
    assert (
        Request(mode=Mode.ANCESTRAL, frames=9, place=Place(beat=4.0)).place_seconds is None
    )  # at which tempo?


def test_a_take_goes_on_where_the_one_before_was_left(tmp_path: Path) -> None:
    before = made(tmp_path, sine(88_200), sine(RATE), bpm=120.0, place=Place(beat=16.0))
    info = before.info
    entry = entry_of(str(before.folder), info.head.request, info.frames)
    for frames, seconds in ((None, 10.0), (RATE, 9.0)):
        request = continued(entry, READY, Choices(), frames=frames)
        assert request.place == Place(seconds=seconds)
    nowhere = entry_of("/takes/one", Request(mode=Mode.ANCESTRAL, frames=RATE), RATE)
    assert continued(nowhere, READY, Choices()).place is None


def test_the_command_line_says_where_the_prime_lies(tmp_path: Path) -> None:
    config = SimpleNamespace(rate=RATE, top=2, priors=[SimpleNamespace(time=None)] * 3)
    backend = cast(Any, SimpleNamespace(config=config))
    first = made(tmp_path, sine(88_200), sine(RATE), bpm=120.0, place=Place(seconds=3.0))
    again = wanted(Wish(source=first.folder, seconds=1.0), backend, first).request
    assert again.parents == (TakeRef(folder=str(first.folder)),) and again.place == Place(seconds=5.0)
    placed = wanted(Wish(source=first.folder, seconds=1.0, song_at=30.0), backend, first).request
    assert placed.place == Place(seconds=33.0)  # one second of prime and two of take after it


def test_a_track_with_its_prime_begins_earlier_and_never_before_the_song(tmp_path: Path) -> None:
    take = made(tmp_path, sine(88_200), sine(RATE), bpm=120.0, place=Place(beat=4.0))  # at 2 s
    assert finish(take, TrackWishes()).time_reference == 88_200
    assert finish(take, TrackWishes(full=True)).time_reference == 44_100
    soon = made(tmp_path, sine(88_200), sine(RATE), bpm=120.0, place=Place(beat=1.0))
    early = finish(soon, TrackWishes(full=True))
    assert (early.time_reference, early.placed) == (0, False)
    assert (
        "the prime would begin before the song does, so the track is placed at its beginning"
        in early.done.notes
    )
