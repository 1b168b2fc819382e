"""`segue export take`, as a user meets it."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from bridge.cli import segue
from engine.take import TakeWriter, recover
from engine.take.marks import Marks, write_marks
from tests.take.growing import events, prime, request
from tests.tracks.made import RATE, made, sine


def ran(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(segue, ["export", "take", *map(str, words)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def partial(root: Path, count: int) -> Path:
    """A take that was interrupted after so many events."""
    writer = TakeWriter.create(root, request(), "hash", prime())
    for event, _ in zip(events(), range(count), strict=False):
        writer.event(event)
    writer.close()
    return recover(writer.folder).folder


@pytest.fixture
def takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The usual takes folder, with two takes."""
    root = tmp_path / "takes"
    monkeypatch.setenv("SEGUE_TAKES", str(root))
    made(root, sine(100_000), sine(RATE), bpm=120.0)
    other = made(root, sine(60_000), sine(RATE))
    write_marks(other.folder, Marks(name="Über"))
    return root


@pytest.mark.parametrize("wanted", ["A02", "a02", "2", "über", "folder", "path", "file"])
def test_a_take_by_whatever_it_is_called(takes: Path, wanted: str) -> None:
    folder = sorted(takes.glob("2*"))[1]
    named = {"folder": folder.name, "path": folder, "file": folder / "continuation.wav"}.get(wanted, wanted)
    code, told, complaints = ran(named)
    assert (code, complaints) == (0, "")
    assert told == f"{takes / 'exports' / 'Uber_s7.wav'}\n"
    assert soundfile.info(told.strip()).frames == 60_000


def test_figures_as_json_and_notes_for_people(takes: Path, tmp_path: Path) -> None:
    wishes = (
        "--to",
        "flac",
        "--bits",
        16,
        "--rate",
        48_000,
        "--loop",
        "--loudness",
        -20,
        "--out",
        tmp_path / "new" / "out",
    )
    code, told, _ = ran("1", "2", *wishes, "--json")
    figures = json.loads(told)
    assert code == 0 and figures["target"] == "flac"
    first, second = (Path(path) for path in figures["paths"])
    assert [first.name, second.name] == ["A01_120bpm_s7_loop.flac", "Uber_s7_loop.flac"]
    assert first.parent == tmp_path / "new" / "out"
    info = soundfile.info(first)
    assert (info.samplerate, info.subtype, info.frames) == (48_000, "PCM_16", 96_000)  # one bar of 2 s
    track = figures["tracks"][0]
    assert (track["bars"], track["bpm"], track["seconds"], track["placed"]) == (1, 120.0, 2.0, False)
    assert track["lufs"] == pytest.approx(-20.0, abs=0.1) and track["true_peak_dbtp"] < -1
    assert "it is cut to 1 whole bars; 0.27 s behind them are left out" in track["notes"]
    code, told, complaints = ran("1")
    assert (
        code == 0 and complaints == "segue: A01: it is cut to 1 whole bars; 0.27 s behind them are left out\n"
    )


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["9"], "there is no take '9'; the nearest is 2"),
        (
            ["1", "--to", "wave"],
            "there is no export target 'wave'; the nearest is 'wav', of wav, flac, float",
        ),
        (["1", "--to", "Ωmega"], "there is no export target 'Ωmega'; the nearest is '"),
        (
            ["1", "--loudness", "loud"],
            "--loudness is 'loud'; write prime, made, or a loudness in LUFS such as -14",
        ),
        (["1", "--loudness", "-3"], "the loudness is -3 LUFS; it must be from -40 to -5, such as -14"),
        (
            ["1", "--loudness", "nan"],
            "--loudness is 'nan'; write prime, made, or a loudness in LUFS such as -14",
        ),
        (["1", "--loop", "--full"], "a loop has no prime in front, since its end meets its own beginning; "),
        (
            ["1", "--to", "flac", "--bits", "float32"],
            "FLAC holds whole numbers only; choose 16 or 24 bits, or WAV",
        ),
        (
            ["1", "--out", "{takes}/file"],
            "'{takes}/file' cannot be written because its folder is missing or is a file",
        ),
    ],
)
def test_mistakes_are_one_sentence(takes: Path, words: list[str], sentence: str) -> None:
    (takes / "file").write_text("in the way")
    code, told, complaints = ran(*(word.format(takes=takes) for word in words))
    assert (code, told) == (2, "") and complaints.startswith(f"segue: {sentence.format(takes=takes)}")
    assert not list(takes.glob("exports/*"))


