"""Characters, cleaning, LRC files and what users are told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import BadFormat, NoFile, OutOfRange, SegueError, TooLarge
from engine.lyrics import clean, decode, encode, lyric_notes, parse_lrc, read_lyrics
from engine.lyrics.characters import CHARACTERS, Version
from engine.prior.config import LyricsConfig
from engine.request import PrimeRef, Request
from engine.store import ModelConfig, starter_config


@pytest.mark.parametrize(
    ("version", "known"),
    [
        ("v2", {"A": 1, "Z": 26, "a": 27, "z": 52, "0": 53, "9": 62, ".": 63, "-": 69, "+": 70, "'": 71, '"': 72,
                "(": 73, ")": 74, "[": 75, "]": 76, " ": 77, "\t": 78, "\n": 79}),
        ("v3", {"A": 1, "Z": 26, "a": 27, "z": 52, "0": 53, "9": 62, ".": 63, "-": 69, "'": 70, '"': 71, "(": 72,
                ")": 73, "[": 74, "]": 75, " ": 76, "\t": 77, "\n": 78}),
    ],
)  # fmt: skip
def test_ids_are_the_released_ones(version: Version, known: dict[str, int]) -> None:
    """facts/jukebox.md §4.3."""
    for character, number in known.items():
        assert encode(character, version).tolist() == [number], character
        assert decode([number], version) == character
    assert len(CHARACTERS[version]) + 1 == LyricsConfig(tokens=1, vocabulary=version).characters
    assert encode("é+"[: 2 if version == "v3" else 1], version).tolist() == [0] * (
        2 if version == "v3" else 1
    )
    assert decode([0, 1, 0, 2, 0], version) == "AB"


@pytest.mark.parametrize(
    ("text", "version", "cleaned"),
    [
        ("Don't\\stop\r\n", "v3", "Don't\nstop\n"),
        ("1+1=2 & *more*", "v2", "1+12  more"),
        ("1+1=2 & *more*", "v3", "112  more"),
        ("\u201cCaf\u00e9\u201d \u2014 na\u00efve\u2026", "v3", '"Cafe" -- naive...'),
        ("Привет", "v3", "Privet"),
        ("東京", "v3", "Dong Jing "),
        ("しあわせ", "v3", "siawase"),
        ("rock \U0001f3b8 on", "v3", "rock  on"),
        ("half \ud83d", "v3", "half "),
        ("", "v2", ""),
    ],
)
def test_cleaning(text: str, version: Version, cleaned: str) -> None:
    assert clean(text, version).text == cleaned


@pytest.mark.parametrize(
    ("text", "notes"),
    [
        ("Plain words, (all) of them!\r\n", ()),
        ("Привет",
         ("6 characters of the lyrics were spelt in Latin letters (П as P, р as r, и as i, в as v, е as e)",)),
        ("é", ("1 character of the lyrics was spelt in Latin letters (é as e)",)),
        ("e\u0301", ()),  # the accent of a letter goes without saying
        ("go \U0001f3b8\U0001f3b8 + \U0001f600",
         ("4 characters of the lyrics that no model can read were left out: \U0001f3b8 + \U0001f600",)),
        ("\u2764\ufe0f", ("1 character of the lyrics that no model can read was left out: \u2764",)),
    ],
)  # fmt: skip
def test_notes_say_what_became_of_characters(text: str, notes: tuple[str, ...]) -> None:
    assert clean(text, "v3").notes == notes


LRC = """\ufeff[ar:Nobody]
[ti:Test]
[offset:+500]

