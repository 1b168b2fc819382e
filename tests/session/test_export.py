"""Takes for the DAW, over OSC and from a pad."""

from __future__ import annotations

import os
import socket
import threading
import time
import zipfile
from pathlib import Path

import psutil
import pytest
import soundfile

from bridge.session.controllers import MidiSetup
from bridge.session.remembering import MemorySetup
from bridge.session.stage import StageSetup
from tests.bridge.client import OscClient, prime
from tests.bridge.conftest import StartSession
from tests.bridge.test_session_failures import own_address
from tests.midi.fakes import FakeSystem, note
from tests.session.taking import generate, record, refused, subscribed, until

PADS = "Pads 24:0"
PAD = 51  # note of the export pad
LONG = 60.0  # seconds: a process is started, and scipy loaded
DONE, READY, ERROR = 127, 0, 0  # of a controller that is only sent on and off


def with_take(
    start_session: StartSession, riff: Path, **setup: object
) -> tuple[OscClient, Path, tuple[object, ...]]:
    """A client, the takes folder, and what was told of take 1."""
    running = start_session(setup=setup)
    client = subscribed(running)
    prime(client, riff)
    told = generate(client, 5)
    return client, Path(str(told[8])).parent.parent, told


def exporter() -> psutil.Process:
    """The process that exports: it is the one that has its module loaded with the lowest priority."""
    here = psutil.Process()
    return next(child for child in here.children(recursive=True) if child.nice() == here.nice() + 5)


def test_a_take_is_exported_and_everybody_is_told(start_session: StartSession, riff: Path) -> None:
    client, takes, told = with_take(start_session, riff)
    client.send("/segue/export", "#mine", 1)
    client.send("/segue/sync", 7)
    client.wait("/segue/synced", 7, timeout=LONG)
    address, path, tag = client.wait("/segue/done", "/segue/export", timeout=0.1)  # it was told before
    assert (address, tag) == ("/segue/export", "#mine")
    assert client.wait("/segue/exported") == (1, "wav", path)
    assert client.wait("/segue/exporting", 1, "done") == (1, "done")
    file = Path(str(path))
    assert file.parent == takes / "exports" and file.name == f"A01_s{told[5]}.wav"
    with soundfile.SoundFile(file) as sound:
        assert (sound.subtype, sound.samplerate) == ("PCM_24", 44_100)
        assert sound.frames == record(told).info.frames
    client.send("/segue/export/A01", "flac")
    flac = Path(str(client.wait("/segue/done", "/segue/export", timeout=LONG)[1]))
    assert soundfile.info(flac).format == "FLAC" and flac.parent == file.parent
    client.send("/segue/export", "a01", "float")
    again = Path(str(client.wait("/segue/done", "/segue/export", timeout=LONG)[1]))
    assert again.name == f"A01_s{told[5]}-2.wav" and soundfile.info(again).subtype == "FLOAT"
    client.send("/segue/export", 1, "dawproject")
    project = Path(str(client.wait("/segue/done", "/segue/export", timeout=LONG)[1]))
    assert zipfile.is_zipfile(project) and client.wait("/segue/exported", 1, "dawproject")[2] == str(project)
    assert not list(file.parent.glob(".*"))


def test_what_cannot_be_exported_is_said(start_session: StartSession, riff: Path) -> None:
    client, takes, told = with_take(start_session, riff)
    assert refused(client, "/segue/export", 9) == (
        404,
        "no_take",
        "there is no take '9'; the only take is A01",
    )
    code, slug, message = refused(client, "/segue/export", 1, "flaac")
    assert (code, slug) == (400, "bad_target")
    assert str(message).startswith(
        "there is no export target 'flaac'; the nearest is 'flac', of wav, flac, float"
    )
    (takes / "exports").write_text("a file in the way")
    code, slug, message = refused(client, "/segue/export", 1)
    assert (code, slug) == (404, "no_file") and "its folder is missing or is a file" in str(message)
    assert client.wait("/segue/exporting", 1, "failed")
    (takes / "exports").unlink()
    record(told).folder.rename(takes / ".elsewhere")
    code, slug, message = refused(client, "/segue/export", 1)
    assert (code, slug) == (404, "no_take") and str(message).endswith("somebody has moved or removed it")


def test_a_full_disk_is_said_once_and_leaves_nothing(start_session: StartSession, riff: Path) -> None:
    client, takes, _ = with_take(start_session, riff)
    client.ask("/segue/export", 1, reply="/segue/done", timeout=LONG)
    for file in (takes / "exports").iterdir():
        file.unlink()
    full = (20_000, psutil.RLIM_INFINITY)  # what a full disk looks like to a writer
    exporter().rlimit(psutil.RLIMIT_FSIZE, full)
    assert refused(client, "/segue/export", 1) == (
        507,
        "disk_full",
        f"there is no room to export to '{takes / 'exports'}'; free some space or choose another folder. The takes are "
        "as they were",
    )
    assert list((takes / "exports").iterdir()) == []
    assert not [values for address, values in client.drain() if address == "/segue/fail"]
    exporter().rlimit(psutil.RLIMIT_FSIZE, (psutil.RLIM_INFINITY, psutil.RLIM_INFINITY))
    client.ask("/segue/export", 1, reply="/segue/done", timeout=LONG)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_said(start_session: StartSession, riff: Path) -> None:
    client, takes, _ = with_take(start_session, riff)
    (takes / "exports").mkdir(mode=0o555)
    assert refused(client, "/segue/export", 1)[:2] == (403, "path_not_allowed")


