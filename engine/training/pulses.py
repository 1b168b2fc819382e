"""The pulse of every song that is trained on: from a corpus's metadata, else as it is heard."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.analysis.pulse import estimate_pulse
from engine.corpus.dataset import load_song
from engine.prior.pulse import UNKNOWN, SongPulse, key_row, pulse_at
from engine.request import NOTES
from engine.training.data import Named, list_sources, read_blocks

MINOR_MODES = ("minor", "dorian", "phrygian", "locrian")  # by their third, as keys are heard
HEARD_SECONDS = 30.0  # of a song without metadata


def pulses_of(
    folder: Path, songs: Sequence[Named], rate: int, tick: Callable[[], None] = lambda: None
) -> Mapping[str, SongPulse]:
    """The pulse of every song by its name; ``tick`` after each. A song of a corpus has it in its JSON, with bars
    from the first sample on; of any other file the first half minute is listened to."""
    paths = {source.name: source.path for source in list_sources(folder)}
    found: dict[str, SongPulse] = {}
    for song in songs:
        path = paths.get(song.name)
        if path is None:
            found[song.name] = SongPulse()
        elif (folder / "corpus.json").is_file():
            found[song.name] = _written(load_song(path.with_suffix(".json")), rate)
        else:
            found[song.name] = _heard(path, rate)
        tick()
    return found


def _written(song: Mapping[str, Any], rate: int) -> SongPulse:
    key = song["key"]
    minor = key["mode"] in MINOR_MODES
    return pulse_at(float(song["bpm"]), rate, 0.0, key_row(NOTES.index(key["tonic"]), minor))


def _heard(path: Path, rate: int) -> SongPulse:
    blocks: list[np.ndarray] = []
    for block in read_blocks(path, rate):
        blocks.append(block)
        if sum(map(len, blocks)) >= HEARD_SECONDS * rate:
            break
    samples = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    pulse = estimate_pulse(samples, rate)
    if pulse is None:
        return SongPulse()
    key = UNKNOWN if pulse.key is None else key_row(pulse.key.tonic, pulse.key.mode == "minor")
    return pulse_at(pulse.bpm, rate, pulse.downbeat * rate, key)
