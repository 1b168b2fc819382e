"""Ports: whether a session could listen on them, and if not, who does."""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import Literal

from bridge.cli.checks.finding import Finding, Level
from bridge.osc.wire import encode_message, parse_packet

ANSWER_SECONDS = 0.3
Transport = Literal["udp", "tcp"]


def check_osc_port(host: str, port: int) -> Finding:
    """The port for OSC, UDP and TCP."""
    return _check("osc port", host, port, ("udp", "tcp"), "segue serve --port N")


def check_query_port(host: str, port: int) -> Finding:
    """The port for OSCQuery. A session takes a free one when it is taken."""
    found = _check("query port", host, port, ("tcp",), "segue serve --query-port N, or none")
    if found.level is Level.RED and "cannot" not in found.detail:
        return Finding(
            found.name, Level.NOTE, found.detail, f"another is taken by itself; to choose: {found.next_step}"
        )
    return found


def _check(name: str, host: str, port: int, transports: tuple[Transport, ...], option: str) -> Finding:
    for transport in transports:
        try:
            _try(host, port, transport)
        except OSError as error:
            where = f"{host}:{port} ({transport.upper()})"
            if error.errno == errno.EADDRINUSE:
                step = f"quit it, or use another: {option}"
                return Finding(
                    name, Level.RED, f"{where} is in use by {_holder(host, port, transport)}", step
                )
            step = f"use 127.0.0.1 or an address of this machine, and a port above 1023: {option}"
            return Finding(name, Level.RED, f"{where} cannot be opened: {error.strerror or error}", step)
    return Finding(name, Level.OK, f"{host}:{port} is free")


def _try(host: str, port: int, transport: Transport) -> None:
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    family, _, protocol, _, address = socket.getaddrinfo(host, port, type=kind)[0]
    with socket.socket(family, kind, protocol) as probe:
        if transport == "tcp":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what has just been closed is free
        probe.bind(address)


def _holder(host: str, port: int, transport: Transport) -> str:
    """Who has a port, as far as this user may know."""
    if transport == "udp" and (version := _segue_at(host, port)):
        return f"Segue {version}"
    with contextlib.suppress(Exception):  # psutil: not every system tells, and not everybody
        import psutil

        for connection in psutil.net_connections(
            kind=f"{transport}4" if ":" not in host else f"{transport}6"
        ):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return "another program"


def _segue_at(host: str, port: int) -> str:
    """The version of the Segue that answers there, "" if none does."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client, contextlib.suppress(OSError, ValueError):
        client.settimeout(ANSWER_SECONDS)
        client.sendto(encode_message("/segue/version"), (host.replace("0.0.0.0", "127.0.0.1"), port))
        for message in parse_packet(client.recv(65_536)):
            if message.address == "/segue/version.reply":
                return str(message.values[1])
    return ""
