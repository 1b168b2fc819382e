"""Takes folders for tests of the index: takes as the writer makes them, and many that hold no more than a record."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from engine.shelf.index import Index
from tests.take.test_take import grow

DAY = "2026-03-01"


def many(root: Path, count: int, **request: Any) -> list[Path]:
    """``count`` takes of which only the record is there; take k has seed k and lies in ``..._A<k>``."""
    template = root.parent / "template"
    made = grow(template).finish()
    record = json.loads((made.folder / "take.json").read_text())
    shutil.rmtree(template)
    folders = []
    for number in range(1, count + 1):
        folder = root / f"{DAY}_{number:06d}_A{number:02d}"
        folder.mkdir(parents=True)
        record["head"]["request"] |= {"seed": number, **request}
        record["head"]["name"] = f"A{number:02d}"
        (folder / "take.json").write_text(json.dumps(record))
        folders.append(folder)
    return folders


def lines(root: Path) -> list[dict[str, Any]]:
    """The whole lines of an index, read by nothing of ours; lines that are torn are left out."""
    found = []
    for line in (root / "index.jsonl").read_bytes().split(b"\n"):
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def known(root: Path) -> dict[int, str]:
    """Place by number, of a fresh look at the folder."""
    return {entry.number: entry.place for entry in Index(root).refresh()}
