"""The tempo map, read back by mido, and by a program that knows nothing of it."""

from __future__ import annotations

import io
from pathlib import Path

import mido
import pytest

from export.projects.arrange import sheet_of
from export.projects.sounds import Sounds
from export.projects.tempo import tempo_file
from tests.projects.session import HOSTILE, make_session


@pytest.fixture
def written(tmp_path: Path) -> bytes:
    (tmp_path / "sounds").mkdir()
    return tempo_file(sheet_of(make_session(tmp_path / "takes"), "Session", Sounds(tmp_path / "sounds")))


def test_tempo_signature_and_markers_at_their_ticks(written: bytes):
    file = mido.MidiFile(file=io.BytesIO(written), charset="utf-8")
    (track,) = file.tracks
    told, now = [], 0
    for message in track:
        now += message.time
        told.append((now / file.ticks_per_beat, message))
    tempi = [(at, m.tempo) for at, m in told if m.type == "set_tempo"]
    assert tempi == [(0, 483871), (52, 662983)]  # 60,000,000 over 124 and 90.5
    (signature,) = (m for _, m in told if m.type == "time_signature")
    assert (signature.numerator, signature.denominator) == (4, 4)
    markers = [(round(at, 2), m.text) for at, m in told if m.type == "marker"]
    assert markers == [
        (0, "my riff_120bpm"),
        (16, f"A01 | {HOSTILE}"),
        (20, f"{HOSTILE}: reggae"),
        (28, "A03"),
        (32, "A04"),
        (44, "rubato"),
        (46.34, "A05"),
        (52, "slow"),
        (60, "A06"),
    ]
    assert file.length == pytest.approx(52 * 60 / 124 + 16 * 60 / 90.5, abs=1e-4)


def test_bytes_of_the_first_tempo(written: bytes):
    assert written[:4] == b"MThd" and b"\xff\x51\x03" + (483871).to_bytes(3, "big") in written
