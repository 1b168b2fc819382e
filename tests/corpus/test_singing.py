"""Sung songs: words at their times, on their notes, in front of the band, as other programs read and measure them."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import mido
import numpy as np
import pytest
from click.testing import CliRunner

from engine.corpus.cli import corpus
from engine.corpus.dataset import load_manifest, slots
from engine.corpus.loudness import level_within
from engine.corpus.make import make_corpus
from engine.corpus.render import render_score
from engine.corpus.singing import check
from engine.corpus.singing.bank import BANK, Bank, read_bank, write_bank
from engine.corpus.singing.lyrics import RHYMES, VOCABULARY, couplet, lines, reserved, syllables
from engine.corpus.singing.part import SungPart, is_sung, sing_along, without_lead
from engine.corpus.singing.singers import INSTRUMENTAL, SINGER_OF, SINGERS, VOICES, singer_of
from engine.corpus.singing.voice import render_voice
from engine.corpus.song import Singing, score_of, sung_part
from engine.corpus.theory import SCALES
from engine.errors import BadArguments, BadFormat, NoFile, OutOfRange
from engine.lyrics import read_lyrics, song_lyrics
from engine.lyrics.characters import CHARACTERS
from engine.prior.config import LyricsConfig
from tests.corpus.conftest import SEED

RATE = 44_100


def parts(seed: int, count: int) -> list[tuple[SungPart, np.ndarray]]:
    """Parts of the first songs of a seed that are sung, with the voice alone."""
    found = []
    for slot in slots(seed, count):
        score = score_of(slot, seed)
        part = sung_part(slot, seed, score, Singing(1.0))
        if part is not None:
            size = int((score.seconds + 3) * RATE)
            found.append((part, render_voice(part.words, part.singer, read_bank(), size, part.entropy)))
    return found


@pytest.fixture(scope="module")
def sung() -> list[tuple[SungPart, np.ndarray]]:
    return parts(7, 8)


@pytest.fixture(scope="module")
def sung_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three songs, all sung that can be."""
    folder = tmp_path_factory.mktemp("sung") / "c"
    make_corpus(folder, 3, SEED, singing=Singing(1.0))
    return folder


def yin(piece: np.ndarray, low: float, high: float) -> float:
    """Pitch in Hz (YIN: de Cheveigné & Kawahara 2002), nothing of it shared with what sings."""
    most = int(RATE / low) + 2
    width = len(piece) - most
    x = piece.astype(np.float64)
    difference = np.array([np.sum((x[:width] - x[lag : lag + width]) ** 2) for lag in range(most)])
    mean = difference[1:].cumsum() / np.arange(1, most)
    normal = np.concatenate([[1.0], difference[1:] / np.maximum(mean, 1e-12)])
    first = int(RATE / high)
    below = [i for i in range(first, most - 1) if normal[i] < 0.2 and normal[i] <= normal[i + 1]]
    at = below[0] if below else first + int(np.argmin(normal[first : most - 1]))
    left, middle, right = normal[at - 1 : at + 2]
    return RATE / (at + 0.5 * (left - right) / (left - 2 * middle + right))


def test_notes_are_in_tune(sung: list[tuple[SungPart, np.ndarray]]) -> None:
    off = []
    for part, samples in sung:
        for note in part.notes()[::3]:
            if note.seconds < 0.25:
                continue
            hertz = 440 * 2 ** ((note.pitch - 69) / 12)
            begin, end = note.start + 0.09, note.start + note.seconds - 0.06
            moments = np.arange(begin, end - 0.04, 0.02)
            pieces = [samples[int(t * RATE) : int(t * RATE) + 1800] for t in moments]
            heard = [yin(piece, hertz / 1.7, hertz * 1.7) for piece in pieces if np.abs(piece).max() > 0.1]
            if heard:
                off.append(abs(1200 * np.log2(np.median(heard) / hertz)))
    assert len(off) > 80
    assert np.percentile(off, 98) < 30
    assert np.median(off) < 12


def test_words_begin_when_they_are_said_to(sung: list[tuple[SungPart, np.ndarray]]) -> None:
    late = []
    for part, samples in sung:
        level = np.sqrt(np.convolve(samples**2, np.ones(88) / 88, "same"))[::44]  # every millisecond
        for before, word in zip(part.words, part.words[1:], strict=False):
            quiet = int(max(word.start - 0.05, (before.end + word.start) / 2) * RATE / 44)
            after = level[quiet : quiet + 250]
            heard = (quiet + int(np.argmax(after > 0.03 * after.max()))) * 44 / RATE
            late.append(1000 * (heard - word.start))
    assert len(late) > 300
    assert np.percentile(np.abs(late), 98) < 20


def test_between_words_is_silence(sung: list[tuple[SungPart, np.ndarray]]) -> None:
    for part, samples in sung:
        ends = [0.0, *(word.end for word in part.words)]
        starts = [*(word.start for word in part.words), len(samples) / RATE]
        for end, start in zip(ends, starts, strict=True):
            rest = samples[int((end + 0.004) * RATE) : int((start - 0.004) * RATE)]
            assert start - end > 0.02
            assert np.abs(rest).max() < 0.02 * np.abs(samples).max()


