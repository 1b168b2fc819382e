"""Which characters a window is given: the released rule by its check values, and timed lyrics beyond it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.lyrics import SongLyrics, decode, song_lyrics, window_ids
from engine.prior.config import LyricsConfig
from engine.request import PrimeRef, Request, TimedText

RATE = 44_100
V3 = LyricsConfig(tokens=384, vocabulary="v3")
OZYMANDIAS = """I met a traveller from an antique land,
Who said "Two vast and trunkless legs of stone
Stand in the desert. . . . Near them, on the sand,
Half sunk a shattered visage lies, whose frown,
And wrinkled lip, and sneer of cold command,
Tell that its sculptor well those passions read
Which yet survive, stamped on these lifeless things,
The hand that mocked them, and the heart that fed;
And on the pedestal, these words appear:
My name is Ozymandias, King of Kings;
Look on my Works, ye Mighty, and despair!
Nothing beside remains. Round the decay
Of that colossal Wreck, boundless and bare
The lone and level sands stretch far away
""".replace("\n", "\n    ")  # set in by four, as in the published check


def request(lyrics: str = "", times: tuple[TimedText, ...] = ()) -> Request:
    return Request(prime=PrimeRef(path="riff.wav"), frames=1, lyrics=lyrics, lyric_times=times)


def plain(text: str, tokens: int = 384) -> SongLyrics:
    return song_lyrics(request(text), LyricsConfig(tokens=tokens), RATE)


def test_the_first_window_of_ozymandias() -> None:
    """facts/jukebox.md §4.3: 685 characters, middle 254, first ids 76, 27, 40, 30, 76, 46, 44, 47."""
    song = plain(OZYMANDIAS)
    assert song.ids.size == 685 and song.notes == ()
    ids, places = window_ids(song, total=1_058_304, offset=0, duration=786_432)
    assert ids[:8].tolist() == [76, 27, 40, 30, 76, 46, 44, 47]
    assert places.tolist() == list(range(254 - 192, 254 + 192))
    assert decode(ids, "v3") == OZYMANDIAS[62:446]


@given(
    count=st.integers(0, 900),
    n=st.integers(1, 400),
    total=st.integers(1, 10**7),
    place=st.floats(0, 1, exclude_max=True),
    duration=st.integers(1, 10**7),
)
@settings(max_examples=300, deadline=None)
def test_the_linear_rule(count: int, n: int, total: int, place: float, duration: int) -> None:
    """facts/jukebox.md §4.3, written out; n odd is not released and has one character more on the right."""
    offset = int(place * total)
    ids = np.arange(1, count + 1)
    song = SongLyrics("", ids, n)
    found, places = window_ids(song, total, offset, duration)
    if count < n:
        expected = [0] * (n - count) + ids.tolist()
        assert places.tolist() == [-1] * (n - count) + list(range(count))
    else:
        middle = int(count * (offset + duration / 2) / total)
        middle = min(max(middle, n // 2), count - (n - n // 2))
        expected = ids[middle - n // 2 : middle + (n - n // 2)].tolist()
        assert places.tolist() == [i - 1 for i in expected]
    assert found.tolist() == expected and found.dtype == places.dtype == np.int64


def test_no_lyrics_are_all_padding() -> None:
    ids, places = window_ids(plain(""), 100, 0, 50)
    assert ids.tolist() == [0] * 384 and places.tolist() == [-1] * 384


def rap() -> tuple[tuple[TimedText, ...], list[tuple[float, str]]]:
    """Sixty seconds of a line every six seconds, then sixty of two a second; and when each line is sung."""
    lines = [(6.0 * k, f"a slow line, number {k}") for k in range(10)]
    lines += [(60 + 0.5 * k, f"quick as you can, bar {k}") for k in range(120)]
    return tuple(TimedText(seconds=at, text=text) for at, text in lines), lines


def test_fast_passages_stay_in_the_window_with_times() -> None:
    """The paper's failure case: by the even rule what is sung leaves the window, with times it never does."""
    times, lines = rap()
    timed = song_lyrics(request(times=times), V3, RATE)
    evenly = plain("\n".join(text for _, text in lines))
    assert evenly.text == timed.text
    total, duration = 120 * RATE, 786_432
    left_out = 0
    for offset in range(0, total - duration, RATE):
        middle = (offset + duration / 2) / RATE
        line = max(k for k, (at, _) in enumerate(lines) if at <= middle)
        first = timed.text.index(lines[line][1] + ("\n" if line < len(lines) - 1 else ""))
        sung = set(range(first, first + len(lines[line][1])))
        _, with_times = window_ids(timed, total, offset, duration)
        _, without = window_ids(evenly, total, offset, duration)
        assert sung <= set(with_times.tolist()), f"the line sung at {middle:.1f} s is not in the window"
        left_out += not sung & set(without.tolist())
    assert left_out > 20


def test_a_timed_window_is_centred_on_what_is_sung() -> None:
    """100 characters a second from 10 s on: at 20 s character 1000 is sung."""
    times = (TimedText(seconds=10, text="a" * 2000), TimedText(seconds=30, text="b" * 2000))
    song = song_lyrics(request(times=times), V3, RATE)
    _, places = window_ids(song, 60 * RATE, 15 * RATE, 10 * RATE)
    assert abs(places[192] - 1000) <= 1
    _, places = window_ids(song, 60 * RATE, 0, 2 * RATE)  # before the first word
    assert places[0] == 0
    _, places = window_ids(song, 60 * RATE, 58 * RATE, 2 * RATE)  # and after the last
    assert places[-1] == 4000


def test_character_times_run_from_stamp_to_stamp() -> None:
    times = tuple(
        TimedText(seconds=s, text=t) for s, t in ((4, "four"), (0, "ab"), (1, "cdefg"), (5, "z" * 9))
    )
    song = song_lyrics(request(times=times), LyricsConfig(tokens=4), 100)
    assert song.text == "ab cdefg four zzzzzzzzz"
    assert song.times is not None
    np.testing.assert_allclose(
        song.times[:14],
        [0, 33.333, 66.667, 100, 150, 200, 250, 300, 350, 400, 420, 440, 460, 480],
        atol=0.01,
    )
    # the last one goes on as the 14 characters of 5 s before it did
    np.testing.assert_allclose(np.diff(song.times[14:]), 100 * 5 / 14)


def test_a_single_timed_line_has_a_pace() -> None:
    song = song_lyrics(request(times=(TimedText(seconds=2, text="hello"),)), V3, 100)
    assert song.times is not None and song.times[0] == 200 and np.all(np.diff(song.times) > 0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lyrics": "x" * 100_000}, "the lyrics have 100000 characters; at most 20000 can be sung in 600 s"),
        ({"lyric_times": [{"seconds": 1, "text": "x" * 50}] * 401}, "the lyrics have 20050 characters"),
        ({"lyrics": "x", "lyric_times": [{"seconds": 1, "text": "x"}]},
         "lyrics and lyric_times exclude each other; give the text once, with or without times"),
    ],
)  # fmt: skip
def test_a_request_checks_its_lyrics(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Request.model_validate({"prime": {"path": "riff.wav"}, "frames": 1, **values})
