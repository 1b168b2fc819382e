"""Presets in a session: the library, looked at again every second, and what choosing one changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bridge.midi import Light, Program
from bridge.osc.peer import Peer
from bridge.session.choices import Choosing
from bridge.session.lyrics import LyricSheet
from bridge.session.notices import Notices
from bridge.session.properties import Properties
from bridge.session.settings import Settings, fresh_seed
from bridge.session.styles import StyleChoice, StyleList
from engine.errors import NoStyle, OutOfRange, SegueError
from engine.host.protocol import Ready
from presets import Library, Preset, fitted_style, lyrics_of, morph, seed_of
from presets.library import Entry

log = logging.getLogger("segue")

POLL_SECONDS = 1.0
PADS = 8
MORPH_SECONDS = 0.04  # knobs send a hundred values a second; so often one is carried out


@dataclass(frozen=True)
class PresetFolders:
    """Where presets lie beside the factory's; None: none of that kind."""

    user: Path | None = None
    project: Path | None = None


class PresetDesk:
    """The presets that can be chosen, and the ends of the morph.

    ``engine_ready`` raises :class:`~engine.errors.NotReady` unless a model is loaded; ``restyle`` is called after
    every change of style, so that what sounds can follow.
    """

    def __init__(
        self,
        folders: PresetFolders,
        choosing: Choosing,
        notices: Notices,
        properties: Properties,
        engine_ready: Callable[[], Ready],
        restyle: Callable[[], None],
        tell: Callable[[str], None],
    ) -> None:
        self.library = Library(folders.user, folders.project)
        self.page = 0
        self.amount = 1.0
        self._ends: tuple[Preset | None, Preset | None] = (None, None)
        self._choosing, self._notices, self._properties = choosing, notices, properties
        self._engine_ready, self._restyle, self._tell = engine_ready, restyle, tell
        self._poller: asyncio.Task[None] | None = None
        self._morphing: asyncio.TimerHandle | None = None
        self._pads: tuple[str, ...] = ()
        properties.add("/segue/style/page", lambda: (self.page + 1,))
        properties.add("/segue/style/morph", lambda: (float(self.amount),))
        properties.add("/segue/style/morph/ends", lambda: tuple(e.name if e else "" for e in self._ends))
        properties.add("/segue/style/pads", lambda: self._lights())

    # -- the library ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look at the folders, in the running loop, and say what is wrong in them."""
        for problem in self.library.problems:
            self._tell(problem)
        self._poller = asyncio.create_task(self._poll())
        self._show()

    def close(self) -> None:
        """Look no more."""
        for waiting in (self._poller, self._morphing):
            if waiting is not None:
                waiting.cancel()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                changes = await asyncio.to_thread(self.library.poll)
            except OSError as error:
                log.warning("the presets cannot be read: %s", error)
                continue
            for problem in changes.problems:
                self._tell(problem)
            if changes.added or changes.changed or changes.removed:
                self._notices.publish("/segue/styles/changed", len(self.library.entries))
                self._show()

    def styles(self, ready: Ready) -> StyleList:
        """What a model can be given."""
        return StyleList(ready.artists, ready.genres, ready.genre_words, self.library.presets)

    # -- choosing -------------------------------------------------------------------------------------------------

    def name(self, name: str, also: Peer | None = None) -> None:
        """Choose a preset, or a genre, artist or mix, by name. Raises NoStyle, which offers the nearest."""
        ready = self._engine_ready()
        known = self.styles(ready)
        choice = known.choose(name)
        if choice.preset is None:
            self._choosing.change(told="/segue/style", also=also, style=choice)
            self._changed()
        else:
            self._take(choice.preset, ready, also)

    def select(self, index: int, also: Peer | None = None) -> None:
        """The style at a place (from 1) of the list. Raises OutOfRange."""
        names = self.styles(self._engine_ready()).names
        if not 1 <= index <= len(names):
            raise OutOfRange(f"there is no style {index}; they are 1 to {len(names)}")
        self.name(names[index - 1][0], also)

    def pad(self, number: int, also: Peer | None = None) -> None:
        """The preset of a pad (1 to 8) of the page. Raises NoStyle where there is none."""
        entries = list(self.library.entries.values())
        place = self.page * PADS + number - 1
        if place >= len(entries):
            raise NoStyle(f"pad {number} of page {self.page + 1} is empty; there are {len(entries)} presets")
        self._take(entries[place].preset, self._engine_ready(), also)

    def turn_page(self, page: int, also: Peer | None = None) -> None:
        """Pads show another eight presets; pages count from 1. Raises OutOfRange."""
        pages = max(1, -(-len(self.library.entries) // PADS))
        if not 1 <= page <= pages:
            raise OutOfRange(f"there is no page {page} of presets; they are 1 to {pages}")
        self.page = page - 1
        self._properties.publish("/segue/style/page", also)
        self._show()

    def program(self, program: Program, also: Peer | None = None) -> None:
        """Bank Select and Program Change. Raises NoStyle where nothing is."""
        bank = program.bank if program.page == 0 else program.bank << 7 | program.page
        entry = self.library.at(bank, program.number)
        if entry is None:
            raise NoStyle(
                f"there is no preset at program {program.number} of bank {bank}; `segue presets list` shows them"
            )
        self._take(entry.preset, self._engine_ready(), also)

    def browse(self, steps: int, also: Peer | None = None) -> None:
        """So many presets on, to the ends of the list at most; without a chosen one from its beginning."""
        entries = list(self.library.entries.values())
        if not entries:
            raise NoStyle("there are no presets; `segue presets new` makes one")
        chosen = self._place_of(self._choosing.now.style.preset)
        place = chosen + steps if chosen >= 0 else (steps - 1 if steps > 0 else 0)
        self._take(entries[min(len(entries) - 1, max(0, place))].preset, self._engine_ready(), also)

    def _place_of(self, preset: Preset | None) -> int:
        keys = list(self.library.entries)
        return keys.index(preset.slug) if preset is not None and preset.slug in keys else -1

    def _take(self, preset: Preset, ready: Ready, also: Peer | None) -> None:
        """Choose a preset: it is the far end of the morph from now on, and the one before the near end."""
        if preset != self._ends[1]:
            self._ends = (self._ends[1], preset)
        self.amount = 1.0
        place = self._place_of(preset)
        if place >= 0:
            self.page = place // PADS
        self._apply(preset, ready, place + 1, also)

    def _apply(self, preset: Preset, ready: Ready, index: int, also: Peer | None) -> None:
        fitted = fitted_style(preset, ready.artists, ready.genres, ready.genre_words)
        if fitted.left_out:
            names = ", ".join(f"'{name}'" for name in fitted.left_out)
            log.info("preset '%s': this model does not know %s and leaves it out", preset.name, names)
        now = self._choosing.now
        self._choosing.change(
            told="/segue/style",
            also=also,
            style=StyleChoice(preset.name, index, fitted.style, preset),
            settings=settings_of(preset, now.settings),
            lyrics=LyricSheet(lyrics_of(preset, now.lyrics.text)),
            quantum=preset.quantum,
        )
        self._changed()

    def _changed(self) -> None:
        self._show()
        self._restyle()

    # -- the morph ------------------------------------------------------------------------------------------------

    def set_ends(self, first: str, second: str, also: Peer | None = None) -> None:
        """Morph between two presets by name. Raises NoStyle."""
        self._ends = (self.library.find(first).preset, self.library.find(second).preset)
        self._properties.publish("/segue/style/morph/ends", also)
        self._morph_soon()

    def morph(self, amount: float, also: Peer | None = None) -> None:
        """From the first end (0) to the second (1); carried out a moment later, the last value of many.

        Raises NoStyle while there are no two ends.
        """
        if self._ends[0] is None or self._ends[1] is None:
            raise NoStyle("there is nothing to morph between; choose two presets, one after the other")
        self.amount = amount
        self._properties.publish("/segue/style/morph", also)
        self._morph_soon()

    def _morph_soon(self) -> None:
        if self._morphing is None:
            self._morphing = asyncio.get_running_loop().call_later(MORPH_SECONDS, self._morph_now)

    def _morph_now(self) -> None:
        self._morphing = None
        first, second = self._ends
        assert first is not None
        assert second is not None
        try:
            preset = morph(first, second, self.amount)
            self._apply(preset, self._engine_ready(), self._place_of(preset) + 1, None)
        except SegueError as error:
            self._tell(error.message)

    # -- pads -----------------------------------------------------------------------------------------------------

    def _lights(self) -> tuple[str, ...]:
        """What the pads of the page show."""
        entries: list[Entry] = list(self.library.entries.values())[self.page * PADS :][:PADS]
        chosen = self._choosing.now.style.preset
        lit = [
            Light.SELECTED if chosen is not None and entry.preset.slug == chosen.slug else Light.READY
            for entry in entries
        ]
        return tuple(str(light) for light in (*lit, *[Light.EMPTY] * (PADS - len(lit))))

    def _show(self) -> None:
        lights = self._lights()
        if lights != self._pads:
            self._pads = lights
            self._notices.publish("/segue/style/pads", *lights)


def settings_of(preset: Preset, now: Settings) -> Settings:
    """The parameters once a preset is chosen: its sampling, length, fidelity and seed."""
    top = preset.sampling.top
    seed = seed_of(preset, now.seed, fresh_seed() if now.seed_lock else now.seed)
    locked = {"new": 0, "keep": now.seed_lock}.get(str(preset.seed), 1)
    return now.model_copy(
        update={
            "levels": preset.sampling,
            "temperature": top.temperature,
            "top_p": top.top_p or 1.0,
            "top_k": top.top_k or 0,
            "bars": preset.bars,
            "seconds": 0.0,
            "bars_asked": True,
            "usual_bpm": sum(preset.tempo) / 2 if preset.tempo else 0.0,
            "fidelity": str(preset.fidelity),
            "seed": seed,
            "seed_lock": locked,
        }
    )
