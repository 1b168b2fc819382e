"""What a session is played with: presets and controllers, put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bridge.daw.bitwig import FEEDBACK_PORT, PORT, Bitwig
from bridge.daw.postman import Postman
from bridge.osc.intake import PacketHandler
from bridge.osc.subscribers import Subscribers
from bridge.session.aside import Aside
from bridge.session.capturing import Capturing, InputSetup
from bridge.session.choices import Choosing
from bridge.session.controllers import Controllers, MidiSetup
from bridge.session.daws import Daws
from bridge.session.dispatch import Handler
from bridge.session.entries import TakeEntry
from bridge.session.exporting import Exporting
from bridge.session.holding import Holding
from bridge.session.jobs import JobBook
from bridge.session.launching import Launching
from bridge.session.notices import Notices
from bridge.session.performing import Performing
from bridge.session.playback import Player
from bridge.session.presets import PresetDesk, PresetFolders
from bridge.session.primes import PrimeDesk
from bridge.session.properties import Properties
from bridge.session.restyling import Restyling
from bridge.session.sound import Sound
from bridge.session.takes import TakeBook
from bridge.session.transport import MusicalTime
from engine.host.protocol import Command, Ready
from export.tracks.targets import USUAL


@dataclass(frozen=True)
class StageSetup:
    """``midi``: None for a session without; ``clock``: the source that is followed at first."""

    midi: MidiSetup | None = None
    presets: PresetFolders = field(default_factory=PresetFolders)
    input: InputSetup = field(default_factory=InputSetup)
    clock: str = "none"
    mail: Path | None = None  # folder of the mailboxes of scripts in DAWs
    bitwig: tuple[int, int] = (PORT, FEEDBACK_PORT)


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
        player: Player,
        jobs: JobBook,
        takes: TakeBook,
        primes: PrimeDesk,
        sound: Sound,
        aside: Aside,
        folder: Path,
        send: Callable[[Command], None],
        engine_ready: Callable[[], Ready],
        tell: Callable[[str], None],
        subscribers: Subscribers,
    ) -> None:
        self.time = time
        self.controllers = Controllers(setup.midi, notices, properties, takes, time.midi_clock, tell)
        player.bpm_of = lambda ident: _bpm_of(ident, jobs, takes)
        self.launching = Launching(time, player, choosing)
        self.restyling = Restyling(
            player=player,
            jobs=jobs,
            takes=takes,
            launching=self.launching,
            notices=notices,
            engine_ready=engine_ready,
            tell=tell,
        )
        self.presets = PresetDesk(
            setup.presets, choosing, notices, properties, engine_ready, self.restyling.changed, tell
        )
        self.capturing = Capturing(
            setup.input,
            sound=sound,
            clock=time,
            primes=primes,
            notices=notices,
            properties=properties,
            engine_ready=engine_ready,
            folder=folder,
            bars=lambda: choosing.now.settings.capture_bars,
            free=lambda: jobs.running is None,
            send=send,
            tell=tell,
        )
        self.exporting = Exporting(folder, properties)
        self.holding = Holding(player, time, folder)
        self.performing = Performing(
            player=player,
            takes=takes,
            primes=primes,
            launching=self.launching,
            sound=sound,
            aside=aside,
            notices=notices,
            properties=properties,
        )

        self.daws = Daws(notices, takes, self._file_of, Bitwig(*setup.bitwig))
        self._postman = Postman(setup.mail, subscribers.gone)

    def start(self, handlers: Mapping[str, Handler], packet: PacketHandler) -> None:
        """Begin, in the running loop; ``handlers``: what addresses do; ``packet``: what messages of a client do."""
        self._postman.start(packet)
        self.time.run()
        self.presets.start()
        self.capturing.start()
        self.controllers.start(handlers)

    async def _file_of(self, take: TakeEntry) -> str:
        """What of a take goes into a DAW: the finished track."""
        return (await self.exporting.write(take.folder, USUAL)).paths[0]

    async def close(self) -> None:
        """Let go of ports, files and clocks."""
        self._postman.close()
        self.time.close()
        self.presets.close()
        self.restyling.close()
        self.capturing.close()
        self.exporting.close()
        await self.controllers.close()


def _bpm_of(ident: str, jobs: JobBook, takes: TakeBook) -> float:
    """The tempo of what is played under that name: a take by its number, or a job; 0 where none is known."""
    if jobs.running is not None and jobs.running.id == ident:
        request = jobs.running.request
    else:  # (a take may be deleted while it plays)
        take = takes.numbered(int(ident)) if ident.isdigit() else takes.of_job(ident)
        request = None if take is None else take.request
    return float(request.bpm or 0.0) if request is not None else 0.0