@pytest.mark.slow
def test_a_killed_exporter_is_one_failure_and_the_next_export_works(
    start_session: StartSession, riff: Path
) -> None:
    client, takes, _ = with_take(start_session, riff)
    client.ask("/segue/export", 1, reply="/segue/done", timeout=LONG)
    process = exporter()
    process.suspend()
    client.send("/segue/export", "#dies", 1, "flac")
    client.send("/segue/export", "#lives", 1, "float")
    assert client.ask("/segue/test") == ("ok",)  # the session does not wait
    process.kill()
    failed = client.wait("/segue/fail", "/segue/export")
    assert failed[2] == "internal" and failed[4] == "#dies"
    assert "the process that exports ended early" in str(failed[3])
    assert client.wait("/segue/done", "/segue/export", timeout=LONG)[2] == "#lives"
    names = sorted(path.suffix for path in (takes / "exports").iterdir())
    assert names == [".wav", ".wav"]


def test_the_folder_is_chosen_and_remembered(start_session: StartSession, riff: Path, tmp_path: Path) -> None:
    memory = MemorySetup(tmp_path / "state.json")
    client, takes, _ = with_take(start_session, riff, memory=memory)
    assert client.ask("/segue/export/folder") == (str(takes / "exports"),)
    client.send("/segue/export/folder", str(tmp_path / "für die DAW"))
    client.wait("/segue/export/folder", str(tmp_path / "für die DAW"))
    client.send("/segue/export", 1)
    path = Path(str(client.wait("/segue/done", "/segue/export", timeout=LONG)[1]))
    assert path.parent == tmp_path / "für die DAW" and path.is_file()
    assert refused(client, "/segue/export/folder", "here")[:2] == (404, "no_file")
    until(
        lambda: "für die DAW" in memory.path.read_text() if memory.path and memory.path.is_file() else False
    )
    again = subscribed(start_session(setup={"memory": memory}))
    assert again.ask("/segue/export/folder") == (str(tmp_path / "für die DAW"),)
    again.send("/segue/export/folder", "")
    assert again.wait("/segue/export/folder", str(takes / "exports"))


def test_other_hosts_choose_among_open_folders(
    start_session: StartSession, riff: Path, tmp_path: Path
) -> None:
    (tmp_path / "open").mkdir()
    own = own_address()
    client = start_session(setup={"host": own, "roots": (tmp_path / "open",)}).client()
    client.socket.close()
    client.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.socket.bind((own, 0))
    client.target = (own, client.target[1])
    for path in (tmp_path, tmp_path / "open" / "..", Path("/etc")):
        assert refused(client, "/segue/export/folder", str(path))[:2] == (403, "path_not_allowed")
    client.send("/segue/export/folder", str(tmp_path / "open" / "mine"))
    assert client.wait("/segue/export/folder") == (str(tmp_path / "open" / "mine"),)


@pytest.mark.slow
def test_the_pad_exports_the_current_take_and_shows_it(
    start_session: StartSession, riff: Path, tmp_path: Path
) -> None:
    system = FakeSystem(PADS)
    stage = StageSetup(midi=MidiSetup(ports=("*",), path=tmp_path / "midi.toml", system=system))
    running = start_session(setup={"stage": stage})
    client = subscribed(running)
    until(lambda: PADS in system.receivers)
    play = lambda: system.arrive(PADS, note(PAD), at_ns=time.monotonic_ns())  # noqa: E731
    play()
    assert client.wait("/segue/error") == ("there is no take to export; none has been made yet",)
    prime(client, riff)
    told = generate(client, 5)
    shown = len(system.sent(PADS))
    play()
    assert client.wait("/segue/exported", timeout=LONG)[:2] == (1, "wav")
    lit = lambda: [light for light in system.sent(PADS)[shown:] if light[1] == PAD]  # noqa: E731
    until(lambda: lit() and lit()[-1][2] == READY and any(light[2] == DONE for light in lit()))
    record(told).folder.rename(tmp_path / "elsewhere")
    play()
    assert client.wait("/segue/exporting", 1, "failed")
    assert "is not there any more" in str(client.wait("/segue/error")[0])


def test_threads_are_not_left_behind(start_session: StartSession, riff: Path) -> None:
    client, _, _ = with_take(start_session, riff)
    client.ask("/segue/export", 1, reply="/segue/done", timeout=LONG)
    process = exporter()
    client.send("/segue/quit")
    until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, 20)
    until(lambda: not [one for one in threading.enumerate() if one.name.startswith("segue-export")], 20)
