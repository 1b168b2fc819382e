"""``segue models fetch`` against real local servers: ranges, kills on either side, wrong files, hostile lists."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import filelock
import pytest
import torch
from click.testing import CliRunner

from engine.errors import (
    BadArguments,
    BadFormat,
    Busy,
    DiskFull,
    NoFile,
    NoModel,
    NotFetched,
    PathNotAllowed,
    SegueError,
)
from engine.store.fetch import RELEASED_FILES, fetch_model, inside, parse_list, read_list
from engine.store.fetch_cli import fetch
from tests.store.web import Manners, serving

ROOT = Path(__file__).resolve().parents[2]
FILES = RELEASED_FILES["1b_lyrics"]


def weights(seed: int, numbers: int = 100_000) -> bytes:
    """A real torch file of about 0.4 MB."""
    file = io.BytesIO()
    torch.save({"model": torch.randn(numbers, generator=torch.Generator().manual_seed(seed))}, file)
    return file.getvalue()


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


def sums(folder: Path) -> Path:
    """The list as coreutils' own sha256sum writes it."""
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]
    done = subprocess.run(["sha256sum", *names], cwd=folder, capture_output=True, text=True, check=True)
    (folder / "SHA256SUMS").write_text(done.stdout)
    return folder / "SHA256SUMS"


def same(source: Path, here: Path) -> bool:
    return all((here / name).read_bytes() == (source / name).read_bytes() for name in FILES)


def leftovers(here: Path) -> list[str]:
    return sorted(path.name for path in here.rglob("*") if path.suffix in (".part", ".tag"))


def test_the_files_of_a_released_model_arrive(source: Path, here: Path) -> None:
    manners, steps = Manners(), []
    with serving(source, manners) as address:
        done = fetch_model("1b_lyrics", address + "/", here, step=lambda *what: steps.append(what))
    assert same(source, here) and not leftovers(here)
    assert [(f.path, f.size, f.resumed, f.verified) for f in done] == [
        (here / name, (source / name).stat().st_size, 0, False) for name in FILES
    ]
    assert [path for path, _ in manners.log] == ["/SHA256SUMS", *("/" + name for name in FILES)]
    assert not any({"Authorization", "Cookie"} & set(headers) for headers in manners.headers)
    size = (source / FILES[-1]).stat().st_size
    assert steps[-1] == ("prior_level_2.pth.tar", size, size)
    with serving(source, manners) as address:  # all there: nothing is fetched again
        again = fetch_model("1b_lyrics", address, here)
    assert [f.resumed for f in again] == [f.size for f in again]
    assert [path for path, _ in manners.log[5:]] == ["/SHA256SUMS"]


def test_sums_of_the_source_are_compared(source: Path, here: Path) -> None:
    sums(source)
    (source / FILES[1]).write_bytes(weights(99))
    with serving(source, Manners()) as address, pytest.raises(BadFormat) as caught:
        fetch_model("1b_lyrics", address, here)
    found = hashlib.sha256(weights(99)).hexdigest()[:12]
    assert f"prior_level_0.pth.tar came with the SHA-256 {found}..., the list gives " in str(caught.value)
    assert "it was removed, so fetch it again" in str(caught.value)
    assert (here / FILES[0]).is_file() and not (here / FILES[1]).exists() and not leftovers(here)
    sums(source)
    with serving(source, Manners()) as address:
        steps: list[tuple[str, int, int | None]] = []
        done = fetch_model("1b_lyrics", address, here, step=lambda *what: steps.append(what))
    assert all(f.verified for f in done)
    assert ("checking prior_level_0.pth.tar", done[1].size, done[1].size) in steps
    assert same(source, here)


def test_a_file_that_was_there_before_is_compared_too(source: Path, here: Path) -> None:
    (here / "5b").mkdir(parents=True)
    (here / FILES[0]).write_bytes(b"mine")
    with (
        serving(source, Manners()) as address,
        pytest.raises(
            BadFormat,
            match=r"vqvae\.pth\.tar' is there with another SHA-256 than the list gives; move it away",
        ),
    ):
        fetch_model("1b_lyrics", address, here, digests=parse_list(sums(source).read_text(), "list"))
    assert (here / FILES[0]).read_bytes() == b"mine"


