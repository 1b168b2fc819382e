"""The official schema of DAWproject, where it is at hand: in the folder that ``SEGUE_SHARED`` names, or beside the
repository (of which this may be a worktree)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BESIDE = Path("shared") / "data" / "dawproject"


def schema(name: str):
    """A validator of ``Project.xsd`` or ``MetaData.xsd``; skips the test where there is none."""
    etree = pytest.importorskip("lxml.etree", reason="needs lxml, of the extra 'test'")
    named = os.environ.get("SEGUE_SHARED")
    places = [Path(named) / "data" / "dawproject"] if named else [p / BESIDE for p in ROOT.parents[:2]]
    for place in places:
        if (place / name).is_file():
            return etree.XMLSchema(file=str(place / name))
    pytest.skip(
        f"needs {name} of DAWproject (MIT) in {BESIDE} beside the repository, or where SEGUE_SHARED says"
    )


def problems(name: str, text: bytes) -> list[str]:
    from lxml import etree

    validator = schema(name)
    validator.validate(etree.fromstring(text))
    return [f"{error.line}: {error.message}" for error in validator.error_log]
