"""Marks, trash and undo through the index; by several processes at once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import Busy, NoTake, NothingToUndo, OutOfRange
from engine.shelf.changing import bring_back, change_marks, throw_away, undo
from engine.shelf.finding import find
from engine.shelf.index import Index
from tests.shelf.shelves import DAY, known, lines, many


@pytest.fixture
def root(tmp_path: Path) -> Path:
    many(tmp_path / "takes", 12)
    return tmp_path / "takes"


@pytest.fixture
def shelf(root: Path) -> Index:
    index = Index(root)
    index.refresh()
    return index


def name_of(number: int) -> str:
    return f"{DAY}_{number:06d}_A{number:02d}"


def marks(root: Path, number: int) -> dict[str, object]:
    return json.loads((root / name_of(number) / "marks.json").read_text())


def test_marks_are_on_disk_and_one_line_tells_what_changed(shelf: Index, root: Path) -> None:
    change_marks(shelf, name_of(3), label="rate", rating=4)
    change_marks(shelf, name_of(3), label="name", name="Chorus", kept=True)
    assert marks(root, 3) == {"schema_version": 1, "name": "Chorus", "rating": 4, "color": "", "kept": True}
    last = lines(root)[-1]
    assert (last["marks"], last["before"]) == ({"name": "Chorus", "kept": True}, {"name": "", "kept": False})
    assert last["label"] == "name A03"
    assert change_marks(shelf, name_of(3), rating=4) is None
    assert lines(root)[-1] == last


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"rating": 6}, "the rating is '6'; input should be less than or equal to 5"),
        ({"name": "17"}, "the name '17' would be taken for a number or a tag; begin it with a letter"),
        ({"name": "a02"}, "the name 'a02' is that of take 2 already; give another one"),
        ({"color": "red"}, "the colour is 'red'; write it as #rrggbb, such as #e0a030, or as nothing"),
        ({"name": "n" * 81}, f"the name is '{'n' * 40}'; string should have at most 80 characters"),
    ],
)
def test_marks_that_cannot_be(shelf: Index, root: Path, wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(OutOfRange) as raised:
        change_marks(shelf, name_of(1), **wrong)
    assert raised.value.message == sentence
    assert len(lines(root)) == 12 and not (root / name_of(1) / "marks.json").exists()


def test_to_the_trash_and_back(shelf: Index, root: Path) -> None:
    throw_away(shelf, name_of(5))
    assert (root / ".trash" / name_of(5) / "take.json").is_file() and not (root / name_of(5)).exists()
    with pytest.raises(NoTake) as twice:
        throw_away(shelf, name_of(5))
    assert twice.value.message == "the take A05 is in the trash already"
    (root / name_of(5)).mkdir()
    with pytest.raises(Busy) as occupied:
        bring_back(shelf, name_of(5))
    assert occupied.value.message == (
        f"'{root / name_of(5)}' is there already, so the take stays in '{root / '.trash' / name_of(5)}'; move one of "
        "them by hand"
    )
    (root / name_of(5)).rmdir()
    bring_back(shelf, name_of(5))
    with pytest.raises(NoTake) as back:
        bring_back(shelf, name_of(5))
    assert back.value.message == "the take A05 is not in the trash"
    assert known(root)[5] == name_of(5)
    assert [line["do"] for line in lines(root)[12:]] == ["trash", "restore"]


def test_a_take_that_is_gone(shelf: Index, root: Path) -> None:
    (root / name_of(2)).rename(root.parent / "elsewhere")
    with pytest.raises(NoTake) as raised:
        change_marks(shelf, name_of(2), rating=1)
    assert raised.value.message == (
        f"'{root / name_of(2)}' is not there any more; somebody has moved or removed it"
    )
    assert lines(root)[-1]["do"] == "gone"


def test_a_second_take_of_one_name_in_the_trash(shelf: Index, root: Path) -> None:
    record = (root / name_of(4) / "take.json").read_bytes()
    throw_away(shelf, name_of(4))
    (root / name_of(4)).mkdir()
    (root / name_of(4) / "take.json").write_bytes(record)
    Index(root).refresh()
    throw_away(Index(root), name_of(4))
    assert sorted(path.name for path in (root / ".trash").iterdir()) == [name_of(4), f"{name_of(4)}.2"]
    (root / "index.jsonl").unlink()
    places = known(root)
    assert sorted(places.values()) == sorted(known(root).values())
    assert {f".trash/{name_of(4)}", f".trash/{name_of(4)}.2"} <= set(places.values())


def test_undo_goes_back_step_by_step(shelf: Index, root: Path) -> None:
    change_marks(shelf, name_of(1), label="rate", rating=2)
    change_marks(shelf, name_of(1), label="rate", rating=5)
    throw_away(shelf, name_of(2))
    change_marks(shelf, name_of(3), label="name", name="Verse")
    assert undo(Index(root)).label == "name A03" and marks(root, 3)["name"] == ""
    assert undo(Index(root)).label == "trash A02" and known(root)[2] == name_of(2)
    assert undo(Index(root)).label == "rate A01" and marks(root, 1)["rating"] == 2
    change_marks(Index(root), name_of(4), label="keep", kept=True)
    assert undo(Index(root)).label == "keep A04" and marks(root, 4)["kept"] is False
    assert undo(Index(root)).label == "rate A01" and marks(root, 1)["rating"] == 0
    with pytest.raises(NothingToUndo) as raised:
        undo(Index(root))
    assert raised.value.message == (
        "there is nothing to undo; the index tells of no change that is not undone already"
    )


def test_undo_passes_over_what_cannot_be_taken_back(shelf: Index, root: Path) -> None:
    change_marks(shelf, name_of(1), label="rate", rating=2)
    throw_away(shelf, name_of(2))
    change_marks(shelf, name_of(3), label="rate", rating=3)
    (root / ".trash" / name_of(2)).rename(root / name_of(2))  # by hand
    (root / name_of(3)).rename(root.parent / "elsewhere")
    fresh = Index(root)
    fresh.refresh()
    assert undo(fresh).label == "rate A01"


def test_who_undoes_the_first_of_several_changes_undoes_those_after_it(shelf: Index, root: Path) -> None:
    """As a session does of a knob that was turned."""
    first = change_marks(shelf, name_of(1), label="rate", rating=1)
    change_marks(shelf, name_of(1), label="name", name="Verse")
    change_marks(shelf, name_of(1), label="rate", rating=4)
    assert first is not None
    change_marks(shelf, name_of(1), label="rate", undoes=first.id, rating=0)
    assert undo(Index(root)).label == "name A01"
    with pytest.raises(NothingToUndo):
        undo(Index(root))


def test_ids(shelf: Index, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change_marks(shelf, name_of(3), name="Çhorus é")
    throw_away(shelf, name_of(9))
    monkeypatch.chdir(root)
    (root / name_of(7) / "continuation.wav").write_bytes(b"")
    for text, number in (
        ("3", 3),
        ("03", 3),
        (" a03 ", 3),
        ("çhorus E\u0301", 3),
        (name_of(4), 4),
        (str(root / name_of(5)), 5),
        (f"./{name_of(6)}", 6),
        (str(root / name_of(7) / "continuation.wav"), 7),
    ):
        assert find(shelf, text).number == number, text
    assert find(shelf, "9", trashed=True).number == find(shelf, "A09", trashed=None).number == 9


@pytest.mark.parametrize(
    ("text", "trashed", "sentence"),
    [
        ("40", False, "there is no take '40'; the nearest is 12"),
        ("A1O", False, "there is no take 'A1O'; did you mean 'A10'?"),
        ("vers", False, "there is no take 'vers'; did you mean 'Verse'?"),
        ("xyz", False, "there is no take 'xyz'; the takes are A01 to A12"),
        ("9", False, "the take A09 is in the trash; restore it first: segue takes restore 9"),
        ("8", True, "the take Verse is not in the trash"),
        ("A90", True, "there is no take 'A90' in the trash; did you mean 'A09'?"),
    ],
)
def test_unknown_ids(shelf: Index, root: Path, text: str, trashed: bool, sentence: str) -> None:
    change_marks(shelf, name_of(8), name="Verse")
    throw_away(shelf, name_of(9))
    with pytest.raises(NoTake) as raised:
        find(shelf, text, trashed=trashed)
    assert raised.value.message == sentence


def test_no_takes_at_all(tmp_path: Path) -> None:
    with pytest.raises(NoTake, match="there is no take '1'; there are none"):
        find(Index(tmp_path), "1")


_WORKER = """
import sys
from pathlib import Path
from engine.shelf.changing import change_marks, throw_away, bring_back
from engine.shelf.index import Index
from tests.take.test_take import grow
root, field, value, own = Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
index = Index(root)
index.refresh()
print("ready", flush=True)
sys.stdin.readline()
for turn in range(12):
    for number in range(1, 7):
        change_marks(index, f"2026-03-01_{number:06d}_A{number:02d}", **{field: type_of(value, turn)})
    throw_away(index, own)
    bring_back(index, own)
    grow(root).finish()
