"""MIDI for a session: ports, controls, learning, lights and clock messages behind one object."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from bridge.midi.actions import BUTTONS, BY_NAME, KNOBS, NoAction, Value, find
from bridge.midi.inbox import Arrival, Inbox
from bridge.midi.layout import Layout
from bridge.midi.learn import LEARN_SECONDS, Learner, with_binding, without
from bridge.midi.lights import Board, Lights
from bridge.midi.ports import VIRTUAL_IN, VIRTUAL_OUT, OutputPort, PortSystem, RtMidi
from bridge.midi.profile import Light, Profiles
from bridge.midi.router import MOVING_NS, PortState, Router, Timer
from bridge.midi.settings import Binding, Keeper, MidiSettings, NotSaved, settings_path
from bridge.midi.watch import Changes, PortWatch
from bridge.midi.wire import Parser
from engine.errors import Cancelled, SegueError

log = logging.getLogger("segue.midi")

RELOAD_SECONDS = 2.0
_SETTLE_SECONDS = MOVING_NS / 1e9 + 0.05
_CLOCK = {"clock", "start", "continue", "stop", "songpos"}


class MidiTarget(Protocol):
    """What is played: the session, or whatever takes its place."""

    def act(self, action: str, value: Value) -> None:
        """Do ``action`` (a name of the table in :mod:`bridge.midi.actions`); called in the loop, must not block.

        A SegueError is told as a notice; nothing that is raised stops MIDI.
        """


class ClockMessage(NamedTuple):
    """A clock message: ``kind`` is clock (F8), start (FA), continue (FB), stop (FC) or songpos (F2).

    ``at_ns``: ``time.monotonic_ns`` on arrival; ``sixteenths``: the song position, 0..16383, for songpos; ``data``:
    the message as sent, which ``bridge.clock``'s follower is fed with.
    """

    kind: str
    port: str
    at_ns: int
    data: bytes
    sixteenths: int = 0


class NotLearned(SegueError):
    """Nothing was touched in time."""

    code, slug = 408, "not_learned"


Learned = Callable[[Binding | SegueError], None]


class Midi:
    """Ports, controls and lights of a session. All methods but the constructor belong to the event loop.

    ``target`` gets actions, ``clock`` clock messages, ``notice`` sentences for people. ``system`` is the machine's
    MIDI unless a test brings another one; ``path`` the file of settings and learned controls; ``ports``, when given,
    are opened in place of those that the settings name.
    """

    def __init__(
        self,
        target: MidiTarget,
        *,
        clock: Callable[[ClockMessage], None] | None = None,
        notice: Callable[[str], None] | None = None,
        system: PortSystem | None = None,
        path: Path | None = None,
        ports: Sequence[str] | None = None,
    ) -> None:
        self._target = target
        self._given_ports = ports
        self._clock = clock
        self._notice = notice or log.info
        self._system = system or RtMidi()
        self._keeper = Keeper(path or settings_path())
        self._profiles = Profiles([self._keeper.path.parent / "midi"])
        self._ports: dict[str, PortState] = {}
        self._parsers: dict[str, Parser] = {}
        self._outputs: dict[str, OutputPort] = {}
        self._open: set[str] = set()
        self._lights = Lights(self._is_moving)
        self._router = Router(self._act, self._later, self._knob_moved)
        self._learner: tuple[Learner, Learned, Timer] | None = None
        self._settling: dict[str, Timer] = {}
        self._reloading: Timer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inbox: Inbox | None = None
        self._watch: PortWatch | None = None
        self._use_settings()

    @property
    def settings(self) -> MidiSettings:
        """Settings and learned controls as they are."""
        return self._keeper.settings

    @property
    def open_ports(self) -> tuple[str, ...]:
        """Plain names of the inputs and outputs that are open."""
        return tuple(sorted(self._open | self._outputs.keys()))

    @property
    def lost(self) -> int:
        """Messages that came faster than the loop could take them, since the start."""
        return self._inbox.lost if self._inbox else 0

    def start(self) -> None:
        """Open the ports, and keep opening those that come. Returns at once; call it in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox(self._loop, self._take)
        self._watch = PortWatch(
            self._system, self._arrived, self._noticed, self._wanted_ports, self.settings.virtual
        )
        for problem in (self._keeper.problem, *self._profiles.problems):
            if problem:
                self._notice(problem)
        self._watch.start()
        self._reloading = self._later(RELOAD_SECONDS, self._reload)

    async def close(self) -> None:
        """Close the ports."""
        self.cancel_learn()
        for timer in (self._reloading, *self._settling.values()):
            if timer is not None:
                timer.cancel()
        if self._inbox is not None:
            self._inbox.close()
        if self._watch is not None:
            await asyncio.to_thread(self._watch.close)
        for state in self._ports.values():
            state.forget()

    # What the session tells

    def light(self, key: str, light: Light) -> None:
        """Show the state of a button (``generate``, ``preset.3``, ``take.16``) on every controller."""
        self._lights.light(key, light)

    def value(self, action: str, value: float | str) -> None:
        """A parameter has this value now, whoever set it: for take-over, and for knobs that can be told."""
        if action not in BY_NAME or BY_NAME[action].kind not in KNOBS:
            raise NoAction(f"'{action}' is no parameter; it has no value")
        self._router.values[action] = value
        self._lights.value(action, value)

    def panic(self) -> None:
        """All notes and sounds off at every output, and its lights anew."""
        self._lights.panic()

    # Learning

    def learn(self, key: str, done: Learned, seconds: float = LEARN_SECONDS) -> None:
        """Bind the next control that is used to ``key``; ``done`` gets the binding or why there is none.

        Raises NoAction. An earlier learn that still waits is cancelled.
        """
        learner = Learner(key)
        self.cancel_learn()
        self._learner = (learner, done, self._later(seconds, lambda: self._learn_timed_out(seconds)))

    def cancel_learn(self) -> None:
        """Wait for no control any more."""
        if self._learner is not None:
            self._end_learn(Cancelled(f"learning '{self._learner[0].key}' was cancelled"))

    def forget(self, key: str = "") -> int:
        """Forget what was learned for an action (or one of its slots; empty: for all); how many controls that were.

        Raises NoAction, and NotSaved when the file cannot be written.
        """
        if key and key not in BY_NAME:
            find(key)
        before = self.settings.control
        after = without(before, key) if key else ()
        if len(after) < len(before):
            self._keep(self.settings.model_copy(update={"control": after}))
        return len(before) - len(after)

    # What arrives

    def _arrived(self, port: str, data: bytes, at_ns: int) -> None:
        if self._inbox is not None:
            self._inbox.put(Arrival(port, data, at_ns))

    def _take(self, arrival: Arrival) -> None:
        parser = self._parsers.setdefault(arrival.port, Parser())
        for message in parser.feed(arrival.data):
            if message.type in _CLOCK:
                self._tell_clock(message, arrival)
            elif self._learner is None or not self._offer(arrival.port, message):
                self._router.handle(self._port(arrival.port), message, arrival.at_ns)

    def _tell_clock(self, message: Any, arrival: Arrival) -> None:
        if self._clock is None:
            return
        position = message.pos if message.type == "songpos" else 0
        try:
            data = bytes(message.bytes())
            self._clock(ClockMessage(message.type, arrival.port, arrival.at_ns, data, position))
        except Exception:
            log.exception("the clock failed on %s", message)

    def _act(self, action: str, value: Value) -> None:
        try:
            self._target.act(action, value)
        except SegueError as error:
            self._notice(error.message)
        except Exception:
            log.exception("%s failed unexpectedly", action)
            self._notice(f"{action} failed unexpectedly; see the log")

    def _offer(self, port: str, message: Any) -> bool:
        """Let the learner see a message. Whether it is meant for it: nothing is played while controls are bound."""
        assert self._learner is not None
        binding = self._learner[0].offer(port, message)
        if binding is not None:
            try:
                settings, notices = with_binding(self.settings, binding, self._port(port).layout)
                self._keep(settings)
            except NotSaved as error:
                self._end_learn(error)
                return True
            for notice in notices:
                self._notice(notice)
            self._end_learn(binding)
        return bool(message.type in ("note_on", "note_off", "control_change"))

    def _learn_timed_out(self, seconds: float) -> None:
        if self._learner is not None:
            action = self._learner[0].action
            how = "press a button" if action.kind in BUTTONS else "turn a knob (an endless one to the left)"
            sentence = f"nothing for '{self._learner[0].key}' came within {seconds:g} s; {how} in that time"
            self._end_learn(NotLearned(sentence))

    def _end_learn(self, outcome: Binding | SegueError) -> None:
        assert self._learner is not None
        (_, done, timer), self._learner = self._learner, None
        timer.cancel()
        done(outcome)

    # Ports and settings

    def _port(self, name: str) -> PortState:
        if name not in self._ports:
            self._ports[name] = PortState(name, self._layout(name))
        return self._ports[name]

    def _layout(self, name: str) -> Layout:
        return Layout(name, self.settings, self._profiles.of(name))

    @property
    def _wanted_ports(self) -> tuple[str, ...]:
        return self.settings.ports if self._given_ports is None else tuple(self._given_ports)

    def _noticed(self, changes: Changes) -> None:
        """In the watch's thread."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._ports_changed, changes)
        except RuntimeError:
            log.debug("ports changed after the loop had ended")

    def _ports_changed(self, changes: Changes) -> None:
        for name in changes.went:
            self._open.discard(name)
            self._parsers.pop(name, None)
            state = self._ports.pop(name, None)
            if state is not None:
                state.forget()
            self._notice(f"the MIDI port '{name}' has gone")
        for name in changes.outputs_went:
            self._outputs.pop(name, None)
            self._lights.disconnect(name)
        for name in changes.came:
            self._open.add(name)
            self._notice(f"the MIDI port '{name}' is open")
        for name, port in changes.outputs_came.items():
            self._outputs[name] = port
            self._lights.connect(name, self._board(name, port))
        for sentence in changes.told:
            self._notice(sentence)

    def _board(self, name: str, port: OutputPort) -> Board:
        return Board(port, self._layout(_input_of(name)), self._profiles.of(name))

    def _keep(self, settings: MidiSettings) -> None:
        self._keeper.keep(settings)
        self._use_settings()

    def _use_settings(self) -> None:
        self._router.channel, self._router.takeover = self.settings.channel, self.settings.takeover
        for name, state in self._ports.items():
            state.layout = self._layout(name)
        for name, port in self._outputs.items():
            self._lights.connect(name, self._board(name, port))
        if self._watch is not None:
            self._watch.want(self._wanted_ports, self.settings.virtual)

    def _reload(self) -> None:
        if self._keeper.reload():
            if self._keeper.problem:
                self._notice(self._keeper.problem)
            self._use_settings()
        self._reloading = self._later(RELOAD_SECONDS, self._reload)

    # Knobs that can be told their values

    def _is_moving(self, output: str, binding: Binding) -> bool:
        state = self._ports.get(_input_of(output))
        now = time.monotonic_ns()
        return state is not None and self._router.moving(state, binding.channel, binding.number, now)

    def _knob_moved(self, port: PortState, binding: Binding, value: int) -> None:
        output = VIRTUAL_OUT if port.name == VIRTUAL_IN else port.name
        self._lights.moved(output, binding, value)
        if binding.action not in self._settling:
            self._settle_later(binding.action)

    def _settle_later(self, action: str) -> None:
        def settle() -> None:
            del self._settling[action]
            self._lights.settle(action)

        self._settling[action] = self._later(_SETTLE_SECONDS, settle)

    def _later(self, seconds: float, call: Callable[[], None]) -> Timer:
        assert self._loop is not None
        return self._loop.call_later(seconds, call)


def _input_of(output: str) -> str:
    """The input beside an output: of our own ports, and of a controller, whose two ports have one name."""
    return VIRTUAL_IN if output == VIRTUAL_OUT else output
