"""Ports that nobody uses, and that the system hands to nobody who asks for any port."""

from __future__ import annotations

import random
import socket

_BELOW_EPHEMERAL = range(20_000, 32_000)


def free_port() -> int:
    """A port of loopback that is free for UDP and for TCP, and stays so until it is used."""
    while True:
        port = random.choice(_BELOW_EPHEMERAL)
        try:
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                with socket.socket(socket.AF_INET, kind) as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port
