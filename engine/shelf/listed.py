"""What a list shows of a take, read from its folder without numpy or pydantic."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import BadFormat, SegueError
from engine.shelf.files import MARKS, TAKE

NO_MARKS: dict[str, Any] = {"name": "", "rating": 0, "color": "", "kept": False}
BROKEN = -1  # the stamp of marks that cannot be read: they are looked at again every time
_MARK_KINDS: dict[str, type] = {"name": str, "rating": int, "color": str, "kept": bool}


@dataclass(frozen=True)
class Listed:
    """One take. ``folder``: its folder's name in the takes root; ``parent``: that of the take it goes on from, or "".

    ``style``: as a mix of its parts; ``frames`` of audio at ``rate`` Hz, ``held`` of them can be gone on from;
    ``state``: complete or partial; ``created``: ISO 8601; ``model_hash``: of the weights; ``metrics``: whatever the
    take's own record holds; ``marks``: name, rating, color, kept; ``stamp``: times of change and sizes of the files
    that all this was read from.
    """

    folder: str
    parent: str
    mode: str
    style: str
    bpm: float | None
    bars: float | None
    rate: int
    frames: int
    held: int
    seed: int
    fidelity: str
    state: str
    created: str
    model: str
    model_hash: str
    metrics: dict[str, Any] = field(default_factory=dict)
    marks: dict[str, Any] = field(default_factory=lambda: dict(NO_MARKS))
    stamp: tuple[int, ...] = ()

    @property
    def seconds(self) -> float:
        """Length of the continuation."""
        return self.frames / self.rate

    def to_json(self) -> dict[str, Any]:
        """The fields as they stand in a line of the index."""
        return {name: getattr(self, name) for name in _KINDS}

    @classmethod
    def of_json(cls, raw: Mapping[str, Any]) -> Listed:
        """The fields of a line. Raises ValueError for one that lacks some, or holds something else."""
        values: dict[str, Any] = {}
        for name, kinds in _KINDS.items():
            value = raw.get(name, kinds)
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise ValueError(f"'{name}' is missing or of another kind")
            values[name] = value
        if values["rate"] < 1:
            raise ValueError("the rate is below 1")
        values["marks"] = checked_marks(values["marks"])
        values["stamp"] = tuple(int(number) for number in values["stamp"])
        return cls(**values)


_WORD: tuple[type, ...] = (str,)
_WHOLE: tuple[type, ...] = (int,)
_PERHAPS: tuple[type, ...] = (int, float, type(None))
_KINDS: dict[str, tuple[type, ...]] = {
    own.name: {
        "bpm": _PERHAPS,
        "bars": _PERHAPS,
        "rate": _WHOLE,
        "frames": _WHOLE,
        "held": _WHOLE,
        "seed": _WHOLE,
        "metrics": (dict,),
        "marks": (dict,),
        "stamp": (list, tuple),
    }.get(own.name, _WORD)
    for own in dataclasses.fields(Listed)
}


def checked_marks(raw: Any) -> dict[str, Any]:
    """Marks with every field there. Raises ValueError for something else."""
    if not isinstance(raw, dict):
        raise ValueError("marks are a JSON object")
    marks = {name: raw.get(name, NO_MARKS[name]) for name in _MARK_KINDS}
    if (
        any(type(marks[name]) is not kind for name, kind in _MARK_KINDS.items())
        or not 0 <= marks["rating"] <= 5
    ):
        raise ValueError("a mark is of another kind")
    return marks


def mix_name(genres: Mapping[str, float], artists: Mapping[str, float]) -> str:
    """A style under the name that a mix of its parts has: ``house``, ``house:0.7+lofi:0.3``; "" for none."""
    parts = [(name, weight) for weights in (genres, artists) for name, weight in weights.items()]
    if len(parts) == 1:
        return parts[0][0]
    return "+".join(f"{name}:{weight:.4g}" for name, weight in parts)


def held_frames(
    *,
    frames: int,
    asked: int,
    partial: bool,
    tokens: Mapping[int, int],
    prime_tokens: Mapping[int, int],
    hop: int,
    overhang: int,
) -> int:
    """Frames of a continuation that can be gone on from: as far as the top level, 2, was sampled.

    More than ``frames`` of a take that was cut short before its finer levels had followed; ``asked``: of the whole
    take; ``hop`` and ``overhang``: see :class:`engine.take.TakeHead`.
    """
    top = max(tokens, default=0)
    made = tokens.get(top, 0) - prime_tokens.get(top, 0)
    reach = made * hop + overhang if partial and top == 2 else 0
    return max(frames, min(asked, reach))


def stamp_of(folder: Path | str) -> tuple[int, ...] | None:
    """(time of change, size) of a take's record and of its marks, 0 where there are none; None where no take is."""
    try:
        take = os.stat(os.path.join(folder, TAKE))
    except OSError:
        return None
    try:
        marks = os.stat(os.path.join(folder, MARKS))
    except OSError:
        return (take.st_mtime_ns, take.st_size, 0, 0)
    return (take.st_mtime_ns, take.st_size, marks.st_mtime_ns, marks.st_size)


