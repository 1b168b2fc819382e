"""Many questions about devices, one process that looks."""

from __future__ import annotations

import asyncio

import pytest

from bridge.audio import devices
from bridge.audio.devices import Looking
from bridge.audio.protocol import DeviceInfo


def test_a_flood_of_questions_starts_one_process_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[asyncio.subprocess.Process] = []
    begin = asyncio.create_subprocess_exec

    async def counted(*command: str, **pipes: int) -> asyncio.subprocess.Process:
        started.append(await begin(*command, **pipes))
        return started[-1]

    monkeypatch.setattr(devices.asyncio, "create_subprocess_exec", counted)

    async def ask() -> None:
        looking = Looking()
        answers: list[tuple[DeviceInfo, ...]] = await asyncio.gather(*(looking.listed() for _ in range(50)))
        assert len(started) == 1 and all(answer == answers[0] for answer in answers)
        impatient = asyncio.create_task(looking.listed())  # one that goes away costs the others nothing
        patient = asyncio.create_task(looking.listed())
        await asyncio.sleep(0)
        impatient.cancel()
        assert await patient == answers[0] and len(started) == 2

    asyncio.run(ask())
