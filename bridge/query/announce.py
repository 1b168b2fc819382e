"""Telling the network where OSC and OSCQuery are, by DNS-SD (facts/daw.md §1.1, §1.8), if ``zeroconf`` is installed."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import ipaddress
import logging
import socket
from typing import Any

from bridge.osc.endpoint import Address

log = logging.getLogger("segue.query")

OSC_TEXT = {"txtvers": "1", "version": "1.1", "framing": "slip", "types": "ifsb"}
QUERY_TEXT = {"txtvers": "1"}


class Announcement:
    """The services of one session on the network; ``sentence`` says what became of it."""

    def __init__(self) -> None:
        self.sentence = "not announced"
        self._zeroconf: Any = None
        self._services: list[Any] = []

    async def start(self, osc: Address, query: Address | None) -> None:
        """Announce OSC at ``osc`` (UDP and TCP) and OSCQuery at ``query``; failing is said, not raised."""
        try:
            module = await asyncio.to_thread(importlib.import_module, "zeroconf.asyncio")
        except ImportError:
            self.sentence = "not announced (pip install zeroconf to be found by name)"
            return
        try:
            await self._register(module, osc, query)
        except Exception as error:  # whatever the network lacks, the session goes on
            self.sentence = f"not announced ({error or type(error).__name__})"
            log.warning("OSC is %s", self.sentence)
            await self.stop()

    async def stop(self) -> None:
        """Take the announcement back."""
        zeroconf, self._zeroconf = self._zeroconf, None
        if zeroconf is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2):
                    for service in self._services:
                        await zeroconf.async_unregister_service(service)
            with contextlib.suppress(Exception):
                await zeroconf.async_close()

    async def _register(self, module: Any, osc: Address, query: Address | None) -> None:
        host = ipaddress.ip_address(osc[0])
        everywhere = host.is_unspecified
        # A session that only this machine reaches is told to this machine only.
        self._zeroconf = module.AsyncZeroconf(interfaces=["0.0.0.0"] if everywhere else [str(host)])
        addresses = [socket.inet_pton(_family(host), str(host))] if not everywhere else _own_addresses()
        wanted = [("_osc._udp.local.", osc[1], OSC_TEXT), ("_osc._tcp.local.", osc[1], OSC_TEXT)]
        if query is not None:
            wanted.append(("_oscjson._tcp.local.", query[1], QUERY_TEXT))
        name = f"Segue {osc[1]}"
        for kind, port, text in wanted:
            service = module.AsyncServiceInfo(
                kind,
                f"{name}.{kind}",
                addresses=addresses,
                port=port,
                properties=text,
                server=f"segue-{osc[1]}.local.",
            )
            self._services.append(service)
            await (await self._zeroconf.async_register_service(service))
        self.sentence = f'announced as "{name}"'


def _family(host: ipaddress.IPv4Address | ipaddress.IPv6Address) -> socket.AddressFamily:
    return socket.AF_INET if host.version == 4 else socket.AF_INET6


def _own_addresses() -> list[bytes]:
    """IPv4 addresses under which other machines may reach this one."""
    found = {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    return [socket.inet_aton(address) for address in sorted(found)]
