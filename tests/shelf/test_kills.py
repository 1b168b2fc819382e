"""Real kills at random moments of making, announcing, marking and moving takes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import soundfile
from safetensors.numpy import load_file

from engine.shelf.index import Index
from tests.shelf.shelves import lines
from tests.take.growing import FRAMES, HOPS, PRIME_FRAMES


def check_final_names(folder: Path) -> None:
    """No file under a final name is half a file; read by other programs' readers."""
    for path in folder.iterdir():
        if path.name in ("request.json", "take.json", "marks.json"):
            json.loads(path.read_text())
        elif path.name == "prime.wav":
            assert soundfile.read(path)[0].size == PRIME_FRAMES, path
        elif path.name == "continuation.wav":
            assert soundfile.read(path)[0].size == FRAMES, path
        elif path.name == "codes.safetensors":
            codes = load_file(path)
            sizes = {level: codes[f"level_{level}"].size for level in HOPS}
            assert sizes == {level: (PRIME_FRAMES + FRAMES) // hop for level, hop in HOPS.items()}, path
        else:
            assert path.name in ("journal", "audio.part") or path.name.startswith("."), path


def check_complete(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}
    assert {"request.json", "prime.wav", "codes.safetensors", "continuation.wav", "take.json"} <= names, (
        folder
    )
    check_final_names(folder)
    assert json.loads((folder / "take.json").read_text())["state"] == "complete"


def place(root: Path, name: str) -> Path:
    """Where a take lies: in the root, or in the trash."""
    found = [path for path in (root / name, root / ".trash" / name) if path.is_dir()]
    assert len(found) == 1, (name, found)
    return found[0]


def last_lines(root: Path) -> list[bytes]:
    """The last whole lines of the index: all that is not at its very end is whole at any moment."""
    return [line for line in (root / "index.jsonl").read_bytes().split(b"\n")[-4:-1] if line]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_whatever_was_announced_is_complete(tmp_path: Path, kills: int) -> None:
    root, chance = tmp_path / "takes", random.Random(kills)
    command = [sys.executable, "-m", "tests.shelf.writing", str(root)]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdin is not None and parent.stdout is not None
    longest = float(parent.stdout.readline())
    announced: set[str] = set()
    for _ in range(kills):
        parent.stdin.write("one more\n")
        parent.stdin.flush()
        child, wanted = 0, len(announced) + chance.randint(0, 2)
        while not child or len(announced) < wanted:
            word, _, value = parent.stdout.readline().partition(" ")
            announced |= {value.strip()} if word == "announced" else set()
            child = int(value) if word == "child" else child
        time.sleep(chance.uniform(0.0, longest))
        os.kill(child, signal.SIGKILL)
        while (line := parent.stdout.readline()) != "dead\n":
            announced.add(line.split()[1])
        announced |= {json.loads(line)["folder"] for line in last_lines(root)}
    parent.stdin.close()
    assert parent.wait(30) == 0
    announced |= {line["folder"] for line in lines(root) if line["do"] == "take"}
    assert len(announced) >= kills / 2  # (it did make takes)
    for name in announced:
        check_complete(place(root, name))
    everything = [path for above in (root, root / ".trash") for path in above.glob("2*")]
    for folder in everything:
        check_final_names(folder)
    assert len(everything) > len(announced)  # (it was killed in the middle of some)
    shelf = Index(root)
    listed = {entry.folder: entry for entry in shelf.refresh()}
    finished = {path.name: path for path in everything if (path / "take.json").is_file()}
    assert listed.keys() == finished.keys() >= announced and shelf.problems == ()
    for name, path in finished.items():
        assert root / listed[name].place == path
        marks = path / "marks.json"
        rating = json.loads(marks.read_text())["rating"] if marks.is_file() else 0
        assert listed[name].listed.marks["rating"] == rating
    numbers = [entry.number for entry in listed.values()]
    assert len(set(numbers)) == len(numbers)
