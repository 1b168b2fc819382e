"""A bridge with the mock engine in a process of its own, for tests that kill it: prints its port."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from bridge.session.core import Session, SessionSetup
from bridge.session.remembering import MemorySetup
from bridge.session.sound import SoundSetup
from bridge.supervision.engine_client import EngineSetup
from engine.host.mock import DEFAULT_MODEL, TARGET, MockModels


async def main(takes: Path, state: Path) -> None:
    session = Session(
        SessionSetup(
            host="127.0.0.1",
            port=0,
            takes=takes,
            engine=EngineSetup(model=DEFAULT_MODEL, target=TARGET),
            sound=SoundSetup("none"),
            models=MockModels(),
            memory=MemorySetup(state),
        )
    )
    await session.start()
    print(session.address[1], flush=True)
    await session.ended.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
