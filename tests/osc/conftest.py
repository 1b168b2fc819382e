from __future__ import annotations

from tests.bridge.conftest import ready, riff, start_session

__all__ = ["ready", "riff", "start_session"]
