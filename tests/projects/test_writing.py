"""Projects on disk: whole or not there, nothing overwritten, whatever the disk and the names are."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import mido
import pytest
import soundfile

from engine.errors import NoFile, NoTake, PathNotAllowed
from engine.take import Take
from export.projects import writing
from export.tracks.targets import export
from export.tracks.wishes import TrackWishes
from tests.often import often
from tests.projects.making import RATE, frames_of, make_take, riff
from tests.projects.schema import problems
from tests.projects.session import make_session

TARGETS = ("dawproject", "rpp", "folder")


def write(target: str, takes: list[Take], out: Path) -> list[Path]:
    return export(target, takes, TrackWishes(), out)


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def takes(tmp_path: Path) -> list[Take]:
    prime = riff(8, 120)
    return [
        make_take(tmp_path / "takes", prime=prime, frames=frames_of(8, 120), bpm=120, seed=seed)
        for seed in (1, 2)
    ]


def test_a_folder_holds_something_for_everybody(tmp_path: Path):
    takes = make_session(tmp_path / "takes")
    there, *files = write("folder", takes, tmp_path / "out")
    assert visible(there) == ["README.txt", "audio", "session.dawproject", "session.rpp", "tempo.mid"]
    assert visible(tmp_path / "out") == ["session"] == [there.name]
    assert {there / "audio" / name for name in visible(there / "audio")} == set(files[4:])
    assert all(path.is_file() for path in files)
    with zipfile.ZipFile(there / "session.dawproject") as archive:
        assert problems("Project.xsd", archive.read("project.xml")) == []
        for path in files[4:]:
            assert archive.read(f"audio/{path.name}") == path.read_bytes()
    assert mido.MidiFile(there / "tempo.mid", charset="utf-8").ticks_per_beat == 960
    told = (there / "README.txt").read_text()
    for daw in ("REAPER", "Live", "Bitwig", "Logic", "Cubase", "Studio One", "FL Studio", "Ardour"):
        assert daw in told
    (line,) = (line for line in told.splitlines() if "A03:" in line)
    sample = round(28 * 60 / 124 * RATE)
    assert line.split()[1:5] == ["8.1", f"{28 * 60 / 124:.4f}", "s", str(sample)]


def test_reaper_finds_its_files_beside_the_project(tmp_path: Path):
    rpp = pytest.importorskip("rpp", reason="needs rpp, of the extra 'test'")
    (path,) = write("rpp", make_session(tmp_path / "takes"), tmp_path / "out")
    assert path == tmp_path / "out" / "session" / "session.rpp"
    named = [line[1] for source in rpp.loads(path.read_text()).iter("SOURCE") for line in source]
    assert len(set(named)) == 9
    for name in named:
        assert soundfile.info(path.parent / name).frames > 0


def test_nothing_is_overwritten(tmp_path: Path, takes: list[Take]):
    out = tmp_path / "out"
    for target in TARGETS:
        first, second = write(target, takes, out)[0], write(target, takes, out)[0]
        assert first != second and first.exists() and second.exists()
    assert visible(out) == [
        "session",
        "session.dawproject",
        "session_2",
        "session_2.dawproject",
        "session_3",
        "session_4",
    ]
    (path,) = write("dawproject", takes[:1], out)
    assert path.name == f"{takes[0].folder.name}.dawproject"


@pytest.mark.parametrize("target", TARGETS)
def test_no_takes(tmp_path: Path, target: str):
    with pytest.raises(NoTake, match="there is no take to export; keep or name at least one"):
        write(target, [], tmp_path / "out")
    assert visible(tmp_path / "out") == []


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that not even root may write to")
def test_a_folder_that_may_not_be_written(takes: list[Take], target: str):
    with pytest.raises(PathNotAllowed, match="may not be written; choose a folder that you may write to"):
        write(target, takes, Path("/sys/segue"))


@pytest.mark.parametrize("target", TARGETS)
def test_a_file_where_the_folder_should_be(tmp_path: Path, takes: list[Take], target: str):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(NoFile, match="cannot be written because its folder is missing or is a file"):
        write(target, takes, tmp_path / "out" / "deeper")
    assert (tmp_path / "out").read_text() == "mine"


LIMITED = """
import resource, sys, signal
from pathlib import Path
from engine.errors import SegueError
from engine.take import Take
from export.tracks.targets import export
from export.tracks.wishes import TrackWishes
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
takes = [Take.load(folder) for folder in sys.argv[4:]]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    export(sys.argv[1], takes, TrackWishes(), Path(sys.argv[2]))
except SegueError as error:
    print(error.slug, error.message)
