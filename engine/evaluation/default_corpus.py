"""Songs to measure on when the user names none: made once, from a seed that no training corpus uses."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
from filelock import FileLock
from rich.progress import Progress

from engine.corpus.dataset import CORPUS_VERSION, read_manifest
from engine.corpus.make import make_corpus
from engine.evaluation.bars import begin

SEED = 990_001
SONGS = 24


def default_folder() -> Path:
    """Where the corpus lies in the user's cache; another corpus version is another folder."""
    name = f"eval-corpus-v{CORPUS_VERSION}-{SEED}-{SONGS}"
    return Path(platformdirs.user_cache_dir("segue", appauthor=False)) / name


def default_corpus(progress: Progress) -> Path:
    """The folder of the corpus; what it lacks is made first, with a bar (a minute or two)."""
    folder = default_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if (folder / "corpus.json").is_file() and read_manifest(folder).get("complete"):
            return folder
        task = begin(progress, "making songs to measure on", SONGS)

        def step(done: int, wanted: int, seconds: float) -> None:
            progress.update(task, completed=done, total=wanted)

        make_corpus(folder, SONGS, SEED, jobs=os.cpu_count() or 1, progress=step)
    return folder
