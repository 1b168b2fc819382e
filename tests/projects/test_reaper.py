"""REAPER projects, read back by the `rpp` package: every figure, whatever the names are."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from export.projects.arrange import sheet_of
from export.projects.reaper import native, number, project_text, quoted
from export.projects.sheet import Sheet
from export.projects.sounds import Sounds
from tests.projects.making import RATE, frames_of, make_take, riff
from tests.projects.session import HOSTILE, make_session

rpp = pytest.importorskip("rpp", reason="needs rpp, of the extra 'test'")

BEAT = 60 / 124
# All three quotes in one name: REAPER cannot hold that, so the last becomes the second.
HELD = HOSTILE.replace("`", "'")


@pytest.fixture
def sheet(tmp_path: Path) -> Sheet:
    (tmp_path / "sounds").mkdir()
    return sheet_of(make_session(tmp_path / "takes"), "Ses sion", Sounds(tmp_path / "sounds"))


def field(element: Any, name: str) -> list[str]:
    """The values of a line; the first of that name."""
    return next(child[1:] for child in element if isinstance(child, list) and child[0] == name)


def takes_of(item: Any) -> list[tuple[bool, str, float, float, str]]:
    """Takes as REAPER tells them apart: whether selected, name, offset, rate and file."""
    told: list[dict[str, Any]] = [{"selected": False}]
    for child in item:
        head = child if isinstance(child, str) else child[0] if isinstance(child, list) else child.tag
        if head == "TAKE":
            told.append({"selected": isinstance(child, list) and child[1:] == ["SEL"]})
        elif head == "SOURCE":
            told[-1]["file"] = field(child, "FILE")[0]
        elif head in ("NAME", "SOFFS", "PLAYRATE"):
            told[-1][head] = child[1]
    return [(t["selected"], t["NAME"], float(t["SOFFS"]), float(t["PLAYRATE"]), t["file"]) for t in told]


def items_of(track: Any) -> list[tuple[float, float, str, list[Any]]]:
    return [
        (
            float(field(item, "POSITION")[0]),
            float(field(item, "LENGTH")[0]),
            field(item, "MUTE")[0],
            takes_of(item),
        )
        for item in track.findall("ITEM")
    ]


def near(value: float) -> Any:
    return pytest.approx(value, abs=1e-12)


def test_what_is_heard_lies_on_the_first_track(sheet: Sheet):
    project = rpp.loads(project_text(sheet, "audio", "1.2.3"))
    assert project.attrib == ["0.1", "7.0/segue-1.2.3", "0"]
    tracks = project.findall("TRACK")
    assert [field(track, "NAME")[0] for track in tracks] == ["Ses sion", "Ses sion: other takes 1"]
    names = {clip.name: f"audio/{clip.sound.name}" for clip in sheet.clips()}
    heard = items_of(tracks[0])
    assert heard[0] == (
        0,
        near(16 * BEAT),
        "0",
        [(False, "my riff_120bpm", 0, 1, names["my riff_120bpm"])],
    )
    start, length, muted, takes = heard[1]
    assert (start, length, muted) == (near(16 * BEAT), near(12 * BEAT), "0")
    assert takes == [
        (False, "A01", 0, 1, names["A01"]),
        (True, HELD, 0, 1, names[HOSTILE]),
    ]
    assert heard[2] == (near(28 * BEAT), near(8 * BEAT), "0", [(False, "A03", 0, 1, names["A03"])])
    slow = 52 * BEAT
    assert [(start, takes[0][1]) for start, _, _, takes in heard[3:]] == [
        (near(44 * BEAT), "rubato"),
        (near(44 * BEAT + 50_000 / RATE), "A05"),
        (near(slow), "slow"),
        (near(slow + 8 * 60 / 90.5), "A06"),
    ]


def test_the_rest_is_muted_below_it(sheet: Sheet):
    other = items_of(rpp.loads(project_text(sheet, "audio", "1")).findall("TRACK")[1])
    assert [(start, length, muted) for start, length, muted, _ in other] == [
        (near(28 * BEAT), near(4 * BEAT), "1"),
        (near(32 * BEAT), near(8 * BEAT), "1"),
    ]
    offset = frames_of(12, 124) / RATE
    assert [(take[0], take[1], take[2]) for take in other[0][3]] == [
        (False, "A01", near(offset)),
        (True, HELD, near(offset)),
    ]


def test_settings_tempo_map_and_markers(sheet: Sheet):
    project = rpp.loads(project_text(sheet, "", "1"))
    assert field(project, "TEMPO") == ["124", "4", "4"]
    assert field(project, "SAMPLERATE")[0] == "44100"
    points = [line[1:] for line in project.find("TEMPOENVEX") if line[0] == "PT"]
    assert [(float(p[0]), float(p[1]), p[2], int(p[3])) for p in points] == [
        (0, 124, "1", 4 * 65536 + 4),
        (near(52 * BEAT), 90.5, "1", 4 * 65536 + 4),
    ]
    markers = [line[1:] for line in project if isinstance(line, list) and line[0] == "MARKER"]
    assert markers[0][2:] == ["my riff_120bpm", "1", str(native("#7d8ca3"))]
    assert (float(markers[1][1]), markers[1][2:]) == (near(40 * BEAT), ["", "1"])
    assert [(float(m[1]), m[2]) for m in markers[2:5]] == [
        (near(16 * BEAT), f"A01 | {HELD}"),
        (near(20 * BEAT), f"{HELD}: reggae"),
        (near(28 * BEAT), "A03"),
    ]
    notes = project.find("TRACK").findall("ITEM")[1].find("NOTES")
    assert notes[0] == "|A01: house, 124 bpm, 7.74 s, seed 1, full, model starter"


def test_items_keep_beats_or_seconds_when_the_tempo_changes(sheet: Sheet):
    items = rpp.loads(project_text(sheet, "", "1")).findall("TRACK")[0].findall("ITEM")
    assert [field(item, "BEAT")[0] for item in items] == ["1", "1", "1", "0", "0", "1", "1"]


def test_a_take_in_another_tempo_is_played_faster(tmp_path: Path):
    (tmp_path / "sounds").mkdir()
    one = make_take(tmp_path, prime=riff(16, 120), frames=frames_of(16, 120), bpm=120)
    slower = make_take(tmp_path, after=one, frames=frames_of(8, 100), bpm=100)
    sheet = sheet_of([one, slower], "x", Sounds(tmp_path / "sounds"))
    items = items_of(rpp.loads(project_text(sheet, "", "1")).find("TRACK"))
    assert items[2][:2] == (16.0, 4.0)
    assert items[2][3][0][3] == near(1.2)


def test_colours_are_those_of_windows():
    assert native("#ff8001") == 0x1000000 + 255 + 128 * 256 + 1 * 65536


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(0), "0"),
        (Fraction(1, 3), "0.33333333333333"),
        (Fraction(-1, 8), "-0.125"),
        (Fraction(1, 10**7), "0.0000001"),
        (Fraction(120), "120"),
    ],
)
def test_numbers_have_no_exponent(value: Fraction, text: str):
    assert number(value) == text


@given(st.text(st.characters(exclude_categories=("C", "Z")), max_size=30))
def test_every_name_comes_back(name: str):
    (line,) = rpp.loads(f"<X\n  NAME {quoted(name)} 7\n>\n")
    if all(quote in name for quote in "\"'`"):
        name = name.replace("`", "'")
    assert line == ["NAME", name, "7"]