def test_a_source_that_breaks_off_is_gone_on_with(source: Path, here: Path) -> None:
    """The connection is closed after every 150,000 bytes; no byte is asked for twice."""
    sums(source)
    manners, pauses = Manners(cut_after=150_000), []
    with serving(source, manners) as address:
        done = fetch_model("1b_lyrics", address, here, wait=pauses.append)
    assert same(source, here) and all(f.verified for f in done)
    ranges = [asked for path, asked in manners.log if path == "/5b/vqvae.pth.tar"]
    assert ranges == ["", "bytes=150000-", "bytes=300000-"]
    assert set(pauses) == {1.0}  # there was progress each time


def test_a_server_that_forgets_ranges_sends_all_again(source: Path, here: Path) -> None:
    manners = Manners(cut_after=150_000)

    def wait(seconds: float) -> None:
        manners.cut_after, manners.ranges = None, False

    with serving(source, manners) as address:
        fetch_model("1b_lyrics", address, here, wait=wait)
    assert same(source, here)


def test_a_part_of_another_version_is_not_gone_on_with(source: Path, here: Path) -> None:
    manners = Manners(cut_after=150_000)

    def wait(seconds: float) -> None:
        manners.cut_after = None
        (source / FILES[0]).write_bytes(weights(77))

    with serving(source, manners) as address:
        fetch_model("1b_lyrics", address, here, wait=wait)
    assert manners.log[2] == ("/5b/vqvae.pth.tar", "bytes=150000-")
    assert same(source, here)


