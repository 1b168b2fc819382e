"""The remote script for Live over a stub of Live, against a real session by UDP."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import soundfile as sf

from tests.bridge.client import OscClient
from tests.bridge.conftest import RunningSession
from tests.daw.conftest import make_take
from tests.daw.live_api import (
    ROOT,
    ArrangementTrack,
    Clip,
    NewSlot,
    Slot,
    Song,
    load_script,
    make_song,
    make_track,
)

PATIENCE = 60.0


def turn_until(script: Any, condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, (script.shown, script.logged)
        before = time.perf_counter()
        script.turn()
        assert time.perf_counter() - before < 0.5  # it never waits in Live's thread
        time.sleep(0.02)
    return found


@pytest.fixture
def song() -> Song:
    return make_song()


@pytest.fixture
def script(song: Song, session: RunningSession, client: OscClient, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("SEGUE_PORT", str(session.port))
    loaded = load_script(song)
    turn_until(loaded, lambda: client.ask("/segue/daws", reply="/segue/daws.end") == (1,))
    yield loaded
    assert loaded.logged == []
    loaded.disconnect()
    assert loaded.disconnected
    loaded.turn()
    loaded.turn()


def put_clip(song: Song, path: str, track: int, slot: int, **values: Any) -> Clip:
    place = song.tracks[track].clip_slots[slot]
    plain = {"looping": False, "loop_start": 0.0, "loop_end": 2.0, "start_marker": 0.0, "end_marker": 2.0}
    clip = Clip(
        name="riff", file_path=path, is_audio_clip=True, is_arrangement_clip=False, canonical_parent=place
    )
    for name, value in ({"warping": False} | plain | values).items():
        setattr(clip, name, value)
    place.has_clip, place.clip = True, clip
    song.view.detail_clip = clip
    return clip


def test_the_script_is_readable_for_the_python_of_live_11() -> None:
    paths = sorted((ROOT / "bridge" / "daw" / "live" / "Segue").glob("*.py"))
    assert len(paths) == 4
    for path in paths:
        tree = ast.parse(path.read_text(), feature_version=(3, 7))
        unions = [
            node.lineno
            for statement in tree.body
            if isinstance(statement, ast.Assign)
            for node in ast.walk(statement)
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)
        ]
        assert unions == [], f"{path.name}: X | Y of types is evaluated there, which Python 3.7 cannot"


def test_live_is_there_and_says_its_version(client: OscClient, script: Any) -> None:
    client.send("/segue/daws")
    assert client.wait("/segue/daws.item") == ("live", "12.1.5")


def test_the_selected_clip_is_extended_into_the_next_empty_slot(
    client: OscClient, script: Any, song: Song, riff: Path
) -> None:
    client.send("/segue/param/seconds", 0.5)
    # Warped: beat 0 lies at 0.2 s of the file and beat 4 at 2.2 s, so the file runs at 120; beats 1 to 3 are played.
    markers = [
        SimpleNamespace(beat_time=b, sample_time=s) for b, s in ((0.0, 0.2), (4.0, 2.2), (4.03, 2.215))
    ]
    put_clip(
        song, str(riff), 2, 1, warping=True, looping=True, loop_start=1.0, loop_end=3.0, warp_markers=markers
    )
    client.send("/segue/daw/grab", "live", 1)
    slot = song.tracks[2].clip_slots[2]
    turn_until(script, lambda: slot.has_clip)
    prime = client.wait("/segue/prime", "P1")
    assert (prime[1], prime[2]) == (pytest.approx(1.0, abs=0.01), pytest.approx(120.0))
    take = client.wait("/segue/take", timeout=PATIENCE)
    assert slot.clip.file_path == take[8] and sf.info(take[8]).frames > 0
    assert (slot.clip.name, slot.clip.warping) == ("Segue A01", True)
    assert (song.undo_steps, song.open_steps) == (1, 0)
    assert "Segue: extending riff" in script.shown and "Segue: A01 is there" in script.shown


def test_an_unwarped_clip_has_the_song_s_tempo(
    client: OscClient, script: Any, song: Song, riff: Path
) -> None:
    put_clip(song, str(riff), 1, 0, start_marker=0.5, end_marker=1.5)
    client.send("/segue/daw/grab", "live", 0)
    turn_until(
        script,
        lambda: (
            client.listen(0.001)
            and any(told[:2] == ("/segue/prime", ("P1", *told[1][1:])) for told in client.heard)
        ),
    )
    prime = client.wait("/segue/prime", "P1")
    assert (prime[1], prime[2]) == (pytest.approx(1.0, abs=0.01), 120.0)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (None, "select an audio clip to extend"),
        ({"is_audio_clip": False}, "the selected clip is MIDI"),
        ({"warping": True, "warp_markers": ()}, "switch Warp off, or consolidate it"),
    ],
)
def test_what_cannot_be_extended_is_shown(
    values: dict[str, Any] | None, sentence: str, script: Any, song: Song, riff: Path
) -> None:
    if values is not None:
        put_clip(song, str(riff), 1, 0, **values)
    script.extend_selected_clip()
    assert sentence in script.shown[-1]


def test_a_take_goes_where_it_is_sent(client: OscClient, script: Any, song: Song, riff: Path) -> None:
    number, path = make_take(client, riff)

    def sent(*values: object) -> tuple[Any, ...]:
        client.send("/segue/send", "#s", number, "live", *values)
        answered = ("/segue/done", "/segue/fail")
        turn_until(
            script,
            lambda: (
                client.listen(0.001)
                and any(address in answered and told[-1] == "#s" for address, told in client.heard)
            ),
        )
        index = next(
            i for i, (address, told) in enumerate(client.heard) if address in answered and told[-1] == "#s"
        )
        return client.heard.pop(index)[1][1:-1]

    assert sent(3, 4) == (number, "live")
    assert song.tracks[2].clip_slots[3].clip.file_path == path
    assert sent(3, 4)[2].endswith("slot 4 holds a clip; name an empty one")
    assert sent(1, 1)[2].endswith("track 1 is no audio track")
    assert sent(9, 1)[2].endswith("there is no track 9; there are 3")
    assert sent(2, 9)[2].endswith("there is no slot 9; there are 4")
    for slot in range(4):  # the selected track, slot by slot
        assert sent() == (number, "live")
        assert song.tracks[1].clip_slots[slot].has_clip
    assert sent() == (number, "live")  # all are taken: a new scene
    assert song.tracks[1].clip_slots[4].has_clip
    song.tracks[1].is_frozen = True
    assert sent()[2].endswith("the track is frozen; unfreeze it first")
    song.view.selected_track = song.tracks[0]  # MIDI
    assert sent() == (number, "live")
    assert song.tracks[3].clip_slots[0].has_clip
    Path(path).unlink()
    assert sent(3, 1)[2].endswith("Live says: Invalid file path")
    assert song.open_steps == 0


def test_an_older_live_says_what_is_wanted(
    client: OscClient, session: RunningSession, riff: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGUE_PORT", str(session.port))
    script = load_script(make_song(Slot))
    number, path = make_take(client, riff)
    turn_until(script, lambda: client.ask("/segue/daws", reply="/segue/daws.end") == (1,))
    client.send("/segue/send", number, "live")
    turn_until(
        script, lambda: client.listen(0.001) and any(told[0] == "/segue/fail" for told in client.heard)
    )
    sentence = client.wait("/segue/fail", "/segue/send")[3]
    assert "Live 12.0.5 or newer is wanted" in sentence and path in sentence
    script.disconnect()


def test_a_clip_of_the_arrangement_is_continued_there(
    client: OscClient, script: Any, song: Song, riff: Path
) -> None:
    client.send("/segue/param/seconds", 0.5)
    track = make_track(NewSlot, 4, kind=ArrangementTrack)
    track.arranged = []
    song.tracks.append(track)
    clip = put_clip(song, str(riff), 3, 0)
    clip.is_arrangement_clip, clip.canonical_parent, clip.end_time = True, track, 16.0
    script.extend_selected_clip()
    turn_until(script, lambda: track.arranged)
    assert track.arranged[0][1] == 16.0
