"""Names of files, whatever the names of takes and styles are."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.request import Pulse, Style
from engine.take.marks import Marks, write_marks
from export.tracks.files import write
from export.tracks.finishing import finish
from export.tracks.naming import file_names
from export.tracks.wishes import TrackWishes
from tests.tracks.made import made, sine


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("", "A01_"),
        ("Größe 2", "Grosse-2_"),
        ("夜の海", "Ye-noHai_"),
        ("Ночь", "Noch-_".replace("-_", "_")),
        ("con", "take-con_"),
        ("...", "A01_"),
        ("../../etc/passwd", "etc-passwd_"),
        ("🎹", "A01_"),
        ("a" * 80, "a" * 32 + "_"),
    ],
)
def test_own_names_are_written_in_ascii(tmp_path: Path, name: str, begins: str) -> None:
    take = made(tmp_path / "takes", sine(9000), sine(9000), bpm=92.5, pulse=Pulse(key="C major"))
    write_marks(take.folder, Marks(name=name))
    (tmp_path / "out").mkdir()
    (path,) = write([take], TrackWishes(), tmp_path / "out", lambda track: None)
    assert path.name == f"{begins}92.5bpm_Cmaj_s7.wav" and path.parent == tmp_path / "out"


labels = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)
own_names = st.text(st.characters(codec="utf-8"), max_size=80)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(style=st.dictionaries(labels, st.floats(0.1, 2.0), max_size=5), name=own_names, loop=st.booleans())
def test_any_style_and_name_give_a_name_for_every_system(
    tmp_path: Path, style: dict[str, float], name: str, loop: bool
) -> None:
    take = made(
        tmp_path,
        np.zeros(500, np.float32),
        None,
        windows=1,
        style=Style(genres=style),
        bpm=174.61,
        seed=2**31 - 1,
    )
    track = finish(take, TrackWishes(loop=loop))
    object.__setattr__(track, "marks", Marks.model_construct(name=name))  # even those that marks refuse
    names = file_names(track)
    first, second = next(names), next(names)
    for one in (first, second):
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9+._#-]*\.wav", one) and len(one) <= 100
        assert "_174.61bpm_s2147483647" in one and loop == ("_loop" in one)
    assert first != second
