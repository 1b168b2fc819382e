"""The README tells what is there: its addresses, presets, genres, paths, options and slugs are looked up."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from bridge.cli import segue
from bridge.osc.addresses import TABLE
from engine import errors
from engine.corpus.genres import GENRES
from presets import factory_presets

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_osc_addresses_exist() -> None:
    # All of them are told in bridge/osc/ADDRESSES.md (tests/osc/test_docs.py).
    told = set(re.findall(r"/segue/[\w/.]*\w", README))
    known = {entry.address for entry in TABLE}
    assert told
    assert told - known == set()


def test_every_preset_and_genre_is_told() -> None:
    told = re.findall(r"^\| ([A-Z]\w+ \w+) \| .+ \| .+ \|$", README, re.M)
    assert told == [preset.name for preset in factory_presets().values()]
    genres = re.search(r"Genres of the starter model: ([\w,\s]+)\.", README)
    assert genres is not None
    assert set(genres[1].split(", ")) == set(GENRES)


def test_slugs_are_those_of_the_errors() -> None:
    told = set(re.findall(r"^\|.*\| `(\w+)` \|$", README, re.M))
    known = {kind.slug for kind in vars(errors).values() if isinstance(kind, type)}
    assert told
    assert told <= known


def test_paths_and_pictures_exist() -> None:
    named = set(
        re.findall(r"(?<!/segue/)(?:bridge|engine|export|presets|tests|scripts|\.ci)/[\w./]*\w", README)
    )
    named |= set(re.findall(r"!\[[^]]*\]\(([^)]+)\)", README))
    assert {name for name in named if not (ROOT / name).exists()} - {".ci/run"} == set()
    assert (ROOT / ".ci" / "run").is_file()


@pytest.mark.parametrize("line", re.findall(r"(?:^|/|`)segue ((?!doctor`)[a-z].*?)(?:`|  #|$)", README, re.M))
def test_commands_and_options_exist(line: str) -> None:
    words = line.split()
    command: click.Command = segue
    context = click.Context(segue)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words.pop(0))
        assert found is not None, line
        command = found
    options = {name for parameter in command.get_params(context) for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} - options - {"--help"} == set()
