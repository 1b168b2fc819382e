"""Lint and types, as tests: one place that says whether the tree is in order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_ruff_has_nothing_to_say() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise", "."],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def mypy(*folders: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *folders], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(600)
def test_mypy_has_nothing_to_say_of_the_product() -> None:
    mypy("bridge", "engine", "export", "presets")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_mypy_has_nothing_to_say_of_anything() -> None:
    mypy()
