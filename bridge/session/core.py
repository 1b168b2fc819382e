"""The session: OSC on one side, the engine and the audio process on the other."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from pathlib import Path

from bridge.audio.reports import Opened, Stats
from bridge.osc.addresses import TABLE
from bridge.osc.endpoint import Address, OscEndpoint
from bridge.osc.subscribers import Subscribers
from bridge.query.service import QueryService
from bridge.session.aside import Aside
from bridge.session.choices import Choosing, Parts
from bridge.session.desk import Desk
from bridge.session.dispatch import Dispatcher
from bridge.session.handlers import handlers_of
from bridge.session.history import History
from bridge.session.inside import Inside, heartbeat
from bridge.session.jobs import JobBook
from bridge.session.listening import Listening
from bridge.session.models import Catalogue, ModelDesk, StoredModels
from bridge.session.notices import Notices, Sendable
from bridge.session.noticing import Noticing
from bridge.session.playback import Player
from bridge.session.primes import PrimeDesk
from bridge.session.properties import Properties
from bridge.session.remembering import MemorySetup, Remembering
from bridge.session.sound import Sound, SoundEvents, SoundSetup
from bridge.session.soundcard import SoundCard
from bridge.session.sources import FromPrime
from bridge.session.stage import Stage, StageSetup
from bridge.session.takes import TakeBook
from bridge.session.transport import MusicalTime
from bridge.supervision.engine_client import EngineClient, EngineSetup, EngineState
from engine.errors import NotReady, SegueError
from engine.host.protocol import Failed, Loading, PrimeReady, Ready, Report
from engine.shelf.index import Index

log = logging.getLogger("segue")


@dataclass(frozen=True)
class SessionSetup:
    """What a session is started with.

    ``port`` 0 takes a free one. ``takes``: where takes are filed. ``roots``: folders that clients on other hosts
    may name files in. ``version``: (number, commit). ``models``: what can be loaded. ``stage``: what it is played
    with. ``memory``: what is kept of it. ``query_ports``: where OSCQuery is served, the first that is free (0: any),
    none: not at all; ``announce``: tell the network.
    """

    host: str
    port: int
    takes: Path
    engine: EngineSetup
    sound: SoundSetup
    roots: tuple[Path, ...] = ()
    version: tuple[str, str] = ("0", "")
    query_ports: tuple[int, ...] = ()
    announce: bool = False
    models: Catalogue = field(default_factory=StoredModels)
    stage: StageSetup = field(default_factory=StageSetup)
    memory: MemorySetup = field(default_factory=MemorySetup)


class Session:
    """One running Segue. ``ended`` is set when a client asked for the end."""

    def __init__(self, setup: SessionSetup) -> None:
        self._setup = setup
        self.ended = asyncio.Event()
        self.address: Address = (setup.host, setup.port)
        self._subscribers = Subscribers(opt_in=[entry.address for entry in TABLE if entry.opt_in])
        self.endpoint = OscEndpoint(
            lambda messages, peer: self._dispatcher.packet(messages, peer), self._subscribers.gone
        )
        self._inside = Inside(self.endpoint)
        self._notices = Notices(self.endpoint, self._subscribers)
        self.engine = EngineClient(setup.engine, self._engine_says, self._engine_state)
        self.sound = self._new_sound()
        self._properties = Properties(self._notices)
        self._card = SoundCard(self.sound, self._notices, self._properties, self._subscribers)
        self._subscribers.on_change = self._card.listeners_changed
        self._time = MusicalTime(self._notices, self._properties, self._tell_people, source=setup.stage.clock)
        self._time.show_grid(lambda: self._choosing.now.quantum)
        self._player = Player(
            self.sound, self._notices, self._changed, self._time, lambda: self._choosing.now.quantum
        )
        self._primes = PrimeDesk(self.engine.send, self._notices, self._advance)
        self._aside = Aside(self._tell_people)
        self._history = History(self._properties)
        self._index = Index(setup.takes)
        self._takes = TakeBook(self._notices, self._properties, self._history, self._aside, self._index)
        self._jobs = JobBook(
            send=self.engine.send,
            engine_ready=self._engine_ready_or_none,
            playback=self._player,
            notices=self._notices,
            takes=self._takes,
            aside=self._aside,
            takes_folder=str(setup.takes),
            on_change=self._changed,
        )
        self._models = ModelDesk(
            self.engine,
            self._notices,
            self._properties,
            setup.models,
            lambda: self._jobs.running is not None,
            self._model_changes,
        )
        self._choosing = Choosing(self._properties, self._prepare, self._chosen)
        self._stage = self._new_stage()
        self._remembering = self._new_remembering()
        self._listening = Listening(self._notices, self._subscribers, self._properties)
        self._handlers = handlers_of(self._desk())
        self.query = QueryService(
            self._properties,
            self._listening,
            self.endpoint.intake,
            self._subscribers.gone,
            self._choices_of,
        )
        self._dispatcher = Dispatcher(
            TABLE, self._handlers, self._subscribers, self._notices, self._properties.together
        )
        self._published_state = ""
        self._settled = asyncio.Event()
        self._heart: asyncio.Task[None] | None = None

    def _new_sound(self) -> Sound:
        return Sound(
            self._setup.sound,
            SoundEvents(
                self._sound_finished,
                self._sound_unplayable,
                self._tell_people,
                playing=lambda p: self._player.began(
                    p.label or p.ring, p.frame, p.stream_frame, p.late_frames
                ),
                stopped=lambda report: self._player.stopped(report.label or report.ring),
                stats=self._sound_stats,
                opened=self._sound_opened,
                lost=lambda reason: self._card.lost(reason),
                input_opened=lambda report: self._stage.capturing.opened(report),
                input_lost=lambda reason: self._stage.capturing.lost(reason),
                meters=lambda report: self._card.meters(report),
            ),
        )

    def _new_stage(self) -> Stage:
        return Stage(
            self._setup.stage,
            notices=self._notices,
            properties=self._properties,
            choosing=self._choosing,
            time=self._time,
            player=self._player,
            jobs=self._jobs,
            takes=self._takes,
            primes=self._primes,
            sound=self.sound,
            aside=self._aside,
            folder=self._setup.takes,
            send=self.engine.send,
            engine_ready=self._engine_ready,
            tell=self._tell_people,
            subscribers=self._subscribers,
        )

    def _new_remembering(self) -> Remembering:
        return Remembering(
            self._setup.memory,
            notices=self._notices,
            choosing=self._choosing,
            primes=self._primes,
            takes=self._takes,
            time=self._time,
            performing=self._stage.performing,
            exporting=self._stage.exporting,
            aside=self._aside,
            tell=self._tell_people,
            index=self._index,
            noticing=Noticing(self._index, self._takes, self._aside, self._jobs.growing),
        )

    def _desk(self) -> Desk:
        return Desk(
            notices=self._notices,
            subscribers=self._subscribers,
            properties=self._properties,
            choosing=self._choosing,
            primes=self._primes,
            jobs=self._jobs,
            takes=self._takes,
            history=self._history,
            aside=self._aside,
            models=self._models,
            player=self._player,
            sound=self.sound,
            inside=self._inside,
            listening=self._listening,
            time=self._time,
            stage=self._stage,
            engine_ready=self._engine_ready,
            status=self.status,
            problems=lambda: self._remembering.problems,
            quit=self.ended.set,
            roots=(*self._setup.roots, self._setup.takes),
            version=self._setup.version,
        )

    async def start(self) -> None:
        """Open the port, then start the two other processes; returns before the model is loaded.

        Raises :class:`Busy` when the port is taken and :class:`NoDevice` when the audio device is not there.
        """
        await self._remembering.begin()  # before anybody can choose anything
        self.address = await self.endpoint.listen(self._setup.host, self._setup.port, tcp=True)
        await self.query.start(self._setup.host, self._setup.query_ports, self.address, self._setup.announce)
        self._heart = asyncio.create_task(
            heartbeat(lambda beat: self._notices.publish("/segue/heartbeat", beat))
        )
        await self.engine.start()
        await self.sound.start()
        self._stage.start(self._handlers, self._dispatcher.packet)

    async def wait_ready(self) -> Ready:
        """Wait until the model is loaded. Raises what kept it from loading."""
        await self._settled.wait()
        if self.engine.failure is not None:
            raise self.engine.failure
        return self._engine_ready()

    async def stop(self) -> None:
        """End both processes, remove the rings and close the port."""
        self._remembering.close()
        await self._stage.close()
        if self._heart is not None:
            self._heart.cancel()
        self._inside.close()
        await self.query.stop()
        self._dispatcher.close()
        self.endpoint.close()
        await asyncio.gather(self.engine.stop(), self.sound.close())
        self._player.close()
        await asyncio.to_thread(self._aside.close)

    @property
    def takes(self) -> Path:
        """Where takes are filed."""
        return self._setup.takes

    def kill(self) -> None:
        """End both processes at once."""
        self.engine.kill()
        self.sound.kill()

    # -- state ---------------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """starting, loading, restarting, failed, or once the engine is ready: idle, generating, streaming; loading
        again while another model is."""
        if self.engine.state is not EngineState.READY:
            return str(self.engine.state)
        if self._models.change is not None and self._models.change.begun:
            return "loading"
        if self._player.playing:
            return "streaming"
        return "generating" if self._jobs.running is not None else "idle"

    def status(self) -> tuple[Sendable, ...]:
        """Arguments of ``/segue/status.reply``: state model device queue job progress eta_s fill_s xruns vram_gb."""
        job = self._jobs.running
        return (
            self.state,
            self._models.name,
            self.sound.device,
            self._jobs.waiting,
            job.id if job else "",
            float(job.progress) if job else 0.0,
            float(job.eta_seconds) if job else 0.0,
            float(self._player.fill_seconds),
            self.sound.xruns,
            0.0,
        )

    def _changed(self) -> None:
        self._models.advance()
        if self.state != self._published_state:
            self._published_state = self.state
            self._notices.publish("/segue/state", self.state)

    def _tell_people(self, sentence: str) -> None:
        log.warning(sentence)
        self._notices.publish("/segue/error", sentence)

    # -- engine --------------------------------------------------------------------------------------------

    def _engine_ready(self) -> Ready:
        if self.engine.state is not EngineState.READY or self.engine.ready is None:
            raise self.engine.not_ready()
        return self.engine.ready

    def _choices_of(self, address: str) -> list[str]:
        ready = self._engine_ready_or_none()
        if address != "/segue/style" or ready is None:
            return []
        return [name for name, _ in self._stage.presets.styles(ready).names]

    def _engine_ready_or_none(self) -> Ready | None:
        """None also while another model is to be loaded: jobs wait for it."""
        if self._models.change is not None:
            return None
        try:
            return self._engine_ready()
        except NotReady:
            return None

    def _advance(self) -> None:
        self._jobs.advance()
        self._prepare()

    def _model_changes(self) -> None:
        """A model is going to be loaded, or is, or could not be."""
        self._changed()
        if self._models.change is None:
            self._advance()

    def _chosen(self, label: str, before: Parts, after: Parts) -> None:
        """Something was chosen: it can be taken back."""
        self._history.add(label, lambda: self._restore(before), lambda: self._restore(after), kind=label)

    def _restore(self, parts: Parts) -> None:
        self._choosing.restore(parts)
        if "style" in parts:
            self._stage.restyling.changed()

    def _prepare(self) -> None:
        """Something changed that the next take depends on."""
        if self._primes.current is not None:
            self._jobs.prepare(FromPrime(self._primes.current, self._choosing.now))

    def _engine_state(self, state: EngineState, sentence: str) -> None:
        if state is EngineState.RESTARTING:
            self._models.engine_died()
            self._jobs.engine_died()
            self._tell_people(sentence)
        elif state is EngineState.FAILED:
            error: SegueError = self.engine.not_ready()
            self._primes.engine_has_failed(error)
            self._jobs.engine_has_failed(error)
            self._tell_people(error.message)
        if state in (EngineState.READY, EngineState.FAILED):
            self._settled.set()
        self._changed()

    def _engine_says(self, report: Report) -> None:
        if isinstance(report, Ready):
            self.query.path_changed("/segue/style")
            if self._models.loaded(report):
                return
            self._primes.engine_is_back()
            self._jobs.engine_is_back()
            self._remembering.engine_ready()
            self._prepare()
        elif isinstance(report, PrimeReady):
            self._primes.ready(report)
        elif isinstance(report, Failed):
            if not (self._primes.failed(report) or self._models.failed(report)):
                log.info("the engine refused '%s': %s", report.tag, report.message)
        elif isinstance(report, Loading):
            self._models.loading(report)
        elif report.kind != "heartbeat":
            self._jobs.report(report)

    def _sound_unplayable(self, ring: str) -> None:
        self._player.unplayable(ring)

    def _sound_stats(self, stats: Stats) -> None:
        self._card.stats(stats)
        self._stage.capturing.stats(stats)
        if stats.dac_ns:
            self._time.output_heard(self.sound.rate, stats.frame, stats.dac_ns)

    def _sound_opened(self, opened: Opened) -> None:
        self._card.opened(opened)
        self._time.output_lost()
        if opened.dac_ns:
            self._time.output_heard(opened.rate, opened.frame, opened.dac_ns)

    def _sound_finished(self, ring: str, frames: int, underruns: int) -> None:
        self._player.finished(ring, frames, underruns)
