"""One file over HTTP: resumed where it broke off, tried again after failures, never half there under its name."""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

import httpx2 as httpx

from engine.errors import BadArguments, BadFormat, DiskFull, NoFile, NotFetched, PathNotAllowed

ATTEMPTS = 6  # in a row without a byte
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds between attempts, doubled each time
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class _TryAgain(Exception):
    """An attempt that failed in a way that may pass; ``seconds``: how long the server asked to wait."""

    def __init__(self, why: str, seconds: float | None = None) -> None:
        super().__init__(why)
        self.seconds = seconds


@dataclass(frozen=True)
class Arrived:
    """A file that is whole: its size, and how many of its bytes an earlier run had left."""

    size: int
    resumed: int


def check_address(url: str) -> str:
    """A source's address without its last slash. Raises BadArguments unless it is http(s) and bare of secrets."""
    try:
        parts = urlsplit(url)
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadArguments(f"'{url}' is not a web address; give one like https://example.org/jukebox/models")
    if parts.username or parts.password:
        raise BadArguments(
            "the address holds a user name or password; Segue sends none, give it without them"
        )
    if parts.query or parts.fragment:
        raise BadArguments(f"'{url}' holds a query ('?' or '#'); give the address of a folder")
    return url.rstrip("/")


def download(
    client: httpx.Client,
    url: str,
    target: Path,
    *,
    step: Callable[[int, int | None], None] = lambda done, total: None,
    wait: Callable[[float], None] = time.sleep,
) -> Arrived:
    """Fetch ``url`` into ``target`` by way of ``target.part``, which a later call goes on with.

    ``step`` is told bytes done and the size, where known. Raises NoFile (not on the server), BadFormat (a web page,
    nothing, or not of the kind its name says), DiskFull, PathNotAllowed, or NotFetched.
    """
    part = target.with_name(target.name + ".part")
    with writing(part):
        part.parent.mkdir(parents=True, exist_ok=True)
    resumed = part.stat().st_size if part.is_file() else 0
    failures, pause = 0, FIRST_PAUSE
    while True:
        before = part.stat().st_size if part.is_file() else 0
        try:
            size = _attempt(client, url, part, step)
            break
        except (_TryAgain, httpx.TransportError) as error:
            progress = part.is_file() and part.stat().st_size > before
            failures, pause = (1, FIRST_PAUSE) if progress else (failures + 1, pause)
            if failures >= ATTEMPTS:
                raise NotFetched(
                    f"{url} could not be fetched ({_why(error)}, {ATTEMPTS} times in a row); what has arrived is "
                    "kept, so run the command again to go on"
                ) from error
            asked = error.seconds if isinstance(error, _TryAgain) else None
            wait(min(LONGEST_PAUSE, pause if asked is None else asked))
            pause *= 2
        except httpx.HTTPError as error:
            raise NotFetched(f"{url} could not be fetched ({_why(error)}); check the address") from error
    try:
        check_kind(part, target.name)
    except BadFormat:
        part.unlink()
        raise
    with writing(target):
        os.replace(part, target)
        _tag(part).unlink(missing_ok=True)
    return Arrived(size, min(resumed, size))


def _attempt(client: httpx.Client, url: str, part: Path, step: Callable[[int, int | None], None]) -> int:
    """One request for what is missing of ``part``; returns the size of the whole file."""
    have = part.stat().st_size if part.is_file() else 0
    headers = {"Accept-Encoding": "identity"}  # bytes as they are: ranges and sizes count them
    tag = _tag(part).read_text() if have and _tag(part).is_file() else ""
    if have and tag:
        headers |= {"Range": f"bytes={have}-", "If-Range": tag}
    elif have:  # nothing tells whether the file on the server is still the one that this is a part of
        have = 0
    with client.stream("GET", url, headers=headers) as response:
        _check_status(response, url)
        if response.status_code == 416:
            part.unlink(missing_ok=True)
            raise _TryAgain("the part that is here does not fit the file there")
        start, total = _extent(response, have)
        if have and start != have:
            part.unlink(missing_ok=True)  # the server starts anew: another file, or no ranges
        _check_room(part, start, total)
        _remember(part, response)
        return _receive(response, part, start, total, step)


