"""The table of actions: whole, without clashes, and the same in the README and in ``segue midi map``."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.cli import segue
from bridge.midi.actions import ACTIONS, BY_NAME, NoAction, find, markdown, rows
from bridge.midi.layout import Layout, default_bindings
from bridge.midi.profile import Profiles
from bridge.midi.settings import MidiSettings
from bridge.osc.addresses import TABLE

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_readme_has_the_table() -> None:
    section = README.split("\n## MIDI\n")[1].split("\n## ")[0]
    told = "\n".join(re.findall(r"^\|.*\|$", section, re.M))
    assert told == markdown()


def test_no_two_actions_share_a_control() -> None:
    places = [binding.place for binding in default_bindings(16)]
    assert len(places) == len(set(places)) == 8 + 2 * 8 + 16 + 8 + 2 + 2 + 1 + 2


def test_bank_select_and_fine_values_are_left_free() -> None:
    """CC 0 and 32 are Bank Select, CC 52 to 63 the fine halves of CC 20 to 31."""
    bound = {binding.number for binding in default_bindings(16) if binding.kind == "cc"}
    assert bound & {0, 32, *range(52, 64)} == set()


def test_limits_are_those_of_osc() -> None:
    parameters = [entry for entry in TABLE if "/param/" in entry.address and entry.arguments]
    osc = {entry.arguments[0].name: entry.arguments[0] for entry in parameters}
    for name in ("temperature", "top_p", "overlap", "takes", "mix"):
        assert (BY_NAME[name].low, BY_NAME[name].high) == (osc[name].low, osc[name].high)
    assert BY_NAME["fidelity"].choices == osc["fidelity"].choices


@pytest.mark.parametrize("key", ["generate", "preset.1", "preset.8", "take.16"])
def test_keys_are_found(key: str) -> None:
    action, slot = find(key)
    assert key in action.keys
    assert str(slot) == (key.partition(".")[2] or "1")


@pytest.mark.parametrize(("key", "nearest"), [("generat", "generate"), ("generate.1", "generate"), ("", "")])
def test_an_unknown_key_is_answered_with_the_nearest(key: str, nearest: str) -> None:
    with pytest.raises(NoAction, match=re.escape(f"there is no action '{key}'; the nearest is '{nearest}")):
        find(key)


@pytest.mark.parametrize("key", ["take", "take.0", "take.17", "take.x", "take.01"])
def test_a_slot_that_is_not_there(key: str) -> None:
    with pytest.raises(NoAction, match=f"'{key}' is not one of its slots; they are take.1 to take.16"):
        find(key)


def test_positions_and_values_are_inverse() -> None:
    for action in ACTIONS:
        for position in (0.0, 0.25, 1.0):
            value = action.value_at(position)
            if isinstance(value, float | str):
                assert action.value_at(action.position_of(value)) == pytest.approx(value)


def test_every_learnable_key_has_a_place_or_says_why() -> None:
    layout = Layout("x", MidiSettings(), Profiles().generic)
    without = {key for action in ACTIONS for key in action.keys if not layout.places(key)}
    assert without == {"program", "cancel", "clock"}


def test_the_map_as_json_and_as_markdown() -> None:
    runner = CliRunner()
    answered = json.loads(runner.invoke(segue, ["midi", "map", "--json"]).stdout)
    assert answered == {"actions": rows(), "learned": []}
    assert runner.invoke(segue, ["midi", "map", "--markdown"]).stdout.strip() == markdown()
    shown = runner.invoke(segue, ["midi", "map"], env={"COLUMNS": "200"}).stdout
    assert all(action.name in shown for action in ACTIONS)
