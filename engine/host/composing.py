"""Composing together: the engine offers several continuations, the user keeps one, and it goes on from there.

A session is a folder: ``compose.json`` says what was asked, ``chosen.json`` what was kept so far, and the takes lie
where a tree would have them (:mod:`engine.host.branching`), so a session goes on after a kill.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from engine.audio.durable import write_durably
from engine.errors import BadFormat, OutOfRange
from engine.host.branching import Nodes, node_folder, same_or_new
from engine.request import Fidelity, Frozen, Mode, Request, TakeRef
from engine.take import Take
from engine.take.take import TAKE

SESSION, CHOSEN = "compose.json", "chosen.json"
MAX_CANDIDATES = 16

_NUMBERS: TypeAdapter[tuple[int, ...]] = TypeAdapter(tuple[int, ...])


class SessionRecord(Frozen):
    """``compose.json``: the request of the first step, how many candidates a step has, and the model."""

    schema_version: int = 1
    request: Request
    candidates: int
    model_hash: str


@dataclass
class Composition:
    """One session. ``chosen``: the candidate kept at every step so far, 1-based."""

    nodes: Nodes
    candidates: int
    chosen: tuple[int, ...] = field(default=())

    @classmethod
    def open(cls, nodes: Nodes, candidates: int) -> Composition:
        """Begins a session in the folder ``nodes.root``, or goes on with the one that is there.

        Raises OutOfRange for a number of candidates that is not offered, BadFormat for another session.
        """
        if not 1 <= candidates <= MAX_CANDIDATES:
            raise OutOfRange(f"{candidates} candidates were asked for; it must be from 1 to {MAX_CANDIDATES}")
        record = SessionRecord(request=nodes.first, candidates=candidates, model_hash=nodes.backend.hash)
        same_or_new(nodes.root, SESSION, record, "session")
        file = nodes.root / CHOSEN
        try:
            chosen = _NUMBERS.validate_json(file.read_bytes()) if file.is_file() else ()
        except ValidationError as error:
            raise BadFormat(
                f"'{file}' is broken; remove it to choose again from the first step on"
            ) from error
        return cls(nodes, candidates, chosen)

    def made(self) -> int:
        """How many candidates of the next step were finished, from number 1 on."""
        number = 0
        while (node_folder(self.nodes.root, (*self.chosen, number + 1)) / TAKE).is_file():
            number += 1
        return number

    def offer(self, again: bool = False) -> dict[int, Take]:
        """The candidates of the next step by number; ``again``: as many new ones, with the numbers that follow.

        Those made before are found, an unfinished one is gone on with.
        """
        rounds = max(1, -(-self.made() // self.candidates)) + int(again)
        last = rounds * self.candidates
        numbers = range(last - self.candidates + 1, last + 1)
        return {number: self.nodes.make((*self.chosen, number)) for number in numbers}

    def choose(self, number: int) -> Take:
        """Keeps a candidate and goes on from it. Raises OutOfRange for one that was not made."""
        made = self.made()
        if not 1 <= number <= made:
            raise OutOfRange(
                f"candidate {number} was chosen at step {len(self.chosen) + 1}; choose from 1 to {made}"
            )
        self._keep((*self.chosen, number))
        return Take.load(node_folder(self.nodes.root, self.chosen))

    def back(self) -> None:
        """Takes the last choice back. Raises OutOfRange when there is none."""
        if not self.chosen:
            raise OutOfRange("nothing was chosen yet, so there is no step to go back to; choose a candidate")
        self._keep(self.chosen[:-1])

    def restart(self) -> None:
        """Takes all choices back; the takes stay."""
        self._keep(())

    def _keep(self, chosen: tuple[int, ...]) -> None:
        write_durably(self.nodes.root / CHOSEN, _NUMBERS.dump_json(chosen))
        self.chosen = chosen

    def finish(self, fidelity: Fidelity | None = None) -> tuple[Take, Path]:
        """All steps as one take, upsampled to ``fidelity`` where the steps are coarser, and its audio with the riff.

        Raises OutOfRange when nothing was chosen.
        """
        if not self.chosen:
            raise OutOfRange(
                "nothing was chosen yet, so there is nothing to finish; choose a candidate first"
            )
        takes = self.nodes.chain(self.chosen)
        bars = self.nodes.first.bars
        request = self.nodes.first.model_copy(
            update={
                "mode": Mode.UPSAMPLE,
                "prime": None,
                "parents": tuple(TakeRef(folder=str(take.folder)) for take in takes),
                "frames": sum(take.info.frames for take in takes),
                "bars": None if bars is None else bars * len(takes),
                "fidelity": fidelity or self.nodes.first.fidelity,
            }
        )
        name = f"whole_{'.'.join(map(str, self.chosen))}_{request.fidelity}"
        whole = self.nodes.fill(self.nodes.root / name, request)
        return whole, self.nodes.write_whole(whole)
