"""Pictures of continuations: spectrograms with the beats that they should keep, from the strongest to the weakest."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from engine.analysis.pulse import estimate_pulse
from engine.analysis.spectrogram import BeatGrid, Picture, plot_contact_sheet, plot_continuation
from engine.evaluation.continuations import Judged, PrimeRow
from engine.evaluation.ranking import spread_ranks
from engine.prior.pulse import BEATS_PER_BAR

SHEET = 24  # continuations on a contact sheet


def grid_of(one: Judged, rate: int) -> BeatGrid | None:
    """The beats of the prime, as its song's metadata has them, else as they are heard."""
    pair, truth = one.pair, one.pair.song.truth
    seam = pair.prime.size / rate
    if truth is not None:
        beat = 60.0 / truth.bpm
        return BeatGrid(beat, -(((pair.start / rate) + seam) % (BEATS_PER_BAR * beat)))
    heard = estimate_pulse(pair.prime, rate)
    return None if heard is None else BeatGrid(60.0 / heard.bpm, heard.downbeat - seam)


def caption(row: PrimeRow, system: str = "model") -> str:
    """What was found of a continuation, in a line."""
    found = row.systems[system]  # type: ignore[index]
    bpm = "no pulse" if found.bpm is None else f"{found.bpm:.1f} bpm"
    beat = "no beat" if found.beat_offset_ms is None else f"beat {found.beat_offset_ms:+.0f} ms"
    louder = "silent" if found.loudness_difference is None else f"{found.loudness_difference:+.1f} LU"
    style = f", heard as {row.styles[system]}" if system in row.styles else ""
    key = f"{found.prime_key} to {found.key_found or 'no key'}"
    return f"{found.prime_bpm:.1f} to {bpm}, {beat}, {key}, {louder}{style}"


def draw_examples(
    judged: Sequence[Judged], rows: Sequence[PrimeRow], rate: int, folder: Path, count: int
) -> list[Path]:
    """PNGs of up to ``count`` continuations, from the strongest (01) to the weakest, which is always among them."""
    chosen = spread_ranks([row.weakness or 0.0 for row in rows], count)
    paths = []
    for number, place in enumerate(chosen, 1):
        path = folder / f"example-{number:02d}.png"
        paths.append(draw_one(judged[place], rows[place], rate, path, f"{number} of {len(chosen)}"))
    return paths


def draw_one(one: Judged, row: PrimeRow, rate: int, path: Path, name: str) -> Path:
    """The PNG of one continuation by the model."""
    title = f"{name}: {row.song} ({', '.join(row.genres)})\n{caption(row)}"
    return plot_continuation(one.pair.prime, one.audio["model"], rate, path, title, grid_of(one, rate))


def draw_extremes(judged: Sequence[Judged], rows: Sequence[PrimeRow], rate: int, folder: Path) -> list[Path]:
    """PNGs of the best, the median and the worst continuation (by :mod:`engine.evaluation.ranking`), and of all."""
    ranked = sorted(range(len(rows)), key=lambda place: rows[place].weakness or 0.0)
    picks = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]}
    paths = [
        draw_one(judged[place], rows[place], rate, folder / f"continuation-{name}.png", name)
        for name, place in picks.items()
    ]
    return [*paths, draw_sheet(judged, rate, folder / "continuations.png")]


def draw_sheet(judged: Sequence[Judged], rate: int, path: Path) -> Path:
    """The PNG of all continuations, up to SHEET, beside what the songs themselves go on with."""
    pictures = itertools.chain.from_iterable(_pictures(one, rate) for one in judged[:SHEET])
    title = "left: prime and the model's continuation, right: the song itself"
    return plot_contact_sheet(list(pictures), rate, path, title)


def _pictures(one: Judged, rate: int) -> list[Picture]:
    seam = one.pair.prime.size / rate
    return [
        Picture(f"{one.pair.song.name} ({name})", np.concatenate([one.pair.prime, one.audio[name]]), seam)
        for name in ("model", "real")
    ]
