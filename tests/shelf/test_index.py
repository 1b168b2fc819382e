"""The index of a takes folder: what it tells, how it heals, and that the folders are the truth."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import BadFormat, Busy, DiskFull
from engine.shelf import index as index_module
from engine.shelf.changing import change_marks, throw_away
from engine.shelf.index import Index
from engine.take import recover
from tests.shelf.shelves import DAY, known, lines, many
from tests.take.test_take import grow


def test_a_take_is_announced_in_one_line_when_it_is_there(tmp_path: Path) -> None:
    takes = [grow(tmp_path).finish() for _ in range(2)]
    told = lines(tmp_path)
    assert [(line["do"], line["number"], line["folder"], line["place"]) for line in told] == [
        ("take", number, take.folder.name, take.folder.name) for number, take in enumerate(takes, 1)
    ]
    record = json.loads((takes[0].folder / "take.json").read_text())
    assert told[0]["metrics"] == record["metrics"]
    assert (told[0]["seed"], told[0]["frames"], told[0]["rate"]) == (3, 43_008, 44_100)
    assert (told[0]["state"], told[0]["fidelity"], told[0]["model"]) == ("complete", "full", "starter")
    assert told[0]["model_hash"] == "hash" and told[0]["created"] == record["head"]["created"]
    assert (tmp_path / "index.jsonl").read_bytes().count(b"\n") == 2


def test_a_take_that_was_cut_short_is_announced_and_again_when_it_is_whole(tmp_path: Path) -> None:
    writer = grow(tmp_path, stop_after=30)
    writer.close()
    assert Index(tmp_path).refresh() == []
    take = recover(writer.folder)
    (entry,) = Index(tmp_path).refresh()
    assert (entry.listed.state, entry.listed.frames) == ("partial", take.info.frames)
    assert entry.listed.held == take.info.held == take.info.frames > 0
    assert [line["state"] for line in lines(tmp_path)] == ["partial"]


def test_what_is_made_in_a_folder_of_somebodys_choosing_is_no_line(tmp_path: Path) -> None:
    """Such as the nodes of a tree, which lie in each other."""
    from engine.take import TakeWriter
    from tests.take.growing import events, prime, request

    writer = TakeWriter.create(tmp_path, request(), "hash", prime(), place=tmp_path / "tree" / "1")
    for event in events():
        writer.event(event)
    writer.finish()
    assert not list(tmp_path.rglob("index.jsonl"))


def test_a_deleted_index_is_rebuilt_with_numbers_marks_and_trash(tmp_path: Path) -> None:
    root = tmp_path / "takes"
    many(root, 30)
    shelf = Index(root)
    shelf.refresh()
    change_marks(shelf, f"{DAY}_000004_A04", rating=4, name="Chorus – naïve 音楽", color="#e0a030", kept=True)
    throw_away(shelf, f"{DAY}_000007_A07")
    before = Index(root).refresh()
    (root / "index.jsonl").unlink()
    after = Index(root).refresh()
    assert [(e.number, e.place, e.listed) for e in after] == [(e.number, e.place, e.listed) for e in before]
    assert after[3].listed.marks == {
        "name": "Chorus – naïve 音楽",
        "rating": 4,
        "color": "#e0a030",
        "kept": True,
    }
    assert after[6].place == f".trash/{DAY}_000007_A07"
    assert len(lines(root)) == 30


def test_folders_of_several_days_that_end_alike_get_numbers_of_their_own(tmp_path: Path) -> None:
    """As they were named before numbers went through: every day from A01 on."""
    folders = many(tmp_path / "takes", 5)
    folders[3].rename(folders[3].with_name("2026-03-02_100000_A01"))
    folders[4].rename(folders[4].with_name("2026-03-02_100001_A02"))
    numbers = known(tmp_path / "takes")
    assert numbers == {
        1: folders[0].name,
        2: folders[1].name,
        3: folders[2].name,
        4: "2026-03-02_100000_A01",
        5: "2026-03-02_100001_A02",
    }
    assert grow(tmp_path / "takes").finish().folder.name.endswith("_A04")
    assert max(known(tmp_path / "takes")) == 6


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 5_000), flip=st.one_of(st.none(), st.integers(0, 5_000)))
def test_whatever_is_torn_no_take_is_lost(tmp_path: Path, cut: int, flip: int | None) -> None:
    root = tmp_path / "takes"
    if not root.exists():
        many(root, 6)
    (root / "index.jsonl").unlink(missing_ok=True)
    shelf = Index(root)
    shelf.refresh()
    data = bytearray((root / "index.jsonl").read_bytes())
    del data[max(0, len(data) - cut) :]
    if flip is not None and data:
        data[-1 - flip % len(data)] ^= 0x40
    (root / "index.jsonl").write_bytes(bytes(data) + b'{"v": 1, "do": "take", "folder": "half a li')
    assert list(known(root)) == [1, 2, 3, 4, 5, 6]
    change_marks(Index(root), f"{DAY}_000003_A03", rating=5)
    last = lines(root)[-1]
    assert (last["do"], last["folder"], last["marks"]) == ("marks", f"{DAY}_000003_A03", {"rating": 5})
    (root / f"{DAY}_000003_A03" / "marks.json").unlink()


@pytest.mark.parametrize(
    "foreign",
    [
        b"\x00" * 4096,
        b"[1, 2]\n7\nnull\n",
        b'{"v": 2, "do": "take", "folder": "later"}\n',
        b'{"v": 1, "do": "take", "folder": "x", "number": "1", "place": "x"}\n',
        b'{"v": 1, "do": "marks", "folder": "nobody", "marks": {"rating": 3}, "before": {}, "stamp": []}\n',
        b'{"v": 1, "do": "juggle", "folder": "2026-03-01_000001_A01"}\n',
        b'{"v": 1, "do": "marks", "folder": "2026-03-01_000001_A01", "marks": {"rating": 9}, "before": {}}\n',
        "\u2028 not ours\n".encode(),
        b"\xff\xfe\n",
    ],
)
def test_lines_of_something_else_are_passed_over(tmp_path: Path, foreign: bytes) -> None:
    root = tmp_path / "takes"
    many(root, 2)
    Index(root).refresh()
    with (root / "index.jsonl").open("ab") as file:
        file.write(foreign)
    entries = Index(root).refresh()
    assert [(entry.number, entry.listed.marks["rating"]) for entry in entries] == [(1, 0), (2, 0)]


def test_what_was_done_without_the_index_is_found(tmp_path: Path) -> None:
    root = tmp_path / "takes"
    folders = many(root, 4)
    watching = Index(root)
    watching.refresh()
    (folders[0] / "marks.json").write_text('{"rating": 2, "name": "by hand"}')
    (root / ".trash").mkdir()
    folders[1].rename(root / ".trash" / folders[1].name)
    shutil.rmtree(folders[2])
    shutil.copytree(folders[3], root / "a copy – копия")
    first, second, fourth, copy = watching.refresh()
    assert first.listed.marks["rating"] == 2 and first.name == "by hand"
    assert second.trashed and second.number == 2
    assert fourth.number == 4 and (copy.number, copy.folder) == (5, "a copy – копия")
    assert known(root) == {1: first.place, 2: second.place, 4: fourth.place, 5: copy.place}
    assert (
        watching.refresh() == [first, second, fourth, copy] and len(lines(root)) == 8
    )  # nothing more was new


def test_foreign_files_are_left_alone_and_broken_takes_are_told(tmp_path: Path) -> None:
    root = tmp_path / "takes"
    folders = many(root, 2)
    (root / "notes.txt").write_text("mine")
    (root / "captures").mkdir()
    (root / "song.als").write_bytes(b"\x1f\x8b")
    (root / ".hidden").mkdir()
    (root / os.fsdecode(b"caf\xe9")).mkdir()  # not UTF-8
    (folders[1] / "take.json").write_text("{")
    (folders[0] / "marks.json").write_text('{"rating": 9}')
    shelf = Index(root)
    (entry,) = shelf.refresh()
    assert entry.number == 1 and entry.listed.marks["rating"] == 0
    marks, broken = sorted(shelf.problems)
    assert broken == (
        f"the take in '{folders[1]}' is left out: take.json in '{folders[1]}' is broken at its start: "
        "Invalid JSON: EOF while parsing an object at line 1 column 1"
    )
    assert marks == (
        f"'{folders[0] / 'marks.json'}' holds no marks of a take; its name, rating and colour are left out, and the "
        "next mark replaces the file"
    )
    for _ in range(3):
        assert len(Index(root).refresh()) == 1
    assert len(lines(root)) == 1 and (root / "notes.txt").read_text() == "mine"


def test_a_folder_whose_name_is_no_text(tmp_path: Path) -> None:
    root = tmp_path / "takes"
    (folder,) = many(root, 1)
    name = os.fsdecode(b"caf\xe9_A07")
    folder.rename(root / name)
    assert known(root) == {7: name} == known(root)
    change_marks(Index(root), name, rating=3)
    assert [entry.listed.marks["rating"] for entry in Index(root).refresh()] == [3]
    assert len(lines(root)) == 2


def test_no_root_no_takes(tmp_path: Path) -> None:
    assert Index(tmp_path / "nowhere").refresh() == []
    (tmp_path / "file").write_text("")
    assert Index(tmp_path / "file").refresh() == []
    assert not (tmp_path / "nowhere").exists()


# -- disks that say no -------------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_the_index_as_it_was(tmp_path: Path) -> None:
    root = tmp_path / "takes"
    many(root, 40)
    shelf = Index(root)
    shelf.refresh()
    before = (root / "index.jsonl").read_bytes()
    assert len(before) > 20_000
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        with pytest.raises(DiskFull) as raised:
            change_marks(shelf, f"{DAY}_000001_A01", rating=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.message.startswith(
        f"there is no room to write '{root / 'index.jsonl'}'; free some space"
    )
    assert (root / "index.jsonl").read_bytes() == before
    # The mark itself was on disk before: the next look finds it, whoever looks.
    assert Index(root).refresh()[0].listed.marks["rating"] == 1
    change_marks(shelf, f"{DAY}_000001_A01", rating=2)
    assert lines(root)[-1]["before"] == {"rating": 1}


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="mounting a disk needs root")
def test_a_read_only_folder_is_listed_all_the_same(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        many(disk / "takes", 5)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert list(known(disk / "takes")) == [1, 2, 3, 4, 5]
        assert not (disk / "takes" / "index.jsonl").exists()
        from engine.errors import PathNotAllowed

        with pytest.raises(PathNotAllowed, match="may not be written; choose a folder that you may write to"):
            change_marks(Index(disk / "takes"), f"{DAY}_000001_A01", rating=1)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_lock_that_nobody_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "takes"
    many(root, 2)
    monkeypatch.setattr(index_module, "LOCK_SECONDS", 0.1)
    with FileLock(root / ".index.lock"):
        assert len(Index(root).refresh()) == 2  # listing waits for nobody for long
        with pytest.raises(Busy) as raised:
            change_marks(Index(root), f"{DAY}_000001_A01", rating=1)
        assert raised.value.message == (
            f"another program keeps '{root / '.index.lock'}' locked; end it and try again"
        )
        made = grow(root).finish()  # a take does not fail of it
    assert not (root / "index.jsonl").exists()
    assert known(root)[3] == made.folder.name


def test_a_broken_take_is_not_announced(tmp_path: Path) -> None:
    (folder,) = many(tmp_path / "takes", 1)
    (folder / "take.json").write_text('{"state": "complete"}')
    with pytest.raises(BadFormat, match=r"take\.json in '.*' is broken at head: Field required"):
        Index(tmp_path / "takes").announce(folder)


# -- light and fast ----------------------------------------------------------------------------------------------------


def test_reading_loads_neither_numpy_nor_pydantic(tmp_path: Path) -> None:
    many(tmp_path / "takes", 3)
    Index(tmp_path / "takes").refresh()
    code = (
        "import sys; from pathlib import Path; from engine.shelf.index import Index; import engine.shelf.finding\n"
        f"assert len(Index(Path({str(tmp_path / 'takes')!r})).refresh()) == 3\n"
        "print({'numpy', 'pydantic', 'torch', 'soundfile', 'filelock'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
