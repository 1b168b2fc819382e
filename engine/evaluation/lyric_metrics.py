"""Does a prior know which word is sung? Word onsets read from its attention, against the times that files state."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.alignment.attention import song_attention
from engine.alignment.path import Sung, sung_characters
from engine.evaluation.data import Song, encode_span
from engine.evaluation.prior_windows import style_of
from engine.evaluation.truth import Told
from engine.lyrics import SongLyrics, Words
from engine.prior.labels import Labels, make_labels
from engine.prior.pulse import SongPulse, pulse_rows
from engine.request import Frozen
from engine.store import Model

WITHIN_SECONDS = 0.3
HOP_FRACTION = 0.25  # of windows, as the top level is sampled


class Alignment(Frozen):
    """Word onsets against the truth. ``within``: share 0..1 of the words that are placed within 0.3 s; words that no
    attention reaches count as missed. ``error``: median of the others' distance in seconds, None where
    none is placed."""

    within: float
    error: float | None
    placed: float


class LyricsReport(Frozen):
    """How well the attention of the top prior tells when each of ``words`` words of ``songs`` songs is sung, that
    prior hearing the songs' own codes. ``other_audio``: the same while it hears another song's (None for one song
    alone); ``evenly``: words spread evenly over the song."""

    songs: int
    words: int
    attention: Alignment
    other_audio: Alignment | None
    evenly: Alignment


@dataclass(frozen=True)
class StatedWord:
    """A word whose onset a file states: its first and last place in the text, and the onset in seconds."""

    first: int
    last: int
    seconds: float


def stated_words(song: SongLyrics, words: Words, rate: int) -> list[StatedWord]:
    """The words that begin a piece of timed lyrics; what lies within a piece has no time of its own."""
    if song.times is None:
        return []
    stated = {round(piece.seconds * rate) for piece in words.lyric_times}
    starts = [
        place
        for place, character in enumerate(song.text)
        if not character.isspace() and (place == 0 or song.text[place - 1].isspace())
    ]
    found = []
    for start in starts:
        last = start
        while last + 1 < len(song.text) and not song.text[last + 1].isspace():
            last += 1
        before = start  # white space that a piece begins with is part of it
        while before and song.text[before - 1].isspace():
            before -= 1
        own = [float(at) for at in song.times[before : start + 1] if round(float(at)) in stated]
        if own:
            found.append(StatedWord(start, last, own[-1] / rate))
    return found


def onsets(words: Sequence[StatedWord], sung: Sequence[Sung]) -> list[float | None]:
    """When each word begins by an alignment: the first of its characters that has a time."""
    return [
        next((one.seconds for one in sung[word.first : word.last + 1] if one.seconds is not None), None)
        for word in words
    ]


def compare_onsets(truth: Sequence[float], found: Sequence[float | None]) -> Alignment:
    """The figures of onsets in seconds; at least one."""
    errors = [abs(at - right) for at, right in zip(found, truth, strict=True) if at is not None]
    return Alignment(
        within=sum(error <= WITHIN_SECONDS for error in errors) / len(truth),
        error=statistics.median(errors) if errors else None,
        placed=len(errors) / len(truth),
    )


def measure_lyrics(
    model: Model, songs: Sequence[Song], told: Told, tick: Callable[[], None] = lambda: None
) -> LyricsReport | None:
    """The report on those of ``songs`` whose words have times; ``tick`` after each of ``songs``. None where there are
    no such words, or the top prior has no layer that tells which character is sung."""
    wanted = model.priors[model.config.top].config.lyrics
    if wanted is None or wanted.alignment is None:
        return None
    rate, hop = model.config.rate, model.config.hops[model.config.top]
    codes = {song.name: _codes(model, song) for song in songs if song.samples.size >= hop}
    truth: list[float] = []
    found: dict[str, list[float | None]] = {"own": [], "other": [], "evenly": []}
    timed = 0
    for place, song in enumerate(songs):
        lyrics, words = told.lyrics.get(song.name), told.words.get(song.name)
        stated = [] if lyrics is None or words is None else stated_words(lyrics, words, rate)
        stated = [word for word in stated if word.seconds < song.samples.size / rate]
        if stated and lyrics is not None:
            timed += 1
            other = songs[(place + max(1, len(songs) // 2)) % len(songs)]
            truth += [word.seconds for word in stated]
            found["own"] += onsets(stated, align_song(model, song, lyrics, codes[song.name], told))
            found["other"] += onsets(stated, align_song(model, song, lyrics, codes[other.name], told))
            whole = song.samples.size / rate
            found["evenly"] += [whole * word.first / len(lyrics.text) for word in stated]
        tick()
    if not truth:
        return None
    return LyricsReport(
        songs=timed,
        words=len(truth),
        attention=compare_onsets(truth, found["own"]),
        other_audio=compare_onsets(truth, found["other"]) if len(songs) > 1 else None,
        evenly=compare_onsets(truth, found["evenly"]),
    )


def align_song(
    model: Model, song: Song, lyrics: SongLyrics, codes: NDArray[np.int64], told: Told
) -> tuple[Sung, ...]:
    """When each character of a song's lyrics is sung, as the top prior hears it in ``codes`` int64 [T]."""
    config, prior = model.config, model.priors[model.config.top]
    names, total = config.vocabulary(config.top), song.samples.size
    pulse = told.pulses.get(song.name, SongPulse())
    style = style_of(song.artist, song.genres, names)

    def label(start: int, size: int, at: int) -> Labels:
        labels = make_labels(style, total, at, names)
        if prior.config.pulse is None:
            return labels
        return labels.with_pulse([pulse_rows(prior.config, pulse, at)])

    matrix = song_attention(prior, codes, lyrics, (total, 0), label, HOP_FRACTION)
    seconds = np.arange(codes.size) * prior.config.hop / config.rate
    return sung_characters(lyrics.text, matrix, seconds)


def _codes(model: Model, song: Song) -> NDArray[np.int64]:
    hop = model.config.hops[model.config.top]
    frames = song.samples.size // hop * hop
    return encode_span(model.codec, song.samples, 0, frames, model.config.top).numpy().astype(np.int64)
