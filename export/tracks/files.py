"""One audio file a take."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from engine.audio.durable import write_new
from engine.take import Take
from export.tracks.finishing import finish
from export.tracks.naming import file_names
from export.tracks.track import FinishedTrack
from export.tracks.wishes import TrackWishes

_SUBTYPES = {16: "PCM_16", 24: "PCM_24", "float32": "FLOAT"}


def write(takes: Sequence[Take], wishes: TrackWishes, folder: Path) -> list[Path]:
    """The takes as files of a folder, none of which replaces another; see :class:`export.tracks.targets.Target`."""
    return [write_track(finish(take, wishes), folder) for take in takes]


def write_track(track: FinishedTrack, folder: Path) -> Path:
    """The file, under the first free of its names; the one that is there already if that holds the very same."""
    return write_new(folder, file_names(track), encoded(track))


def encoded(track: FinishedTrack) -> bytes:
    """The file's content."""
    buffer = io.BytesIO()
    wishes = track.wishes
    samples = track.samples.astype(np.float64)
    soundfile.write(buffer, samples, track.rate, _SUBTYPES[wishes.bits], format=wishes.format.upper())
    return buffer.getvalue()
