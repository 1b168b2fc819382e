"""Takes that branch: a riff is continued several times, each continuation again, and so on (the paper's tree).

A node is named by its path, 1-based: ``2/3`` is the third continuation of the second continuation of the riff. Its
take lies in the folder of that path, its seed follows from the first request's seed and the path alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from engine.audio import write_wav24
from engine.audio.durable import write_durably, writing
from engine.errors import BadFormat, OutOfRange
from engine.host.jobs import Sampler, run_request
from engine.host.known import KnownPrime
from engine.host.telling import JobEvent
from engine.request import Frozen, Mode, Request, TakeRef, frames_of_bars
from engine.sampling import decode
from engine.sampling.infill import derived_seed
from engine.take import Take
from engine.take.lineage import ancestor
from engine.take.take import PRIME, REQUEST

if TYPE_CHECKING:
    from engine.backends.protocol import Backend

NodePath = tuple[int, ...]

MAX_BRANCH, MAX_DEPTH, MAX_NODES = 16, 8, 400
TREE, PATH_AUDIO = "tree.json", "path.wav"


def path_name(path: NodePath) -> str:
    """``2/3`` for (2, 3)."""
    return "/".join(str(number) for number in path)


def node_folder(root: Path, path: NodePath) -> Path:
    """Where a node's take lies under the tree's folder."""
    return root.joinpath(*(str(number) for number in path))


def node_request(first: Request, root: Path, path: NodePath, rate: int) -> Request:
    """The request of a node. ``first``: of a node of depth 1, whatever it goes on from; ``rate``: Hz.

    Steps counted in bars end where those bars end, counted from the riff's end, so they never drift.
    """
    changes: dict[str, object] = {"seed": derived_seed(first.seed, *path)}
    depth = len(path)
    if first.bars is not None and first.bpm is not None:
        end, begin = (frames_of_bars(first.bars * count, first.bpm, rate) for count in (depth, depth - 1))
        changes["frames"] = end - begin
    if depth > 1:
        parent = TakeRef(folder=str(node_folder(root, path[:-1])))
        changes |= {"mode": Mode.CONTINUE, "prime": None, "parents": (parent,)}
    return first.model_copy(update=changes)


@dataclass
class Nodes:
    """Makes the nodes of one tree under ``root``; what was made before is found again or gone on with."""

    backend: Backend
    first: Request
    root: Path
    prime: KnownPrime | None = None
    sampler: Sampler | None = None
    should_stop: Callable[[], bool] = lambda: False
    on_event: Callable[[JobEvent], None] = field(default=lambda event: None)

    def make(self, path: NodePath) -> Take:
        """The take at ``path``; its parent must be there."""
        place = node_folder(self.root, path)
        request = node_request(self.first, self.root, path, self.backend.config.rate)
        return self.fill(place, request, self.prime if len(path) == 1 else None)

    def fill(self, place: Path, request: Request, prime: KnownPrime | None = None) -> Take:
        """The take of ``request`` in the folder ``place``: found, gone on with, or made."""
        begun = (place / REQUEST).is_file()
        if begun and request.mode is not Mode.ANCESTRAL and not (place / PRIME).is_file():
            (place / REQUEST).unlink()  # killed before the record was whole: nothing was sampled
            begun = False
        (take,) = run_request(
            self.backend,
            request,
            folder=self.root,
            place=place,
            resume=[place] if begun else [],
            prime=prime,
            sampler=self.sampler,
            on_event=self.on_event,
            should_stop=self.should_stop,
        )
        return take

    def chain(self, path: NodePath) -> list[Take]:
        """The takes from the riff to the node at ``path``, all of which must be there."""
        return [Take.load(node_folder(self.root, path[: depth + 1])) for depth in range(len(path))]

    def write_path(self, path: NodePath) -> Path:
        """``path.wav`` in the node's folder: everything from the riff's beginning to the node's end, in one piece.

        The codes of the whole path are decoded together, so there is no seam between its takes.
        """
        return self._write(self.chain(path), node_folder(self.root, path))

    def write_whole(self, take: Take) -> Path:
        """``path.wav`` in the folder of one take: its prime and its continuation in one file."""
        return self._write([take], take.folder)

    def _write(self, takes: Sequence[Take], folder: Path) -> Path:
        config = self.backend.config
        whole = ancestor(takes, [None] * len(takes), config.hops)
        level = min(whole.codes)
        seam = whole.seam(config.hops[config.top])
        leads = whole.leads.get(level)
        made = decode(self.backend, whole.codes[level], level, seam, whole.continuation.size, leads)
        target = folder / PATH_AUDIO
        write_wav24(target, np.concatenate([whole.prime.mono_samples(), made]), config.rate)
        return target


class NodeRecord(Frozen):
    """One node of ``tree.json``: ``parent`` is its parent's path, "" for one that continues the riff itself."""

    path: str
    parent: str
    seed: int
    request: Request


