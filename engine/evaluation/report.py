"""The report of `segue eval`: one validated value, written as eval.json (tables: engine/evaluation/tables.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from engine.audio.durable import write_durably, writing
from engine.evaluation.codec_metrics import CodecLevelReport
from engine.evaluation.continuations import TOLD, PrimeRow
from engine.evaluation.data import Split
from engine.evaluation.long_takes import Change, LongTake
from engine.evaluation.lyric_metrics import LyricsReport
from engine.evaluation.prior_metrics import PriorReport
from engine.evaluation.provenance import Provenance
from engine.evaluation.summary import SystemSummary
from engine.request import Fidelity, Frozen, Sampling


class ModelFacts(Frozen):
    """Which weights were measured."""

    name: str
    hash: str


class DataFacts(Frozen):
    """Which audio: its folder's name, part of the split, songs and seconds read from it."""

    name: str
    split: Split
    songs: int
    seconds: float
    training_seconds: float


class ContinuationReport(Frozen):
    """Continuations of ``primes``: how they were asked for, a line per system, and every single one.

    ``bars``: their length where it was given in bars (``seconds`` then says nothing). ``told``: what requests stated of
    the pulse. ``searched_songs``, ``searched_seconds``: where copies were looked for. ``long`` and ``changes``: see
    :mod:`engine.evaluation.long_takes`.
    """

    prime_seconds: float
    seconds: float
    fidelity: Fidelity
    sampling: Sampling
    seed: int
    systems: tuple[SystemSummary, ...]
    primes: tuple[PrimeRow, ...]
    bars: float | None = None
    told: TOLD = "heard"
    runtime: str = ""
    searched_songs: int = 0
    searched_seconds: float = 0.0
    long: tuple[LongTake, ...] = ()
    changes: tuple[Change, ...] = ()


class StyleFacts(Frozen):
    """The classifier that judged genres: how often it is right about pieces of songs it was not trained on, of how
    many, and how often the most frequent genre would be. ``coded_accuracy``: of the one that learnt and is asked
    through the codec, at the fidelity that is measured."""

    genres: tuple[str, ...]
    accuracy: float
    coded_accuracy: float | None = None
    chance: float
    tested: int
    songs: int


class EvalReport(Frozen):
    """Everything `segue eval` found. ``notes``: what could not be measured, and why. Reports of schema 1 lack what has
    a default here."""

    kind: Literal["segue-eval"] = "segue-eval"
    schema_version: int = 2
    model: ModelFacts
    provenance: Provenance
    data: DataFacts
    codec: tuple[CodecLevelReport, ...]
    priors: tuple[PriorReport, ...]
    continuations: ContinuationReport | None
    lyrics: LyricsReport | None = None
    style: StyleFacts | None = None
    notes: tuple[str, ...] = ()

    def write(self, folder: Path) -> Path:
        """Writes ``eval.json`` into ``folder``. Raises DiskFull, PathNotAllowed or NoFile where that fails."""
        path = folder / "eval.json"
        with writing(path):
            folder.mkdir(parents=True, exist_ok=True)
        write_durably(path, (self.model_dump_json(indent=2) + "\n").encode())
        return path
