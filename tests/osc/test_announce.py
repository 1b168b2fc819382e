from __future__ import annotations

import asyncio
import importlib
import sys

import pytest

from bridge.query.announce import Announcement


def announced(osc: tuple[str, int], query: tuple[str, int] | None) -> str:
    async def main() -> str:
        announcement = Announcement()
        await announcement.start(osc, query)
        await announcement.stop()
        return announcement.sentence

    return asyncio.run(main())


def test_without_zeroconf_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "zeroconf.asyncio", None)  # importing it raises ImportError
    assert announced(("127.0.0.1", 1), None) == "not announced (pip install zeroconf to be found by name)"


def test_a_network_that_cannot_be_announced_to_ends_nothing():
    pytest.importorskip("zeroconf")
    # 192.0.2.0/24 is for documentation: no machine has an address in it
    assert announced(("192.0.2.1", 1), None).startswith("not announced (")


@pytest.mark.slow
def test_osc_and_the_query_are_found_by_name():
    pytest.importorskip("zeroconf")
    module = importlib.import_module("zeroconf.asyncio")

    async def main() -> tuple[str, dict[str, tuple[int, dict[bytes, bytes | None]]]]:
        announcement = Announcement()
        await announcement.start(("127.0.0.1", 19999), ("127.0.0.1", 19998))
        found = {}
        browser = module.AsyncZeroconf(interfaces=["127.0.0.1"])
        for kind in ("_osc._udp", "_osc._tcp", "_oscjson._tcp"):
            info = module.AsyncServiceInfo(f"{kind}.local.", f"Segue 19999.{kind}.local.")
            if await info.async_request(browser.zeroconf, 3000):
                found[kind] = (info.port, info.properties)
        await browser.async_close()
        await announcement.stop()
        return announcement.sentence, found

    sentence, found = asyncio.run(main())
    if sentence != 'announced as "Segue 19999"':
        pytest.skip(f"this machine has no multicast: {sentence}")
    assert {kind: port for kind, (port, _) in found.items()} == {
        "_osc._udp": 19999,
        "_osc._tcp": 19999,
        "_oscjson._tcp": 19998,
    }
    assert found["_osc._udp"][1] == {
        b"txtvers": b"1",
        b"version": b"1.1",
        b"framing": b"slip",
        b"types": b"ifsb",
    }
