"""The lines of ``index.jsonl``: what each says, and what all of them add up to.

Every line is a JSON object with ``v`` (1), ``do``, ``folder``, ``id`` (its own), ``at`` (ISO 8601) and ``by`` (who
wrote it: a process, and which of its indexes). By ``do``:

``take``
    announced, or found changed: ``number``, ``place`` (where its folder lies, relative to the takes root) and the
    fields of :class:`engine.shelf.listed.Listed`.
``marks``
    ``marks``: the fields that were changed, as they are now; ``before``: as they were; ``stamp``.
``trash``, ``restore``
    ``place``: where the folder lies now.
``gone``
    somebody has removed the folder.

``label`` says what a change is called; ``undoes`` is the ``id`` of the change that this one takes back.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from engine.shelf.files import TRASH
from engine.shelf.listed import NO_MARKS, Listed, checked_marks

VERSION = 1
CHANGES = ("marks", "trash", "restore")  # what can be undone


@dataclass(frozen=True)
class Entry:
    """A take as the index knows it. ``place``: its folder relative to the root, "" when it is gone."""

    number: int
    place: str
    listed: Listed

    @property
    def folder(self) -> str:
        """Its folder's own name: what it is known by as long as it exists."""
        return self.listed.folder

    @property
    def trashed(self) -> bool:
        """Whether it lies in the trash."""
        return self.place.startswith(f"{TRASH}/")

    @property
    def here(self) -> bool:
        """Whether it lies in the takes folder itself."""
        return bool(self.place) and not self.trashed

    @property
    def name(self) -> str:
        """Its own name, or A01 for number 1."""
        return str(self.listed.marks["name"]) or usual_name(self.number)


def usual_name(number: int) -> str:
    """A01 for 1."""
    return f"A{number:02d}"


@dataclass(frozen=True)
class Change:
    """A line that says something new. ``entry``: the take after it; ``before``: as it was, None for a new one."""

    do: str
    id: str
    by: str
    at: str
    entry: Entry
    before: Entry | None
    label: str = ""
    undoes: str = ""
    marks: dict[str, Any] | None = None  # of do marks: what was changed, as it is
    marks_before: dict[str, Any] | None = None  # and as it was


def parse(data: bytes) -> Iterator[dict[str, Any]]:
    """The objects of whole lines; lines that are torn, of a later version or of something else are passed over."""
    for line in data.split(b"\n"):
        try:
            raw = json.loads(line) if line else None
        except ValueError:
            continue
        if isinstance(raw, dict) and raw.get("v") == VERSION and isinstance(raw.get("folder"), str):
            yield raw


class Ledger:
    """What the lines of an index add up to: ``entries`` by folder name, and the changes that were not taken
    back, in their order."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.changes: list[Change] = []

    def add(self, raw: dict[str, Any]) -> Change | None:
        """Take in one line; None for one that says nothing (new)."""
        before = self.entries.get(raw["folder"])
        try:
            entry = self._after(raw, before)
        except (ValueError, TypeError, KeyError):
            return None
        if entry is None:
            return None
        self.entries[entry.folder] = entry
        change = Change(
            do=raw["do"],
            entry=entry,
            before=before,
            marks=raw.get("marks") if raw["do"] == "marks" else None,
            marks_before=raw.get("before") if raw["do"] == "marks" else None,
            **{name: str(raw.get(name, "")) for name in ("id", "by", "at", "label", "undoes")},
        )
        if change.undoes:
            self._take_back(change)
        elif change.do in CHANGES:
            self.changes.append(change)
        return change

    def _take_back(self, undoing: Change) -> None:
        """Forgets the change that was undone, and later ones of the same marks, which went with it."""
        places = [place for place, change in enumerate(self.changes) if change.id == undoing.undoes]
        if places:
            kind = _kind(self.changes[places[-1]])
            later = [change for change in self.changes[places[-1] :] if _kind(change) != kind]
            self.changes = [*self.changes[: places[-1]], *later]

    def _after(self, raw: dict[str, Any], before: Entry | None) -> Entry | None:
        """The take after a line; None where there is nothing to change. Raises for a line that is no good."""
        do = raw["do"]
        if do == "take":
            number, place = raw["number"], raw["place"]
            if type(number) is not int or number < 1 or not isinstance(place, str):
                raise ValueError("no number or no place")
            return Entry(number, place, Listed.of_json(raw))
        if before is None:
            return None
        if do == "marks":
            marks = checked_marks({**before.listed.marks, **raw["marks"]})
            checked_marks({**NO_MARKS, **raw["before"]})
            stamp = tuple(int(number) for number in raw["stamp"])
            return replace(before, listed=replace(before.listed, marks=marks, stamp=stamp))
        if do in ("trash", "restore", "gone"):
            return replace(before, place="" if do == "gone" else str(raw["place"]))
        return None

    def undoable(self) -> Change | None:
        """The last change that still holds, was not taken back and takes none back itself."""
        return next((change for change in reversed(self.changes) if self._holds(change)), None)

    def _holds(self, change: Change) -> bool:
        now = self.entries[change.entry.folder]
        return {"marks": bool(now.place), "trash": now.trashed, "restore": now.here}[change.do]


def _kind(change: Change) -> tuple[str, tuple[str, ...] | None]:
    """What a change is of: a take and some marks of it, or where it lies."""
    return change.entry.folder, None if change.marks is None else tuple(sorted(change.marks))
