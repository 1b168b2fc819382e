"""Preset files and the factory library."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.corpus.artists import ARTISTS
from engine.corpus.genres import GENRES
from engine.errors import BadFormat, NoFile
from engine.request import Fidelity
from presets import factory_presets, find_preset, load_preset

GOOD = """name = "Low Light"
program = 3
colour = "#102030"
bars = 8
fidelity = "fine"

[style]
genres = { house = 0.7, lofi = 0.3 }

[sampling.top]
temperature = 0.9
"""


def test_a_file_is_read_as_written(tmp_path: Path) -> None:
    path = tmp_path / "low.toml"
    path.write_text(GOOD)
    preset = load_preset(path)
    assert (preset.name, preset.key, preset.program, preset.bars) == ("Low Light", "low_light", 3, 8.0)
    assert preset.style.genres == {"house": 0.7, "lofi": 0.3}
    assert preset.style.artists == {}
    assert preset.fidelity is Fidelity.FINE
    assert preset.sampling.top.temperature == 0.9
    assert preset.sampling.bottom.temperature == 0.98


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        (
            'colour = "#102030"',
            'colour = "red"',
            "low.toml, line 3: colour is 'red'; string should match pattern",
        ),
        (
            "program = 3",
            "program = 128",
            "low.toml, line 2: program is 128; input should be less than or equal",
        ),
        ("temperature = 0.9", "temperature = 9", "low.toml, line 11: sampling.top.temperature is 9;"),
        (
            "lofi = 0.3",
            "lofi = -0.3",
            "low.toml, line 8: the weight of 'lofi' is -0.3; it must be a number above 0",
        ),
        ('name = "Low Light"', "", "low.toml: name is missing"),
        (
            "genres = { house = 0.7, lofi = 0.3 }",
            "",
            "low.toml: preset 'Low Light' has no style; give it at least",
        ),
        ("bars = 8", "bars = ", "low.toml is not valid TOML: Invalid value (at line 4, column 8)"),
        ("bars = 8", "bar = 8", "low.toml, line 4: bar is 8; extra inputs are not permitted"),
    ],
)
def test_a_broken_file_is_named_with_line_and_field(
    tmp_path: Path, wrong: str, right: str, message: str
) -> None:
    assert wrong in GOOD
    path = tmp_path / "low.toml"
    path.write_text(GOOD.replace(wrong, right))
    with pytest.raises(BadFormat) as caught:
        load_preset(path)
    assert str(caught.value).startswith(message)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NoFile, match=r"none\.toml is not there; name an existing preset file"):
        load_preset(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadFormat, match=r"binary\.toml cannot be read as text .* a preset is a TOML file"):
        load_preset(tmp_path / "binary.toml")


def test_factory_presets_cover_the_corpus_and_nothing_else() -> None:
    presets = factory_presets()
    assert len(presets) >= 12
    genres = {name for preset in presets.values() for name in preset.style.genres}
    artists = {name for preset in presets.values() for name in preset.style.artists}
    assert genres == set(GENRES)
    assert artists <= set(ARTISTS)
    for preset in presets.values():
        home = {genre for artist in preset.style.artists for genre in ARTISTS[artist].genres}
        assert set(preset.style.genres) & home, f"{preset.name}: none of its artists plays its genres"


def test_factory_names_and_programs_are_unambiguous() -> None:
    presets = list(factory_presets().values())
    assert [preset.program for preset in presets] == list(range(len(presets)))
    assert len({preset.colour for preset in presets}) == len(presets)
    assert set(factory_presets()) & {*GENRES, *ARTISTS, "unknown"} == set()


def test_names_are_found_however_they_are_spelt() -> None:
    assert find_preset("Velvet Tape") is find_preset(" velvet-tape ") is find_preset("VELVET_TAPE")
    assert find_preset("velvet") is None