def _receive(
    response: httpx.Response,
    part: Path,
    start: int,
    total: int | None,
    step: Callable[[int, int | None], None],
) -> int:
    done = start
    step(done, total)
    with writing(part), part.open("ab" if start else "wb", buffering=0) as file:
        for piece in response.iter_raw():
            file.write(piece)
            done += len(piece)
            step(done, total)
        os.fsync(file.fileno())
    if total is not None and done != total:
        raise _TryAgain(f"{done} of {total} bytes arrived")
    return done


def _check_status(response: httpx.Response, url: str) -> None:
    status = response.status_code
    if status in (404, 410):
        raise NoFile(f"{url} is not on the server; check the address given with --from")
    if status in (401, 403):
        raise NoFile(f"{url} may not be fetched without an account (status {status}); choose another source")
    if status in _AGAIN:
        after = response.headers.get("Retry-After", "")
        raise _TryAgain(
            f"the server answered with status {status}", float(after) if after.isdecimal() else None
        )
    if status not in (200, 206, 416):
        raise NotFetched(f"{url} could not be fetched: the server answered with status {status}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise NotFetched(f"{url} is sent compressed, against what was asked for; choose another source")
    kind = _media_type(response)
    if status != 416 and kind in ("text/html", "application/xhtml+xml"):
        raise BadFormat(
            f"{url} is a web page, not a file; give the address of the folder that holds the files"
        )


def _media_type(response: httpx.Response) -> str:
    message = Message()
    message["Content-Type"] = response.headers.get("Content-Type", "application/octet-stream")
    return message.get_content_type()


def _extent(response: httpx.Response, have: int) -> tuple[int, int | None]:
    """(first byte that comes, size of the whole file or None if the server does not say)."""
    if response.status_code == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != have:
            raise NotFetched(
                f"{response.url} was answered with another part than was asked for; try a later time"
            )
        return have, int(found[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _check_room(part: Path, start: int, total: int | None) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - start > free:
        raise DiskFull(
            f"{part.name.removesuffix('.part')} needs {(total - start) / 1e9:.3f} GB more and {free / 1e9:.3f} GB "
            f"are free in '{part.parent}'; free some space or choose another folder with --to"
        )


def _remember(part: Path, response: httpx.Response) -> None:
    """Note which version of the file this is a part of, so that it is only gone on with if it is still that."""
    tag = response.headers.get("ETag", "")
    # A weak tag does not promise equal bytes; a date does, as far as If-Range is concerned.
    strong = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified", "")
    with writing(part):
        if strong:
            _tag(part).write_text(strong)
        else:
            _tag(part).unlink(missing_ok=True)


def _tag(part: Path) -> Path:
    return part.with_name(part.name + ".tag")


def check_kind(file: Path, name: str) -> None:
    """Look at the first bytes of ``file``, which will be called ``name``. Raises BadFormat for another kind."""
    with file.open("rb") as opened:
        head = opened.read(512)
    page = head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml"))
    whole = {
        ".tar": head.startswith((b"PK\x03\x04", b"\x80")),  # torch.save: a zip file or a pickle
        ".bin": head.startswith((b"PK\x03\x04", b"\x80")),
        ".safetensors": head[8:9] == b"{",
        ".json": head.lstrip()[:1] in (b"{", b"["),
    }.get(Path(name).suffix, bool(head))
    if page or not whole:
        what = "a web page" if page else "empty" if not head else "of another kind than its name says"
        raise BadFormat(f"what came for {name} is {what}; check the address given with --from")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the operating system says while ``path`` is written into errors that a user can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise DiskFull(
                f"there is no room left for '{path}'; free some space and run the command again to go on"
            ) from error
        raise PathNotAllowed(
            f"'{path}' cannot be written ({error.strerror}); choose another folder with --to"
        ) from error


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__
