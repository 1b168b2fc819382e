"""`segue corpus` as a user types it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from engine.corpus import soundfont
from engine.corpus.cli import corpus
from engine.corpus.dataset import load_manifest, slots
from engine.corpus.make import make_corpus
from engine.corpus.score import Note
from engine.corpus.show import contact_sheet
from engine.corpus.song import make_song
from engine.errors import BadFormat, NoFile, OutOfRange
from tests.corpus.conftest import SEED, SONGS

FONTS = sorted(Path("/usr/share/sounds/sf2").glob("*.sf2")) + sorted(
    Path("/usr/share/soundfonts").glob("*.sf2")
)
with_fluidsynth = pytest.mark.skipif(
    shutil.which("fluidsynth") is None or not FONTS, reason="fluidsynth or a soundfont is not installed"
)


def test_make_prints_what_it_made(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        corpus,
        ["make", "--out", str(tmp_path / "c"), "--songs", "1", "--seed", str(SEED), "--jobs", "1", "--json"],
    )
    assert done.exit_code == 0, done.output
    manifest = json.loads(done.stdout)
    assert manifest == json.loads((tmp_path / "c" / "corpus.json").read_text())
    assert manifest["counts"]["songs"] == 1


def test_show_counts_the_songs(small_corpus: Path) -> None:
    done = CliRunner().invoke(corpus, ["show", str(small_corpus), "--json"])
    figures = json.loads(done.stdout)
    assert figures["songs"] == SONGS
    assert sum(row["songs"] for row in figures["genres"].values()) == SONGS
    assert sum(row["seconds"] for row in figures["artists"].values()) == pytest.approx(
        figures["seconds"], abs=0.01
    )
    assert sum(figures["tempi"].values()) == SONGS
    table = CliRunner().invoke(corpus, ["show", str(small_corpus)]).stdout
    assert all(info.artist in table and info.genre in table for info in load_manifest(small_corpus))


def test_show_draws_a_contact_sheet(small_corpus: Path, tmp_path: Path) -> None:
    from matplotlib import image

    picture = tmp_path / "sheet.png"
    done = CliRunner().invoke(corpus, ["show", str(small_corpus), "--plot", str(picture)])
    assert done.exit_code == 0, done.output
    pixels = image.imread(picture)
    assert pixels.shape[1] > 1000
    assert len(np.unique(pixels.reshape(-1, pixels.shape[2])[::50], axis=0)) > 100


def test_an_empty_corpus_cannot_be_drawn(tmp_path: Path) -> None:
    make_corpus(tmp_path, 1, SEED, minutes=1e-9)
    assert load_manifest(tmp_path) == []
    with pytest.raises(OutOfRange) as caught:
        contact_sheet(tmp_path, tmp_path / "sheet.png")
    assert str(caught.value) == (
        f"{tmp_path} holds no finished song to draw: run `segue corpus make` until it has one."
    )


def test_without_fluidsynth_our_own_voices_play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soundfont.shutil, "which", lambda name: None)
    arguments = [
        "make",
        "--out",
        str(tmp_path),
        "--songs",
        "1",
        "--jobs",
        "1",
        "--soundfont",
        "any.sf2",
        "--json",
    ]
    done = CliRunner().invoke(corpus, arguments)
    assert "segue: fluidsynth is not installed, so our own voices play every part." in done.stderr
    assert json.loads(done.stdout)["soundfont"] is None


def test_missing_and_false_soundfonts_are_named(tmp_path: Path) -> None:
    with pytest.raises(NoFile) as missing:
        make_corpus(tmp_path / "c", 1, SEED, soundfont=tmp_path / "none.sf2")
    assert str(missing.value) == (
        f"The soundfont {tmp_path / 'none.sf2'} is not there: give the path of an .sf2 or .sf3 file."
    )
    false = tmp_path / "false.sf2"
    false.write_bytes(b"RIFF\0\0\0\0WAVE")
    with pytest.raises(BadFormat) as wrong:
        make_corpus(tmp_path / "c", 1, SEED, soundfont=false)
    assert str(wrong.value) == f"{false} is no soundfont: give the path of an .sf2 or .sf3 file."


@with_fluidsynth
def test_a_soundfont_plays_in_tune_and_in_time() -> None:
    notes = (Note(0.5, 1.0, 69, 0.9),)
    track = soundfont.play(notes, "vibes", 120, 3 * 44_100, FONTS[0])
    assert track.shape == (3 * 44_100,)
    assert abs(np.flatnonzero(np.abs(track) > 0.01)[0] / 44_100 - 0.5) < 0.02
    spectrum = np.abs(np.fft.rfft(track))
    assert np.argmax(spectrum) / 3 == pytest.approx(440, abs=4)


@pytest.mark.slow
@with_fluidsynth
def test_every_second_song_is_played_from_the_soundfont(tmp_path: Path) -> None:
    changed = {}
    for slot in slots(SEED, 6)[4:]:  # the first neighbours whose artists both have acoustic parts
        audio = []
        for name, font in (("own", None), ("font", FONTS[0])):
            (tmp_path / name / "songs").mkdir(parents=True, exist_ok=True)
            make_song(tmp_path / name, SEED, slot, font)
            audio.append(soundfile.read(tmp_path / name / "songs" / f"{slot.id}.flac", dtype="int16")[0])
        changed[slot.index] = not np.array_equal(*audio)
    assert changed == {4: False, 5: True}


@with_fluidsynth
def test_fluidsynth_cannot_play_a_broken_soundfont(tmp_path: Path) -> None:
    broken = tmp_path / "broken.sf2"
    broken.write_bytes(b"RIFF\x04\0\0\0sfbk")
    with pytest.raises(
        BadFormat, match=r"FluidSynth cannot play .*broken.sf2 \(.*\): give another soundfont or none"
    ):
        soundfont.play((Note(0.0, 0.5, 60, 0.9),), "vibes", 120, 44_100, broken)
