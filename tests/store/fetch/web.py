"""A file server for tests that knows ranges, and can stall, break off, or answer wrongly as it is told.

Run as a program it can be killed: ``python -m tests.store.fetch.web FOLDER PORT STALL_AFTER``; it logs every
request for a file as a line ``path range`` on stdout.
"""

from __future__ import annotations

import hashlib
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Manners:
    """How the server behaves. ``stall_after``/``cut_after``: bytes of a body after which it waits for ever or hangs
    up (each once a request); ``statuses``: answered first, one a request; ``ranges``: whether it knows them."""

    stall_after: int | None = None
    cut_after: int | None = None
    statuses: list[int] = field(default_factory=list)
    ranges: bool = True
    media_type: str = "application/octet-stream"
    redirect: str = ""
    coding: str = ""
    log: list[tuple[str, str]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    """Serves ``folder``; the ETag is the content's hash."""

    protocol_version = "HTTP/1.1"

    def __init__(self, folder: Path, manners: Manners, *args: Any) -> None:
        self.folder, self.manners = folder, manners
        super().__init__(*args)

    def log_message(self, format: str, *args: Any) -> None:
        return

    def do_GET(self) -> None:
        manners, asked = self.manners, self.headers.get("Range", "")
        manners.log.append((self.path, asked))
        manners.headers.append(dict(self.headers))
        print(self.path, asked, flush=True)
        file = self.folder / self.path.lstrip("/")
        if manners.statuses and not self.path.endswith("SUMS"):
            self.answer(manners.statuses.pop(0), {})
        elif manners.redirect and not self.path.startswith("/moved/"):
            self.answer(302, {"Location": manners.redirect + self.path})
        elif not file.is_file():
            self.answer(404, {"Content-Type": "text/html"}, b"<html>not here</html>")
        else:
            self.send(file.read_bytes(), asked)

    def send(self, data: bytes, asked: str) -> None:
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        headers = {"ETag": tag, "Content-Type": self.manners.media_type}
        if self.manners.coding:
            headers["Content-Encoding"] = self.manners.coding
        found = re.fullmatch(r"bytes=(\d+)-", asked) if self.manners.ranges else None
        if found and self.headers.get("If-Range", tag) == tag:
            start = int(found[1])
            if start >= len(data):
                self.answer(416, {"Content-Range": f"bytes */{len(data)}"})
                return
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.answer(206, headers, data[start:])
        else:
            self.answer(200, headers, data)

    def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        manners = self.manners
        stop = manners.stall_after if manners.stall_after is not None else manners.cut_after
        if stop is None or len(body) <= stop:
            self.wfile.write(body)
            return
        self.wfile.write(body[:stop])
        self.wfile.flush()
        if manners.stall_after is not None:
            threading.Event().wait()
        self.close_connection = True
        self.connection.close()


def server(folder: Path, manners: Manners, port: int = 0) -> ThreadingHTTPServer:
    made = ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, folder, manners))
    made.daemon_threads = True
    return made


@contextmanager
def serving(folder: Path, manners: Manners) -> Iterator[str]:
    """The server in a thread of this process; gives its address."""
    made = server(folder, manners)
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{made.server_port}"
    finally:
        made.shutdown()
        made.server_close()
        thread.join()


if __name__ == "__main__":
    limit = int(sys.argv[3])
    server(Path(sys.argv[1]), Manners(stall_after=limit or None), int(sys.argv[2])).serve_forever()
