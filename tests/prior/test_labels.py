"""Label vocabularies: the released check values, normalisation, mixes, bags, files, and unknown names."""

from __future__ import annotations

import json
import random
import string
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from engine.errors import BadFormat, NoFile, NoStyle, OutOfRange, SegueError
from engine.prior.labels import make_labels
from engine.prior.vocabulary import (
    LabelVocabulary,
    ReleasedVersion,
    normalise,
    read_label_json,
    read_label_list,
    read_label_lists,
)
from engine.request import Style
from engine.store import ModelConfig
from tests.prior.build import prior_config

# Lines with the ids of facts/jukebox.md §4.2, among others.
LISTS = {
    "v2_artist_ids.txt": "unknown;0\nvarious;0\n;0\nAlan_Jackson;145\nzac_brown_band;1069\nc_line_dion;7\n",
    "v2_genre_ids.txt": "unknown;0\ncountry;11\nrock;12\nhip;13\nhop;14\nnew;15\nwave;16\nr;17\nb;18\n",
    "v3_artist_ids.txt": "unknown;0\nspeaker;3\nalan jackson;6785\nzac brown band;7169\nspeaker;9\n",
    "v3_genre_ids.txt": "unknown;0\ncountry;507\ncountry rock;546\n",
}


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    for name, text in LISTS.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("version", "artist", "genre", "artist_id", "genre_ids"),
    [
        ("v2", "Zac Brown Band", "Country", 1069, {11}),
        ("v2", "ALAN jackson!", "Country Rock", 145, {11, 12}),
        ("v2", "Céline Dion", "R&B", 7, {17, 18}),  # a letter outside a-z is a gap: c_line_dion
        ("v3", "Zac Brown Band", "Country", 7169, {507}),
        ("v3", "Alan Jackson", "COUNTRY ROCK", 6785, {546}),
        ("v3", "Speaker", "country", 9, {507}),  # the last of two lines counts
    ],
)
def test_names_have_the_released_ids(
    lists: Path, version: ReleasedVersion, artist: str, genre: str, artist_id: int, genre_ids: set[int]
) -> None:
    names = read_label_lists(lists, version)
    style = Style(artists={artist: 1}, genres={genre: 1})
    assert names.artist_weights(style, strict=True) == {artist_id: 1.0}
    assert names.genre_weights(style, strict=True) == dict.fromkeys(genre_ids, 1.0)  # a sum, not a mean
    assert (names.artist_rows, names.genre_rows, names.bag) == {
        "v2": (4111, 120, 5),
        "v3": (7898, 604, 1),
    }[version]


@pytest.mark.parametrize(
    ("name", "v2", "v3"),
    [
        ("Zac Brown Band", "zac_brown_band", "zac brown band"),
        ("  AC/DC -- Live ", "ac_dc_live", "  ac/dc -- live "),
        ("Motörhead", "mot_rhead", "motörhead"),
        ("!!!", "", "!!!"),
        ("2Pac", "2pac", "2pac"),
    ],
)
def test_normalisation(name: str, v2: str, v3: str) -> None:
    assert (normalise(name, "v2"), normalise(name, "v3"), normalise(name, "own")) == (v2, v3, name)


def test_labels_are_rows_of_the_embeddings(lists: Path) -> None:
    style = Style(artists={"alan jackson": 2, "zac brown band": 2}, genres={"country rock": 3, "hip hop": 1})
    labels = make_labels(style, 100, 7, read_label_lists(lists, "v2"))
    assert labels.artists.shape == (1, 4111) and labels.genres.shape == (1, 120)
    assert {i: labels.artists[0, i].item() for i in labels.artists[0].nonzero().flatten().tolist()} == {
        145: 0.5,
        1069: 0.5,  # halved embeddings
    }
    assert labels.genres[0, 11:15].tolist() == [0.75, 0.75, 0.25, 0.25]
    assert labels.genres.sum().item() == 2.0
    assert (labels.total.item(), labels.offset.item()) == (100, 7)


