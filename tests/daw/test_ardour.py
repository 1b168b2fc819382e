"""A real Ardour, without a screen and on a dummy sound server: takes come in, and regions go out."""

from __future__ import annotations

import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import soundfile as sf

from tests.bridge.client import OscClient
from tests.bridge.conftest import RunningSession
from tests.daw.conftest import make_take
from tests.daw.lua import ROOT
from tests.rig.jack import JackServer, jack_server, wait_until

__all__ = ["jack_server"]

PATIENCE = 90.0
SUPERCLOCK = 282_240_000  # ticks of Ardour's time a second
CONFIG = """<?xml version="1.0" encoding="UTF-8"?>
<Ardour>
  <Config><Option name="try-autostart-engine" value="1"/></Config>
  <Extra><AudioMIDISetup><EngineStates><State backend="JACK" driver="" device="" input-device="" output-device=""
    sample-rate="44100" buffer-size="1024" n-periods="2" input-latency="0" output-latency="0" lm-input=""
    lm-output="" active="1" use-buffered-io="0" midi-option="" lmidi=""><MIDIDevices/>
    </State></EngineStates></AudioMIDISetup></Extra>
</Ardour>
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        any(shutil.which(name) is None for name in ("ardour", "Xvfb", "xdotool")),
        reason="Ardour, Xvfb or xdotool is not installed (Debian: ardour xvfb xdotool)",
    ),
]


@pytest.fixture
def display() -> Iterator[str]:
    """A screen that nobody sees."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x1024x24", "-nolisten", "tcp"]
    process = subprocess.Popen(
        command, pass_fds=[write], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(write)
    with os.fdopen(read) as numbers:
        name = f":{numbers.readline().strip()}"
    yield name
    process.terminate()
    process.wait(10)


class Ardour:
    """Ardour 7 with a home of its own that runs ``ardour_drive.lua`` in a new session."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.session, self.log = folder / "song", folder / "drive.log"
        config = folder / "home" / ".config" / "ardour7"
        (config / "scripts").mkdir(parents=True)
        (config / ".a7").touch()  # no wizard
        (config / "config").write_text(CONFIG)
        shutil.copy(Path(__file__).with_name("ardour_drive.lua"), config / "scripts")
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("XDG_")},
            **environment,
            "HOME": str(folder / "home"),
            "ARDOUR_FPU_FLAGS": "0",  # Debian's 7.3 corrupts its heap on some processors without it
            "SEGUE_TEST_LOG": str(self.log),
            "SEGUE_TEST_SCRIPTS": str(ROOT / "bridge" / "daw" / "ardour"),
        }
        self._out = (folder / "ardour.out").open("wb")
        command = ["ardour", "-n", "-a", "-d", "-N", str(self.session), "-T", "SegueTest"]
        self._process = subprocess.Popen(
            command, env=self._environment, stdout=self._out, stderr=self._out, start_new_session=True
        )

    def dismiss_dialogs(self) -> None:
        """Press Return in what it shows before the script runs: that it cannot lock memory. (Later it would cancel.)"""
        if self.log.is_file():
            return
        find = ["xdotool", "search", "--onlyvisible", "--class", "ardour"]
        found = subprocess.run(find, env=self._environment, capture_output=True, text=True, check=False)
        for window in found.stdout.split():
            name = ["xdotool", "getwindowname", window]
            title = subprocess.run(
                name, env=self._environment, capture_output=True, text=True, check=False
            ).stdout
            if self.session.name in title or "import" in title.lower():
                continue
            press = ["xdotool", "windowfocus", window, "key", "Return"]
            subprocess.run(press, env=self._environment, capture_output=True, check=False)

    @property
    def ended(self) -> str:
        """What the script says at its end; "" until then."""
        assert self._process.poll() is None, Path(self._out.name).read_text()[-2000:]
        return self.log.read_text().strip() if self.log.is_file() else ""

    def close(self) -> None:
        os.killpg(self._process.pid, 9)
        self._process.wait(10)
        self._out.close()


class Region(NamedTuple):
    """A region of a track, in samples at 44.1 kHz, and its file."""

    track: str
    position: int
    length: int
    file: Path


def regions(session: Path) -> list[Region]:
    """What a saved session has on its tracks, in the order of time."""
    root = ET.parse(session / "song.ardour").getroot()
    sources = {source.get("id"): source.get("name") for source in root.iterfind("Sources/Source")}
    found = []
    for playlist in root.iterfind("Playlists/Playlist"):
        for region in playlist.iterfind("Region"):
            length, position = (region.get("length") or "").split("@")
            ticks = (int(value.removeprefix("a")) for value in (position, length))
            samples = (tick * 44_100 // SUPERCLOCK for tick in ticks)
            file = session / "interchange" / "song" / "audiofiles" / str(sources[region.get("source-0")])
            found.append(Region(str(playlist.get("name")), *samples, file))
    return sorted(found, key=lambda region: region.position)


@pytest.fixture
def ardour(
    tmp_path: Path, mail: Path, display: str, jack_server: JackServer, session: RunningSession
) -> Iterator[Ardour]:
    environment = {"DISPLAY": display, "SEGUE_DAW": str(mail), "SEGUE_PORT": str(session.port)}
    running = Ardour(tmp_path, environment | jack_server.environment)
    yield running
    running.close()


def _is_there(client: OscClient, ardour: Ardour) -> bool:
    ardour.dismiss_dialogs()
    return client.ask("/segue/daws", reply="/segue/daws.end") == (1,)


def test_takes_come_in_on_the_bar_and_behind_what_they_continue(
    client: OscClient, riff: Path, ardour: Ardour
) -> None:
    number, path = make_take(client, riff)

    def hear(address: str, *first: object) -> tuple[Any, ...]:
        """Wait; fails if Ardour's script has."""

        def heard() -> tuple[Any, ...] | None:
            client.listen(0.5)
            found = (v for a, v in client.heard if a == address and v[: len(first)] == first)
            values = next(found, None)
            if values is None:
                assert ardour.ended in ("", "done")
            return values

        return wait_until(heard, PATIENCE, f"{address} {first}")

    wait_until(lambda: _is_there(client, ardour), PATIENCE, "Ardour")
    client.send("/segue/send", number, "ardour")
    hear("/segue/done", "/segue/send", number, "ardour")
    # The action: the region that came in is primed by reference and continued, and its take is sent by itself.
    prime = hear("/segue/prime", "P2")
    assert prime[1] == pytest.approx(0.5, abs=0.01)
    assert prime[2] == 120.0  # Ardour's tempo
    second = hear("/segue/take", number + 1)
    assert wait_until(lambda: ardour.ended, PATIENCE, "the end of the script") == "done"

    first_region, second_region = regions(ardour.session)
    # The playhead stood at 1 s, in the first bar of 120 BPM, which ends at 2 s.
    assert (first_region.position, first_region.length) == (88_200, 22_050)
    assert (second_region.position, second_region.length) == (110_250, 22_050)
    assert first_region.track != second_region.track
    for region, take in ((first_region, path), (second_region, second[8])):
        imported, rate = sf.read(region.file, dtype="float32")
        assert rate == 44_100
        np.testing.assert_array_equal(imported, sf.read(take, dtype="float32")[0])