[00:12.50][01:02.50]The chorus comes twice
[00:20.1]One line
that goes on
[00:25]
[00:30:250]<00:30.25>Word <00:31.00>by <00:31.75>word<00:33.00>
[01:10.500]End
"""


def test_lrc_files() -> None:
    found = [(piece.seconds, piece.text) for piece in parse_lrc(LRC)]
    assert found == [
        (12.0, "The chorus comes twice\n"),
        (19.6, "One line\nthat goes on\n"),
        (24.5, ""),
        (29.75, "Word "),
        (30.5, "by "),
        (31.25, "word\n"),
        (32.5, ""),
        (62.0, "The chorus comes twice\n"),
        (70.0, "End\n"),
    ]


def test_word_times_move_with_a_repeated_line() -> None:
    found = [(piece.seconds, piece.text) for piece in parse_lrc("[00:10.00][00:50.00]oh <00:11.00>yes")]
    assert found == [(10.0, "oh "), (11.0, "yes\n"), (50.0, "oh "), (51.0, "yes\n")]


def test_nothing_is_sung_before_the_song_begins() -> None:
    assert [piece.seconds for piece in parse_lrc("[offset:5000]\n[00:01.00]early\n[00:09.00]late")] == [
        0.0,
        4.0,
    ]


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("just words\n", BadFormat, r"the LRC file has no line with a time; begin its lines with stamps like"),
        ("[ti:x]\n[99:00.00]late", OutOfRange, "line 2 of the LRC file is sung at 5940 s; a song lasts at most 600 s"),
    ],
)  # fmt: skip
def test_wrong_lrc(text: str, kind: type[SegueError], message: str) -> None:
    with pytest.raises(kind, match=message):
        parse_lrc(text)


def test_lyrics_are_text_or_files(tmp_path: Path) -> None:
    assert read_lyrics("la la.").lyrics == "la la."
    (tmp_path / "song.TXT").write_bytes(b"\xef\xbb\xbfline\n")
    assert read_lyrics(str(tmp_path / "song.TXT")).lyrics == "line\n"
    (tmp_path / "song.lrc").write_text("[00:01.00]hey")
    words = read_lyrics(str(tmp_path / "song.lrc"))
    assert not words.lyrics and words.lyric_times[0].seconds == 1.0


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(
        NoFile, match=r"no\.txt' is not there; give the lyrics as text, or a \.txt or \.lrc file"
    ):
        read_lyrics(str(tmp_path / "no.txt"))
    (tmp_path / "latin.lrc").write_bytes("[00:01.00]caf\u00e9".encode("latin-1"))
    with pytest.raises(BadFormat, match=r"latin\.lrc' is not UTF-8 text; save it as UTF-8"):
        read_lyrics(str(tmp_path / "latin.lrc"))
    (tmp_path / "book.txt").write_text("x" * (1 << 20) + "x")
    with pytest.raises(TooLarge, match="has 1048577 bytes; lyrics have at most 1048576"):
        read_lyrics(str(tmp_path / "book.txt"))
    (tmp_path / "plain.lrc").write_text("no stamps")
    with pytest.raises(BadFormat, match=r"'plain\.lrc' has no line with a time"):
        read_lyrics(str(tmp_path / "plain.lrc"))
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(NoFile, match=r"folder\.txt' cannot be opened"):
        read_lyrics(str(tmp_path / "folder.txt"))


def singing() -> ModelConfig:
    config = starter_config()
    top = config.priors[2].model_copy(update={"lyrics": LyricsConfig(tokens=64)})
    return config.model_copy(update={"priors": (*config.priors[:2], top), "name": "singer"})


def test_notes_of_a_request() -> None:
    def asked(lyrics: str) -> Request:
        return Request(prime=PrimeRef(path="riff.wav"), frames=1, lyrics=lyrics)

    assert lyric_notes(asked("la"), starter_config()) == (
        "the model 'starter' reads no lyrics; the take is made without them",
    )
    assert lyric_notes(asked(""), starter_config()) == ()
    assert lyric_notes(asked("la"), singing()) == ()
    spelt, nothing = lyric_notes(asked("\U0001f3b8"), singing())
    assert "left out" in spelt and nothing == "nothing of the lyrics is left to sing"


def test_the_bridge_can_read_lyrics_without_torch() -> None:
    code = "import sys, json, engine.lyrics; print(json.dumps('torch' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) is False
