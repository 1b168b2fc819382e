"""What a contact sheet shows of every prime and take."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.analysis.loudness import integrated_loudness, sample_peak
from engine.analysis.seams import spectral_jumps
from engine.analysis.spectrum import decibels, mel_spectrogram
from engine.audio import Waveform, read_audio
from engine.audio.waveform import dbfs
from engine.errors import NoTake, SegueError
from engine.take import Take
from engine.take.take import PRIME
from export.projects.arrange import COLORS, PRIME_COLOR
from export.projects.lineage import Node, grow
from export.projects.sounds import Sounds
from export.projects.wording import recipe, shown
from export.tracks.timing import tempo_of

COLUMNS = 720  # of waveform and spectrogram
BANDS = 64
FFT = 2048
LOW_HZ, HIGH_HZ = 40.0, 14_000.0
SPAN_DB = 70.0
DEEPEST = 8  # generations that are shown as such
LEAST_SECONDS = 0.05  # of audio that can be drawn

Envelope = NDArray[np.float32]
Picture = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Card:
    """One row of the sheet: a prime or a take.

    ``depth``: generations below the prime, which is 0, to :data:`DEEPEST`; ``envelope``: lowest and highest sample of
    each column, float32 [COLUMNS, 2]; ``spectrum``: loudness of each band from the lowest up, uint8 [BANDS, COLUMNS],
    255 the loudest; both None where there is no audio, and ``problem`` says why. ``figures``: name and value of what
    was measured; ``bars``: seconds at which bars begin.
    """

    name: str
    kind: str
    depth: int
    color: str
    recipe: str
    rating: int
    kept: bool
    seconds: float
    wav: Path
    figures: tuple[tuple[str, str], ...]
    bars: tuple[float, ...] = ()
    envelope: Envelope | None = None
    spectrum: Picture | None = None
    problem: str = ""
    extra: bool = False  # not asked for, but what a take goes on from


def cards_of(takes: Sequence[Take], done: Callable[[str], None] = lambda name: None) -> list[Card]:
    """The rows: every prime, below it its takes, below each of them what goes on from it.

    ``done`` is told the name of every row. A take whose audio is gone has a row that says so. Raises NoTake for none.
    """
    if not takes:
        raise NoTake("there is no take to show; make one first, or name another takes folder")
    nodes = grow(takes)
    colors = {id(node): node.marks.color or COLORS[number % len(COLORS)] for number, node in enumerate(nodes)}
    cards: list[Card] = []
    for family in _families(nodes):
        cards += _primes(family, done)
        for node, depth in _below(family):
            cards.append(_take_card(node, min(depth, DEEPEST), colors[id(node)]))
            done(node.name)
    return cards


def _families(nodes: Sequence[Node]) -> list[list[Node]]:
    families: dict[tuple[object, ...], list[Node]] = {}
    for node in nodes:
        head = node.origin.take.info.head
        key: tuple[object, ...] = (head.prime_sha256,) if head.prime_frames else ("nothing",)
        families.setdefault(key, []).append(node)
    return list(families.values())


def _below(family: Sequence[Node]) -> Iterator[tuple[Node, int]]:
    """The takes of a family, each before those that go on from it or were made of it, and how deep each lies."""
    above = {id(node): node.after or node.instead for node in family}
    there = {id(node) for node in family}
    stack = [(node, 1) for node in reversed(family) if id(above[id(node)]) not in there]
    while stack:
        node, depth = stack.pop()
        yield node, depth
        stack += [(other, depth + 1) for other in reversed(family) if above[id(other)] is node]


def _primes(family: Sequence[Node], done: Callable[[str], None]) -> Iterator[Card]:
    take = family[0].origin.take
    head = take.info.head
    if not head.prime_frames:
        return
    request = head.request
    name = Sounds.title_of(request.prime.path) if request.prime else f"before {family[0].origin.name}"
    tempo = tempo_of(head)
    told = f"the prime, {tempo.bpm:g} bpm" if tempo else "the prime"
    holders = (
        node.take.folder / PRIME for node in family if node.take.info.head.prime_sha256 == head.prime_sha256
    )
    wav = next((path for path in holders if path.is_file()), take.folder / PRIME)
    seconds = head.prime_frames / head.rate
    yield _measured(Card(name, "prime", 0, PRIME_COLOR, told, 0, False, seconds, wav, ()))
    done(name)


def _take_card(node: Node, depth: int, color: str) -> Card:
    info = node.take.info
    tempo = tempo_of(info.head)
    bar = float(tempo.bar_beats * 60) / tempo.bpm if tempo else 0.0
    bars = tuple(np.arange(bar, info.seconds - 1e-6, bar).tolist()) if bar else ()
    card = Card(
        node.name,
        "take",
        depth,
        color,
        shown(recipe(node.take, node.marks, before=node.from_name, asked=node.asked, brief=True)),
        node.marks.rating,
        node.marks.kept,
        info.seconds,
        node.take.wav,
        (),
        bars,
        extra=not node.asked,
    )
    return _measured(card, _seam_figures(node.take))


def _measured(card: Card, more: Sequence[tuple[str, str]] = ()) -> Card:
    """The card with its audio looked at."""
    try:
        heard = read_audio(card.wav)
    except SegueError as error:
        return replace(card, problem=error.message)
    if heard.seconds < LEAST_SECONDS:
        return replace(card, problem=f"{heard.seconds:.2f} s of audio are too short to show")
    samples = heard.mono_samples()
    return replace(
        card,
        seconds=heard.seconds,
        figures=(*_levels(samples, heard.rate), *more),
        envelope=envelope_of(samples),
        spectrum=spectrum_of(samples, heard.rate),
    )


def _levels(samples: NDArray[np.float32], rate: int) -> Iterator[tuple[str, str]]:
    if samples.size >= 0.4 * rate:
        loudness = integrated_loudness(samples, rate)
        yield "loudness", f"{loudness:.1f} LUFS" if math.isfinite(loudness) else "silent"
    peak = sample_peak(samples)
    yield "peak", f"{peak:.1f} dBFS" if math.isfinite(peak) else "silent"
    root_mean_square = math.sqrt(float(np.mean(np.square(samples, dtype=np.float64))))
    if root_mean_square:
        yield "crest", f"{peak - dbfs(root_mean_square):.1f} dB"


def _seam_figures(take: Take) -> list[tuple[str, str]]:
    """How far the spectrum jumps where the take begins, over how far it does so elsewhere; and what was clipped."""
    told = [("clipped", f"{take.info.metrics.clipped}")] if take.info.metrics.clipped else []
    try:
        before, after = take.prime(), take.audio()
    except SegueError:
        return told
    seam = _jump(before, after)
    return [*told, *([("seam", f"{seam:.1f} × usual")] if seam is not None else [])]


def _jump(before: Waveform, after: Waveform) -> float | None:
    rate = after.rate
    tail, head = before.mono_samples()[-rate:], after.mono_samples()[:rate]
    joined = np.concatenate([tail, head])
    side = round(0.02 * rate)
    others = np.arange(side, joined.size - side, 2 * side)
    if tail.size < side or head.size < side or others.size < 4:
        return None
    jumps = spectral_jumps(joined, rate, [tail.size, *others.tolist()])
    usual = float(np.nanmean(jumps[1:]))
    return float(jumps[0]) / usual if usual > 0 and math.isfinite(float(jumps[0])) else None


def envelope_of(samples: NDArray[np.float32]) -> Envelope:
    """Lowest and highest sample of every column: float32 [COLUMNS, 2]."""
    edges = np.linspace(0, samples.size, COLUMNS + 1).astype(np.int64)[:-1]
    edges = np.minimum(edges, samples.size - 1)
    return np.stack([np.minimum.reduceat(samples, edges), np.maximum.reduceat(samples, edges)], axis=1)


def spectrum_of(samples: NDArray[np.float32], rate: int) -> Picture:
    """Loudness of mel bands over time: uint8 [BANDS, COLUMNS], 255 the loudest, 0 70 dB or more below it."""
    hop = max(64, samples.size // COLUMNS)
    level = decibels(mel_spectrogram(samples, rate, FFT, hop, BANDS, LOW_HZ, min(HIGH_HZ, rate / 2)), SPAN_DB)
    columns = np.linspace(0, level.shape[1] - 1, COLUMNS).round().astype(int)
    return np.rint((level[:, columns] / SPAN_DB + 1.0) * 255).astype(np.uint8)
