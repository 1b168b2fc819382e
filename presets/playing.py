"""A preset and a model: what of the style the model can play, and the request that comes of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import NoStyle, OutOfRange
from engine.request import MAX_SECONDS, Mode, PrimeRef, Pulse, Request, Style, frames_of_bars
from presets.schema import LyricsPolicy, Preset, key_of

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Fitted:
    """A style in a model's own names, and the names of the preset that the model does not know."""

    style: Style
    left_out: tuple[str, ...] = ()


def fitted_style(
    preset: Preset, artists: Sequence[str], genres: Sequence[str], genre_words: bool = False
) -> Fitted:
    """The style of a preset for a model that knows ``artists`` and ``genres`` (``genre_words``: its genres are words).

    Names that the model lacks are left out and the others keep their proportions. Without any artist left, the artist
    is unknown: a preset is known by its genres. Without any genre left, nothing of it would be heard: NoStyle.
    """
    named = {UNKNOWN: UNKNOWN}
    known_artists = named | {key_of(name): name for name in artists}
    known_genres = named | {key_of(name): name for name in genres}

    def genre(name: str) -> str | None:
        words = re.findall("[a-z0-9]+", key_of(name)) if genre_words else []
        joined = bool(words) and all(word in known_genres for word in words)
        return known_genres.get(key_of(name), name if joined else None)

    kept_genres = {genre(name): weight for name, weight in preset.style.genres.items()}
    kept_artists = {known_artists.get(key_of(name)): weight for name, weight in preset.style.artists.items()}
    foreign = [name for name in preset.style.genres if genre(name) is None]
    foreign += [name for name in preset.style.artists if key_of(name) not in known_artists]
    style = Style(
        artists={name: weight for name, weight in kept_artists.items() if name is not None},
        genres={name: weight for name, weight in kept_genres.items() if name is not None},
    )
    if not (style.genres if preset.style.genres else style.artists):
        offer = ", ".join(name for name in genres if name != UNKNOWN) or "none"
        raise NoStyle(
            f"preset '{preset.name}' needs '{foreign[0]}', which this model does not know; "
            f"choose one of its genres: {offer}"
        )
    return Fitted(style, tuple(foreign))


def seed_of(preset: Preset, present: int, fresh: int) -> int:
    """The seed of the next take: the preset's own, the session's ``present`` one, or a ``fresh`` one."""
    if isinstance(preset.seed, int):
        return preset.seed
    return present if preset.seed == "keep" else fresh


def lyrics_of(preset: Preset, present: str) -> str:
    """The lyrics once the preset is chosen, where they were ``present``."""
    return {
        LyricsPolicy.KEEP: present,
        LyricsPolicy.CLEAR: "",
        LyricsPolicy.REPLACE: preset.lyrics,
    }[preset.lyrics_policy]


def request_of(
    preset: Preset,
    style: Style,
    *,
    prime: PrimeRef | None,
    rate: int,
    bpm: float | None = None,
    seed: int = 0,
    lyrics: str = "",
    model: str = "starter",
) -> Request:
    """The request that a preset makes of a prime, or of nothing.

    ``bpm``: tempo of the prime or the song; without one the middle of the preset's own. The preset's key holds only
    from nothing. ``style``: as fitted to the model. ``seed``, ``lyrics``: as decided (:func:`seed_of`,
    :func:`lyrics_of`). Raises OutOfRange without any tempo, and above 600 s.
    """
    tempo = bpm if bpm is not None else preset.tempo and sum(preset.tempo) / 2
    if not tempo:
        raise OutOfRange(
            f"preset '{preset.name}' is {preset.bars:g} bars long and no tempo is known; give the bpm"
        )
    frames = frames_of_bars(preset.bars, tempo, rate)
    if frames > MAX_SECONDS * rate:
        raise OutOfRange(
            f"{preset.bars:g} bars at {tempo:g} bpm last {frames / rate:.0f} s; "
            f"at most {MAX_SECONDS:g} s can be made"
        )
    return Request(
        model=model,
        mode=Mode.ANCESTRAL if prime is None else Mode.PRIMED,
        prime=prime,
        style=style,
        lyrics=lyrics,
        frames=frames,
        bpm=tempo,
        bars=preset.bars,
        pulse=Pulse(bpm=tempo, key=preset.key) if prime is None and preset.key else None,
        sampling=preset.sampling,
        seed=seed,
        fidelity=preset.fidelity,
    )