def test_a_part_longer_than_the_file_is_begun_anew(source: Path, here: Path) -> None:
    (here / "5b").mkdir(parents=True)
    (here / "5b/vqvae.pth.tar.part").write_bytes(b"x" * 10**6)
    tag = hashlib.sha256((source / FILES[0]).read_bytes()).hexdigest()[:16]
    (here / "5b/vqvae.pth.tar.part.tag").write_text(f'"{tag}"')
    with serving(source, Manners()) as address:
        fetch_model("1b_lyrics", address, here, wait=lambda seconds: None)
    assert same(source, here) and not leftovers(here)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_server(folder: Path, port: int, stall_after: int, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        command = [sys.executable, "-m", "tests.store.web", str(folder), str(port), str(stall_after)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=out)
    poll(lambda: can_connect(port), "the server listens")
    return process


def can_connect(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def poll(done: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"waited {seconds:g} s in vain until {what}"
        time.sleep(0.02)


def test_a_server_killed_midway(source: Path, here: Path, tmp_path: Path) -> None:
    """Killed while a file is on its way and started again: the rest is asked for, and all is as it should be."""
    port, log = free_port(), tmp_path / "log"
    part = here / "5b/vqvae.pth.tar.part"
    process = start_server(source, port, 200_000, log)
    failed = threading.Event()

    def wait(seconds: float) -> None:
        failed.set()
        time.sleep(0.05)

    result: list[Any] = []

    def work() -> None:
        while True:
            try:
                result.append(
                    fetch_model("1b_lyrics", f"http://127.0.0.1:{port}", here, digests={}, wait=wait)
                )
                return
            except NotFetched as error:  # the server takes longer to come back than a fetch is patient here
                assert "what has arrived is kept, so run the command again to go on" in str(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    poll(lambda: part.is_file() and part.stat().st_size == 200_000, "200,000 bytes have arrived")
    process.kill()
    process.wait()
    assert failed.wait(60) and part.stat().st_size == 200_000
    process = start_server(source, port, 0, log)
    try:
        thread.join(60)
        assert not thread.is_alive() and result
    finally:
        process.kill()
        process.wait()
    assert same(source, here) and not leftovers(here)
    asked = log.read_text().split("\n")
    assert "/5b/vqvae.pth.tar bytes=200000-" in asked and asked.count("/5b/vqvae.pth.tar ") == 1


def test_a_fetch_killed_midway(source: Path, here: Path, tmp_path: Path) -> None:
    """The command itself is killed; run again, it goes on where it was."""
    sums(source)
    port, log = free_port(), tmp_path / "log"
    part = here / "5b/vqvae.pth.tar.part"
    server = start_server(source, port, 123_456, log)
    command = [
        sys.executable,
        "-c",
        "from bridge.cli import main; main()",
        "models",
        "fetch",
        "1b_lyrics",
        "--json",
    ]
    command += ["--from", f"http://127.0.0.1:{port}", "--to", str(here)]
    try:
        first = subprocess.Popen(command, cwd=ROOT)
        poll(lambda: part.is_file() and part.stat().st_size == 123_456, "123,456 bytes have arrived")
        first.send_signal(signal.SIGKILL)
        first.wait()
        server.kill()
        server.wait()
        server = start_server(source, port, 0, log)
        second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    finally:
        server.kill()
        server.wait()
    report = json.loads(second.stdout)
    assert [file["resumed"] for file in report["files"]] == [123_456, 0, 0, 0]
    assert all(file["verified"] for file in report["files"]) and same(source, here)
    assert "/5b/vqvae.pth.tar bytes=123456-" in log.read_text()


@pytest.mark.parametrize(
    ("manners", "kind", "message"),
    [
        (Manners(statuses=[403]), NoFile, r"vqvae\.pth\.tar may not be fetched without an account \(status 403\)"),
        (Manners(statuses=[418]), NotFetched, "could not be fetched: the server answered with status 418$"),
        (Manners(statuses=[503] * 9), NotFetched,
         r"could not be fetched \(the server answered with status 503, 6 times in a row\); what has arrived is kept"),
        (Manners(media_type="text/html; charset=utf-8"), BadFormat,
         "vqvae.pth.tar is a web page, not a file; give the address of the folder that holds the files"),
        (Manners(redirect="/moved/again"), NoFile,
         r"/5b/vqvae\.pth\.tar is not on the server; check the address given"),
        (Manners(coding="gzip"), NotFetched,
         r"vqvae\.pth\.tar is sent compressed, against what was asked for; choose another source$"),
    ],
)  # fmt: skip
def test_servers_that_say_no(
    source: Path, here: Path, manners: Manners, kind: type[SegueError], message: str
) -> None:
    with serving(source, manners) as address, pytest.raises(kind, match=message):
        fetch_model("1b_lyrics", address, here, wait=lambda seconds: None)
    assert not [path for path in here.rglob("*.tar")]


def test_pauses_grow_and_a_server_that_recovers_is_heard(source: Path, here: Path) -> None:
    manners, pauses = Manners(statuses=[503, 500, 429, 502]), []
    with serving(source, manners) as address:
        fetch_model("1b_lyrics", address, here, wait=pauses.append)
    assert pauses == [1.0, 2.0, 4.0, 8.0] and same(source, here)


def test_a_missing_file_is_named(source: Path, here: Path) -> None:
    (source / FILES[2]).unlink()
    with (
        serving(source, Manners()) as address,
        pytest.raises(
            NoFile,
            match=r"/5b/prior_level_1\.pth\.tar is not on the server; check the address given with --from$",
        ),
    ):
        fetch_model("1b_lyrics", address, here)
    assert (here / FILES[1]).is_file()


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"<!DOCTYPE html><html>log in</html>", "a web page"),
        (b"", "empty"),
        (b"RIFFsome audio", "of another kind than its name says"),
    ],
)
def test_what_is_no_weight_file_is_not_kept(source: Path, here: Path, content: bytes, what: str) -> None:
    (source / FILES[0]).write_bytes(content)
    with (
        serving(source, Manners()) as address,
        pytest.raises(BadFormat, match=rf"what came for vqvae\.pth\.tar is {what}; check the address"),
    ):
        fetch_model("1b_lyrics", address, here)
    assert not (here / FILES[0]).exists() and not (here / f"{FILES[0]}.part").exists()


def test_nobody_there(here: Path) -> None:
    with pytest.raises(NotFetched, match=r"could not be fetched .*, 6 times in a row"):
        fetch_model("5b", f"http://127.0.0.1:{free_port()}", here, wait=lambda seconds: None)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ftp://example.org/x", "'ftp://example.org/x' is not a web address; give one like https://"),
        ("models", "'models' is not a web address"),
        ("http://[::1", "is not a web address"),
        (
            "https://me:secret@example.org",
            "holds a user name or password; Segue sends none, give it without them$",
        ),
        ("https://example.org/x?sig=1", r"holds a query \('\?' or '#'\); give the address of a folder"),
    ],
)
def test_addresses_that_will_not_do(here: Path, address: str, message: str) -> None:
    with pytest.raises(BadArguments, match=message) as caught:
        fetch_model("5b", address, here)
    assert "secret" not in str(caught.value)


