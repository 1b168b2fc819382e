"""Making a corpus: many songs in parallel, resumable, the same whatever the number of jobs."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from engine.corpus.artists import ARTISTS
from engine.corpus.dataset import (
    CORPUS_VERSION,
    HELD_OUT,
    MANIFEST,
    SONGS,
    TRAIN,
    Slot,
    load_manifest,
    read_manifest,
    slots,
)
from engine.corpus.genres import GENRES
from engine.corpus.singing.bank import read_bank
from engine.corpus.song import PARTIAL, Singing, make_song
from engine.corpus.soundfont import soundfont_digest
from engine.corpus.voices.signal import SAMPLE_RATE
from engine.errors import BadArguments, OutOfRange, PathNotAllowed

# Called after every song with the songs done so far, the songs wanted, and this song's seconds.
Progress = Callable[[int, int, float], None]
# Makes the song of a slot and returns its seconds.
Work = Callable[[Slot], float]


def _check(songs: int, seed: int, jobs: int, minutes: float | None, singing: Singing | None) -> None:
    if songs < 1:
        raise OutOfRange(f"{songs} songs make no corpus: ask for at least 1.")
    if songs > 99_999:
        raise OutOfRange(f"{songs} songs are more than a corpus holds: ask for at most 99999.")
    if not 0 <= seed < 2**63:
        raise OutOfRange(f"The seed {seed} is outside its range: give a whole number from 0 to 2^63 - 1.")
    if jobs < 1:
        raise OutOfRange(f"{jobs} jobs make nothing: give at least 1.")
    if minutes is not None and minutes <= 0:
        raise OutOfRange(f"{minutes:g} minutes leave no time for a song: give more than 0.")
    if singing is not None and not 0 <= singing.share <= 1:
        raise OutOfRange(f"A share of {singing.share:g} of the songs cannot be sung: give 0 to 1.")


def _prepare(folder: Path, arguments: dict[str, Any]) -> None:
    """Makes the folder, or makes sure that what it holds came from the same arguments."""
    if (folder / MANIFEST).exists():
        manifest = read_manifest(folder)
        for name, value in arguments.items():
            if manifest.get(name) != value:
                raise BadArguments(
                    f"{folder} holds a corpus with {name} {manifest.get(name)}, not {value}: "
                    f"use {name} {manifest.get(name)} to go on with it, or another folder."
                )
    elif folder.is_dir() and {path.name for path in folder.iterdir()} - {SONGS, PARTIAL}:
        raise BadArguments(f"{folder} holds files that are no corpus: give an empty or a new folder.")
    try:
        (folder / SONGS).mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / PARTIAL, ignore_errors=True)
        (folder / PARTIAL).mkdir()
    except OSError as error:
        raise PathNotAllowed(
            f"{folder} cannot be written ({error.strerror}): give a folder you may write to."
        ) from error


def summary(folder: Path, arguments: dict[str, Any], wanted: int) -> dict[str, Any]:
    """What `corpus.json` says: arguments, genres and artists (sorted), counts and seconds of the finished
    songs.
    """
    songs = load_manifest(folder) if (folder / MANIFEST).exists() else []
    splits = Counter(song.split for song in songs)
    return {
        **arguments,
        "songs": wanted,
        "complete": len(songs) >= wanted,
        "sample_rate": SAMPLE_RATE,
        "channels": 1,
        "genres": sorted(GENRES),
        "artists": sorted(ARTISTS),
        "counts": {
            "songs": len(songs),
            TRAIN: splits[TRAIN],
            HELD_OUT: splits[HELD_OUT],
            "genres": dict(sorted(Counter(song.genre for song in songs).items())),
            "artists": dict(sorted(Counter(song.artist for song in songs).items())),
        },
        "seconds": round(sum(song.seconds for song in songs), 3),
    }


def _write_manifest(folder: Path, arguments: dict[str, Any], wanted: int) -> dict[str, Any]:
    manifest = summary(folder, arguments, wanted)
    fresh = folder / PARTIAL / MANIFEST
    fresh.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    os.replace(fresh, folder / MANIFEST)
    return manifest


def _end_with_parent() -> None:
    """Ends this worker when the process that started it is gone: a pool waits forever for a killed parent."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _in_pool(work: Work, todo: list[Slot], jobs: int, deadline: float) -> Iterator[float]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent) as pool:
        waiting = iter(todo)
        running = {pool.submit(work, slot) for slot in islice(waiting, 2 * jobs)}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
                following = next(waiting, None) if time.monotonic() < deadline else None
                if following is not None:
                    running.add(pool.submit(work, following))


def _in_line(work: Work, todo: list[Slot], deadline: float) -> Iterator[float]:
    for slot in todo:
        if time.monotonic() >= deadline:
            return
        yield work(slot)


def make_corpus(
    folder: Path | str,
    songs: int,
    seed: int,
    jobs: int = 1,
    minutes: float | None = None,
    progress: Progress | None = None,
    soundfont: Path | None = None,
    singing: Singing | None = None,
) -> dict[str, Any]:
    """Makes songs 0..`songs`-1 of the corpus of `seed` that the folder does not hold yet; returns its
    manifest.

    `minutes` bounds the time spent: no song is begun after it, and a later call goes on. More songs may be
    asked for in a later call; another seed, soundfont or corpus version in the same folder raises
    BadArguments. Values out of range raise OutOfRange, a folder that cannot be written PathNotAllowed, a
    full disk DiskFull. With a `soundfont` (an SF2 or SF3 file), FluidSynth plays the acoustic parts of every
    second song. `singing` says how many songs have a singer; the others stay as they are without it.
    """
    _check(songs, seed, jobs, minutes, singing)
    folder = Path(folder)
    deadline = time.monotonic() + minutes * 60 if minutes is not None else float("inf")
    arguments: dict[str, Any] = {
        "version": CORPUS_VERSION,
        "seed": seed,
        "soundfont": soundfont_digest(soundfont) if soundfont is not None else None,
        "sung": singing.share if singing is not None else None,
        "bank": read_bank(singing.bank).digest if singing is not None else None,
    }
    _prepare(folder, arguments)
    held = {song.id for song in load_manifest(folder)} if (folder / MANIFEST).exists() else set()
    wanted = slots(seed, songs)
    if len(held) > songs:
        raise BadArguments(
            f"{folder} already holds {len(held)} songs, more than {songs}: ask for at least {len(held)}."
        )
    _write_manifest(folder, arguments, songs)
    todo = [slot for slot in wanted if slot.id not in held]
    work = partial(make_song, folder, seed, soundfont=soundfont, singing=singing)
    made = _in_pool(work, todo, jobs, deadline) if jobs > 1 else _in_line(work, todo, deadline)
    for done, seconds in enumerate(made, start=len(held) + 1):
        if progress is not None:
            progress(done, songs, seconds)
    manifest = _write_manifest(folder, arguments, songs)
    shutil.rmtree(folder / PARTIAL, ignore_errors=True)
    return manifest