def test_takes_of_several_days_are_told_apart(takes: Path) -> None:
    first, second = sorted(takes.glob("2*"))
    write_marks(second, Marks())
    code, told, _ = ran("1", "2")
    assert code == 0
    first.rename(takes / f"{second.name[:-4]}_A02".replace(second.name[:10], "2020-01-01"))
    assert len(ran("A02")[1].splitlines()) == 1  # a number means one take, whatever its folder ends with
    _, told, _ = ran(*(folder for folder in sorted(takes.glob("2*"))))
    names = [Path(line).name for line in told.splitlines()]
    assert sorted(name[:3] for name in names) == ["A02", "A03"]


def test_takes_that_were_cut_short(tmp_path: Path) -> None:
    nothing = partial(tmp_path, 3)
    assert ran(nothing) == (
        2,
        "",
        "segue: the take A01 holds no audio yet; resume it before it is exported\n",
    )
    some = partial(tmp_path, 38)  # nine of sixteen windows
    code, told, complaints = ran(some, "--takes", tmp_path)
    assert code == 0 and soundfile.info(told.strip()).frames == 43_008 * 9 // 16
    assert complaints == "segue: A02: the take was cut short: 0.55 s of 0.98 s were made\n"


def test_takes_from_nothing_and_without_their_prime(tmp_path: Path) -> None:
    take = made(tmp_path, sine(88_200 * 2), None, bpm=120.0)
    code, told, complaints = ran(take.folder, "--takes", tmp_path)
    assert (code, complaints) == (0, "") and told.endswith("A01_120bpm_s7.wav\n")
    code, told, complaints = ran(take.folder, "--takes", tmp_path, "--loop")
    assert code == 0 and "the last bar was given up, so that the loop's end goes on" in complaints
    assert soundfile.info(told.strip()).frames == 88_200
    assert ran(take.folder, "--full")[2] == (
        "segue: the take A01 was made from nothing, so no prime goes in front of it\n"
    )
    primed = made(tmp_path, sine(50_000), sine(RATE))
    (primed.folder / "prime.wav").unlink()
    code, told, complaints = ran(primed.folder, "--takes", tmp_path)
    assert code == 0 and complaints.startswith(
        "segue: A02: its prime cannot be read, so nothing is matched to it: "
    )
    assert ran(primed.folder, "--full")[0] == 2


def test_a_take_of_a_model_that_is_gone_is_exported(tmp_path: Path) -> None:
    take = made(tmp_path, sine(50_000), sine(RATE), model="a model that nobody has")
    code, told, complaints = ran(take.folder, "--takes", tmp_path)
    assert (code, complaints) == (0, "") and soundfile.info(told.strip()).frames == 50_000


def test_broken_files_of_a_take(tmp_path: Path) -> None:
    take = made(tmp_path, sine(50_000), sine(RATE))
    (take.folder / "marks.json").write_text("{")
    code, _, complaints = ran(take.folder, "--takes", tmp_path)
    assert code == 0 and "holds no marks of a take" in complaints
    (take.folder / "continuation.wav").write_bytes(b"RIFF")
    code, told, complaints = ran(take.folder, "--takes", tmp_path)
    assert (code, told) == (2, "") and complaints.startswith(
        f"segue: '{take.folder / 'continuation.wav'}' cannot be read as audio"
    )
    (take.folder / "continuation.wav").unlink()
    assert ran(take.folder)[2].startswith(f"segue: there is no file '{take.folder / 'continuation.wav'}'")


def test_a_full_disk_leaves_what_was_done_and_no_half_file(takes: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (250_000, limits[1]))  # what a full disk looks like to a writer
    try:
        code, told, complaints = ran("2", "1", "--to", "wav")  # 180 kB, then 265 kB
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (code, told) == (2, "")
    assert complaints == (
        f"segue: there is no room to export to '{takes / 'exports'}'; free some space or choose another folder. "
        "The takes are as they were\n"
    )
    assert [path.name for path in (takes / "exports").iterdir()] == ["Uber_s7.wav"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(takes: Path) -> None:
    (takes / "exports").mkdir(mode=0o555)
    code, _, complaints = ran("1")
    assert code == 2 and complaints.endswith("may not be written; choose a folder that you may write to\n")


def test_places_without_hard_links(takes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")  # what exFAT says

    monkeypatch.setattr("os.link", refuse)
    first = ran("2")[1]
    assert ran("2")[1] == first and ran("2", "--bits", 16)[1].endswith("Uber_s7-2.wav\n")
    assert len(list((takes / "exports").iterdir())) == 2
    assert np.abs(soundfile.read(first.strip())[0]).max() > 0.1
