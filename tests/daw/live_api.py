"""A stub of what Live offers to remote scripts: names as in the Live Object Model, anything else is an error."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Strict:
    """Has the attributes that its class names, and no others."""

    NAMES: tuple[str, ...] = ()

    def __init__(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        assert name in self.NAMES, f"{type(self).__name__} has no {name} in the Live Object Model"
        object.__setattr__(self, name, value)


class Clip(Strict):
    NAMES = [
        "name",
        "file_path",
        "is_audio_clip",
        "is_arrangement_clip",
        "looping",
        "loop_start",
        "loop_end",
        "start_marker",
        "end_marker",
        "warping",
        "warp_markers",
        "canonical_parent",
        "end_time",
    ]


class Slot(Strict):
    NAMES = ("has_clip", "clip", "canonical_parent")


class NewSlot(Slot):
    """Of Live 12.0.5 and later."""

    def create_audio_clip(self, path: str) -> None:
        if not Path(path).is_file():
            raise RuntimeError("Invalid file path")
        assert not self.has_clip
        self.clip = Clip(name="", file_path=path, is_audio_clip=True, warping=True, canonical_parent=self)
        self.has_clip = True


class Track(Strict):
    NAMES = ("clip_slots", "has_audio_input", "is_foldable", "is_frozen", "name")


class ArrangementTrack(Track):
    """Of a Live that puts clips into the arrangement."""

    NAMES = (*Track.NAMES, "arranged")

    def create_audio_clip(self, path: str, beat: float) -> Clip:
        self.arranged.append((path, beat))
        return Clip(name="", file_path=path, warping=True)


class Song(Strict):
    NAMES = ("tracks", "tempo", "view", "undo_steps", "open_steps", "slot")

    def begin_undo_step(self) -> None:
        self.open_steps += 1

    def end_undo_step(self) -> None:
        self.open_steps -= 1
        self.undo_steps += 1

    def create_audio_track(self, index: int) -> Track:
        assert index == -1
        track = make_track(self.slot, 2)
        self.tracks.append(track)
        return track

    def create_scene(self, index: int) -> None:
        assert index == -1
        for track in self.tracks:
            track.clip_slots.append(self.slot(has_clip=False, clip=None, canonical_parent=track))


def make_track(slot: type[Slot], slots: int, audio: bool = True, kind: type[Track] = Track) -> Track:
    track = kind(clip_slots=[], has_audio_input=audio, is_foldable=False, is_frozen=False, name="t")
    track.clip_slots = [slot(has_clip=False, clip=None, canonical_parent=track) for _ in range(slots)]
    return track


def make_song(slot: type[Slot] = NewSlot) -> Song:
    """Three tracks of four slots, the first of which is MIDI; a tempo of 120."""
    tracks = [make_track(slot, 4, audio=number > 0) for number in range(3)]
    view = SimpleNamespace(detail_clip=None, selected_track=tracks[1])
    return Song(tracks=tracks, tempo=120.0, view=view, undo_steps=0, open_steps=0, slot=slot)


class ControlSurface:
    """The base class that Live gives scripts, as far as it is used: one turn of Live's thread is :meth:`turn`."""

    def __init__(self, c_instance: Any) -> None:
        self.song, self.application = c_instance.song, c_instance.application
        self.shown: list[str] = []
        self.logged: list[str] = []
        self.disconnected = False
        self._due: list[Callable[[], None]] = []

    def schedule_message(self, ticks: int, what: Callable[[], None]) -> None:
        assert ticks >= 1
        self._due.append(what)

    def show_message(self, text: str) -> None:
        self.shown.append(text)

    def log_message(self, text: str) -> None:
        self.logged.append(text)

    def disconnect(self) -> None:
        self.disconnected = True

    def turn(self) -> None:
        due, self._due = self._due, []
        for what in due:
            what()


def load_script(song: Song) -> Any:
    """The script as Live loads it: its folder is a package on the path, and ``create_instance`` is called."""
    names = ("ableton", "ableton.v2", "ableton.v2.control_surface")
    for name in names:
        sys.modules[name] = ModuleType(name)
    sys.modules[names[-1]].ControlSurface = ControlSurface  # type: ignore[attr-defined]
    folder = str(ROOT / "bridge" / "daw" / "live")
    sys.path.insert(0, folder)
    try:
        from Segue import create_instance

        version = SimpleNamespace(
            get_major_version=lambda: 12, get_minor_version=lambda: 1, get_bugfix_version=lambda: 5
        )
        return create_instance(SimpleNamespace(song=song, application=version))
    finally:
        sys.path.remove(folder)
        for name in (*names, "Segue", "Segue.script", "Segue.clips", "Segue.wire"):
            sys.modules.pop(name, None)