def test_words_that_two_genres_share_add_up(lists: Path) -> None:
    names = read_label_lists(lists, "v2")
    mix = Style(genres={"country": 1, "country rock": 1})
    assert names.genre_weights(mix, strict=True) == {11: 1.0, 12: 0.5}


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_no_names_are_the_unknown_ones(lists: Path, version: ReleasedVersion) -> None:
    names = read_label_lists(lists, version)
    assert names.artist_weights(Style(), strict=True) == {0: 1.0}
    assert names.genre_weights(Style(), strict=True) == {0: 1.0}
    assert names.genre_weights(Style(genres={"unknown": 2}), strict=True) == {0: 1.0}


@pytest.mark.parametrize(
    ("version", "style", "kind", "message"),
    [
        ("v2", Style(artists={"Zack Browne Band": 1}), NoStyle,
         "the model knows no artist 'Zack Browne Band'; nearest: zac_brown_band"),
        ("v3", Style(artists={"alan jaxon": 1}), NoStyle,
         "the model knows no artist 'alan jaxon'; nearest: alan jackson"),
        ("v2", Style(genres={"country rok": 1}), NoStyle,
         r"the model knows no genre 'country rok' \(word 'rok'\); nearest: rock"),
        ("v3", Style(genres={"rock": 1}), NoStyle, "the model knows no genre 'rock'; nearest: country rock"),
        ("v2", Style(genres={"new wave hip hop country rock": 1}), OutOfRange,
         "the genre 'new wave hip hop country rock' has 6 words; the model takes at most 5: "
         "give 'new wave hip hop country', or several genres as a mix"),
    ],
)  # fmt: skip
def test_what_the_top_level_lacks_is_refused(
    lists: Path, version: ReleasedVersion, style: Style, kind: type[SegueError], message: str
) -> None:
    with pytest.raises(kind, match=f"^{message}"):
        make_labels(style, 1, 0, read_label_lists(lists, version))


def test_lower_levels_map_what_they_can(lists: Path) -> None:
    """As the 1b model has it: v3 at the top, v2 below."""
    names = read_label_lists(lists, "v2")
    style = Style(artists={"speaker": 1}, genres={"country zydeco": 1})
    assert names.artist_weights(style, strict=False) == {0: 1.0}
    assert names.genre_weights(style, strict=False) == {11: 1.0, 0: 1.0}
    long = Style(genres={"new wave hip hop country rock": 1})
    assert names.genre_weights(long, strict=False) == dict.fromkeys((15, 16, 13, 14, 11), 1.0)


def test_the_nearest_of_eight_thousand_names_are_found_fast() -> None:
    draw = random.Random(0)
    drawn = {
        " ".join("".join(draw.choices(string.ascii_lowercase, k=7)) for _ in range(2)) for _ in range(7900)
    }
    artists = {name: row for row, name in enumerate(["unknown", *sorted(drawn)])}
    names = LabelVocabulary.released("v3", artists | {"zac brown band": 5}, {"unknown": 0}, (8000, 1))
    began = time.perf_counter()
    with pytest.raises(NoStyle, match="nearest: zac brown band"):
        names.artist_weights(Style(artists={"zac brwn bnd": 1}), strict=True)
    assert time.perf_counter() - began < 2.0