"""


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "room", often((1000, 600_000), but=(1000,))
)  # not even the first sound; not the whole of them in one file
def test_a_full_disk_in_the_middle(tmp_path: Path, takes: list[Take], target: str, room: int):
    out = tmp_path / "out"
    if target == "rpp" and room > 1000:
        room = 50_000
    command = [
        sys.executable,
        "-c",
        LIMITED,
        target,
        str(out),
        str(room),
        *(str(t.folder) for t in takes),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.startswith(f"disk_full there is no room to export to '{out}'; free some space"), done
    assert visible(out) == []


KILLED = """
import os, sys
from pathlib import Path
from engine.take import Take
from export.tracks.targets import export
from export.tracks.wishes import TrackWishes
seen = 0
def count(event, arguments):
    global seen
    if event in ("open", "os.rename", "os.link", "os.mkdir") and ".part" in str(arguments):
        seen += 1
        if seen == int(sys.argv[2]):
            os.kill(os.getpid(), 9)
sys.addaudithook(count)
export("folder", [Take.load(folder) for folder in sys.argv[3:]], TrackWishes(), Path(sys.argv[1]))
print("whole")
"""


@pytest.mark.slow
def test_a_kill_at_any_step_leaves_nothing_half_done(tmp_path: Path, takes: list[Take]):
    folders = [str(take.folder) for take in takes[:1]]
    steps = 0
    for step in range(1, 60, 6):
        out = tmp_path / f"out{step}"
        out.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(out), str(step), *folders],
            capture_output=True,
            text=True,
            timeout=120,
        )
        there = [name for name in visible(out) if not name.startswith(".")]
        if "whole" in done.stdout:
            assert len(there) == 1
            break
        steps += 1
        assert done.returncode == -9 and there == []
    assert 2 <= steps < 9


def test_what_a_kill_left_is_swept_up_later(tmp_path: Path, takes: list[Take]):
    out = tmp_path / "out"
    old, new, mine = (out / name for name in (".session.1.part", ".session.2.part", ".mine"))
    for folder in (old, new, mine):
        (folder / "audio").mkdir(parents=True)
    for folder in (old, mine):
        os.utime(folder, (0, 0))
    write("rpp", takes, out)
    assert visible(out) == [".mine", ".session.2.part", "session"]


def test_names_of_any_kind(tmp_path: Path):
    prime = riff(8, 120)
    names = ["Über/..\\\\x", "ジュース", "😀", "a" * 80, "A&B <c>", "con"]
    takes = [
        make_take(tmp_path / "takes", prime=prime, frames=20_000, bpm=120, name=name, path=f"/r/{name}\n.wav")
        for name in names
    ]
    there, *files = write("folder", takes, tmp_path / "out")
    assert all(path.name.isascii() and " " not in path.name for path in files)
    assert len(files) == 4 + 1 + len(names)
    with zipfile.ZipFile(there / "session.dawproject") as archive:
        text = archive.read("project.xml")
    assert problems("Project.xsd", text) == []
    from lxml import etree

    tracks = [track.get("name") for track in etree.fromstring(text).iter("Track")]
    assert tracks[1:-1] == names


def test_the_version_is_that_of_the_package():
    assert writing._version()[0].isdigit()
