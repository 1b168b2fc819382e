"""What a session is played with: presets and controllers, put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bridge.session.choices import Choosing
from bridge.session.controllers import Controllers, MidiSetup
from bridge.session.dispatch import Handler
from bridge.session.notices import Notices
from bridge.session.presets import PresetDesk, PresetFolders
from bridge.session.properties import Properties
from bridge.session.transport import MusicalTime
from engine.host.protocol import Ready


@dataclass(frozen=True)
class StageSetup:
    """``midi``: None for a session without; ``clock``: the source that is followed at first."""

    midi: MidiSetup | None = None
    presets: PresetFolders = field(default_factory=PresetFolders)
    clock: str = "none"


class Stage:
    """Started after the other processes, closed before them."""

    def __init__(
        self,
        setup: StageSetup,
        *,
        notices: Notices,
        properties: Properties,
        choosing: Choosing,
        time: MusicalTime,
        engine_ready: Callable[[], Ready],
        tell: Callable[[str], None],
    ) -> None:
        self.time = time
        self.controllers = Controllers(setup.midi, notices, properties, time.midi_clock, tell)
        self.presets = PresetDesk(
            setup.presets, choosing, notices, properties, engine_ready, lambda: None, tell
        )

    def start(self, handlers: Mapping[str, Handler]) -> None:
        """Begin, in the running loop; ``handlers``: what addresses do."""
        self.time.run()
        self.presets.start()
        self.controllers.start(handlers)

    async def close(self) -> None:
        """Let go of ports, files and clocks."""
        self.time.close()
        self.presets.close()
        await self.controllers.close()
