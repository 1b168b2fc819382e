"""From takes to a sheet: every prime a section, what begins at one place alternatives, children after parents."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from engine.errors import NoTake
from engine.request import Mode, exact_bpm
from engine.take import Take
from engine.take.take import PRIME
from export.projects.lineage import Node, grow, require_audio
from export.projects.sheet import (
    DEFAULT_BPM,
    Clip,
    Marker,
    Section,
    Sheet,
    Signature,
    Slot,
    Sound,
    TempoChange,
    beats_of,
)
from export.projects.sounds import Sounds
from export.projects.wording import recipe, shown, style_name
from export.tracks.timing import tempo_of

PRIME_COLOR = "#7d8ca3"
COLORS = (
    "#00c2a8",
    "#e0a030",
    "#d1495b",
    "#6c8ef5",
    "#9b6bd8",
    "#4fb36b",
    "#e07b4f",
    "#3fb0d8",
    "#c2568f",
    "#a3a32e",
)
_LOOSE = Fraction(1, 100)  # seconds by which a file of whole bars may miss them


def sheet_of(takes: Sequence[Take], title: str, sounds: Sounds) -> Sheet:
    """Everything that ``takes`` are, laid out on one time line; primes one after the other, each in its own tempo.

    Where all have the same tempo, those whose place in the song is known lie there. ``sounds``: what their audio is
    called in the project. Raises NoTake for no takes, NoFile for one without audio.
    """
    if not takes:
        raise NoTake("there is no take to export; keep or name at least one")
    for take in takes:
        require_audio(take)
    nodes = grow(takes)
    colors = {id(node): node.marks.color or COLORS[number % len(COLORS)] for number, node in enumerate(nodes)}
    tempo: list[TempoChange] = []
    layouts: list[_Layout] = []
    end = Fraction(0)
    for family, seam in _in_order(_families(nodes)):
        start = _next_bar(end, tempo[-1]) if layouts and seam is None else Fraction(0)
        change = family.change(start, tempo[-1] if tempo else TempoChange(start, DEFAULT_BPM))
        if not tempo or (tempo[-1].bpm, tempo[-1].signature) != (change.bpm, change.signature):
            tempo.append(change)
        layout = _Layout(family, start, change, sounds, colors, seam)
        layouts.append(layout)
        end = max(end, layout.section.end)
    return Sheet(
        title,
        sounds.rate or nodes[0].take.info.head.rate,
        tuple(tempo),
        tuple(marker for layout in layouts for marker in layout.markers()),
        tuple(layout.section for layout in layouts),
        tuple(note for layout in layouts for note in layout.notes),
    )


def _next_bar(end: Fraction, tempo: TempoChange) -> Fraction:
    """A bar line with an empty bar before it."""
    bar = tempo.signature.beats
    return tempo.at + (math.ceil((end - tempo.at) / bar) + 1) * bar


@dataclass
class _Family:
    """Takes that go back to the same prime, or to nothing in the same tempo."""

    nodes: list[Node] = field(default_factory=list)

    @property
    def tempo(self) -> tuple[Fraction, Signature] | None:
        """That of the first take that has one."""
        told = (tempo_of(node.take.info.head) for node in self.nodes)
        tempo = next((tempo for tempo in told if tempo), None)
        if tempo is None:
            return None
        return exact_bpm(tempo.bpm), Signature(tempo.numerator, tempo.denominator)

    def change(self, start: Fraction, before: TempoChange) -> TempoChange:
        """Its tempo from ``start`` on, or that of what was before."""
        return TempoChange(start, *(self.tempo or (before.bpm, before.signature)))

    @property
    def seam(self) -> Fraction | None:
        """The beat of the song at which somebody said that it goes on from its prime."""
        for node in self.nodes:
            head = node.take.info.head
            seconds = None if node.after or self.tempo is None else head.request.place_seconds
            if seconds is not None and self.tempo is not None:
                return seconds * self.tempo[0] / 60
        return None


def _families(nodes: Sequence[Node]) -> list[_Family]:
    families: dict[tuple[object, ...], _Family] = {}
    for node in nodes:
        head = node.origin.take.info.head
        if head.prime_frames:
            key: tuple[object, ...] = (head.prime_sha256, head.rate)
        else:
            key = ("nothing", head.request.bpm)
        families.setdefault(key, _Family()).nodes.append(node)
    return list(families.values())


def _in_order(families: Sequence[_Family]) -> list[tuple[_Family, Fraction | None]]:
    """Those with a place in the song, in its order; then the others, in the order in which they were made."""
    one_tempo = len({family.tempo for family in families if family.tempo}) <= 1
    seams = [(family, family.seam if one_tempo else None) for family in families]
    return sorted(seams, key=lambda pair: (pair[1] is None, pair[1] or 0))


def _bpm(node: Node) -> Fraction | None:
    tempo = tempo_of(node.take.info.head)
    return None if tempo is None else exact_bpm(tempo.bpm)


class _Layout:
    """One family on the time line, from the bar line ``start`` on."""

    def __init__(
        self,
        family: _Family,
        start: Fraction,
        tempo: TempoChange,
        sounds: Sounds,
        colors: dict[int, str],
        seam: Fraction | None,
    ) -> None:
        self._family, self._start, self._bpm = family, start, tempo.bpm
        self._bar, self._sounds, self._colors = tempo.signature.beats, sounds, colors
        self._places: dict[int, Fraction] = {}
        self._slots: dict[tuple[int, Fraction], list[Node]] = {}
        self.notes: list[str] = []
        self._origin = family.nodes[0].origin
        self._seam = self._aligned() if seam is None else seam
        self.section = self._section()

    def _section(self) -> Section:
        """The prime, and a slot for every place where takes go on."""
        for node in self._family.nodes:
            after = 0 if node.after is None else id(node.after)
            self._slots.setdefault((after, self._place(node)), []).append(node)
        slots = sorted(self._slots.values(), key=lambda nodes: self._place(nodes[0]))
        told = {id(nodes[0]): self._slot(nodes) for nodes in slots}
        self._settle(None, told, True)
        name = self._prime_name()
        return Section(name, self._prime(name), tuple(told.values()))

    # -- places -------------------------------------------------------------------------------------------------------

    def _length(self, frames: int, rate: int, bpm: Fraction | None) -> Fraction:
        """Beats of the time line that a sound fills."""
        return beats_of(frames, rate, bpm or self._bpm) if bpm else Fraction(frames, rate) * self._bpm / 60

    def _place(self, node: Node) -> Fraction:
        if id(node) not in self._places:
            if node.after is None:
                place = self._seam
            else:
                rate = node.after.take.info.head.rate
                place = self._place(node.after) + self._length(node.used, rate, _bpm(node.after))
            self._places[id(node)] = place
        return self._places[id(node)]

    def _prime_beats(self) -> Fraction:
        head = self._origin.take.info.head
        return self._length(head.prime_frames, head.rate, _bpm(self._origin))

    def _aligned(self) -> Fraction:
        """The beat of the seam: such that a bar begins where one is known to begin, and the prime fits before it."""
        length, bar = self._prime_beats(), self._bar
        if self._family.tempo is None or not length:
            return self._start + length
        loose = _LOOSE * self._bpm / 60
        bars = math.ceil((length + self._downbeat(length) - loose) / bar)
        return self._start + bars * bar - self._downbeat(length)

    def _downbeat(self, length: Fraction) -> Fraction:
        """Beats from the seam to a bar line, 0 or above and below a bar."""
        head, bpm = self._origin.take.info.head, self._bpm
        stated = head.request.pulse.downbeat_frame if head.request.pulse else None
        heard = head.pulse.downbeat_frame if head.pulse else None
        missed = abs(length - round(length / self._bar) * self._bar)
        if stated is None and (heard is None or missed * 60 <= _LOOSE * bpm):
            return Fraction(0)
        frame = stated if stated is not None else heard
        return beats_of(frame or 0, head.rate, bpm) % self._bar

    # -- clips --------------------------------------------------------------------------------------------------------

    def _prime_name(self) -> str:
        reference = self._origin.take.info.head.request.prime
        if reference is not None:
            return self._sounds.title_of(reference.path)
        mode = self._origin.take.info.head.request.mode
        return "from nothing" if mode is Mode.ANCESTRAL else f"before {self._origin.name}"

    def _prime(self, name: str) -> Clip | None:
        if not self._origin.take.info.head.prime_frames:
            return None
        for node in self._family.nodes:
            if node.after is None and (node.take.folder / PRIME).is_file():
                return self._prime_clip(name, self._sounds.prime(node.take))
        where = self._origin.take.folder / PRIME
        self.notes.append(f"the prime '{name}' is left out, and its place left empty: '{where}' is missing")
        return None

    def _prime_clip(self, name: str, sound: Sound) -> Clip:
        bpm, length = _bpm(self._origin), self._prime_beats()
        start, offset = self._seam - length, 0
        if start < self._start:  # by a few milliseconds more than its bars, or because the song begins later
            offset = math.ceil((self._start - start) * 60 / (bpm or self._bpm) * sound.rate)
            start += Fraction(offset, sound.rate) * (bpm or self._bpm) / 60
        note = f"the prime, {sound.frames / sound.rate:.2f} s"
        return Clip(name, PRIME_COLOR, note, sound, start, self._seam - start, bpm, offset)

    def _slot(self, nodes: list[Node]) -> Slot:
        clips = []
        for node in nodes:
            sound, bpm = self._sounds.take(node), _bpm(node)
            length = self._length(sound.frames, sound.rate, bpm)
            note = shown(recipe(node.take, node.marks, before=node.from_name, asked=node.asked))
            clips.append(Clip(node.name, self._colors[id(node)], note, sound, self._place(node), length, bpm))
        after = nodes[0].after
        return Slot(
            after.name if after else self._prime_name(), tuple(clips), nodes.index(max(nodes, key=_worth))
        )

    # -- what is heard ------------------------------------------------------------------------------------------------

    def _settle(self, parent: Node | None, told: dict[int, Slot], heard: bool) -> Slot | None:
        """Decides which of the slots after ``parent`` is heard, and so on down; returns it."""
        after = 0 if parent is None else id(parent)
        slots = [nodes for (anchor, _), nodes in self._slots.items() if anchor == after]
        best = max(slots, key=lambda nodes: max(map(_worth, nodes)), default=None)
        if parent is not None and best is not None and not self._worth_leaving(parent, best):
            best = None
        for nodes in slots:
            slot = told[id(nodes[0])]
            for number, node in enumerate(nodes):
                on = heard and nodes is best and number == slot.active
                following = self._settle(node, told, on)
                if number == slot.active:
                    cut = following.start if following else None
                    told[id(nodes[0])] = replace(slot, heard=heard and nodes is best, cut=cut if on else None)
        return told[id(best[0])] if best else None

    def _worth_leaving(self, parent: Node, nodes: list[Node]) -> bool:
        """Whether the music leaves ``parent`` before its end for these."""
        sound = self._sounds.take(parent)
        whole = self._place(parent) + self._length(sound.frames, sound.rate, _bpm(parent))
        return self._place(nodes[0]) >= whole or max(node.rating for node in nodes) >= parent.rating

    # -- markers ------------------------------------------------------------------------------------------------------

    def markers(self) -> list[Marker]:
        """The section as a region, every seam, and every change of style that is heard."""
        section = self.section
        told = [Marker(section.start, section.name, PRIME_COLOR, section.end)]
        nodes = {self._places_key(node): node for node in self._family.nodes}
        for slot in section.slots:
            clip = slot.clips[slot.active]
            told.append(Marker(slot.start, _listed([clip.name for clip in slot.clips]), clip.color))
            node = nodes[(clip.name, clip.start)]
            for change in node.take.info.head.request.style_changes if slot.heard else ():
                at = slot.start + self._length(change.at_frame, clip.sound.rate, clip.bpm)
                if at < (slot.cut or clip.end):
                    told.append(Marker(at, shown(f"{clip.name}: {style_name(change.style)}"), clip.color))
        return told

    def _places_key(self, node: Node) -> tuple[str, Fraction]:
        return node.name, self._place(node)


def _worth(node: Node) -> tuple[int, bool, bool, int, str, str]:
    """What decides between alternatives: rating, asked for, gone on from, fidelity, the later one."""
    head = node.take.info.head
    fidelity = -head.request.fidelity.level
    return node.rating, node.asked, bool(node.children), fidelity, head.created, node.take.folder.name


def _listed(names: Sequence[str]) -> str:
    shown = " | ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"
