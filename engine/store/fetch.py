"""Fetching a model's files from a source that the user chose: which files, where to, and whether they are right.

The names are those of facts/jukebox.md §6.1, relative to the source. Nothing is fetched from anywhere by default,
no credentials are sent, and where files go is decided here, never by the server.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import filelock
import httpx2 as httpx

from engine.errors import BadFormat, Busy, NoFile, NoModel, PathNotAllowed
from engine.store.download import TIMEOUT, check_address, download, writing
from engine.store.files import file_digest

LIST_NAME = "SHA256SUMS"
MAX_LIST_BYTES = 1 << 20
_SHARED = ("5b/vqvae.pth.tar", "5b/prior_level_0.pth.tar", "5b/prior_level_1.pth.tar")
RELEASED_FILES: dict[str, tuple[str, ...]] = {
    name: (*_SHARED, f"{name}/prior_level_2.pth.tar") for name in ("5b", "5b_lyrics", "1b_lyrics")
}
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")


@dataclass(frozen=True)
class Fetched:
    """A file that is here now. ``resumed``: bytes that an earlier run had left, all of them if it was whole
    already; ``verified``: its SHA-256 was compared with a list."""

    path: Path
    size: int
    resumed: int
    verified: bool


def parse_list(text: str, name: str) -> dict[str, str]:
    """SHA-256 by relative path from text as ``sha256sum`` writes it. Raises BadFormat with the first wrong line."""
    digests = {}
    for number, line in enumerate(text.splitlines(), 1):
        found = _LINE.fullmatch(line.strip())
        if found:
            digests[found[2].removeprefix("./")] = found[1].lower()
        elif line.strip():
            raise BadFormat(
                f"line {number} of {name} is '{line[:60]}'; it must be a SHA-256 of 64 digits, two spaces and a path"
            )
    return digests


def inside(folder: Path, name: str) -> Path:
    """Where ``name`` goes in ``folder``. Raises PathNotAllowed for a name that leads out of it."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or re.search(r"[\\:\x00-\x1f]", name):
        raise PathNotAllowed(
            f"the file name '{name}' leads out of the folder; it must be a plain relative path"
        )
    path = folder.joinpath(*parts)
    if not path.resolve().is_relative_to(folder.resolve()):
        raise PathNotAllowed(f"'{path}' leads out of '{folder}' through a link; remove the link")
    return path


def files_of(name: str, digests: Mapping[str, str]) -> tuple[str, ...]:
    """Relative paths of the model ``name``: the released ones, else what the list has in a folder of that name.

    Raises NoModel.
    """
    if name in RELEASED_FILES:
        return RELEASED_FILES[name]
    listed = tuple(sorted(path for path in digests if path.startswith(f"{name}/")))
    if not listed:
        raise NoModel(
            f"'{name}' is none of the released models ({', '.join(RELEASED_FILES)}), and no list names files in a "
            f"folder '{name}/'"
        )
    return listed


def fetch_model(
    name: str,
    source: str,
    folder: Path,
    *,
    digests: Mapping[str, str] | None = None,
    step: Callable[[str, int, int | None], None] = lambda name, done, total: None,
    wait: Callable[[float], None] = time.sleep,
) -> list[Fetched]:
    """Fetch the files of ``name`` from below the address ``source`` into ``folder``; what is there is not fetched.

    ``digests``: SHA-256 by relative path; None asks the source for its ``SHA256SUMS``, which it need not have.
    ``step`` is told file name, bytes done and its size. Raises the errors of :func:`download`, NoModel,
    PathNotAllowed, Busy (another command fetches into the folder), or BadFormat for a wrong SHA-256.
    """
    base = check_address(source)
    # Proxies of the environment are used; credentials of a .netrc file are not.
    with httpx.Client(timeout=TIMEOUT, follow_redirects=True, max_redirects=5) as client:
        known = _listed(client, base) if digests is None else digests
        paths = {path: inside(folder, path) for path in files_of(name, known)}
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            with filelock.FileLock(folder / ".fetch.lock", timeout=0):
                return [
                    _one(client, f"{base}/{path}", target, known.get(path), step, wait)
                    for path, target in paths.items()
                ]
        except filelock.Timeout:
            raise Busy(f"another command is fetching into '{folder}'; wait until it is done") from None


def _one(
    client: httpx.Client,
    url: str,
    target: Path,
    digest: str | None,
    step: Callable[[str, int, int | None], None],
    wait: Callable[[float], None],
) -> Fetched:
    if target.is_file():
        if digest is not None and _digest(target, step) != digest:
            raise BadFormat(
                f"'{target}' is there with another SHA-256 than the list gives; move it away to fetch it again"
            )
        size = target.stat().st_size
        return Fetched(target, size, size, digest is not None)
    arrived = download(
        client, url, target, step=lambda done, total: step(target.name, done, total), wait=wait
    )
    if digest is not None and (found := _digest(target, step)) != digest:
        target.unlink()
        raise BadFormat(
            f"{url} came with the SHA-256 {found[:12]}..., the list gives {digest[:12]}...; it was removed, so "
            "fetch it again, and doubt the source if that does not help"
        )
    return Fetched(target, arrived.size, arrived.resumed, digest is not None)


def _digest(file: Path, step: Callable[[str, int, int | None], None]) -> str:
    done, size = 0, file.stat().st_size

    def read(count: int) -> None:
        nonlocal done
        done += count
        step(f"checking {file.name}", done, size)

    return file_digest(file, read)


def _listed(client: httpx.Client, base: str) -> dict[str, str]:
    """The source's own list; empty if it has none."""
    try:
        response = client.get(f"{base}/{LIST_NAME}")
    except httpx.HTTPError:
        return {}  # (the first file will say what is wrong with the source)
    plain = "html" not in response.headers.get("Content-Type", "")
    if response.status_code != 200 or not plain or len(response.content) > MAX_LIST_BYTES:
        return {}
    return parse_list(response.text, f"{base}/{LIST_NAME}")


def read_list(path: Path) -> dict[str, str]:
    """The digests in a file as ``sha256sum`` writes it. Raises NoFile or BadFormat."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NoFile(f"'{path}' is not there; give a file as sha256sum writes it") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadFormat(
            f"'{path}' cannot be read as text ({error}); give a file as sha256sum writes it"
        ) from error
    return parse_list(text, f"'{path.name}'")
