"""Controllers' profiles: which one fits, what the shipped ones say, and what becomes of broken ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.midi.profile import SHIPPED, Light, Profiles, load_profile
from engine.errors import BadFormat


def test_the_shipped_ones_are_whole() -> None:
    profiles = Profiles()
    assert profiles.problems == []
    assert {profile.name for profile in profiles} == {"generic", "APC mini", "Launchpad"}
    assert len(list(SHIPPED.glob("*.toml"))) == 3


@pytest.mark.parametrize(
    ("port", "name"),
    [
        ("APC MINI:APC MINI MIDI 1", "APC mini"),
        ("Launchpad X LPX MIDI", "Launchpad"),
        ("Launchpad Mini MK3:Launchpad Mini MK3 LPMiniMK3 MI", "Launchpad"),
        ("nanoKONTROL2", "generic"),
        ("Segue out", "generic"),
    ],
)
def test_a_port_gets_the_profile_of_its_name(port: str, name: str) -> None:
    assert Profiles().of(port).name == name


# facts/daw.md §2.3 (colours) and map (b) (what shows what): action, light, velocity, channel (0: the button's)
@pytest.mark.parametrize(
    ("port", "action", "light", "velocity", "channel"),
    [
        ("APC MINI", "capture", "running", 3, 0),
        ("APC MINI", "capture", "done", 1, 0),
        ("APC MINI", "generate", "queued", 6, 0),
        ("APC MINI", "generate", "running", 4, 0),
        ("APC MINI", "generate", "done", 1, 0),
        ("APC MINI", "keep", "done", 5, 0),
        ("APC MINI", "export", "error", 3, 0),
        ("APC MINI", "take", "empty", 0, 0),
        ("APC MINI", "take", "ready", 5, 0),
        ("APC MINI", "take", "selected", 1, 0),
        ("APC MINI", "take", "queued", 2, 0),
        ("APC MINI", "preset", "selected", 1, 0),
        ("APC MINI", "preset", "ready", 0, 0),
        ("Launchpad X", "capture", "running", 5, 0),
        ("Launchpad X", "generate", "queued", 13, 2),
        ("Launchpad X", "generate", "running", 5, 3),
        ("Launchpad X", "generate", "done", 21, 0),
        ("Launchpad X", "take", "queued", 21, 2),
        ("Launchpad X", "take", "ready", 13, 0),
        ("other", "take", "ready", 127, 0),
        ("other", "preset", "ready", 0, 0),
        ("other", "generate", "running", 127, 0),
        ("other", "generate", "empty", 0, 0),
    ],
)
def test_colours_are_those_of_the_facts(
    port: str, action: str, light: str, velocity: int, channel: int
) -> None:
    shade = Profiles().of(port).shade(action, Light(light))
    assert (shade.velocity, shade.channel) == (velocity, channel)


LIGHTS = "[lights]\n" + "\n".join(f"{light} = 1" for light in Light)
BROKEN = [
    ("name = ", "profile mine.toml cannot be read as TOML (Invalid value (at end of document))"),
    ("name = 'm'\n[lights]\nempty = 0", "profile mine.toml: lights has no ready"),
    (
        f"name = 'm'\nspot = [{{ action = 'generate' }}]\n{LIGHTS}",
        "profile mine.toml: spot.0: 'generate' needs a note",
    ),
    (
        f"name = 'm'\nspot = [{{ action = 'fly', note = 1 }}]\n{LIGHTS}",
        "profile mine.toml: there is no action 'fly'",
    ),
    (f"name = 'm'\nhello = ['F0 99 F7']\n{LIGHTS}", "profile mine.toml: hello.0 is 'F0 99 F7'"),
    (
        f"name = 'm'\nspot = [{{ action = 'preset', note = 1 }}, {{ action = 'stop', note = 8 }}]\n{LIGHTS}",
        "profile mine.toml: note 8 is given twice",
    ),
    (
        f"name = 'm'\n[lights_of.fly]\nready = 1\n{LIGHTS}",
        "profile mine.toml: lights_of.fly: there is no action",
    ),
    (f"name = 'm'\nspot = [{{ action = 'take', note = 120 }}]\n{LIGHTS}", "profile mine.toml: number is 128"),
]


@pytest.mark.parametrize(("text", "sentence"), BROKEN)
def test_a_broken_profile_is_told_and_left_out(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(BadFormat) as caught:
        load_profile(tmp_path / "mine.toml")
    assert caught.value.message.startswith(sentence), caught.value.message
    assert caught.value.message.endswith("; it is left out")
    profiles = Profiles([tmp_path])
    assert profiles.problems == [caught.value.message]
    assert len(list(profiles)) == 3


def test_a_profile_of_the_users_own_comes_first(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(f"name = 'my APC'\nmatch = ['apc']\nchannel = 2\n{LIGHTS}")
    assert Profiles([tmp_path]).of("APC MINI").name == "my APC"
    (tmp_path / "b.toml").write_text(f"name = 'generic'\n{LIGHTS}")
    assert Profiles([tmp_path]).of("whatever").shade("stop", Light.EMPTY).velocity == 1
