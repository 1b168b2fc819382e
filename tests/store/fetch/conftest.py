"""A source with the files of a released model, and an empty folder to fetch them into."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.store.fetch.source import FILES, weights


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    for seed, name in enumerate(FILES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(weights(seed))
    return folder


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return tmp_path / "here"