class TreeRecord(Frozen):
    """``tree.json``, written before the first take: a pure function of the first request, branch and depth."""

    schema_version: int = 1
    seed: int
    branch: int
    depth: int
    model_hash: str
    request: Request
    nodes: tuple[NodeRecord, ...]


def tree_paths(branch: int, depth: int) -> Iterator[NodePath]:
    """All paths of a tree, each before those below it."""

    def below(path: NodePath) -> Iterator[NodePath]:
        for number in range(1, branch + 1):
            child = (*path, number)
            yield child
            if len(child) < depth:
                yield from below(child)

    return below(())


def check_size(branch: int, depth: int) -> int:
    """The number of takes of a tree. Raises OutOfRange for a tree that is too large, saying how many they are."""
    if not 1 <= branch <= MAX_BRANCH:
        raise OutOfRange(f"the branch is {branch}; it must be from 1 to {MAX_BRANCH}")
    if not 1 <= depth <= MAX_DEPTH:
        raise OutOfRange(f"the depth is {depth}; it must be from 1 to {MAX_DEPTH}")
    count = sum(branch**level for level in range(1, depth + 1))
    if count > MAX_NODES:
        raise OutOfRange(
            f"branch {branch} and depth {depth} make {count} takes; at most {MAX_NODES} are made in one tree"
        )
    return count


def plan_tree(nodes: Nodes, branch: int, depth: int) -> TreeRecord:
    """The tree's record, written to its folder; or read from there, when the same tree was begun before.

    Raises BadFormat when the folder holds another tree.
    """
    check_size(branch, depth)
    rate = nodes.backend.config.rate
    listed = []
    for path in tree_paths(branch, depth):
        request = node_request(nodes.first, nodes.root, path, rate)
        listed.append(
            NodeRecord(path=path_name(path), parent=path_name(path[:-1]), seed=request.seed, request=request)
        )
    record = TreeRecord(
        seed=nodes.first.seed,
        branch=branch,
        depth=depth,
        model_hash=nodes.backend.hash,
        request=nodes.first,
        nodes=tuple(listed),
    )
    same_or_new(nodes.root, TREE, record, "tree")
    return record


def same_or_new(root: Path, name: str, record: Frozen, what: str) -> None:
    """Writes ``record`` as the file ``name``, or finds the same there. Raises BadFormat for another one."""
    file = root / name
    if file.is_file():
        try:
            held = type(record).model_validate_json(file.read_bytes())
        except ValidationError as error:
            raise BadFormat(f"'{file}' is broken; give another folder") from error
        if held != record:
            raise BadFormat(
                f"'{root}' holds another {what}; give the options it was begun with, or another folder"
            )
        return
    with writing(root):
        root.mkdir(parents=True, exist_ok=True)
    write_durably(file, record.model_dump_json(indent=1).encode())


def grow_tree(nodes: Nodes, branch: int, depth: int, on_node: Callable[[Take], None]) -> Sequence[Path]:
    """Makes every take of the tree that is not there yet; returns the ``path.wav`` of its leaves."""
    plan_tree(nodes, branch, depth)
    leaves = []
    for path in tree_paths(branch, depth):
        take = nodes.make(path)
        if len(path) == depth:
            leaves.append(nodes.write_path(path))
        on_node(take)
    return leaves
