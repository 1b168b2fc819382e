"""From a name to a style."""

from __future__ import annotations

import re

import pytest

from engine.errors import BadArguments, NoStyle, OutOfRange, SegueError
from engine.request import Style
from presets import factory_presets, resolve_style

ARTISTS = ["unknown", "velvet_static", "night_tram"]
GENRES = ["unknown", "house", "lofi", "drum_and_bass"]


def resolve(name: str) -> Style:
    return resolve_style(name, ARTISTS, GENRES)


@pytest.mark.parametrize(
    ("name", "artists", "genres"),
    [
        ("house", {}, {"house": 1.0}),
        ("Drum and Bass", {}, {"drum_and_bass": 1.0}),
        ("drum-and-bass", {}, {"drum_and_bass": 1.0}),
        ("night tram", {"night_tram": 1.0}, {}),
        ("unknown", {}, {}),
        ("house:0.7+lofi:0.3", {}, {"house": 0.7, "lofi": 0.3}),
        (" house : 3 + lofi ", {}, {"house": 3.0, "lofi": 1.0}),
        ("house:0.5+house:0.25", {}, {"house": 0.75}),
        ("house+night_tram:0.5", {"night_tram": 0.5}, {"house": 1.0}),
    ],
)
def test_names_and_mixes(name: str, artists: dict[str, float], genres: dict[str, float]) -> None:
    assert resolve(name) == Style(artists=artists, genres=genres)


def test_a_preset_is_its_style() -> None:
    assert resolve("Velvet Tape") == factory_presets()["velvet_tape"].style


def test_a_preset_in_a_mix_counts_as_much_as_its_weight() -> None:
    style = resolve("velvet tape:2 + house:1")
    assert style.genres == pytest.approx({"lofi": 2.0, "house": 1.0})
    assert style.artists == pytest.approx({"velvet_static": 2.0})


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("hause", NoStyle, "style 'hause' is unknown; did you mean 'house'?"),
        (
            "house+velvet_stattic",
            NoStyle,
            "style 'velvet_stattic' is unknown; did you mean 'velvet_static' or 'velvet_tape'?",
        ),
        ("xqzy", NoStyle, "style 'xqzy' is unknown; known genres are house, lofi, drum_and_bass"),
        (
            "last tram",
            NoStyle,
            "preset 'Last Tram' needs 'techno', which this model does not know; choose one of its "
            "genres: house, lofi, drum_and_bass",
        ),
        ("house:loud", BadArguments, "the weight 'loud' of 'house' is not a number; write it like house:0.7"),
        ("house:-1", OutOfRange, "the weight of 'house' is -1; it must be a number above 0"),
        ("house:nan", OutOfRange, "the weight of 'house' is nan; it must be a number above 0"),
        (
            "house+",
            BadArguments,
            "the style 'house+' has an empty part; name a preset, genre or artist, or a mix like "
            "house:0.7+lofi:0.3",
        ),
        (
            "",
            BadArguments,
            "the style '' has an empty part; name a preset, genre or artist, or a mix like "
            "house:0.7+lofi:0.3",
        ),
    ],
)
def test_what_is_wrong_and_what_would_be_right(name: str, kind: type[SegueError], message: str) -> None:
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        resolve(name)


def test_a_model_without_labels_says_so() -> None:
    with pytest.raises(NoStyle, match="style 'xqzy' is unknown; known genres are none"):
        resolve_style("xqzy", ["unknown"], ["unknown"])


def test_genre_words_may_be_joined_where_the_model_knows_words() -> None:
    words = ["unknown", "country", "rock", "r", "b"]
    assert resolve_style("Country Rock:2+rock", [], words, genre_words=True).genres == {
        "Country Rock": 2.0,
        "rock": 1.0,
    }
    assert resolve_style("R&B", [], words, genre_words=True).genres == {"R&B": 1.0}
    for name, known in (("country jazz", True), ("country rock", False)):
        with pytest.raises(NoStyle, match=f"style '{name}' is unknown"):
            resolve_style(name, [], words, genre_words=known)
