"""What the options of ``segue continue``, ``tree`` and ``compose`` ask for, checked, and made into a request."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.cli.times import frame_at
from bridge.session.settings import fresh_seed, length_of, tempo_of
from engine.errors import BadArguments, NoFile, NoTake, OutOfRange
from engine.folders import default_takes
from engine.lyrics import Words, read_lyrics
from engine.request import (
    MAX_BPM,
    MAX_SEED,
    MIN_BPM,
    Fidelity,
    Mode,
    Place,
    PrimeRef,
    Request,
    Sampling,
    SongPosition,
    Style,
    StyleChange,
    TakeRef,
)
from engine.shelf.finding import find
from engine.shelf.index import Index
from presets import resolve_style

_TAKE = re.compile(r"(A?\d+)|(\d{4}-\d\d-\d\d_\d{6}_A\d+)", re.IGNORECASE)

if TYPE_CHECKING:
    from engine.backends.protocol import Backend
    from engine.host.jobs import KnownPrime
    from engine.store.config import ModelConfig
    from engine.take import Take

DEFAULT_MODEL = "starter"


@dataclass(frozen=True)
class Wish:
    """The options that shape a request. ``source``: an audio file, a take's folder, or None for nothing.

    ``seed`` None takes a fresh one; ``model`` None the one a take was made with, else the starter; ``exact``: every
    window is sampled after the one before it.
    """

    source: Path | None = None
    start: float = 0.0
    length: float | None = None
    from_bar: float | None = None
    bars: float | None = None
    seconds: float | None = None
    bpm: float | None = None
    style: str = ""
    then: tuple[str, ...] = ()
    song_length: float | None = None
    song_at: float | None = None
    ending: bool = False
    seed: int | None = None
    fidelity: str = str(Fidelity.FULL)
    model: str | None = None
    lyrics: Words | None = None
    exact: bool = False


def wish_of(source: Path | None, *, lyrics: str = "", **options: Any) -> Wish:
    """The wish of a command's options, checked; ``lyrics`` as typed. Raises a named error."""
    wish = Wish(source=source, lyrics=read_lyrics(lyrics) if lyrics else None, **options)
    check(wish)
    return wish


def checked_source(wish: Wish) -> Take | None:
    """The take when the source is one, after a look at the file when it is not. Raises NoFile or BadFormat."""
    from engine.audio import probe
    from engine.take import Take

    if wish.source is None:
        return None
    if not wish.source.is_dir():
        if wish.from_bar is not None:
            raise OutOfRange("--from-bar is for takes; of an audio file, --length says how much is used")
        probe(str(wish.source))
        return None
    if wish.start:
        raise OutOfRange(
            "--start is for audio files; a take is continued from its end, or from --length of it"
        )
    return Take.load(wish.source)


def check(wish: Wish) -> None:
    """Everything that can be said before the model is loaded. Raises a named error."""
    if not 0 <= wish.start <= 1e6:
        raise OutOfRange(f"the start is {wish.start:g} s; it must be 0 or more")
    if wish.from_bar is not None and wish.length is not None:
        raise OutOfRange("--from-bar and --length exclude each other; give one of them")
    if wish.length is not None and not 0 < wish.length <= 1e6:
        raise OutOfRange(f"the length of the prime is {wish.length:g} s; it must be above 0")
    if wish.bars is not None and wish.seconds is not None:
        raise OutOfRange("--bars and --seconds exclude each other; give one of them")
    for name, value in (("bars", wish.bars), ("seconds", wish.seconds), ("song-length", wish.song_length)):
        if value is not None and not value > 0:
            raise OutOfRange(f"--{name} is {value:g}; it must be above 0")
    if wish.song_at is not None and not wish.song_at >= 0:
        raise OutOfRange(f"--song-at is {wish.song_at:g}; it must be 0 or more")
    if wish.ending and wish.song_at is not None:
        raise OutOfRange("--ending and --song-at exclude each other; give one of them")
    if wish.bpm is not None and not MIN_BPM <= wish.bpm <= MAX_BPM:
        raise OutOfRange(f"--bpm is {wish.bpm:g}; it must be from {MIN_BPM:g} to {MAX_BPM:g}")
    if wish.seed is not None and not 0 <= wish.seed <= MAX_SEED:
        raise OutOfRange(f"--seed is {wish.seed}; it must be from 0 to {MAX_SEED}")
    if wish.fidelity not in set(Fidelity):
        raise OutOfRange(f"--fidelity is '{wish.fidelity}'; it must be draft, fine or full")
    if wish.seconds is not None or wish.bpm is not None:
        length_of(wish.seconds, wish.bars, wish.bpm, 44_100)


