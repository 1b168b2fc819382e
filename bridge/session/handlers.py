"""What every address does. Handlers return at once; slow answers come later by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from bridge.osc.addresses import PARAMETERS, PROTOCOL_VERSION
from bridge.osc.endpoint import Peer, is_loopback
from bridge.osc.subscribers import Subscribers
from bridge.osc.table import Call
from bridge.session.dispatch import Handler
from bridge.session.jobs import ADDRESS as GENERATE
from bridge.session.jobs import Job, JobBook
from bridge.session.lyrics import LyricSheet
from bridge.session.notices import Notices
from bridge.session.playback import Player
from bridge.session.primes import PrimeDesk, absolute_path, allowed_path
from bridge.session.settings import Settings
from bridge.session.styles import StyleChoice, StyleList
from engine.errors import NoPrime, NotReady, SegueError
from engine.host.protocol import Ready
from engine.request import PrimeRef

Sendable = int | float | str


@dataclass
class Desk:
    """What handlers work on. ``engine_ready`` raises :class:`~engine.errors.NotReady` unless the engine is ready."""

    notices: Notices
    subscribers: Subscribers
    primes: PrimeDesk
    jobs: JobBook
    player: Player
    engine_ready: Callable[[], Ready]
    status: Callable[[], tuple[Sendable, ...]]
    quit: Callable[[], None]
    roots: tuple[Path, ...]
    version: tuple[str, str]


class Handlers:
    """Holds the parameters and the style; everything else is on the desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._settings = Settings()
        self._style = StyleChoice()
        self._lyrics = LyricSheet()
        self._tasks: set[asyncio.Task[None]] = set()

    def by_name(self) -> dict[str, Handler]:
        """Handlers by the names that the address table uses."""
        server = ("test", "version", "status", "notify", "sync", "quit")
        music = (
            "prime_file",
            "prime_clear",
            "set_style",
            "styles",
            "set_lyrics",
            "lyrics_line",
            "lyrics_clear",
            "parameter",
            "generate",
            "cancel",
            "panic",
        )
        return {name: getattr(self, f"_{name}") for name in server + music}

    # -- server --------------------------------------------------------------------------------------------

    def _test(self, call: Call, peer: Peer) -> None:
        self._desk.notices.reply(peer, call.entry.address, "ok")

    def _version(self, call: Call, peer: Peer) -> None:
        number, commit = self._desk.version
        self._desk.notices.reply(peer, "/segue/version.reply", "segue", number, PROTOCOL_VERSION, commit)

    def _status(self, call: Call, peer: Peer) -> None:
        self._desk.notices.reply(peer, "/segue/status.reply", *self._desk.status())

    def _notify(self, call: Call, peer: Peer) -> None:
        on, port, lease = (*call.values, None, None)[:3]
        subscribers, notices = self._desk.subscribers, self._desk.notices
        if not on:
            number = subscribers.remove(peer)
            notices.done(peer, call.request_tag, call.entry.address, number, 0)
            return
        number, seconds = subscribers.add(peer, int(port) if port else None, int(lease) if lease else None)
        notices.done(peer, call.request_tag, call.entry.address, number, seconds)
        self._tell_everything((peer[0], int(port or peer[1])))

    def _tell_everything(self, target: Peer) -> None:
        """Current values for a new subscriber."""
        for entry in PARAMETERS:
            name = entry.arguments[0].name
            self._desk.notices.reply(target, entry.address, getattr(self._settings, name))
        self._desk.notices.reply(target, "/segue/style", self._style.name, self._style.index)
        self._desk.notices.reply(target, "/segue/lyrics", self._lyrics.text)
        self._desk.primes.announce(target)
        self._desk.jobs.announce_all(target)
        self._desk.notices.reply(target, "/segue/state", str(self._desk.status()[0]))

    def _sync(self, call: Call, peer: Peer) -> None:
        pending = self._desk.primes.pending_of(peer)

        async def answer() -> None:
            for prime in pending:
                await prime.settled.wait()
            self._desk.notices.reply(peer, "/segue/synced", call.values[0])

        self._spawn(answer())

    def _quit(self, call: Call, peer: Peer) -> None:
        self._desk.notices.done(peer, call.request_tag, call.entry.address)
        self._desk.quit()

    # -- prime and style -----------------------------------------------------------------------------------

    def _prime_file(self, call: Call, peer: Peer) -> None:
        self._desk.engine_ready()
        path, start, length = (*call.values, 0.0, 0.0)[:3]
        ref = PrimeRef(
            path=absolute_path(str(path)), start_seconds=float(start), length_seconds=float(length) or None
        )
        prime = self._desk.primes.take(ref, peer, call.request_tag)
        if is_loopback(peer):
            self._desk.primes.submit(prime)
            return

        async def check_then_submit() -> None:
            try:
                real = await asyncio.to_thread(allowed_path, ref.path, self._desk.roots)
                prime.ref = ref.model_copy(update={"path": real})
                self._desk.primes.submit(prime)
            except SegueError as error:
                self._desk.primes.settle(prime, error)

        self._spawn(check_then_submit())

    def _prime_clear(self, call: Call, peer: Peer) -> None:
        self._desk.primes.clear()
        self._desk.notices.done(peer, call.request_tag, call.entry.address)
        self._desk.primes.announce()

    def _set_style(self, call: Call, peer: Peer) -> None:
        if call.values:
            ready = self._desk.engine_ready()
            names = StyleList(ready.artists, ready.genres, ready.genre_words)
            self._style = names.choose(str(call.values[0]))
            self.prepare()
        self._echo(call, peer, self._style.name, self._style.index)

    def _styles(self, call: Call, peer: Peer) -> None:
        ready = self._desk.engine_ready()
        names = StyleList(ready.artists, ready.genres).names
        offset, limit = (
            (int(value) for value in (*call.values, 0, len(names))[:2]) if call.values else (0, len(names))
        )
        for index, (name, kind) in enumerate(names[offset : offset + limit], start=offset + 1):
            self._desk.notices.reply(peer, "/segue/styles.item", index, name, kind)
        self._desk.notices.reply(peer, "/segue/styles.end", len(names))

    def _set_lyrics(self, call: Call, peer: Peer) -> None:
        if call.values:
            self._sing(LyricSheet(str(call.values[0])), peer)
        else:
            self._desk.notices.reply(peer, call.entry.address, self._lyrics.text)

    def _lyrics_line(self, call: Call, peer: Peer) -> None:
        number, text = call.values
        self._sing(self._lyrics.with_line(int(number), str(text)), peer)

    def _lyrics_clear(self, call: Call, peer: Peer) -> None:
        self._sing(LyricSheet(), peer)

    def _sing(self, sheet: LyricSheet, peer: Peer) -> None:
        """Take the words on, tell everybody, and say what the loaded model makes of them."""
        sheet.check()
        self._lyrics = sheet
        self.prepare()
        self._desk.notices.publish("/segue/lyrics", sheet.text, also=peer)
        try:
            ready = self._desk.engine_ready()
        except NotReady:
            return
        for note in sheet.notes(ready.model, ready.lyrics):
            self._desk.notices.publish("/segue/error", note, also=peer)

    def _parameter(self, call: Call, peer: Peer) -> None:
        name = call.entry.arguments[0].name
        before = self._settings
        if call.values:
            self._settings = before.with_value(name, call.values[0])
            self.prepare()
        self._echo(call, peer, getattr(self._settings, name))
        self._publish_changes(before, besides=name)

    def _publish_changes(self, before: Settings, besides: str = "") -> None:
        """Feedback for parameters that followed from a change of another one."""
        for entry in PARAMETERS:
            name = entry.arguments[0].name
            if name != besides and getattr(before, name) != getattr(self._settings, name):
                self._desk.notices.publish(entry.address, getattr(self._settings, name))

    def _echo(self, call: Call, peer: Peer, *values: Sendable) -> None:
        """A property's value: to the client that read it, or to everybody after a change."""
        if call.values:
            self._desk.notices.publish(call.entry.address, *values, also=peer)
        else:
            self._desk.notices.reply(peer, call.entry.address, *values)

    # -- jobs ----------------------------------------------------------------------------------------------

    def _generate(self, call: Call, peer: Peer) -> None:
        desk = self._desk
        desk.engine_ready()
        prime = desk.primes.current
        if prime is None:
            raise NoPrime("there is no prime yet; send /segue/prime/file with the path of a riff first")
        job = Job(
            id=desk.jobs.new_id(),
            settings=self._settings,
            seconds=float(call.values[0]) if call.values else None,
            style=self._style.style,
            prime=prime,
            requester=peer,
            request_tag=call.request_tag,
            lyrics=self._lyrics.text,
        )
        before, self._settings = self._settings, self._settings.after_job()
        desk.notices.done(peer, call.request_tag, GENERATE, job.id)
        desk.jobs.add(job)
        self._publish_changes(before)

    def prepare(self) -> None:
        """Something changed that the next take depends on."""
        desk = self._desk
        desk.jobs.prepare(self._settings, desk.primes.current, self._style.style, self._lyrics.text)

    def _cancel(self, call: Call, peer: Peer) -> None:
        job = self._desk.jobs.cancel(str(call.values[0]) if call.values else None)
        self._desk.notices.done(peer, call.request_tag, call.entry.address, job)

    def _panic(self, call: Call, peer: Peer) -> None:
        self._desk.player.stop_all()
        self._desk.notices.done(peer, call.request_tag, call.entry.address)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
