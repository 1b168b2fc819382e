"""Takes to play, and an audio client for one test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import numpy.typing as npt

from bridge.audio.supervisor import AudioClient
from engine.ring import Ring


def noise(frames: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """White noise on the 24-bit grid, without zeros, so that every frame tells where it belongs."""
    values = np.random.default_rng(seed).integers(1, 1 << 22, frames)
    return (values / (1 << 23)).astype(np.float32)


@contextlib.asynccontextmanager
async def running() -> AsyncIterator[AudioClient]:
    """A client whose process runs."""
    client = AudioClient()
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def report(client: AudioClient, kind: str, seconds: float = 30.0) -> Any:
    """The next report of a kind; others are skipped."""

    async def search() -> Any:
        while True:
            found = await client.reports.get()
            if found.kind == kind:
                return found

    return await asyncio.wait_for(search(), seconds)


async def reports(client: AudioClient, *kinds: str, seconds: float = 60.0) -> dict[str, Any]:
    """The first report of each of several kinds, in whatever order they come."""

    async def search() -> dict[str, Any]:
        found: dict[str, Any] = {}
        while len(found) < len(kinds):
            report = await client.reports.get()
            if report.kind in kinds:
                found.setdefault(report.kind, report)
        return found

    return await asyncio.wait_for(search(), seconds)


async def feed(ring: Ring, take: npt.NDArray[np.float32]) -> None:
    """Write a take as room becomes free."""
    while len(take):
        take = take[ring.write(take) :]
        await asyncio.sleep(0.01)


async def reaches(ring: Ring, frame: int, seconds: float = 30.0) -> None:
    """Wait until the consumer has read ``frame`` frames."""

    async def look() -> None:
        while ring.read < frame:
            await asyncio.sleep(0.002)

    await asyncio.wait_for(look(), seconds)
