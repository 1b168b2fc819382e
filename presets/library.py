"""The presets there are: the factory's, the user's and the project's, read anew when their files change."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType

from platformdirs import user_config_path

from engine.errors import NoFile, NoStyle, SegueError
from presets.reading import SUFFIXES, load_preset
from presets.schema import Preset, key_of

FACTORY = Path(__file__).parent / "factory"
Signature = tuple[int, int, int]


class Origin(StrEnum):
    """Where a preset comes from. Later ones hide earlier ones of the same name."""

    FACTORY = "factory"
    USER = "user"
    PROJECT = "project"

    @property
    def bank(self) -> int:
        """The MIDI bank of presets that name none (facts/daw.md, table (b)): 0, 1, 2."""
        return list(Origin).index(self)


@dataclass(frozen=True)
class Entry:
    """A preset of the library. ``bank`` and ``program``: where MIDI finds it, or None when by name only."""

    preset: Preset
    origin: Origin
    path: Path
    bank: int
    program: int | None


@dataclass(frozen=True)
class Changes:
    """What reading anew has changed: keys of presets, and sentences about files that are newly broken or clash."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed or self.problems)


@dataclass
class _File:
    """A preset file as last seen: ``preset`` is its last good version, ``problem`` what is wrong with it now."""

    signature: Signature
    preset: Preset | None = None
    problem: str = ""


@dataclass
class _Folder:
    origin: Origin
    path: Path
    files: dict[Path, _File] = field(default_factory=dict)


def user_folder() -> Path:
    """Where the user's presets lie: ``SEGUE_PRESETS`` where that is set, else in the user's configuration folder."""
    named = os.environ.get("SEGUE_PRESETS")
    return Path(named).expanduser() if named else user_config_path("segue", appauthor=False) / "presets"


