"""A prior that reads lyrics is given, window by window, the characters that belong to its place in the song."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.lyrics import encode
from engine.prior.config import EncoderConfig, LyricsConfig
from engine.request import PrimeRef, Request, SongPosition, TimedText
from engine.sampling import continue_with
from engine.store import load_model
from engine.store.folder import Model
from tests.host.tiny import make_tiny_model
from tests.sampling.collecting import ListeningBackend, collect

TOKENS = 16
TEXT = "abcdefghijklmnopqrstuvwxyz" * 4
SINGING = {
    "lyrics": LyricsConfig(
        tokens=TOKENS, encoder=EncoderConfig(width=16, depth=2, heads=2, blocks=4, m_attn=1.0)
    ),
    "attention_order": 6,
    "depth": 4,
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load_model(make_tiny_model(tmp_path_factory.mktemp("models") / "singing", top=SINGING))


def words_of(model: Model, **lyrics: object) -> list[tuple[int, list[int] | None]]:
    """(start of the window in the song in samples, its character ids) of every window, in order."""
    backend = ListeningBackend(model)
    request = Request.model_validate(
        {
            "prime": PrimeRef(path="riff.wav"),
            "frames": 7_001,
            "seed": 5,
            "song": SongPosition(total_seconds=16, prime_at_seconds=8),
            **lyrics,
        }
    )
    prime = (np.random.default_rng(0).standard_normal(9000) * 0.2).astype(np.float32)
    collect(continue_with(backend, request, prime))
    return [
        (window.offsets[0], None if window.lyrics is None else window.lyrics[0].tolist())
        for level, window in backend.begun
        if level == 2 or window.lyrics is not None
    ]


def test_spread_lyrics_follow_the_song(model: Model) -> None:
    """The character at the window's middle lies as far in the text as the middle in the song."""
    seen = words_of(model, lyrics=TEXT)
    assert len(seen) == 4  # windows of the top level only
    for offset, ids in seen:
        middle = int(len(TEXT) * (offset + 64 * 128 / 2) / (16 * 44_100))
        wanted = TEXT[middle - TOKENS // 2 : middle + TOKENS // 2]
        assert ids == encode(wanted, "v3").tolist()


def test_timed_lyrics_are_where_they_are_sung(model: Model) -> None:
    """Eight lines of two seconds, each of one letter: most of the window's letters are those of the line sung."""
    times = tuple(TimedText(seconds=2.0 * line, text="abcdefgh"[line] * 30) for line in range(8))
    seen = words_of(model, lyric_times=times)
    for offset, ids in seen:
        line = int((offset + 64 * 128 / 2) / 44_100 / 2)
        assert ids is not None and ids.count(encode("abcdefgh"[line], "v3")[0]) > TOKENS // 2
    assert {int(offset / 44_100 / 2) for offset, _ in seen} == {4}


def test_no_lyrics_are_padding(model: Model) -> None:
    assert all(ids == [0] * TOKENS for _, ids in words_of(model))


def test_a_model_without_lyrics_is_given_none(tmp_path: Path) -> None:
    plain = load_model(make_tiny_model(tmp_path / "plain"))
    assert {ids if ids is None else tuple(ids) for _, ids in words_of(plain, lyrics=TEXT)} == {None}