def read_listed(folder: Path, name: str) -> tuple[Listed, str]:
    """The take in ``folder``, listed as ``name``; and a sentence about marks that cannot be read, or "".

    Raises :class:`BadFormat` for a broken record, :class:`NoFile` where there is no take any more.
    """
    stamp = stamp_of(folder) or ()
    try:
        info = json.loads((folder / TAKE).read_bytes())
        listed = _of_info(info, name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _what_is_broken(folder) from error
    marks, problem = _marks(folder)
    if problem:
        stamp = (*stamp[:2], BROKEN, BROKEN)
    return dataclasses.replace(listed, marks=marks, stamp=stamp), problem


def _of_info(info: dict[str, Any], name: str) -> Listed:
    head, partial = info["head"], info["state"] != "complete"
    request = head["request"]
    styles = [request.get("style", {}), *(change["style"] for change in request.get("style_changes", ()))]
    parents = request.get("parents") or [{}]
    return Listed.of_json(
        {
            "folder": name,
            "parent": head.get("parent") or os.path.basename(parents[-1].get("folder", "")),
            "mode": request.get("mode", "primed"),
            "style": " > ".join(
                mix_name(style.get("genres", {}), style.get("artists", {})) for style in styles
            ),
            "bpm": request.get("bpm"),
            "bars": request.get("bars"),
            "rate": head["rate"],
            "frames": info["frames"],
            "held": held_frames(
                frames=info["frames"],
                asked=request["frames"],
                partial=partial,
                tokens=_by_level(info["tokens"]),
                prime_tokens=_by_level(info["prime_tokens"]),
                hop=head.get("hop", 0),
                overhang=head.get("overhang", 0),
            ),
            "seed": request.get("seed", 0),
            "fidelity": request.get("fidelity", "full"),
            "state": info["state"],
            "created": head["created"],
            "model": request.get("model", "starter"),
            "model_hash": head["model_hash"],
            "metrics": info.get("metrics", {}),
            "marks": NO_MARKS,
            "stamp": (),
        }
    )


def _by_level(counts: dict[str, int]) -> dict[int, int]:
    return {int(level): count for level, count in counts.items()}


def _what_is_broken(folder: Path) -> SegueError:
    """The sentence of the strict reader, which knows better; it is loaded only here."""
    from engine.take.take import Take

    try:
        Take.load(folder)
    except SegueError as error:
        return error
    return BadFormat(f"{TAKE} in '{folder}' is broken; restore the file, or remove the folder")


def _marks(folder: Path) -> tuple[dict[str, Any], str]:
    try:
        return checked_marks(json.loads((folder / MARKS).read_bytes())), ""
    except FileNotFoundError:
        return dict(NO_MARKS), ""
    except (OSError, ValueError):
        from engine.take.marks import read_marks

        try:
            return checked_marks(read_marks(folder).model_dump()), ""
        except SegueError as error:
            return dict(NO_MARKS), error.message
