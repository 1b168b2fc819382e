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
STYLE_SEED = 990_002
STYLE_SONGS = 112  # eight of every genre


def default_folder(songs: int = SONGS, seed: int = SEED) -> Path:
    """Where a corpus lies in the user's cache; another corpus version is another folder."""
    return cache_folder() / f"eval-corpus-v{CORPUS_VERSION}-{seed}-{songs}"


def cache_folder() -> Path:
    """Where measuring keeps what it need not make again."""
    return Path(platformdirs.user_cache_dir("segue", appauthor=False))


def default_corpus(progress: Progress) -> Path:
    """The folder of the songs to measure on; what it lacks is made first, with a bar (a minute or two)."""
    return _made(progress, "making songs to measure on", SONGS, SEED)


def style_corpus(progress: Progress) -> Path:
    """The folder of the songs that the style classifier learns from; made likewise, once (some minutes)."""
    return _made(progress, "making songs to learn styles from", STYLE_SONGS, STYLE_SEED)


def _made(progress: Progress, title: str, songs: int, seed: int) -> Path:
    folder = default_folder(songs, seed)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if (folder / "corpus.json").is_file() and read_manifest(folder).get("complete"):
            return folder
        task = begin(progress, title, songs)

        def step(done: int, wanted: int, seconds: float) -> None:
            progress.update(task, completed=done, total=wanted)

        make_corpus(folder, songs, seed, jobs=os.cpu_count() or 1, progress=step)
    return folder
