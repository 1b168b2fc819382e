"""``segue models fetch`` against real local servers: ranges, resuming, kills on either side."""

from __future__ import annotations

import hashlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from engine.errors import (
    BadFormat,
    NotFetched,
)
from engine.store.fetch import fetch_model, parse_list
from engine.store.fetch_cli import fetch
from tests.ports import free_port
from tests.store.fetch.source import FILES, leftovers, same, sums, weights
from tests.store.fetch.web import Manners, serving

ROOT = Path(__file__).resolve().parents[3]


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


def start_server(folder: Path, port: int, stall_after: int, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        command = [sys.executable, "-m", "tests.store.fetch.web", str(folder), str(port), str(stall_after)]
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


def test_pauses_grow_and_a_server_that_recovers_is_heard(source: Path, here: Path) -> None:
    manners, pauses = Manners(statuses=[503, 500, 429, 502]), []
    with serving(source, manners) as address:
        fetch_model("1b_lyrics", address, here, wait=pauses.append)
    assert pauses == [1.0, 2.0, 4.0, 8.0] and same(source, here)


def test_the_command(source: Path, here: Path, tmp_path: Path) -> None:
    listing = sums(source).rename(tmp_path / "sums")
    with serving(source, Manners()) as address:
        asked = ["1b_lyrics", "--from", address, "--to", str(here), "--sha256", str(listing)]
        result = CliRunner().invoke(fetch, asked)
    assert result.exit_code == 0, result.output
    assert f"{here / FILES[0]}  0.4 MB, SHA-256 as listed\n" in result.stdout
    assert result.stdout.endswith(f"next: segue models import {here} --model 1b_lyrics\n")
