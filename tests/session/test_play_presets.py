"""Presets in a session: choosing, files that change, pages, morph; over a real socket."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.session.presets import PresetFolders
from bridge.session.stage import StageSetup
from tests.bridge.client import OscClient
from tests.bridge.conftest import StartSession, wait_idle

TOML = """
name = "{name}"
bars = {bars}
quantum = "2 bars"
fidelity = "draft"
seed = 77
program = {program}
lyrics = "la la"
[style]
genres = {{ house = 1.0 }}
[sampling.top]
temperature = 0.7
top_k = 33
[sampling.middle]
temperature = 0.5
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "presets"
    folder.mkdir()
    (folder / "one.toml").write_text(TOML.format(name="Test One", bars=3, program=5))
    (folder / "two.toml").write_text(TOML.format(name="Test Two", bars=8, program=6).replace("0.7", "1.4"))
    return folder


@pytest.fixture
def client(start_session: StartSession, folder: Path) -> Iterator[OscClient]:
    stage = StageSetup(presets=PresetFolders(user=folder))
    client = start_session(setup={"stage": stage}).client()
    wait_idle(client)
    client.send("/segue/notify", 1)
    client.wait("/segue/done", "/segue/notify")
    client.drain()
    yield client
    client.close()


def test_a_preset_is_chosen_with_all_that_is_in_it(client: OscClient) -> None:
    name, index = client.ask("/segue/style", "test-one")
    assert name == "Test One"
    assert client.ask("/segue/param/bars") == (3.0,)
    assert client.ask("/segue/param/temperature") == (pytest.approx(0.7),)
    assert client.ask("/segue/param/top_k") == (33,)
    assert client.ask("/segue/param/fidelity") == ("draft",)
    assert client.ask("/segue/param/seed") == (77,)
    assert client.ask("/segue/param/seed_lock") == (1,)
    assert client.ask("/segue/lyrics") == ("la la",)
    assert client.ask("/segue/quantum/bars") == (2.0,)
    client.send("/segue/style/select", index + 1)
    assert client.wait("/segue/style", "Test Two")[1] == index + 1


def test_programs_pads_and_browsing(client: OscClient) -> None:
    client.send("/segue/style/program", 1, 0, 6)
    assert client.wait("/segue/style")[0] == "Test Two"
    client.send("/segue/style/browse", -1)
    name, place = client.wait("/segue/style")
    assert name == "Test One"
    assert client.ask("/segue/style/page") == ((place - 1) // 8 + 1,)
    client.send("/segue/style/page", 1)
    client.wait("/segue/style/pads")
    client.send("/segue/style/pad", 3)
    assert client.wait("/segue/style")[1] == 3
    client.wait("/segue/style/pads", "ready", "ready", "selected", *["ready"] * 5)
    client.send("/segue/style/browse", 1000)
    _, last = client.wait("/segue/style")
    client.send("/segue/style/browse", -1000)
    assert client.wait("/segue/style")[1] == 1
    assert last > 20


@pytest.mark.parametrize(
    ("address", "values", "words"),
    [
        ("/segue/style", ("test on",), "did you mean 'test_one'"),
        ("/segue/style/program", (2, 0, 0), "there is no preset at program 0 of bank 2"),
        ("/segue/style/select", (5000,), "there is no style 5000; they are 1 to "),
        ("/segue/style/page", (99,), "there is no page 99 of presets"),
        ("/segue/style/morph", (0.5,), "choose two presets, one after the other"),
    ],
)
def test_what_is_not_there(client: OscClient, address: str, values: tuple[object, ...], words: str) -> None:
    client.send(address, *values)
    assert words in client.wait("/segue/fail", address)[3]


def test_files_that_change_are_read_anew_and_broken_ones_named(client: OscClient, folder: Path) -> None:
    (folder / "three.toml").write_text(TOML.format(name="Test Three", bars=1, program=9))
    client.wait("/segue/styles/changed")
    assert client.ask("/segue/style", "Test Three")[0] == "Test Three"
    (folder / "three.toml").write_text(
        "name = 'Test Three'\nbars = 'many'\n[style]\ngenres = { house = 1.0 }\n"
    )
    told = client.wait("/segue/error")[0]
    assert "three.toml" in told
    assert "line 2" in told
    assert "bars" in told
    assert client.ask("/segue/style", "Test Three")[0] == "Test Three"  # its last good version


def test_a_morph_between_the_last_two_presets(client: OscClient) -> None:
    client.ask("/segue/style", "test one")
    client.ask("/segue/style", "test two")
    assert client.ask("/segue/style/morph/ends") == ("Test One", "Test Two")
    assert client.ask("/segue/style/morph") == (1.0,)
    client.send("/segue/style/morph", 0.0)
    assert client.wait("/segue/style")[0] == "Test One"
    client.send("/segue/style/morph", 0.5)
    client.wait("/segue/style", "Test One > Test Two")
    (temperature,) = client.ask("/segue/param/temperature")
    assert temperature == pytest.approx((0.7 * 1.4) ** 0.5, abs=1e-3)
    client.drain()
    before = time.monotonic()
    for step in range(101):
        client.send("/segue/style/morph", step / 100)
    told = [values for address, values in client.drain(0.3) if address == "/segue/style"]
    assert told[-1][0] == "Test Two"
    assert len(told) <= (time.monotonic() - before) / 0.04 + 2  # a hundred values are a few changes
