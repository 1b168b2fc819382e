"""From takes to a sheet: places in beats and samples, alternatives, children, tempi, what is heard."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engine.errors import NoFile, NoTake
from engine.request import Mode, Place, Pulse, Span, Style, StyleChange
from engine.take import Take
from engine.take.take import PRIME
from export.projects.arrange import sheet_of
from export.projects.sheet import Sheet, Signature, TempoChange, beats_of
from export.projects.sounds import Sounds
from tests.projects.making import RATE, frames_of, make_take, riff, tone


@pytest.fixture
def arrange(tmp_path: Path):
    (tmp_path / "sounds").mkdir()
    return lambda *takes, **more: sheet_of(takes, "Session", Sounds(tmp_path / "sounds"), **more)


def slots_of(sheet: Sheet, section: int = 0) -> list[tuple[list[str], Fraction]]:
    return [([clip.name for clip in slot.clips], slot.start) for slot in sheet.sections[section].slots]


def test_a_prime_of_four_bars_and_two_takes(tmp_path: Path, arrange):
    prime = riff(16, 124)
    assert prime.size == 341419  # 16 beats at 124 bpm are 341,419.35 samples
    takes = [
        make_take(tmp_path, prime=prime, frames=frames_of(beats, 124), bpm=124, seed=beats)
        for beats in (16, 8)
    ]
    sheet = arrange(*takes)
    assert sheet.tempo == (TempoChange(Fraction(0), Fraction(124)),)
    (section,) = sheet.sections
    assert section.prime is not None
    assert (section.prime.start, section.prime.length, section.prime.sound.frames) == (0, 16, 341419)
    assert slots_of(sheet) == [(["A01", "A02"], 16)]
    assert [clip.length for clip in section.slots[0].clips] == [16, 8]
    assert sheet.sample_at(Fraction(16)) == 341419
    assert sheet.seconds_at(Fraction(16)) == Fraction(16 * 60, 124)
    assert [marker.name for marker in sheet.markers] == ["my riff_120bpm", "A01 | A02"]
    assert (sheet.markers[0].at, sheet.markers[0].end) == (0, 32)


def test_children_lie_after_their_parents(tmp_path: Path, arrange):
    first = make_take(tmp_path, prime=riff(16, 120), frames=frames_of(16, 120), bpm=120)
    second = make_take(tmp_path, after=first, frames=frames_of(16, 120), bpm=120)
    middle = make_take(tmp_path, after=first, used=frames_of(8, 120), frames=frames_of(4, 120), bpm=120)
    third = make_take(tmp_path, after=second, frames=frames_of(4, 120), bpm=120)
    sheet = arrange(first, second, middle, third)
    assert slots_of(sheet) == [(["A01"], 16), (["A03"], 24), (["A02"], 32), (["A04"], 48)]
    assert [slot.after for slot in sheet.sections[0].slots] == ["my riff_120bpm", "A01", "A01", "A02"]


def test_a_take_that_was_not_asked_for_is_there_when_one_goes_on_from_it(tmp_path: Path, arrange):
    first = make_take(tmp_path, prime=riff(16, 120), frames=frames_of(16, 120), bpm=120)
    second = make_take(tmp_path, after=first, used=frames_of(8, 120), frames=frames_of(8, 120), bpm=120)
    sheet = arrange(second)
    assert slots_of(sheet) == [(["A01"], 16), (["A02"], 24)]
    notes = {clip.name: clip.note for clip in sheet.clips()}
    assert notes["A01"].endswith("here because a take goes on from it")
    assert "because" not in notes["A02"]


def test_a_lost_parent_costs_no_more_than_itself(tmp_path: Path, arrange):
    first = make_take(tmp_path, prime=riff(16, 120), frames=frames_of(16, 120), bpm=120)
    second = make_take(tmp_path, after=first, frames=frames_of(8, 120), bpm=120)
    shutil.rmtree(first.folder)
    sheet = arrange(second)
    (section,) = sheet.sections
    assert section.name == "before A02" and section.prime is not None
    assert section.prime.sound.frames == 8192
    assert section.prime.end == section.slots[0].start == 4  # the seam is on a bar line


def test_a_moved_takes_folder_keeps_its_families(tmp_path: Path, arrange):
    old = tmp_path / "old"
    first = make_take(old, prime=riff(16, 120), frames=frames_of(16, 120), bpm=120)
    second = make_take(old, after=first, frames=frames_of(8, 120), bpm=120)
    old.rename(tmp_path / "new")
    sheet = arrange(type(second).load(tmp_path / "new" / second.folder.name))
    assert slots_of(sheet) == [(["A01"], 16), (["A02"], 32)]


def test_versions_of_a_take_are_alternatives(tmp_path: Path, arrange):
    beats = frames_of(16, 120)
    first = make_take(tmp_path, prime=riff(16, 120), frames=beats, bpm=120, marks={"rating": 4})
    again = make_take(
        tmp_path,
        after=first,
        mode=Mode.INFILL,
        prime=first.prime().mono_samples(),
        frames=beats,
        bpm=120,
        span=Span(start_frame=0, stop_frame=1000),
    )
    finer = make_take(tmp_path, after=again, mode=Mode.UPSAMPLE, frames=beats, bpm=120)
    sheet = arrange(first, again, finer)
    assert slots_of(sheet) == [(["A01", "A02", "A03"], 16)]
    slot = sheet.sections[0].slots[0]
    assert slot.active == 2  # the last one: it has the rating of what it was made of


def test_the_best_is_heard_and_the_music_follows_it(tmp_path: Path, arrange):
    prime, bars = riff(16, 120), frames_of(16, 120)
    one = make_take(tmp_path, prime=prime, frames=bars, bpm=120, marks={"rating": 2})
    two = make_take(tmp_path, prime=prime, frames=bars, bpm=120, marks={"rating": 5})
    make_child = {"frames": frames_of(8, 120), "bpm": 120}
    after_one = make_take(tmp_path, after=one, **make_child)
    early = make_take(tmp_path, after=two, used=frames_of(4, 120), **make_child)
    late = make_take(tmp_path, after=two, **make_child)
    slots = {slot.clips[0].name: slot for slot in arrange(one, two, after_one, early, late).sections[0].slots}
    assert slots["A01"].active == 1 and slots["A01"].heard
    assert not slots["A03"].heard
    assert not slots["A04"].heard  # nobody thought it better than what it would cut off
    assert slots["A05"].heard and slots["A01"].cut == slots["A05"].start == 32


def test_a_better_rated_branch_cuts_its_parent(tmp_path: Path, arrange):
    one = make_take(tmp_path, prime=riff(16, 120), frames=frames_of(16, 120), bpm=120, marks={"rating": 3})
    branch = make_take(
        tmp_path,
        after=one,
        used=frames_of(12, 120),
        frames=frames_of(8, 120),
        bpm=120,
        marks={"rating": 4},
    )
    slots = arrange(one, branch).sections[0].slots
    assert (slots[0].cut, slots[0].end) == (28, 32)
    assert slots[1].heard


def test_primes_follow_one_another_each_in_its_tempo(tmp_path: Path, arrange):
    one = make_take(tmp_path, prime=riff(16, 124), frames=frames_of(8, 124), bpm=124)
    free = make_take(tmp_path, prime=tone(50_000, 100), frames=30_000, path="/riffs/rubato.wav")
    two = make_take(tmp_path, prime=riff(8, 90.5, 110), frames=frames_of(8, 90.5), bpm=90.5)
    sheet = arrange(one, free, two)
    assert [section.start for section in sheet.sections] == [0, 28, 36]  # an empty bar between them
    assert sheet.tempo == (
        TempoChange(Fraction(0), Fraction(124)),
        TempoChange(Fraction(36), Fraction(181, 2)),
    )
    rubato = sheet.sections[1]
    assert rubato.prime is not None and rubato.prime.bpm is None and rubato.slots[0].clips[0].bpm is None
    seam = sheet.seconds_at(rubato.slots[0].start) - sheet.seconds_at(rubato.start)
    assert seam == Fraction(50_000, RATE)
    assert sheet.seconds_at(Fraction(36)) == Fraction(36 * 60, 124)
    assert sheet.sections[2].slots[0].start == 44


def test_a_take_of_another_tempo_is_counted_in_its_own_beats(tmp_path: Path, arrange):
    one = make_take(tmp_path, prime=riff(16, 120), frames=frames_of(16, 120), bpm=120)
    slower = make_take(tmp_path, after=one, frames=frames_of(8, 100), bpm=100)
    after = make_take(tmp_path, after=slower, frames=frames_of(4, 120), bpm=120)
    sheet = arrange(one, slower, after)
    assert len(sheet.tempo) == 1
    assert slots_of(sheet) == [(["A01"], 16), (["A02"], 32), (["A03"], 40)]
    assert sheet.sections[0].slots[1].clips[0].bpm == 100


def test_bars_begin_where_they_are_known_to(tmp_path: Path, arrange):
    frames = frames_of(8, 120)
    pulse = Pulse(downbeat_frame=frames_of(1, 120))
    stated = make_take(tmp_path, prime=riff(15, 120), frames=frames, bpm=120, pulse=pulse)
    section = arrange(stated).sections[0]
    assert (section.slots[0].start + 1) % 4 == 0 and section.prime is not None and section.prime.start == 0
    odd = make_take(tmp_path, prime=tone(frames_of(14.5, 120), 50), frames=frames, bpm=120)
    section = arrange(odd).sections[0]
    assert section.slots[0].start == 16 and section.prime is not None
    assert section.prime.start == Fraction(3, 2)


def test_a_few_milliseconds_too_many_do_not_shift_the_bars(tmp_path: Path, arrange):
    long = np.concatenate([np.zeros(200, np.float32), riff(16, 120)])
    take = make_take(tmp_path, prime=long, frames=frames_of(8, 120), bpm=120)
    section = arrange(take).sections[0]
    assert section.prime is not None
    assert (section.prime.start, section.prime.offset, section.slots[0].start) == (0, 200, 16)


def test_other_time_signatures(tmp_path: Path, arrange):
    waltz = make_take(tmp_path, prime=riff(12, 120), frames=frames_of(6, 120), bpm=120, meter=(3, 4))
    other = make_take(tmp_path, prime=riff(6, 120, 99), frames=frames_of(6, 120), bpm=120, meter=(6, 8))
    sheet = arrange(waltz, other)
    assert sheet.tempo == (
        TempoChange(Fraction(0), Fraction(120), Signature(3, 4)),
        TempoChange(Fraction(21), Fraction(120), Signature(6, 8)),
    )
    assert [section.slots[0].start for section in sheet.sections] == [12, 27]


def test_a_known_place_in_the_song_is_kept(tmp_path: Path, arrange):
    more = {"frames": frames_of(8, 120), "bpm": 120}
    at_bar_nine = make_take(tmp_path, prime=riff(16, 120), place=Place(beat=32), **more)
    in_seconds = make_take(tmp_path, prime=riff(8, 120, 99), place=Place(seconds=4.0), **more)
    unplaced = make_take(tmp_path, prime=riff(8, 120, 55), **more)
    early = make_take(tmp_path, prime=riff(16, 120, 77), place=Place(beat=12), **more)
    sheet = arrange(at_bar_nine, in_seconds, unplaced, early)
    assert [section.slots[0].clips[0].name for section in sheet.sections] == ["A02", "A04", "A01", "A03"]
    assert [section.slots[0].start for section in sheet.sections] == [8, 12, 32, 52]
    cropped = sheet.sections[1].prime  # four beats of it lie before the song begins
    assert cropped is not None and (cropped.start, cropped.length) == (0, 12)
    assert cropped.offset == frames_of(4, 120)


def test_places_count_only_in_one_tempo(tmp_path: Path, arrange):
    one = make_take(tmp_path, prime=riff(16, 120), frames=50_000, bpm=120, place=Place(beat=64))
    two = make_take(tmp_path, prime=riff(16, 90), frames=50_000, bpm=90, place=Place(beat=64))
    assert [section.slots[0].start for section in arrange(one, two).sections] == [16, 40]


def test_changes_of_style_are_marked_where_they_are_heard(tmp_path: Path, arrange):
    changes = tuple(
        StyleChange(at_frame=frames_of(beats, 120), style=Style(genres={genre: 1.0}))
        for beats, genre in ((4, "reggae"), (12, "trap"))
    )
    take = make_take(tmp_path, prime=riff(16, 120), frames=frames_of(16, 120), bpm=120, style_changes=changes)
    child = make_take(tmp_path, after=take, used=frames_of(8, 120), frames=frames_of(8, 120), bpm=120)
    told = [(marker.at, marker.name) for marker in arrange(take, child).markers]
    assert (20, "A01: reggae") in told
    assert (28, "A01: trap") not in told  # the music has left by then


def test_from_nothing(tmp_path: Path, arrange):
    takes = [make_take(tmp_path, frames=frames_of(8, 120), bpm=120, seed=seed) for seed in (1, 2)]
    (section,) = arrange(*takes).sections
    assert section.prime is None and section.name == "from nothing" and section.start == 0
    assert len(section.slots[0].clips) == 2


def test_a_missing_prime_leaves_its_place_and_is_told(tmp_path: Path, arrange):
    take = make_take(tmp_path, prime=riff(16, 120), frames=frames_of(8, 120), bpm=120)
    (take.folder / PRIME).unlink()
    sheet = arrange(take)
    assert sheet.sections[0].prime is None and sheet.sections[0].slots[0].start == 16
    assert sheet.notes == (
        f"the prime 'my riff_120bpm' is left out, and its place left empty: '{take.folder / PRIME}' is missing",
    )


def test_no_takes_and_takes_without_audio(tmp_path: Path, arrange):
    with pytest.raises(NoTake, match="there is no take to export; keep or name at least one"):
        arrange()
    take = make_take(tmp_path, prime=riff(16, 120), frames=frames_of(8, 120), bpm=120)
    take.wav.unlink()
    with pytest.raises(NoFile, match=r"is gone \(continuation.wav is missing\); restore the file, or leave"):
        arrange(take)


def test_takes_of_one_name_and_marks_that_are_broken(tmp_path: Path, arrange):
    prime = riff(16, 120)
    takes = [
        make_take(tmp_path / day, prime=prime, frames=frames_of(8, 120), bpm=120, seed=seed)
        for seed, day in enumerate(("monday", "tuesday"))
    ]
    (takes[0].folder / "marks.json").write_text("{")
    assert slots_of(arrange(*takes)) == [(["A01", "A01 (2)"], 16)]


def test_a_take_that_claims_to_come_after_itself(tmp_path: Path, arrange):
    one = make_take(tmp_path, prime=riff(16, 120), frames=frames_of(8, 120), bpm=120)
    two = make_take(tmp_path, after=one, frames=frames_of(8, 120), bpm=120)
    three = make_take(tmp_path, after=two, frames=frames_of(8, 120), bpm=120)
    for take, parent in ((two, three), (three, two)):
        record = take.folder / "take.json"
        record.write_text(
            record.read_text().replace(take.info.head.request.parents[0].folder, str(parent.folder))
        )
    ring = [Take.load(take.folder) for take in (two, three)]
    assert len(slots_of(arrange(*ring))) == 2


def test_beats_of_rounded_samples():
    assert beats_of(341419, RATE, Fraction(124)) == 16
    assert beats_of(341421, RATE, Fraction(124)) == Fraction(341421, RATE) * 124 / 60
    assert beats_of(22050, RATE, Fraction(120)) == 1


def test_tempo_changes_must_be_in_order():
    with pytest.raises(ValueError, match="in order of time, the first at beat 0"):
        Sheet("x", RATE, (TempoChange(Fraction(4), Fraction(120)),), (), ())
