"""Looking at a corpus: its table of genres, artists and tempi, and a contact sheet of spectrograms."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from scipy import signal as sp

from engine.corpus.dataset import SongInfo, load_manifest, load_song, read_manifest
from engine.errors import OutOfRange

_TEMPO_STEP = 10
_SHEET_COLUMNS = 3
_LOW_HZ, _HIGH_HZ, _BANDS = 45.0, 16_000.0, 96


def _tally(songs: list[SongInfo], field: str) -> dict[str, dict[str, float]]:
    counts: dict[str, dict[str, float]] = defaultdict(lambda: {"songs": 0, "seconds": 0.0, "held_out": 0})
    for song in songs:
        row = counts[getattr(song, field)]
        row["songs"] += 1
        row["seconds"] = round(row["seconds"] + song.seconds, 3)
        row["held_out"] += song.split != "train"
    return dict(sorted(counts.items()))


def describe(folder: Path) -> dict[str, Any]:
    """The figures of a corpus: songs, seconds and held-out songs in all, per genre and artist, and tempi by
    tens of bpm.

    Raises NoFile and BadFormat as `load_manifest` does.
    """
    manifest = read_manifest(folder)
    songs = load_manifest(folder)
    tempi: dict[int, int] = defaultdict(int)
    for song in songs:
        tempi[song.bpm // _TEMPO_STEP * _TEMPO_STEP] += 1
    return {
        "folder": str(folder),
        "version": manifest["version"],
        "seed": manifest["seed"],
        "complete": len(songs) >= manifest["songs"],
        "songs": len(songs),
        "wanted": manifest["songs"],
        "seconds": round(sum(song.seconds for song in songs), 3),
        "held_out": sum(song.split != "train" for song in songs),
        "genres": _tally(songs, "genre"),
        "artists": _tally(songs, "artist"),
        "tempi": {str(low): tempi[low] for low in sorted(tempi)},
    }


def contact_sheet(folder: Path, picture: Path, most: int = 24) -> int:
    """Draws spectrograms of up to `most` songs, spread over the genres, with their sections; returns how many.

    Raises OutOfRange when the corpus holds no finished song.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    songs = load_manifest(folder)
    if not songs:
        raise OutOfRange(
            f"{folder} holds no finished song to draw: run `segue corpus make` until it has one."
        )
    place: dict[str, int] = defaultdict(int)
    ranked = []
    for song in songs:
        ranked.append((place[song.genre], song.genre, song))
        place[song.genre] += 1
    chosen = [song for _, _, song in sorted(ranked, key=lambda item: item[:2])[:most]]
    rows = -(-len(chosen) // _SHEET_COLUMNS)
    figure, axes = pyplot.subplots(rows, _SHEET_COLUMNS, figsize=(18, 2.3 * rows), squeeze=False)
    for axis in axes.flat[len(chosen) :]:
        axis.axis("off")
    for axis, song in zip(axes.flat, chosen, strict=False):
        _draw(axis, song)
    figure.tight_layout()
    figure.savefig(picture, dpi=90)
    pyplot.close(figure)
    return len(chosen)


def _bands(samples: np.ndarray, rate: int) -> tuple[np.ndarray, float]:
    """Levels in dB of 96 bands from 45 Hz to 16 kHz, shape (96, frames), and the seconds they cover."""
    hop = max(1024, len(samples) // 500)
    freqs, at, power = sp.spectrogram(samples, rate, nperseg=4096, noverlap=max(0, 4096 - hop))
    edges = np.searchsorted(freqs, np.geomspace(_LOW_HZ, _HIGH_HZ, _BANDS + 1))
    rows = [power[low : max(high, low + 1)].mean(axis=0) for low, high in pairwise(edges)]
    return 10 * np.log10(np.array(rows) + 1e-12), float(at[-1])


def _draw(axis: Any, song: SongInfo) -> None:
    samples, rate = soundfile.read(str(song.audio), dtype="float32")
    levels, seconds = _bands(samples, rate)
    extent = (0.0, seconds, 0.0, float(_BANDS))
    axis.imshow(levels, origin="lower", aspect="auto", extent=extent, vmin=-105, vmax=-35, cmap="magma")
    marks = (100, 1000, 10_000)
    axis.set_yticks([_BANDS * np.log(hz / _LOW_HZ) / np.log(_HIGH_HZ / _LOW_HZ) for hz in marks])
    axis.set_yticklabels(["100 Hz", "1 kHz", "10 kHz"])
    axis.set_title(f"{song.genre} · {song.artist} · {song.bpm} bpm · {song.key}", fontsize=8)
    for section in load_song(song.audio.with_suffix(".json"))["sections"]:
        axis.axvline(section["start_s"], color="white", linewidth=0.6)
        axis.text(section["start_s"], _BANDS - 2, f" {section['name']}", color="white", fontsize=6, va="top")
    axis.tick_params(labelsize=6)