def test_a_full_disk_before_and_during(source: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(here.parent)
    with serving(source, Manners()) as address:
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
            with pytest.raises(
                DiskFull, match=r"vqvae\.pth\.tar needs 0\.000 GB more and 0\.000 GB are free"
            ):
                fetch_model("5b", address, here)
        with monkeypatch.context() as patch:

            def full(descriptor: int) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

            patch.setattr(os, "fsync", full)
            with pytest.raises(
                DiskFull,
                match=r"there is no room left for '.*vqvae\.pth\.tar\.part'; free some space and run",
            ):
                fetch_model("5b", address, here)


def test_a_folder_that_cannot_be_made(source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        serving(source, Manners()) as address,
        pytest.raises(PathNotAllowed, match=r"choose another folder with --to$"),
    ):
        fetch_model("5b", address, tmp_path / "file")


@pytest.mark.parametrize("name", ["../up", "/etc/x", "a/../../b", "a\\b", "C:x", "", "a\x00b"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PathNotAllowed, match=r"leads out of the folder; it must be a plain relative path$"):
        inside(tmp_path, name)


def test_a_hostile_list_writes_nothing_outside(source: Path, here: Path, tmp_path: Path) -> None:
    digest = "0" * 64
    (source / "SHA256SUMS").write_text(f"{digest}  mine/../../escaped.json\n")
    with (
        serving(source, Manners()) as address,
        pytest.raises(PathNotAllowed, match="leads out of the folder"),
    ):
        fetch_model("mine", address, here)
    assert not (tmp_path / "escaped.json").exists() and not here.exists()
    here.mkdir()
    (here / "5b").symlink_to(tmp_path)
    with pytest.raises(PathNotAllowed, match=r"leads out of '.*here' through a link; remove the link$"):
        inside(here, "5b/vqvae.pth.tar")


def test_other_models_are_fetched_by_the_sources_list(source: Path, here: Path) -> None:
    (source / "mine").mkdir()
    (source / "mine/model.json").write_text("{}")
    sums(source)
    with serving(source, Manners()) as address:
        [file] = fetch_model("mine", address, here)
        assert file.verified and (here / "mine/model.json").read_text() == "{}"
        with pytest.raises(
            NoModel, match=r"'5x' is none of the released models \(5b, 5b_lyrics, 1b_lyrics\), and"
        ):
            fetch_model("5x", address, here)


def test_two_at_once_do_not_mix(source: Path, here: Path) -> None:
    here.mkdir()
    with (
        serving(source, Manners()) as address,
        filelock.FileLock(here / ".fetch.lock"),
        pytest.raises(Busy, match=r"another command is fetching into '.*here'; wait until it is done$"),
    ):
        fetch_model("5b", address, here)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "abc  file\n",
            "line 1 of 'sums' is 'abc  file'; it must be a SHA-256 of 64 digits, two spaces and a path$",
        ),
        (None, "'.*sums' is not there; give a file as sha256sum writes it"),
    ],
)
def test_lists_that_will_not_do(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "sums").write_text(text)
    with pytest.raises(SegueError, match=message):
        read_list(tmp_path / "sums")


def test_the_command(source: Path, here: Path, tmp_path: Path) -> None:
    listing = sums(source).rename(tmp_path / "sums")
    with serving(source, Manners()) as address:
        asked = ["1b_lyrics", "--from", address, "--to", str(here), "--sha256", str(listing)]
        result = CliRunner().invoke(fetch, asked)
    assert result.exit_code == 0, result.output
    assert f"{here / FILES[0]}  0.4 MB, SHA-256 as listed\n" in result.stdout
    assert result.stdout.endswith(f"next: segue models import {here} --model 1b_lyrics\n")