class Library:
    """The presets of up to three folders, by key (``night_drive``), in the order of bank and program number.

    Names are unique: a project's preset hides the user's of that name, which hides the factory's; where it has
    neither bank nor program of its own, it answers to those of the one it hides. Places in banks are unique too: of
    two presets at one place the first by name has it, and the other is reached by name only.
    """

    def __init__(
        self, user: Path | None = None, project: Path | None = None, *, factory: Path | None = FACTORY
    ) -> None:
        places = ((Origin.FACTORY, factory), (Origin.USER, user), (Origin.PROJECT, project))
        self._folders = [_Folder(origin, path) for origin, path in places if path is not None]
        self._entries: dict[str, Entry] = {}
        self._places: dict[tuple[int, int], Entry] = {}
        self.problems: tuple[str, ...] = ()
        self.poll()

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The presets that can be chosen."""
        return MappingProxyType(self._entries)

    @property
    def presets(self) -> Mapping[str, Preset]:
        """The same without where they come from."""
        return {key: entry.preset for key, entry in self._entries.items()}

    def find(self, name: str) -> Entry:
        """The preset of that name, however it is spelt. Raises :class:`NoStyle`, which offers the nearest."""
        key = key_of(name)
        if key in self._entries:
            return self._entries[key]
        words = {word: other for other in reversed(self._entries) for word in other.split("_")}
        near = get_close_matches(key, self._entries, n=3, cutoff=0.6)
        near = near or list({words[word]: None for word in get_close_matches(key, words, n=3, cutoff=0.75)})
        offer = " or ".join(f"'{self._entries[other].preset.name}'" for other in near)
        raise NoStyle(
            f"preset '{name}' is unknown; "
            + (f"did you mean {offer}?" if near else "see `segue presets list`")
        )

    def at(self, bank: int, program: int) -> Entry | None:
        """What Program Change ``program`` (0..127) selects after Bank Select ``bank``; None where nothing is."""
        return self._places.get((bank, program))

    def poll(self) -> Changes:
        """Look at the folders again; only files that have changed are read. Cheap: ask about once a second."""
        seen = [_look(folder) for folder in self._folders]
        if self._entries and not any(seen):
            return Changes()
        before, complaints = self._entries, set(self.problems)
        clashes = self._arrange()
        broken = [file.problem for folder in self._folders for file in folder.files.values() if file.problem]
        self.problems = (*broken, *clashes)
        return Changes(
            added=tuple(key for key in self._entries if key not in before),
            changed=tuple(key for key, entry in self._entries.items() if before.get(key, entry) != entry),
            removed=tuple(key for key in before if key not in self._entries),
            problems=tuple(problem for problem in self.problems if problem not in complaints),
        )

    def _arrange(self) -> list[str]:
        """Decide who has which name and which place; returns what clashes."""
        clashes: list[str] = []
        chosen: dict[str, Entry] = {}
        for folder in self._folders:
            for entry in _named(folder, clashes):
                hidden = chosen.get(entry.preset.slug)
                if hidden is not None and entry.preset.bank is None and entry.preset.program is None:
                    entry = replace(entry, bank=hidden.bank, program=hidden.program)
                chosen[entry.preset.slug] = entry
        places: dict[tuple[int, int], Entry] = {}
        for key, entry in sorted(chosen.items()):
            if entry.program is None:
                continue
            holder = places.setdefault((entry.bank, entry.program), entry)
            if holder is not entry:
                clashes.append(
                    f"{entry.path.name}: program {entry.program} of bank {entry.bank} is that of "
                    f"'{holder.preset.name}' already; choose another (it is reached by name only)"
                )
                chosen[key] = replace(entry, program=None)
        # (Whole at once: another thread may be choosing.)
        self._places, self._entries = places, dict(sorted(chosen.items(), key=_order))
        return clashes


def _order(item: tuple[str, Entry]) -> tuple[bool, int, int, str]:
    key, entry = item
    return entry.program is None, entry.bank, entry.program or 0, key


def _named(folder: _Folder, clashes: list[str]) -> Iterable[Entry]:
    """The presets of a folder whose names are unique in it; of two the first by file name."""
    names: dict[str, Path] = {}
    for path, file in sorted(folder.files.items()):
        preset = file.preset
        if preset is None:
            continue
        if (first := names.setdefault(preset.slug, path)) != path:
            clashes.append(
                f"{path.name}: the name '{preset.name}' is that of {first.name} already; give it another"
            )
            continue
        bank = folder.origin.bank if preset.bank is None else preset.bank
        yield Entry(preset, folder.origin, path, bank, preset.program)


def _look(folder: _Folder) -> bool:
    """Read what has changed in a folder; whether anything has."""
    there = _listing(folder.path)
    gone = [path for path in folder.files if path not in there]
    for path in gone:
        del folder.files[path]
    stale = [
        path
        for path, signature in there.items()
        if path not in folder.files or folder.files[path].signature != signature
    ]
    for path in stale:
        file = folder.files.setdefault(path, _File(there[path]))
        file.signature = there[path]
        try:
            file.preset, file.problem = load_preset(path), ""
        except NoFile:  # it went while we looked
            del folder.files[path]
        except SegueError as error:
            file.problem = error.message + ("; its last good version is kept" if file.preset else "")
    return bool(gone or stale)


def _listing(folder: Path) -> dict[Path, Signature]:
    """The preset files of a folder, and what changes when they do. A folder that is not there is empty."""
    found = {}
    try:
        with os.scandir(folder) as items:
            for item in items:
                if item.name.endswith(SUFFIXES) and not item.name.startswith(".") and item.is_file():
                    state = item.stat()
                    found[Path(item.path)] = (state.st_mtime_ns, state.st_size, state.st_ino)
    except OSError:
        return found
    return found


@cache
def factory_presets() -> MappingProxyType[str, Preset]:
    """The presets that come with Segue by key (``night_drive``), in the order of their program numbers."""
    presets = [load_preset(path) for path in sorted(FACTORY.glob("*.toml"))]
    presets.sort(key=lambda preset: (preset.program is None, preset.program or 0, preset.slug))
    return MappingProxyType({preset.slug: preset for preset in presets})


def find_preset(name: str) -> Preset | None:
    """The factory preset of that name, however it is spelt (case, ``-``, ``_`` and spaces do not matter)."""
    return factory_presets().get(key_of(name))
