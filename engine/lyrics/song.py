"""The lyrics of a whole song, and the characters that a window of it is given (facts/jukebox.md §4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.lyrics.characters import PADDING, clean, encode
from engine.lyrics.reading import Words
from engine.prior.config import LyricsConfig
from engine.request import Request, TimedText

Ids = NDArray[np.int64]
ASSUMED_PACE = 12.0  # characters a second of a last line when no other line tells how fast is sung


@dataclass(frozen=True, eq=False)
class SongLyrics:
    """Cleaned ``text`` of a song as ``ids`` int64 [F]; windows take ``tokens`` of them.

    ``times`` float64 [F], rising: the sample of the song at which each character is begun, or None when the text
    is spread evenly over the song. ``notes``: what the user should know of the cleaning.
    """

    text: str
    ids: Ids
    tokens: int
    times: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()


def song_lyrics(request: Request | Words, wanted: LyricsConfig, rate: int) -> SongLyrics:
    """The lyrics of ``request`` for a prior that reads ``wanted``, at ``rate`` samples a second; empty ones are
    all padding."""
    if request.lyric_times:
        return _timed(request.lyric_times, wanted, rate)
    cleaned = clean(request.lyrics, wanted.vocabulary)
    ids = encode(cleaned.text, wanted.vocabulary)
    return SongLyrics(cleaned.text, ids, wanted.tokens, None, cleaned.notes)


def window_ids(song: SongLyrics, total: int, offset: int, duration: int) -> tuple[Ids, Ids]:
    """The characters of the window of ``duration`` samples at ``offset`` in a song of ``total`` samples.

    Returns their ids int64 [tokens] and their places in ``song.text`` int64 [tokens] (-1 for padding, which
    comes first). Without times the place in the text is that in the song, by the released rule; with times the
    window is centred on the character sung at its middle. Either way it stays inside the text.
    """
    count, n = song.ids.size, song.tokens
    if count < n:
        padding = np.full(n - count, PADDING, dtype=np.int64)
        return np.concatenate((padding, song.ids)), np.concatenate((padding - 1, np.arange(count)))
    middle = offset + duration / 2.0
    if song.times is None:
        at = int(count * middle / total)
    else:
        at = int(np.searchsorted(song.times, middle, side="right")) - 1
    start = min(max(at - n // 2, 0), count - n)
    return song.ids[start : start + n].copy(), np.arange(start, start + n)


def _timed(pieces: Sequence[TimedText], wanted: LyricsConfig, rate: int) -> SongLyrics:
    ordered = sorted(pieces, key=lambda piece: piece.seconds)
    joined = _joined([piece.text for piece in ordered])
    texts = [clean(text, wanted.vocabulary).text for text in joined]
    starts = [piece.seconds for piece in ordered]
    ends = [*starts[1:], starts[-1] + len(texts[-1]) / _pace(texts, starts)]
    times = [
        np.linspace(start, end, len(text), endpoint=False)
        for text, start, end in zip(texts, starts, ends, strict=True)
    ]
    text = "".join(texts)
    return SongLyrics(
        text,
        encode(text, wanted.vocabulary),
        wanted.tokens,
        np.concatenate(times) * rate,
        clean("".join(joined), wanted.vocabulary).notes,
    )


def _joined(texts: Sequence[str]) -> list[str]:
    """Pieces with what parts them: nothing where they end in white space themselves, else a line end after
    lines and a space after words (pieces are lines if any has several words)."""
    lines = any(len(text.split()) > 1 for text in texts)
    part = "\n" if lines else " "
    whole = [text if not text or text[-1].isspace() else text + part for text in texts[:-1]]
    return [*whole, *texts[-1:]]


def _pace(texts: Sequence[str], starts: Sequence[float]) -> float:
    """Characters a second of all pieces but the last, whose end nobody stated."""
    sung, seconds = sum(map(len, texts[:-1])), starts[-1] - starts[0]
    return sung / seconds if sung and seconds > 0 else ASSUMED_PACE