@dataclass(frozen=True)
class Wanted:
    """A request, and the prime that was read for it (None where codes are continued, or nothing is)."""

    request: Request
    prime: KnownPrime | None


def wanted(wish: Wish, backend: Backend, parent: Take | None) -> Wanted:
    """The request of the first take. ``parent``: what :func:`checked_source` found."""
    from engine.host.primes import PrimeShelf

    if wish.source is None:
        return Wanted(_request(wish, backend, None, Mode.ANCESTRAL, wish.bpm, 0.0), None)
    if parent is not None:
        head = parent.info.head
        kept = _kept(wish, parent)
        reference = TakeRef(folder=str(wish.source), frames=kept)
        before = (head.prime_frames + (parent.info.frames if kept is None else kept)) / head.rate
        bpm = wish.bpm or head.request.bpm
        return Wanted(_request(wish, backend, parent, Mode.CONTINUE, bpm, before, reference), None)
    riff = PrimeRef(path=str(wish.source), start_seconds=wish.start, length_seconds=wish.length)
    shelved = PrimeShelf().take_in(backend, riff)
    bpm = tempo_of(riff.path, wish.bpm, shelved.bpm)
    before = shelved.known.waveform.seconds
    return Wanted(_request(wish, backend, None, Mode.PRIMED, bpm, before, riff), shelved.known)


def _kept(wish: Wish, parent: Take) -> int | None:
    """Frames of the parent's continuation that are gone on from; None for all. Raises OutOfRange."""
    head = parent.info.head
    if wish.from_bar is None:
        return None if wish.length is None else max(1, round(wish.length * head.rate))
    kept = frame_at(f"{wish.from_bar:g}", "--from-bar", head.request.bpm, head.rate)
    if not kept:
        raise OutOfRange(
            "--from-bar is 1, where the take itself begins; segue takes retry makes all of it again, from bar 2 on "
            "it can be gone on from"
        )
    if kept > parent.info.held:
        bars = f", {head.request.bars:g} bars" if head.request.bars else ""
        raise OutOfRange(
            f"--from-bar {wish.from_bar:g} lies at {kept / head.rate:.2f} s; the take is "
            f"{parent.info.held / head.rate:.2f} s long{bars}"
        )
    return kept


def _request(
    wish: Wish,
    backend: Backend,
    parent: Take | None,
    mode: Mode,
    bpm: float | None,
    before: float,
    source: PrimeRef | TakeRef | None = None,
) -> Request:
    config = backend.config
    length = length_of(wish.seconds, wish.bars, bpm, config.rate)
    words = _words(wish, parent)
    return Request(
        model=model_of(wish.model, parent),
        mode=mode,
        prime=source if isinstance(source, PrimeRef) else None,
        parents=(source,) if isinstance(source, TakeRef) else (),
        style=_style(wish.style, backend, parent),
        style_changes=_changes(wish.then, backend, bpm, length.frames),
        frames=length.frames,
        bpm=bpm,
        bars=length.bars,
        lyrics=words.lyrics,
        lyric_times=words.lyric_times,
        song=_song(wish, backend, parent, before + length.frames / config.rate),
        meter=parent.info.head.request.meter if parent is not None else (4, 4),
        place=_place(wish, parent, before),
        sampling=exact_sampling(Sampling()) if wish.exact else Sampling(),
        seed=fresh_seed() if wish.seed is None else wish.seed,
        fidelity=Fidelity(wish.fidelity),
    )


