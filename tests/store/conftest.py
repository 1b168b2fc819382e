"""What the tests of importing share: one tiny model a form, written in every way that weights travel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.store.oracle import FORMS, oracle_model, write_hf, write_lists, write_openai


@dataclass(frozen=True)
class Sources:
    """``model``: of Hugging Face's library; ``hf`` and ``openai``: folders with the same weights."""

    form: str
    model: Any
    hf: Path
    openai: Path


def _sources(root: Path, form: str) -> Sources:
    pytest.importorskip("transformers")
    model = oracle_model(form)
    openai = write_openai(model, root / "openai", form)
    write_lists(openai)
    return Sources(form, model, write_hf(model, root / "jukebox-tiny-lyrics", form), openai)


@pytest.fixture(scope="session", params=FORMS)
def sources(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """Both forms of lyrics."""
    return _sources(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="session")
def joint(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    """Lyrics and music in one sequence; for tests that need only one form."""
    return _sources(tmp_path_factory.mktemp("one"), "joint")


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of imported models."""
    folder = tmp_path / "models"
    monkeypatch.setenv("SEGUE_MODELS", str(folder))
    return folder