def test_the_same_song_is_sung_the_same(sung: list[tuple[SungPart, np.ndarray]]) -> None:
    (part, samples), *_ = sung
    ((again, repeated),) = parts(7, 1)
    assert again == part
    assert hashlib.sha256(repeated.tobytes()).digest() == hashlib.sha256(samples.tobytes()).digest()


def test_tunes_stay_in_key_and_range_and_lines_on_the_bars(
    sung: list[tuple[SungPart, np.ndarray]],
) -> None:
    for slot in slots(7, 40):
        score = score_of(slot, 7)
        part = sung_part(slot, 7, score, Singing(1.0))
        if part is None:
            assert slot.genre in INSTRUMENTAL or slot.artist not in SINGER_OF
            continue
        scale = {(score.tonic + step) % 12 for step in SCALES[score.mode]}
        chords = {pitch for chord in score.harmony for pitch in chord.pitch_classes(score.tonic)}
        bar = 240 / score.bpm
        for note in part.notes():
            assert part.singer.low - 4 <= note.pitch <= part.singer.high + 4
            assert note.pitch % 12 in scale | chords
        for line in part.lines:
            section = score.sections[line.section]
            assert section.name in ("verse", "chorus")
            assert section.start_s - 0.16 < line.start
            assert line.end < section.end_s
            assert 0.4 * bar < line.end - line.start < 2 * bar
        starts = [line.start for line in part.lines]
        rests = np.array(starts[1:]) - [line.end for line in part.lines[:-1]]
        assert rests.min() > 0.12, slot
        kept = without_lead(score, part).tracks
        assert {k: v for k, v in kept.items() if k != "lead"} == {
            k: v for k, v in score.tracks.items() if k != "lead"
        }
        assert not any(
            line.start < note.start < line.end for line in part.lines for note in kept.get("lead", ())
        )


def test_choruses_come_again() -> None:
    slot = next(slot for slot in slots(7, 40) if slot.genre == "funk")
    score = score_of(slot, 7)
    part = sung_part(slot, 7, score, Singing(1.0))
    assert part is not None
    choruses: dict[int, list[tuple[str, tuple[int, ...]]]] = {}
    for word in part.words:
        section = part.lines[word.line].section
        if score.sections[section].name == "chorus":
            choruses.setdefault(section, []).append((word.text, word.pitches))
    first, *others = choruses.values()
    assert others
    assert all(other == first for other in others)


def test_the_vocabulary_is_small_and_made_of_known_characters() -> None:
    assert 40 <= len(VOCABULARY) <= 80
    bank = read_bank()
    used = set()
    for rhyme in RHYMES:
        for line in (*lines(rhyme, True), *lines(rhyme, False)):
            used |= set(line.split())
            assert 4 <= syllables(line) <= 8
    assert used == set(VOCABULARY)
    for word, count in VOCABULARY.items():
        assert all(set(word) <= set(characters) for characters in CHARACTERS.values())
        for voice in VOICES:
            assert len(bank.word(voice, word).vowels) == count
    assert BANK.stat().st_size < 1_000_000


def test_held_out_songs_have_lines_that_no_other_song_has() -> None:
    heard: dict[bool, set[str]] = {True: set(), False: set()}
    rng = np.random.Generator(np.random.PCG64(1))
    for held_out in heard:
        for _ in range(300):
            first, second = couplet(6, held_out, rng)
            assert first != second
            assert max(syllables(first), syllables(second)) <= 6
            heard[held_out] |= {first, second}
    assert not heard[True] & heard[False]
    assert all(map(reserved, heard[True]))
    assert {word for line in heard[True] for word in line.split()} <= {
        word for line in heard[False] for word in line.split()
    }


def test_a_share_of_the_songs_is_sung() -> None:
    many = [slot for slot in slots(1, 3000) if singer_of(slot.genre, slot.artist)]
    half = {s.index for s in many if is_sung(1, s.index, s.genre, s.artist, 0.5)}
    third = {s.index for s in many if is_sung(1, s.index, s.genre, s.artist, 0.33)}
    assert 0.45 < len(half) / len(many) < 0.55
    assert third < half
    assert {SINGER_OF[s.artist] for s in many} == set(SINGERS)
    assert len(SINGERS) >= 4


def test_a_sung_corpus_has_its_words_beside_the_songs(sung_corpus: Path) -> None:
    found = 0
    for info in load_manifest(sung_corpus):
        song = json.loads(info.audio.with_suffix(".json").read_text())
        path = info.audio.with_suffix(".lrc")
        assert path.is_file() == bool(song["lyrics"])
        if not song["lyrics"]:
            assert "singer" not in song
            continue
        found += 1
        words = read_lyrics(str(path))
        stamped = [piece for piece in words.lyric_times if piece.text.strip()]
        assert [piece.text.strip() for piece in stamped] == [word["word"] for word in song["lyrics"]]
        times = [piece.seconds - word["start"] for piece, word in zip(stamped, song["lyrics"], strict=True)]
        assert np.abs(times).max() < 0.001
        read = song_lyrics(words, LyricsConfig(tokens=128), RATE)
        assert read.text == "".join(line["text"] + "\n" for line in song["lines"])
        assert not read.notes
        midi = mido.MidiFile(info.audio.with_suffix(".mid"))
        events = [message.text for track in midi.tracks for message in track if message.type == "lyrics"]
        assert events == [word["word"] for word in song["lyrics"]]
        assert song["singer"] == SINGER_OF[song["artist"]]
    assert found