def test_hugging_face_files_hold_both_versions(tmp_path: Path, lists: Path) -> None:
    for what, file in (("artist", "artists.json"), ("genre", "genres.json")):
        both = read_label_list(lists / f"v3_{what}_ids.txt")
        both |= {f"{name}.v2": i for name, i in read_label_list(lists / f"v2_{what}_ids.txt").items()}
        (tmp_path / file).write_text(json.dumps(both))
    for version in ("v2", "v3"):
        assert read_label_json(tmp_path, version) == read_label_lists(lists, version)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (None, NoFile, r"v2_genre_ids\.txt is missing; put the label lists there"),
        ("", BadFormat, r"v2_genre_ids\.txt holds no labels; it must have lines of a name, ';' and a whole number"),
        ("rock;1\npop\n", BadFormat, r"line 2 of .*v2_genre_ids\.txt is 'pop'; it must be a name, ';' and a whole"),
        ("rock;x\n", BadFormat, r"line 1 of .* is 'rock;x'; it must be a name"),
        ("rock;120\n", BadFormat,
         "the v2 lists in .* do not fit the model: genre 'rock' has id 120; the embedding has rows 0 to 119$"),
        ("unknown;3\n", BadFormat, "do not fit the model: genre 'unknown' has id 3; it must be 0$"),
        (b"\xff\xfe\x00", BadFormat, "cannot be read as text"),
    ],
)  # fmt: skip
def test_broken_lists_are_named(
    lists: Path, text: str | bytes | None, kind: type[SegueError], message: str
) -> None:
    file = lists / "v2_genre_ids.txt"
    file.unlink()
    if isinstance(text, bytes):
        file.write_bytes(text)
    elif text is not None:
        file.write_text(text)
    with pytest.raises(kind, match=message):
        read_label_lists(lists, "v2")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "artists.json is not valid JSON"),
        ("[1]", "artists.json must hold one object of names and whole numbers"),
        ('{"ada": true}', "artists.json must hold one object of names and whole numbers"),
        ('{"ada.v2": 1}', "artists.json holds no v3 names; a file of another model was given"),
    ],
)
def test_broken_json_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "artists.json").write_text(text)
    with pytest.raises(BadFormat, match=message):
        read_label_json(tmp_path, "v3")


def model(**changes: object) -> ModelConfig:
    """A model with v3 labels at the top and v2 labels below, like the released 1b."""
    values: dict[str, object] = {
        "name": "mixed",
        "codec": {"bins": 16},
        "priors": [
            prior_config(
                level, artists=9 if level == 2 else 5, genres=4, label_version="v3" if level == 2 else "v2"
            )
            for level in range(3)
        ],
        "vocabularies": {
            "v2": LabelVocabulary.released("v2", {"unknown": 0, "alan_jackson": 1}, {"rock": 3}, (5, 4)),
            "v3": LabelVocabulary.released(
                "v3", {"unknown": 0, "alan jackson": 8}, {"country rock": 2}, (9, 4)
            ),
        },
    }
    return ModelConfig.model_validate(values | changes)


def test_a_model_keeps_its_vocabularies_in_its_record() -> None:
    again = ModelConfig.model_validate_json(model().model_dump_json())
    assert again == model()
    style = Style(artists={"Alan Jackson": 1}, genres={"Country Rock": 1})
    top = make_labels(style, 1, 0, again.vocabulary(2))
    assert top.artists[0].tolist() == [0.0] * 8 + [1.0] and top.genres[0].tolist() == [0.0, 0.0, 1.0, 0.0]
    below = make_labels(style, 1, 0, again.vocabulary(0), strict=False)
    assert below.artists[0].tolist() == [0, 1, 0, 0, 0] and below.genres[0].tolist() == [1, 0, 0, 1]
    assert again.vocabulary(2).artist_names == ("unknown", "alan jackson")


@pytest.mark.parametrize(
    ("vocabularies", "message"),
    [
        ({}, "prior 0 has v2 labels and the model has no such vocabulary; give vocabularies.v2"),
        ({"v2": LabelVocabulary.released("v2", {}, {}, (6, 4))},
         "prior 0 knows 5 artists and 4 genres; the model names 6 and 4"),
        ({"v2": LabelVocabulary.released("v2", {}, {}, (5, 4)), "v3": LabelVocabulary.released("v2", {}, {}, (9, 4))},
         "the vocabulary 'v3' says it is of version v2"),
    ],
)  # fmt: skip
def test_a_model_checks_its_vocabularies(vocabularies: dict[str, LabelVocabulary], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        model(vocabularies=vocabularies)
