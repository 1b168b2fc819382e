"""The audio of a project: primes as they were heard, takes finished as tracks, under which names."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING

import numpy as np
from text_unidecode import unidecode

from engine.analysis.loudness import measure_loudness
from engine.audio import probe, read_audio, write_wav_float
from engine.audio.durable import replacing
from engine.errors import SegueError
from engine.take import Take
from engine.take.take import PRIME
from export.projects.pieces import ROOM
from export.projects.sheet import Sound
from export.projects.wording import shown
from export.tracks.files import encoded
from export.tracks.finishing import finish
from export.tracks.levels import under_ceiling
from export.tracks.naming import file_names
from export.tracks.timing import tempo_of
from export.tracks.track import FinishedTrack, Seam
from export.tracks.wishes import TrackWishes

if TYPE_CHECKING:
    from export.projects.lineage import Node

MAX_STEM = 90
Tell = Callable[[FinishedTrack], None]


def tell_nobody(track: FinishedTrack) -> None:
    """Says nothing of a track."""


def plain(text: str) -> str:
    """``text`` as part of a file name that every system takes: ASCII letters, digits, ``-``, ``_``, never empty."""
    return re.sub(r"[^A-Za-z0-9-]+", "_", unidecode(text)).strip("_-")[:MAX_STEM] or "sound"


class Sounds:
    """The sounds of one project, written to ``folder``. Names are different, whatever the case.

    ``wishes``: how takes are finished; ``tell`` is given each of them once.
    """

    def __init__(self, folder: Path, wishes: TrackWishes | None = None, tell: Tell = tell_nobody) -> None:
        self._folder, self._tell = folder, tell
        self._wishes = wishes or TrackWishes()
        self._primes: dict[Path, Sound] = {}
        self._takes: dict[int, tuple[Sound, float]] = {}  # and the gain in dB that it was given
        self._names: set[str] = set()

    @property
    def rate(self) -> int | None:
        """The rate in Hz that all have, None for that of each model."""
        return self._wishes.rate

    @staticmethod
    def title_of(path: str) -> str:
        """What a prime's file is called, without its folder and ending; one line that every program can show."""
        return shown(PureWindowsPath(path).stem)

    def prime(self, take: Take) -> Sound:
        """The prime of a take, bit for bit as its model heard it, unless another rate is wanted."""
        source = take.folder / PRIME
        if source not in self._primes:
            stem = f"prime_{take.info.head.prime_sha256[:8]}"
            names = (f"{stem}{'' if number == 1 else f'_{number}'}.wav" for number in itertools.count(1))
            path = self._folder / self._free(names)
            if self.rate in (None, take.info.head.rate):
                with open(source, "rb") as heard, replacing(path, ROOM) as file:
                    shutil.copyfileobj(heard, file, 1 << 20)
            else:
                heard_at = read_audio(source).resample(self.rate or 0)
                write_wav_float(path, heard_at.samples, heard_at.rate)
            self._primes[source] = self._sound(path)
        return self._primes[source]

    def take(self, node: Node) -> Sound:
        """The continuation as a track that follows what it goes on from without a seam."""
        return self._take(node)[0]

    def _take(self, node: Node) -> tuple[Sound, float]:
        if id(node) not in self._takes:
            gain = self._take(node.after)[1] if node.after else None
            track = track_of(node, self._wishes, gain)
            path = self._folder / self._free(file_names(track))
            with replacing(path, ROOM) as file:
                file.write(encoded(track))
            self._tell(track)
            self._takes[id(node)] = self._sound(path), track.done.gain_db
        return self._takes[id(node)]

    def _free(self, names: Iterable[str]) -> str:
        name = next(name for name in names if name.casefold() not in self._names)
        self._names.add(name.casefold())
        return name

    @staticmethod
    def _sound(path: Path) -> Sound:
        info = probe(path)
        return Sound(path.name, path, info.frames, info.rate, info.channels)


def track_of(node: Node, wishes: TrackWishes, gain_db: float | None) -> FinishedTrack:
    """A take as the track of a project, where it begins at the sample at which what it goes on from ends.

    So its first milliseconds come out of that, as when the prime stands in front of it. ``gain_db``: of the take that
    it goes on from: it gets the same, and so stays as much louder or softer as it was made; None after a prime. What
    another goes on from later than its last whole bar is not cut.
    """
    head = node.take.info.head
    used = max((child.used for child in node.children), default=0)
    whole = _bars_suffice(used, node)
    handed = gain_db is not None and wishes.loudness == "prime"
    wishes = wishes.model_copy(
        update={
            "loop": False,
            "full": bool(head.prime_frames),
            "whole": wishes.whole and whole,
            "loudness": "made" if handed else wishes.loudness,
        }
    )
    try:
        track = finish(node.take, wishes)
    except SegueError:
        if not wishes.full:
            raise
        track = finish(node.take, wishes.model_copy(update={"full": False}))  # its prime is gone
    track = _alone(track)
    return _louder(track, gain_db) if handed and gain_db else track


def _bars_suffice(used: int, node: Node) -> bool:
    """Whether nothing that goes on from a take needs more of it than its whole bars."""
    head = node.take.info.head
    tempo = tempo_of(head)
    if tempo is None:
        return True
    bars = tempo.whole_bars(node.take.info.frames, head.rate)
    return used <= tempo.frames(bars, head.rate) + 1


def _alone(track: FinishedTrack) -> FinishedTrack:
    """Without the prime in front."""
    begin = track.begin
    seams = tuple(Seam(seam.frame - begin, seam.label) for seam in track.seams if seam.frame > begin)
    samples = track.samples[begin:]
    return replace(
        track,
        samples=samples,
        begin=0,
        place=track.place + Fraction(begin, track.rate),
        seams=seams,
        wishes=track.wishes.model_copy(update={"full": False}),
        loudness=measure_loudness(samples, track.rate),
    )


def _louder(track: FinishedTrack, gain_db: float) -> FinishedTrack:
    limited = under_ceiling(
        track.samples.astype(np.float64) * 10.0 ** (gain_db / 20.0), track.rate, loop=False
    )
    samples = limited.samples.astype(np.float32)
    done = replace(
        track.done,
        gain_db=gain_db - limited.lowered_db,
        limited_db=limited.limited_db,
        limited_seconds=limited.limited_seconds,
        clipped=int(np.count_nonzero(np.abs(samples) > 1.0)),
    )
    return replace(track, samples=samples, done=done, loudness=measure_loudness(samples, track.rate))
