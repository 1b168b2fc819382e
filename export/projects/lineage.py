"""Which take goes on from what, as far as the takes that are there tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import NoFile, SegueError
from engine.request import Mode
from engine.take import Take
from engine.take.marks import Marks, read_marks
from export.projects.wording import shown
from export.tracks.finding import name_of

_DEEPEST = 300  # generations that are followed up


@dataclass(eq=False)
class Node:
    """A take of a session. ``asked``: whether it was asked for, or is there because one goes on from it.

    ``after``: the take that it goes on from, after ``used`` frames of it; None where it goes on from its prime.
    ``instead``: the take that it was made of, and begins with: a version of the same place.
    """

    take: Take
    marks: Marks
    name: str
    asked: bool
    after: Node | None = None
    used: int = 0
    instead: Node | None = None
    children: list[Node] = field(default_factory=list)

    def before(self) -> Iterator[Node]:
        """What it goes on from or was made of, up to the first."""
        step = self.after or self.instead
        while step is not None:
            yield step
            step = step.after or step.instead

    @property
    def origin(self) -> Node:
        """The first take of its family, which goes on from a prime or from nothing."""
        return next(reversed([self, *self.before()]))

    @property
    def from_name(self) -> str:
        """The name of what it goes on from or was made of, "" for a prime or nothing."""
        before = self.after if self.instead is None else self.instead
        return "" if before is None else before.name

    @property
    def rating(self) -> int:
        """Its own, or that of the take it was made of."""
        return self.marks.rating or (self.instead.rating if self.instead else 0)


def require_audio(take: Take) -> None:
    """Raises NoFile where a take has no audio to put anywhere."""
    if take.info.frames == 0:
        raise NoFile(f"the take in '{take.folder}' holds no audio yet; resume it, or leave it out")
    if not take.wav.is_file():
        raise NoFile(
            f"the audio of the take in '{take.folder}' is gone ({take.wav.name} is missing); restore the file, or "
            "leave the take out"
        )


def grow(takes: Sequence[Take]) -> list[Node]:
    """The takes with those that they go on from, in the order in which they were made.

    A parent that is no longer there is done without: its child then goes on from what it has heard itself.
    """
    nodes: dict[Path, Node] = {}
    for take in takes:
        _enter(nodes, take, asked=True)
    for node in list(nodes.values()):
        _link(nodes, node, [])
    made = sorted(_needed(nodes), key=lambda node: (node.take.info.head.created, node.take.folder.name))
    _name_apart(made)
    for node in made:
        if node.after is not None:
            node.after.children.append(node)
    return made


def _enter(nodes: dict[Path, Node], take: Take, *, asked: bool) -> Node:
    key = take.folder.resolve()
    if key not in nodes:
        try:
            marks = read_marks(take.folder)
        except SegueError:
            marks = Marks()  # a broken file of marks costs its marks only
        nodes[key] = Node(take, marks, shown(name_of(take, marks)), asked)
    return nodes[key]


def _link(nodes: dict[Path, Node], node: Node, below: list[Node]) -> None:
    """``below``: the takes that asked for it, which cannot come before it."""
    request = node.take.info.head.request
    if not request.parents or node.after or node.instead or len(below) >= _DEEPEST:
        return
    reference = request.parents[0] if request.mode is Mode.UPSAMPLE else request.parents[-1]
    parent = _parent(nodes, node.take, reference.folder)
    if parent is None or parent is node or parent in below:
        return
    _link(nodes, parent, [*below, node])
    if node in parent.before():
        return  # they claim to go on from each other
    if request.mode is Mode.CONTINUE:
        held = parent.take.info.frames
        node.after, node.used = parent, held if reference.frames is None else min(reference.frames, held)
    else:
        node.instead, node.after, node.used = parent, parent.after, parent.used


def _parent(nodes: dict[Path, Node], take: Take, folder: str) -> Node | None:
    """The take in ``folder``, or of that name beside ``take``, where the takes folder was moved."""
    for place in (Path(folder), take.folder.parent / Path(folder).name):
        if (known := nodes.get(place.resolve())) is not None:
            return known
        try:
            found = Take.load(place)
            require_audio(found)
        except (SegueError, OSError, ValueError):
            continue
        return _enter(nodes, found, asked=False)
    return None


def _needed(nodes: dict[Path, Node]) -> list[Node]:
    """What was asked for, and whatever is heard before any of it."""
    needed: dict[int, Node] = {}
    for node in nodes.values():
        step: Node | None = node if node.asked else None
        while step is not None and id(step) not in needed:
            needed[id(step)] = step
            step = step.after
    return list(needed.values())


def _name_apart(nodes: Sequence[Node]) -> None:
    """A name that two takes bear gets a number."""
    seen: dict[str, int] = {}
    for node in nodes:
        key = node.name.casefold()
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > 1:
            node.name = f"{node.name} ({seen[key]})"