def exact_sampling(usual: Sampling) -> Sampling:
    """The same sampling with every window after the one before it, as in the paper."""
    levels = {name: getattr(usual, name).model_copy(update={"strand": None}) for name in ("bottom", "middle")}
    return usual.model_copy(update=levels)


def model_of(asked: str | None, parent: Take | None) -> str:
    """The model's name: as asked for, else that of the take that is gone on from, else the starter."""
    if asked is not None or parent is None:
        return asked or DEFAULT_MODEL
    return parent.info.head.request.model


def _words(wish: Wish, parent: Take | None) -> Words:
    """The lyrics as given, else those of the take that is gone on from: it is the same song."""
    if wish.lyrics is not None or parent is None:
        return wish.lyrics or Words()
    before = parent.info.head.request
    return Words(before.lyrics, before.lyric_times)


def named_style(name: str, config: ModelConfig) -> Style:
    """The style of that name for a model's top level. Raises what :func:`presets.resolve_style` raises."""
    names = config.vocabulary(config.top)
    return resolve_style(name, names.artist_names, names.genre_names, names.version == "v2")


def _style(name: str, backend: Backend, parent: Take | None) -> Style:
    if name:
        return named_style(name, backend.config)
    if parent is None:
        return Style()
    before = parent.info.head.request
    return before.style_changes[-1].style if before.style_changes else before.style


def _changes(
    then: tuple[str, ...], backend: Backend, bpm: float | None, frames: int
) -> tuple[StyleChange, ...]:
    """``5:reggae`` is reggae from bar 5 on, ``8s:house:0.7+reggae`` a mix from 8 seconds on."""
    config, changes = backend.config, []
    for text in then:
        place, colon, name = text.partition(":")
        if not colon or not name.strip():
            raise BadArguments(
                f"--then is '{text}'; write a bar or seconds and a style, such as 5:reggae or 8s:reggae"
            )
        at = frame_at(place, "--then", bpm, config.rate)
        if at >= frames:
            raise OutOfRange(
                f"--then {text} lies at {at / config.rate:.2f} s; the continuation ends at "
                f"{frames / config.rate:.2f} s"
            )
        changes.append(StyleChange(at_frame=at, style=named_style(name, config)))
    return tuple(sorted(changes, key=lambda change: change.at_frame))


def _song(wish: Wish, backend: Backend, parent: Take | None, heard: float) -> SongPosition | None:
    from engine.sampling.song import stated_song

    said = stated_song(backend.config, wish.song_length, wish.song_at, wish.ending, heard)
    return parent.info.head.request.song if said is None and parent is not None else said


def _place(wish: Wish, parent: Take | None, before: float) -> Place | None:
    """Where on the time line the continuation lies, where that was said of the prime or of the take before."""
    if wish.song_at is not None:
        return Place(seconds=wish.song_at + before)
    if parent is None or (start := parent.info.head.request.place_seconds) is None:
        return None
    return Place(seconds=float(start) + before - parent.info.head.prime_frames / parent.info.head.rate)


def begun_seed(record: Path) -> int | None:
    """The seed of a tree or session that was begun in this folder; None when there is none, or it is broken."""
    if not record.is_file():
        return None
    try:
        seed = json.loads(record.read_bytes())["request"]["seed"]
    except (ValueError, KeyError, TypeError):
        return None
    return seed if isinstance(seed, int) else None


def resolved(path: Path, root: Path | None = None) -> Path:
    """The path as another process would have it; where nothing is, the folder of the take that is called so.

    ``root``: the takes folder, None for the usual one. Raises NoFile where neither is there, NoTake for what can
    only mean a take.
    """
    full = path.expanduser().resolve()
    if full.exists():
        return full
    if path.name != str(path):
        raise NoFile(f"there is no file '{full}'; check the path")
    index = Index((root or default_takes()).expanduser().resolve())
    index.refresh()
    try:
        return index.root / find(index, str(path)).place
    except NoTake:
        if _TAKE.fullmatch(str(path)):
            raise
        raise NoFile(f"there is no file '{full}' and no take of that name; check the path") from None
