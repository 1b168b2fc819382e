"""What the mock engine is told when it starts, and the models that it pretends to have."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from engine.errors import NoModel
from engine.request import Frozen

DEFAULT_MODEL = "mock"
MODELS = (DEFAULT_MODEL, "mock-2", "mock-slow", "mock-huge", "mock-crash")


class MockModels:
    """The catalogue of the mock engine's models (bridge/session/models.py)."""

    def names(self) -> tuple[str, ...]:
        """Their names."""
        return MODELS

    def require(self, name: str) -> None:
        """Raise :class:`NoModel` for any other."""
        if name not in MODELS:
            raise NoModel(f"there is no model '{name}'; the mock engine has {', '.join(MODELS)}")


Seconds = Annotated[float, Field(ge=0.0, le=60.0)]


class MockOptions(Frozen):
    """``speed``: seconds of a full take made per second (a fine one is made twice, a draft four times as fast);
    ``load_seconds``: loading a model; ``prime_seconds``: reading a prime, beside what the file itself takes;
    ``attach_seconds``: from a job's beginning until it opens its ring; ``previews``: whether the draft is heard
    until the asked-for is made; ``diary``: a file that gets a line of JSON for every command, report (but
    heartbeats) and window.
    """

    speed: Annotated[float, Field(ge=0.05, le=1000.0)] = 4.0
    load_seconds: Seconds = 0.0
    prime_seconds: Seconds = 0.0
    attach_seconds: Seconds = 0.0
    previews: bool = True
    diary: str | None = None
