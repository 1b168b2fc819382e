"""One small corpus, made once for all tests that only read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.corpus.make import make_corpus

# A seed whose first songs are short.
SEED = 104
SONGS = 4


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four songs, made by one process."""
    folder = tmp_path_factory.mktemp("corpus") / "four"
    make_corpus(folder, SONGS, SEED, jobs=1)
    return folder
