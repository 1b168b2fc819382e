"""``segue models fetch`` where it must say no: servers, files, addresses, disks, hostile lists."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import filelock
import pytest

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
from engine.store.fetch import fetch_model, inside, read_list
from tests.ports import free_port
from tests.store.fetch.source import FILES, sums
from tests.store.fetch.web import Manners, serving


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