@pytest.mark.slow
def test_songs_without_a_singer_stay_as_they_are(
    small_corpus: Path, sung_corpus: Path, tmp_path: Path
) -> None:
    make_corpus(tmp_path / "none", 1, SEED, singing=Singing(0.0))
    same = 0
    for name in ("s104-00000.flac", "s104-00000.mid", "s104-00000.json"):
        assert (tmp_path / "none/songs" / name).read_bytes() == (small_corpus / "songs" / name).read_bytes()
    for info in load_manifest(sung_corpus):
        if not info.audio.with_suffix(".lrc").exists():
            same += 1
            assert info.audio.read_bytes() == (small_corpus / "songs" / info.audio.name).read_bytes()
    assert same or all(singer_of(s.genre, s.artist) for s in slots(SEED, 3))


def test_the_voice_stands_in_front_of_the_band() -> None:
    slot = slots(7, 1)[0]
    score = score_of(slot, 7)
    part = sung_part(slot, 7, score, Singing(1.0))
    assert part is not None
    band = without_lead(score, part)
    rests = tuple(
        (a.end + 0.2, b.start - 0.05)
        for a, b in zip(part.lines, part.lines[1:], strict=False)
        if b.start - a.end > 0.4
    )
    above = []
    for samples in (render_score(band), render_score(band, part=part)):
        above.append(level_within(samples, part.spans()) - level_within(samples, rests))
    # 2 dB before the band: with it 4.1 dB more than the band alone, before the master.
    assert 2.5 < above[1] - above[0] < 5.5


def test_another_share_in_the_same_folder_is_refused(sung_corpus: Path) -> None:
    with pytest.raises(BadArguments) as caught:
        make_corpus(sung_corpus, 3, SEED, singing=Singing(0.5))
    assert str(caught.value) == (
        f"{sung_corpus} holds a corpus with sung 1.0, not 0.5: use sung 1.0 to go on with it, or another folder."
    )
    with pytest.raises(OutOfRange) as wrong:
        make_corpus(sung_corpus, 3, SEED, singing=Singing(1.5))
    assert str(wrong.value) == "A share of 1.5 of the songs cannot be sung: give 0 to 1."


def test_false_banks_are_named(tmp_path: Path) -> None:
    with pytest.raises(NoFile) as missing:
        read_bank(tmp_path / "none.npz")
    assert str(missing.value) == (
        f"The bank of voices {tmp_path / 'none.npz'} cannot be read (No such file or directory): give the path of one, "
        "or make it with `segue corpus voices make`."
    )
    false = tmp_path / "false.npz"
    for content in (b"nothing", b"", BANK.read_bytes()[:5000]):
        false.write_bytes(content)
        read_bank.cache_clear()
        with pytest.raises(
            BadFormat, match=r"is no bank of voices .* make one with `segue corpus voices make`"
        ):
            read_bank(false)
    other = io.BytesIO()
    np.savez(other, version=np.array(99))
    false.write_bytes(other.getvalue())
    read_bank.cache_clear()
    with pytest.raises(BadFormat, match="is no bank of voices"):
        read_bank(false)
    with pytest.raises(BadFormat) as lacking:
        sing_along(score_of(slots(7, 1)[0], 7), 7, 0, False, Bank({}, ""))
    assert "lacks '" in str(lacking.value)


@pytest.mark.slow
def test_check_measures_every_singer(monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(corpus, ["voices", "check", "--json"])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert [row["singer"] for row in rows] == list(SINGERS)
    for row in rows:
        assert row["cents_95"] < 30
        assert row["onset_ms_95"] < 20
    monkeypatch.setattr(check, "check_singers", lambda bank: [check.Figures(**row) for row in rows])
    table = CliRunner().invoke(corpus, ["voices", "check"], env={"COLUMNS": "140"}).stdout
    assert all(name in table for name in SINGERS)


def test_a_bank_is_read_as_it_was_written(tmp_path: Path) -> None:
    bank = read_bank()
    few = {name: word for name, word in bank.words.items() if name[1] in ("river", "see")}
    write_bank(tmp_path / "few.npz", few)
    again = read_bank(tmp_path / "few.npz")
    assert set(again.words) == set(few)
    for name, word in few.items():
        np.testing.assert_array_equal(again.words[name].envelope, word.envelope)
        np.testing.assert_array_equal(again.words[name].noise, word.noise)
        np.testing.assert_array_equal(again.words[name].voiced, word.voiced)
        assert again.words[name].vowels == word.vowels