"""


@pytest.mark.slow
def test_several_processes_on_one_folder_lose_nothing(shelf: Index, root: Path) -> None:
    """Each changes another mark of the same takes, moves a take of its own, and makes new ones."""
    kinds = {
        "rating": "int(value) if turn % 2 else 0",
        "name": "f'{value} {number}' if turn % 2 else ''",
        "kept": "bool(turn % 2)",
    }
    processes = []
    for place, (field, expression) in enumerate(kinds.items()):
        code = _WORKER.replace("type_of(value, turn)", expression)
        arguments = [sys.executable, "-c", code, str(root), field, "5", name_of(10 + place)]
        processes.append(
            subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        process.communicate("go\n", timeout=120)
        assert process.returncode == 0
    raw = (root / "index.jsonl").read_bytes()
    assert raw.endswith(b"\n") and len(raw.splitlines()) == len(lines(root))  # no line is torn or mixed
    for number in range(1, 7):
        assert marks(root, number) == {
            "schema_version": 1,
            "name": f"5 {number}",
            "rating": 5,
            "color": "",
            "kept": True,
        }
    told = lines(root)
    assert sum(line["do"] == "marks" for line in told) >= 3 * 6 * 6
    assert sum(line["do"] in ("trash", "restore") for line in told) == 72
    new = [line for line in told if line["do"] == "take" and not line["folder"].startswith(DAY)]
    assert len(new) == len({line["folder"] for line in new}) == len({line["number"] for line in new}) == 36
    assert len(known(root)) == 12 + 36 and len(lines(root)) == len(told)
