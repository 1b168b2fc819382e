"""DAWproject: valid by the official schema, and read back figure by figure by another XML parser."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import soundfile

from export.projects.arrange import sheet_of
from export.projects.dawproject import pack
from export.projects.sheet import Sheet
from export.projects.sounds import Sounds
from tests.projects.making import RATE
from tests.projects.schema import problems
from tests.projects.session import HOSTILE, make_session

etree = pytest.importorskip("lxml.etree", reason="needs lxml, of the extra 'test'")


@pytest.fixture
def sheet(tmp_path: Path) -> Sheet:
    (tmp_path / "sounds").mkdir()
    return sheet_of(make_session(tmp_path / "takes"), "Ses\u2013sion", Sounds(tmp_path / "sounds"))


def packed(sheet: Sheet) -> zipfile.ZipFile:
    buffer = io.BytesIO()
    pack(sheet, buffer, "1.2.3")
    archive = zipfile.ZipFile(buffer)
    assert archive.testzip() is None
    return archive


def seconds(clip: Any) -> float:
    """How long the audio of a clip with two warps is, from its own beats."""
    first, last = clip.findall("Warps/Warp")
    return float(last.get("contentTime")) - float(first.get("contentTime"))


def test_it_is_valid_by_the_official_schema(sheet: Sheet):
    archive = packed(sheet)
    assert problems("Project.xsd", archive.read("project.xml")) == []
    assert problems("MetaData.xsd", archive.read("metadata.xml")) == []


def test_every_prime_and_take_is_a_coloured_track_at_its_beat(sheet: Sheet):
    project = etree.fromstring(packed(sheet).read("project.xml"))
    tracks = {track.get("id"): track for track in project.iterfind("Structure/Track")}
    assert len(tracks) == 3 + 6 + 1
    (master,) = (t for t in tracks.values() if t.find("Channel").get("role") == "master")
    assert master.find("Channel").get("id") == "master-channel"
    told = {}
    for lane in project.iterfind("Arrangement/Lanes/Lanes"):
        track = tracks[lane.get("track")]
        assert track.find("Channel").get("destination") == "master-channel"
        clips = lane.find("Clips")
        told[track.get("name")] = (
            track.find("Channel/Mute").get("value"),
            clips.get("timeUnit"),
            [
                (float(c.get("time")), float(c.get("duration")), float(c.get("playStart")), c.get("enable"))
                for c in clips
            ],
        )
        assert all(clip.get("color") == track.get("color") for clip in clips)
    beat = 60 / 124
    assert told == {
        "my riff_120bpm": ("false", None, [(0, 16, 0, None)]),
        "A01": ("true", None, [(16, 16, 0, None)]),
        HOSTILE: ("false", None, [(16, 12, 0, None), (28, 4, 12, "false")]),
        "A03": ("false", None, [(28, 8, 0, None)]),
        "A04": ("true", None, [(32, 8, 0, None)]),
        "rubato": ("false", "seconds", [(44 * beat, 50_000 / RATE, 0, None)]),
        "A05": ("false", "seconds", [(44 * beat + 50_000 / RATE, 30_000 / RATE, 0, None)]),
        "slow": ("false", None, [(52, 8, 0, None)]),
        "A06": ("false", None, [(60, 8, 0, None)]),
    }
    assert {t.get("name"): t.get("color") for t in tracks.values()}[HOSTILE] == "#12ab9f"


def test_audio_is_inside_and_warped_to_its_own_tempo(sheet: Sheet):
    archive = packed(sheet)
    project = etree.fromstring(archive.read("project.xml"))
    clips = [clip for clip in project.iter("Clip") if clip.find("Warps") is not None]
    assert len(clips) == 8
    for clip in clips:
        warps = clip.find("Warps")
        assert (warps.get("timeUnit"), warps.get("contentTimeUnit")) == ("beats", "seconds")
        audio = warps.find("Audio")
        assert audio.get("algorithm") == "stretch" and audio.find("File").get("external") is None
        beats = float(warps.findall("Warp")[-1].get("time"))
        bpm = 90.5 if clip.get("name") in ("slow", "A06") else 124
        assert seconds(clip) == pytest.approx(beats * 60 / bpm, abs=1e-12)
        assert abs(seconds(clip) - float(audio.get("duration"))) < 1 / RATE
    for audio in project.iter("Audio"):
        held = archive.read(audio.find("File").get("path"))
        info = soundfile.info(io.BytesIO(held))
        assert info.frames == round(float(audio.get("duration")) * RATE)
        assert (info.samplerate, info.channels) == (
            int(audio.get("sampleRate")),
            int(audio.get("channels")),
        )
        assert info.subtype in ("PCM_24", "FLOAT")
    paths = [name for name in archive.namelist() if name.startswith("audio/")]
    assert len(paths) == len({name.casefold() for name in paths}) == 9
    assert all(name.isascii() and " " not in name for name in paths)


def test_tempo_signature_and_markers(sheet: Sheet):
    project = etree.fromstring(packed(sheet).read("project.xml"))
    assert float(project.find("Transport/Tempo").get("value")) == 124
    signature = project.find("Transport/TimeSignature")
    assert (signature.get("numerator"), signature.get("denominator")) == ("4", "4")
    points = project.find("Arrangement/TempoAutomation")
    assert points.find("Target").get("parameter") == project.find("Transport/Tempo").get("id")
    assert [(float(p.get("time")), float(p.get("value"))) for p in points.iter("RealPoint")] == [
        (0, 124),
        (52, 90.5),
    ]
    markers = [(float(m.get("time")), m.get("name")) for m in project.iterfind("Arrangement/Markers/Marker")]
    assert markers == [
        (0, "my riff_120bpm"),
        (16, f"A01 | {HOSTILE}"),
        (20, f"{HOSTILE}: reggae"),
        (28, "A03"),
        (32, "A04"),
        (44, "rubato"),
        (pytest.approx(44 + 50_000 / RATE * 124 / 60), "A05"),
        (52, "slow"),
        (60, "A06"),
    ]
    comment = next(t.get("comment") for t in project.iter("Track") if t.get("name") == "A01")
    assert comment == "house, 124 bpm, 7.74 s, seed 1, full, model starter"


def test_one_tempo_needs_no_map(tmp_path: Path):
    (tmp_path / "sounds").mkdir()
    takes = make_session(tmp_path / "takes")[:1]
    archive = packed(sheet_of(takes, "One", Sounds(tmp_path / "sounds")))
    assert problems("Project.xsd", archive.read("project.xml")) == []
    assert etree.fromstring(archive.read("project.xml")).find("Arrangement/TempoAutomation") is None
