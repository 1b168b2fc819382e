"""Which requests of a browser are let in: a web page from elsewhere must not drive a session on this machine.

A browser sends a page's ``Origin`` with every WebSocket, and the name the page was found under as ``Host``: a name that
was pointed at this machine by somebody else (DNS rebinding) is not one of ours.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection
from urllib.parse import urlsplit


def own_names(listens_on: str) -> frozenset[str]:
    """Names under which this machine may be asked for."""
    name = socket.gethostname().lower()
    return frozenset({"localhost", listens_on.lower(), name, f"{name.removesuffix('.local')}.local"})


def may_ask(host: str | None, origin: str | None, names: Collection[str]) -> bool:
    """Whether a request with these headers may be answered. Programs send no ``Origin``; pages of this machine may."""
    asked = _host_of(f"//{host}") if host else None
    if asked is None or not (_address(asked) or asked in names):
        return False
    if origin is None:
        return True
    page = _host_of(origin)
    return page is not None and (page == asked or page == "localhost" or _is_loopback(page))


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return address is not None and address.is_loopback
