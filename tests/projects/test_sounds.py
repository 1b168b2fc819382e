"""What becomes of the sounds on their way into a project."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from engine.analysis.seams import clicks
from engine.take import Take
from engine.take.take import PRIME
from export.projects.arrange import sheet_of
from export.projects.sheet import Sheet
from export.projects.sounds import Sounds, plain
from export.tracks.track import FinishedTrack
from export.tracks.wishes import TrackWishes
from tests.projects.making import RATE, frames_of, make_take, riff, tone


def laid_out(tmp_path: Path, *takes: Take, **wishes: object) -> tuple[Sheet, list[FinishedTrack]]:
    told: list[FinishedTrack] = []
    (tmp_path / "sounds").mkdir()
    sounds = Sounds(tmp_path / "sounds", TrackWishes.model_validate(wishes), told.append)
    return sheet_of(takes, "x", sounds), told


def heard(sheet: Sheet, name: str) -> np.ndarray:
    (clip,) = (clip for clip in sheet.clips() if clip.name == name)
    return soundfile.read(clip.sound.source, dtype="float32")[0]


def test_the_prime_is_there_bit_for_bit_and_flows_into_the_take(tmp_path: Path):
    prime = riff(8, 120)
    take = make_take(tmp_path, prime=prime, frames=frames_of(8, 120), bpm=120, hertz=300)
    sheet, told = laid_out(tmp_path, take)
    assert np.array_equal(heard(sheet, "my riff_120bpm"), prime)
    both = np.concatenate([prime, heard(sheet, "A01")])
    cut = np.concatenate([prime, take.audio().mono_samples()])
    assert clicks(both, RATE, [prime.size])[0] < clicks(cut, RATE, [prime.size])[0] - 6
    assert told[0].begin == 0 and told[0].frames == heard(sheet, "A01").size == frames_of(8, 120)


def test_a_child_is_given_the_gain_of_its_parent(tmp_path: Path):
    loud = np.clip(4.0 * riff(8, 120), -1, 1)
    one = make_take(tmp_path, prime=loud, frames=frames_of(8, 120), bpm=120)
    two = make_take(tmp_path, after=one, frames=frames_of(8, 120), bpm=120, hertz=500)
    _, told = laid_out(tmp_path, one, two)
    gains = [track.done.gain_db for track in told]
    assert gains[0] > 3 and gains[1] == pytest.approx(gains[0])
    middle = slice(RATE, 2 * RATE)
    made = two.audio().mono_samples()[middle]
    loud_enough = np.abs(made) > 1e-3
    raised = told[1].samples[middle][loud_enough] / made[loud_enough]
    assert np.median(raised) == pytest.approx(10 ** (gains[0] / 20), rel=1e-3)


def test_what_another_goes_on_from_is_not_cut_to_whole_bars(tmp_path: Path):
    odd = frames_of(10, 120)
    one = make_take(tmp_path, prime=riff(8, 120), frames=odd, bpm=120)
    leaf = make_take(tmp_path, after=one, frames=odd, bpm=120)
    sheet, _ = laid_out(tmp_path, one, leaf)
    assert heard(sheet, "A01").size == odd and heard(sheet, "A02").size == frames_of(8, 120)
    first, second = (slot.clips[0] for slot in sheet.sections[0].slots)
    assert first.end == second.start == 18


def test_another_rate_is_for_all(tmp_path: Path):
    take = make_take(tmp_path, prime=riff(8, 120), frames=frames_of(8, 120), bpm=120)
    sheet, _ = laid_out(tmp_path, take, rate=48_000, bits="float32")
    assert sheet.rate == 48_000
    for clip in sheet.clips():
        info = soundfile.info(clip.sound.source)
        assert (info.samplerate, info.frames, info.subtype) == (48_000, 4 * 48_000, "FLOAT")
    assert [clip.start for clip in sheet.clips()] == [0, 8]


def test_a_broken_prime_costs_the_seam_only(tmp_path: Path):
    take = make_take(tmp_path, prime=tone(40_000, 200), frames=30_000)
    (take.folder / PRIME).unlink()
    sheet, told = laid_out(tmp_path, take)
    assert len(list(sheet.clips())) == 1 and "its prime cannot be read" in told[0].done.notes[0]


def test_names_of_files():
    assert plain("Ä/b: c\\..") == "A_b_c" and plain("😀") == "sound" and len(plain("x" * 300)) == 90
