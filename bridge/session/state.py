"""What a session finds again after a restart: choices, prime, current take, clock, levels; one small file."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import Field, ValidationError

from bridge.session.aside import Aside
from bridge.session.choices import Choices
from bridge.session.lyrics import LyricSheet
from bridge.session.notices import Notices, Sendable
from bridge.session.settings import Settings
from bridge.session.styles import StyleChoice
from engine.audio.durable import write_durably, writing
from engine.errors import SegueError
from engine.request import Frozen, PrimeRef, Style
from presets import Preset, Quantum

WRITE_AFTER_SECONDS = 0.5  # of rest; a knob that is turned is written once
_WATCHED = (
    "/segue/param/",
    "/segue/style",
    "/segue/lyrics",
    "/segue/quantum",
    "/segue/prime",
    "/segue/take/current",
    "/segue/sync/source",
    "/segue/tempo",
    "/segue/signature",
    "/segue/key",
    "/segue/song",
    "/segue/export/folder",
)


class SessionState(Frozen):
    """The file's content. ``take``: folder of the current take; ``clock``: the source that is followed; ``tempo``: set
    for it, 0 where none is; ``mix``, ``gain_db``, ``monitor_db`` as their parameters; ``exports``: the folder chosen
    for them."""

    schema_version: Literal[1] = 1
    settings: Settings = Field(default_factory=Settings)
    style: Style = Style()
    style_name: str = "unknown"
    style_index: int = 0
    preset: Preset | None = None
    lyrics: str = ""
    quantum: Quantum = Quantum()
    prime: PrimeRef | None = None
    take: str = ""
    clock: str = ""
    tempo: float = 0.0
    signature: tuple[int, int] = (4, 4)
    key: str = ""
    song_bars: float = 0.0
    mix: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0
    gain_db: Annotated[float, Field(ge=-60.0, le=6.0)] = 0.0
    monitor_db: Annotated[float, Field(ge=-60.0, le=6.0)] = -60.0
    exports: str = ""

    @classmethod
    def of(cls, chosen: Choices, **more: Any) -> SessionState:
        """The state with these choices."""
        style = chosen.style
        return cls(
            settings=chosen.settings,
            style=style.style,
            style_name=style.name,
            style_index=style.index,
            preset=style.preset,
            lyrics=chosen.lyrics.text,
            quantum=chosen.quantum,
            **more,
        )

    def choices(self) -> Choices:
        """The choices in it."""
        style = StyleChoice(self.style_name, self.style_index, self.style, self.preset)
        return Choices(self.settings, style, LyricSheet(self.lyrics), self.quantum)


def state_path() -> Path:
    """Where the state is: ``SEGUE_STATE`` where that is set, else ``session.json`` in the user's state folder."""
    named = os.environ.get("SEGUE_STATE")
    if named:
        return Path(named).expanduser()
    return platformdirs.user_state_path("segue", appauthor=False) / "session.json"


def read_state(path: Path) -> tuple[SessionState | None, str]:
    """The state in a file, None where there is none; and what is wrong with it, "" where nothing is.

    A file that cannot be used is set aside under the name with ``.broken`` behind it.
    """
    try:
        return SessionState.model_validate_json(path.read_bytes()), ""
    except FileNotFoundError:
        return None, ""
    except OSError as error:
        return None, f"'{path}' cannot be read ({error.strerror}); the session starts with its defaults"
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "its start"
        aside = path.with_name(f"{path.name}.broken")
        try:
            path.replace(aside)
        except OSError:
            aside = path
        return None, (
            f"the state of the last session is broken at {place} ({first['msg'][:80]}); it is in '{aside}', and the "
            "session starts with its defaults"
        )


def write_state(path: Path, state: SessionState) -> None:
    """The file is there whole or not at all. Raises as :func:`engine.audio.durable.writing` does."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, state.model_dump_json(indent=1).encode())


class Memory:
    """Keeps a state file up to date: written when what is told of the session has come to rest.

    ``path``: None keeps nothing. ``now``: the state as it is; ``tell``: says, once, what keeps it from being written.
    """

    def __init__(
        self,
        path: Path | None,
        now: Callable[[], SessionState],
        notices: Notices,
        aside: Aside,
        tell: Callable[[str], None],
    ) -> None:
        self._path, self._now, self._aside, self._tell = path, now, aside, tell
        self._written: SessionState | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._complained = False
        if path is not None:
            notices.taps.append(self._heard)

    def _heard(self, address: str, values: tuple[Sendable, ...]) -> None:
        if self._timer is None and address.startswith(_WATCHED):
            self._timer = asyncio.get_running_loop().call_later(WRITE_AFTER_SECONDS, self._write)

    def _write(self) -> None:
        self._timer = None
        path, state = self._path, self._now()
        if path is None or state == self._written:
            return
        self._written = state
        self._aside.run(lambda: write_state(path, state), failed=self._not_written)

    def _not_written(self, error: SegueError) -> None:
        self._written = None
        if not self._complained:
            self._complained = True
            self._tell(f"{error.message}; what is chosen is not kept for the next session")

    def close(self) -> None:
        """Write what has changed and was not written yet; :meth:`Aside.close` waits for it."""
        if self._timer is not None:
            self._timer.cancel()
            self._write()
