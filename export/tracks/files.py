"""One audio file a take."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from engine.audio.durable import write_new
from engine.take import Take
from export.tracks import describing, riff
from export.tracks.finishing import finish
from export.tracks.naming import file_names, style_of
from export.tracks.track import FinishedTrack
from export.tracks.wishes import TrackWishes


def write(
    takes: Sequence[Take], wishes: TrackWishes, folder: Path, tell: Callable[[FinishedTrack], None]
) -> list[Path]:
    """The takes as files of a folder, none of which replaces another; see :class:`export.tracks.targets.Target`."""
    paths = []
    for take in takes:
        track = finish(take, wishes)
        paths.append(write_track(track, folder))
        tell(track)
    return paths


def write_track(track: FinishedTrack, folder: Path) -> Path:
    """The file, under the first free of its names; the one that is there already if that holds the very same."""
    return write_new(folder, file_names(track), encoded(track))


def encoded(track: FinishedTrack) -> bytes:
    """The file's content. The same track gives the same bytes."""
    return _flac(track) if track.wishes.format == "flac" else wav(track)


def wav(track: FinishedTrack) -> bytes:
    """A WAV with everything that is known of it."""
    wishes = track.wishes
    if wishes.bits == "float32":
        sound, bits = track.samples.astype("<f4").tobytes(), 32
    else:
        sound, bits = _packed(rounded(track), wishes.bits), wishes.bits
    return riff.riff(
        [
            describing.broadcast(track),
            riff.format_chunks(track.rate, bits, track.frames, is_float=wishes.bits == "float32"),
            riff.chunk(b"data", sound),
            *describing.chunks(track),
        ]
    )


def rounded(track: FinishedTrack) -> npt.NDArray[np.int32]:
    """The samples as whole numbers of 16 or 24 bits: int32 [frames]. 16 bits are dithered where that is wanted.

    The dither is triangular, two steps wide in all, and drawn from the take: the same export is the same file.
    """
    wishes = track.wishes
    full = 1 << (15 if wishes.bits == 16 else 23)
    scaled = track.samples.astype(np.float64) * full
    if wishes.bits == 16 and wishes.dither:
        seed = hashlib.sha256(describing.reference(track).encode()).digest()
        draws = np.random.Generator(np.random.Philox(int.from_bytes(seed[:16], "little")))
        scaled += draws.random(scaled.size) - draws.random(scaled.size)
    return np.clip(np.rint(scaled), -full, full - 1).astype(np.int32)


def _packed(samples: npt.NDArray[np.int32], bits: int) -> bytes:
    """Little-endian, 2 or 3 bytes a sample."""
    return samples.astype("<i4").view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()


def _flac(track: FinishedTrack) -> bytes:
    buffer = io.BytesIO()
    bits = 16 if track.wishes.bits == 16 else 24
    tags: dict[str, Any] = {
        "title": track.name,
        "artist": "Segue",
        "software": describing.software(track),
        "comment": describing.comment(track),
        "date": describing.created(track).date().isoformat(),
        "genre": style_of(track.take.info.head.request.style),
    }
    with soundfile.SoundFile(buffer, "w", track.rate, 1, f"PCM_{bits}", format="FLAC") as file:
        for name, text in tags.items():
            if text:
                setattr(file, name, text)
        file.write(rounded(track) << (32 - bits))
    return buffer.getvalue()
