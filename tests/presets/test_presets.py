"""Preset files and the factory library."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import engine
import presets
from engine.corpus.artists import ARTISTS
from engine.corpus.genres import GENRES
from engine.errors import BadFormat, NoFile
from engine.request import Fidelity, LevelSampling, PrimeRef, Request, Sampling, Style
from presets import (
    LyricsPolicy,
    Preset,
    Quantum,
    factory_presets,
    find_preset,
    fitted_style,
    load_preset,
    preset_toml,
    request_of,
)

STARTER = Path(engine.__file__).parent / "models" / "starter"

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
    assert (preset.name, preset.slug, preset.program, preset.bars) == ("Low Light", "low_light", 3, 8.0)
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
        (
            "temperature = 0.9",
            "temprature = 0.9",
            "low.toml, line 11: sampling.top.temprature is no field of a preset; did you mean 'temperature'?",
        ),
        (
            "bars = 8",
            'seed = "always"',
            "low.toml, line 4: seed is 'always'; it must be 'new', 'keep' or a number",
        ),
        (
            "bars = 8",
            "seed = -1",
            "low.toml, line 4: seed is -1; it must be 'new', 'keep' or a number from 0",
        ),
        ("bars = 8", "seed = true", "low.toml, line 4: seed is True; it must be"),
        (
            "bars = 8",
            'quantum = "a bar"',
            "low.toml, line 4: the quantum 'a bar' cannot be read; write '1 bar', '2 beats', '1/2 beat' or 'off'",
        ),
        (
            "bars = 8",
            'quantum = "65 bars"',
            "low.toml, line 4: the quantum is 65 bars; it must be from 0 (off) to 64 bars",
        ),
        (
            "bars = 8",
            "tempo = [128, 120]",
            "low.toml, line 4: tempo is 128 to 120; write the lowest and the high",
        ),
        (
            "bars = 8",
            'key = "H moll"',
            "low.toml, line 4: 'H moll' is no key; write a note and a mode, such as",
        ),
        ("bars = 8", 'tags = ["Ok", "ok"]', "low.toml, line 4: tags is 'Ok'; string should match pattern"),
        (
            "bars = 8",
            'lyrics_policy = "replace"',
            "low.toml: lyrics_policy is 'replace', but the preset has no lyrics; give them, or write 'clear'",
        ),
        (
            "bars = 8",
            'lyrics_policy = "keep"\nlyrics = "la"',
            "low.toml: lyrics_policy is 'keep', but the preset has lyrics; leave one of them out",
        ),
        ('name = "Low Light"', 'name = " - "', "low.toml: the name is blank; give one that can be typed"),
        (
            "temperature = 0.9",
            "top_k = 5\ntop_p = 0.5",
            "low.toml, line 10: top_k and top_p exclude each other; set one of them",
        ),
        ("bars = 8", "bar = 8", "low.toml, line 4: bar is no field of a preset; did you mean 'bars'?"),
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


def test_json_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "low.json"
    table = {"name": "Low Light", "style": {"genres": {"house": 1}}, "quantum": "2 beats", "seed": 5}
    path.write_text(json.dumps(table, indent=1))
    preset = load_preset(path)
    assert (preset.seed, str(preset.quantum), preset.quantum.beats(Fraction(4))) == (5, "2 beats", 2)
    for text, message in (
        ('{"name": "a",\n "style": {}}', "low.json: preset 'a' has no style; give it at least one artist or"),
        (
            '{"name": "a",\n "bars": 0, "style": {"genres": {"house": 1}}}',
            "low.json, line 2: bars is 0; input",
        ),
        ('{"name": ', "low.json is not valid JSON: Expecting value (at line 1, column 10)"),
        ("[]", "low.json holds no table; a preset begins with { and has a name and a style"),
        ("[" * 100_000, "low.json is not valid JSON: it is nested too deeply"),
    ):
        path.write_text(text)
        with pytest.raises(BadFormat) as caught:
            load_preset(path)
        assert str(caught.value).startswith(message)


def test_a_file_that_is_no_preset_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "huge.toml"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(BadFormat, match=r"huge\.toml is larger than 128 KiB; a preset is a short TOML file"):
        load_preset(path)


@pytest.mark.parametrize("suffix", ["toml", "json"])
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_in_a_file_is_told_in_one_sentence(
    tmp_path: Path, suffix: str, data: st.DataObject
) -> None:
    """Bytes of a good file replaced, cut out and put in: it is read, or it is BadFormat that names the file."""
    good = preset_toml(factory_presets()["moss_garden"]).encode()
    if suffix == "json":
        good = factory_presets()["moss_garden"].model_dump_json(indent=1).encode()
    junk = st.binary(max_size=12) | st.sampled_from(
        [b"9" * 5000, b"nan", b"-inf", b"[[", b"{", b'"', b"\n", b"=1e999"]
    )
    text = bytearray(good)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        text[start : start + data.draw(st.integers(0, 20))] = data.draw(junk)
    path = tmp_path / f"odd.{suffix}"
    path.write_bytes(text)
    try:
        preset = load_preset(path)
    except BadFormat as error:
        assert error.message.startswith(f"odd.{suffix}")
        assert len(error.message) < 600
    else:
        assert preset.model_dump_json()


def test_lyrics_that_are_given_replace(tmp_path: Path) -> None:
    path = tmp_path / "low.toml"
    path.write_text(GOOD.replace("bars = 8", 'lyrics = "hello\\nworld"'))
    preset = load_preset(path)
    assert (preset.lyrics, preset.lyrics_policy) == ("hello\nworld", LyricsPolicy.REPLACE)


@pytest.mark.parametrize(
    ("text", "bar_beats", "beats", "written"),
    [
        ("1 bar", 4, 4, "1 bar"),
        ("2bars", 3, 6, "2 bars"),
        ("1/2 beat", 4, Fraction(1, 2), "1/2 beat"),
        ("0.25 beats", 4, Fraction(1, 4), "1/4 beat"),
        (" OFF ", 4, 0, "off"),
    ],
)
def test_quanta(text: str, bar_beats: int, beats: Fraction, written: str) -> None:
    quantum = Quantum.model_validate(text)
    assert quantum.beats(Fraction(bar_beats)) == beats
    assert str(quantum) == written
    assert Quantum.model_validate(written) == quantum


def test_quanta_of_beats() -> None:
    assert str(Quantum.of_beats(4.0)) == "4 beats"
    assert str(Quantum.of_beats(1 / 3)) == "1/3 beat"
    assert str(Quantum.of_beats(0.0)) == "off"
    with pytest.raises(
        ValidationError, match=r"the quantum is 257 beats; it must be from 0 \(off\) to 256 beats"
    ):
        Quantum.of_beats(257.0)


def test_the_page_tells_every_field_and_its_example_is_a_preset(tmp_path: Path) -> None:
    page = (Path(presets.__file__).parent / "README.md").read_text(encoding="utf-8")
    example = re.search(r"```toml\n(.*?)```", page, re.S)
    assert example is not None
    told = set(re.findall(r"^(?:# )?(\w+) = ", example[1], re.M)) | set(
        re.findall(r"^\[(\w+)", example[1], re.M)
    )
    assert set(Preset.model_fields) <= told
    path = tmp_path / "night.toml"
    path.write_text(example[1], encoding="utf-8")
    preset = load_preset(path)
    assert (preset.name, preset.bars, str(preset.quantum), preset.key) == ("My Night", 8, "2 bars", "A minor")
    assert preset.sampling.top.temperature == 0.95
    path.write_text(re.sub(r"^# (\w+ =)", r"\1", example[1], flags=re.M).replace('"clear"', '"replace"'))
    assert load_preset(path).sampling.top.top_k == 200


@pytest.mark.parametrize("text", ["1/0 beat", "-1 bar", "bar", "1 minute", "300 beats", "nan beats", ""])
def test_what_is_no_quantum(text: str) -> None:
    with pytest.raises(ValidationError, match="the quantum"):
        Quantum.model_validate(text)


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    awkward = Preset(
        name='He said "no" \\ — naïve',
        description="tab\t, del \x7f and\nline",
        tags=("late night", "80s"),
        style=Style(artists={"night_tram": 0.1, "odd name": 2.0}, genres={"r&b": 1 / 3}),
        lyrics="one\n\ntwo",
        lyrics_policy=LyricsPolicy.REPLACE,
        sampling=Sampling(
            top=LevelSampling(temperature=1.05, top_p=0.9), bottom=LevelSampling(top_k=7, strand=2)
        ),
        seed=7,
        quantum=Quantum.model_validate("3 beats"),
        fidelity=Fidelity.DRAFT,
        tempo=(90.5, 91.0),
        key="F# minor",
        bank=3,
        program=127,
    )
    for number, preset in enumerate((awkward, *factory_presets().values())):
        path = tmp_path / f"{number}.toml"
        path.write_text(preset_toml(preset), encoding="utf-8")
        assert load_preset(path) == preset


def test_factory_presets_cover_the_corpus_and_nothing_else() -> None:
    presets = factory_presets()
    assert len(presets) >= 24
    genres = {name for preset in presets.values() for name in preset.style.genres}
    artists = {name for preset in presets.values() for name in preset.style.artists}
    assert genres == set(GENRES)
    assert artists == set(ARTISTS)
    for preset in presets.values():
        home = {genre for artist in preset.style.artists for genre in ARTISTS[artist].genres}
        assert set(preset.style.genres) & home, f"{preset.name}: none of its artists plays its genres"
        assert preset.tempo is not None
        ranges = [GENRES[genre].tempo for genre in preset.style.genres]
        assert min(low for low, _ in ranges) <= preset.tempo[0] < preset.tempo[1] <= max(h for _, h in ranges)
        assert preset.tags


def test_factory_names_and_programs_are_unambiguous() -> None:
    presets = list(factory_presets().values())
    assert [preset.program for preset in presets] == list(range(len(presets)))
    assert len({preset.colour for preset in presets}) == len(presets)
    assert set(factory_presets()) & {*GENRES, *ARTISTS, "unknown"} == set()


def test_factory_presets_are_distinct() -> None:
    """No two share more than 70 % of their genres' and artists' weights together."""

    def shares(weights: dict[str, float]) -> dict[str, float]:
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}

    for one, other in combinations(factory_presets().values(), 2):
        common = 0.0
        for kind in ("genres", "artists"):
            a, b = shares(getattr(one.style, kind)), shares(getattr(other.style, kind))
            common += sum(min(a.get(name, 0.0), b.get(name, 0.0)) for name in {*a, *b}) / 2
        assert common <= 0.7, f"{one.name} and {other.name}"


def test_every_factory_preset_is_a_request_of_the_starter() -> None:
    labels = json.loads((STARTER / "model.json").read_text())
    for preset in factory_presets().values():
        fitted = fitted_style(preset, labels["artists"], labels["genres"])
        assert fitted.left_out == ()
        assert fitted.style == preset.style
        primed = request_of(preset, fitted.style, prime=PrimeRef(path="riff.wav"), rate=44100, bpm=120.0)
        assert primed.frames == preset.bars * 4 * 22050
        assert Request.model_validate_json(primed.model_dump_json()) == primed
        nothing = request_of(preset, fitted.style, prime=None, rate=44100)
        assert nothing.bpm == sum(preset.tempo or ()) / 2
        assert nothing.frames < 30 * 44100


def test_names_are_found_however_they_are_spelt() -> None:
    assert find_preset("Velvet Tape") is find_preset(" velvet-tape ") is find_preset("VELVET_TAPE")
    assert find_preset("velvet") is None
