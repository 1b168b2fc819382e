"""From prime to continuation on a tiny random model: purity, streaming, resume, order of events."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from engine.errors import Cancelled, NoStyle, OutOfRange, TooShort
from engine.events import AudioChunk, Event, PrimeEncoded, Progress, WindowDone
from engine.request import Fidelity, LevelSampling, PrimeRef, Request, Sampling, SongPosition, Style
from engine.sampling import continue_prime
from engine.sampling.song import song_span
from engine.store.folder import Model

FRAMES = 7_001  # neither a token nor a chunk


def request(**changes: object) -> Request:
    values: dict[str, object] = {"prime": PrimeRef(path="riff.wav"), "frames": FRAMES, "seed": 5}
    return Request.model_validate(values | changes)


def collect(events: Iterator[Event]) -> tuple[NDArray[np.float32], dict[int, NDArray[np.int64]], list[Event]]:
    """All audio, all codes (prime included) per level, and the events."""
    seen = list(events)
    chunks = [e for e in seen if isinstance(e, AudioChunk)]
    at = 0
    for chunk in chunks:
        assert chunk.start == at
        at += chunk.samples.size
    first = {level: c for e in seen if isinstance(e, PrimeEncoded) for level, c in e.codes.items()}
    codes = {
        level: np.concatenate(
            [known, *(e.codes for e in seen if isinstance(e, WindowDone) and e.level == level)]
        )
        for level, known in first.items()
    }
    return np.concatenate([c.samples for c in chunks]), codes, seen


@pytest.mark.parametrize("fidelity", list(Fidelity))
def test_a_continuation_of_the_asked_length(
    model: Model, prime: NDArray[np.float32], fidelity: Fidelity
) -> None:
    audio, codes, events = collect(continue_prime(model, request(fidelity=fidelity), prime))
    assert audio.shape == (FRAMES,) and audio.dtype == np.float32
    assert np.isfinite(audio).all() and np.abs(audio).max() <= 1.0
    assert sorted(codes) == list(range(fidelity.level, 3))
    total = -(-FRAMES // 128) + min(9000 // 128, 64 - 16)
    assert {level: c.size for level, c in codes.items()} == {
        level: total * (16, 4, 1)[level] for level in codes
    }
    last = events[-1]
    assert isinstance(last, Progress) and last.fraction == 1.0


def test_streamed_audio_is_the_offline_decode_sample_by_sample(
    model: Model, prime: NDArray[np.float32]
) -> None:
    exact = Sampling(bottom=LevelSampling())
    asked = request(sampling=exact)
    audio, codes, _ = collect(continue_prime(model, asked, prime, chunk_frames=1000))
    whole = model.codec.decode(torch.from_numpy(codes[0]), 0).clamp(-1, 1).numpy()
    seam = (64 - 16) * 128
    np.testing.assert_array_equal(audio, whole[seam : seam + FRAMES])


def test_same_request_same_samples_another_seed_another_take(
    model: Model, prime: NDArray[np.float32]
) -> None:
    first, codes, _ = collect(continue_prime(model, request(), prime))
    again, _, _ = collect(continue_prime(model, request(), prime, chunk_frames=333))
    np.testing.assert_array_equal(first, again)
    other, other_codes, _ = collect(continue_prime(model, request(seed=6), prime))
    assert (codes[2][48:] != other_codes[2][48:]).mean() > 0.3
    assert not np.array_equal(first, other)


def test_draft_and_full_share_their_top_codes(model: Model, prime: NDArray[np.float32]) -> None:
    _, draft, _ = collect(continue_prime(model, request(fidelity="draft"), prime))
    _, full, _ = collect(continue_prime(model, request(), prime))
    np.testing.assert_array_equal(draft[2], full[2])


@pytest.mark.parametrize("share", [0.0, 0.35, 0.6, 0.99])
def test_resume_from_any_codes_gives_the_same_samples(
    model: Model, prime: NDArray[np.float32], share: float
) -> None:
    audio, codes, _ = collect(continue_prime(model, request(), prime))
    known = {0: 48 * 16, 1: 48 * 4, 2: 48}
    done = {level: c[: known[level] + int(share * (c.size - known[level]))] for level, c in codes.items()}
    resumed, _, events = collect(continue_prime(model, request(), prime, done=done))
    np.testing.assert_array_equal(audio, resumed)
    steps = [e for e in events if isinstance(e, Progress)][-1].tokens
    assert sum(steps.values()) < sum(c.size for c in codes.values()) * (1.001 - 0.7 * share)


def test_sound_leaves_long_before_the_last_bottom_token_is_sampled(
    model: Model, prime: NDArray[np.float32]
) -> None:
    exact = Sampling(bottom=LevelSampling())
    _, _, events = collect(continue_prime(model, request(sampling=exact), prime, chunk_frames=512))
    kinds = [e for e in events if isinstance(e, AudioChunk) or (isinstance(e, WindowDone) and e.level == 0)]
    before = next(i for i, e in enumerate(kinds) if isinstance(e, AudioChunk))
    assert before < 0.5 * sum(isinstance(e, WindowDone) for e in kinds)


def test_every_level_follows_its_plan_while_they_interleave(model: Model, prime: NDArray[np.float32]) -> None:
    _, _, events = collect(continue_prime(model, request(), prime))
    windows = [e for e in events if isinstance(e, WindowDone)]
    for level in range(3):
        own = [w for w in windows if w.level == level]
        assert [w.index for w in own] == list(range(len(own)))
        assert all(a.start + a.codes.size == b.start for a, b in itertools.pairwise(own))
    assert [w.level for w in windows] != sorted((w.level for w in windows), reverse=True)


def test_lower_codes_depend_on_upper_ones_and_on_style(model: Model, prime: NDArray[np.float32]) -> None:
    _, plain, _ = collect(continue_prime(model, request(), prime))
    styled = request(style=Style(artists={"ada": 1}, genres={"dub": 0.5, "jazz": 0.5}))
    _, mixed, _ = collect(continue_prime(model, styled, prime))
    assert all((plain[level] != mixed[level]).any() for level in range(3))


def test_only_the_end_of_a_long_prime_counts(model: Model, prime: NDArray[np.float32]) -> None:
    """48 top tokens of context; what lies before them is not encoded, but it moves the place in the song."""
    at = SongPosition(total_seconds=10, prime_at_seconds=1)
    later = SongPosition(total_seconds=10, prime_at_seconds=1 + 2856 / 44100)
    long, _, _ = collect(continue_prime(model, request(song=at), prime))
    short, _, _ = collect(continue_prime(model, request(song=later), prime[2856:]))
    np.testing.assert_array_equal(long, short)


def test_an_assumed_song_is_kept_in_the_models_range(model: Model) -> None:
    """The model knows songs of 0.2 to 20 s; 90 s with the riff at 30 s are assumed: of 20 s, the middle."""
    assert song_span(model.config, request(), 2856, 6144) == (20 * 44100, 10 * 44100)


def test_an_endless_chain_stays_in_the_middle_of_the_song(model: Model) -> None:
    """A model of songs of 18 to 600 s: pieces of 15 s begin at 30, 45, 45, ... of 90 s and never come to an end."""
    priors = list(model.config.priors)
    top = priors[model.config.top]
    assert top.time is not None
    limits = top.time.model_copy(update={"min_seconds": 18.0, "max_seconds": 600.0})
    priors[model.config.top] = top.model_copy(update={"time": limits})
    config = model.config.model_copy(update={"priors": tuple(priors)})
    second, piece = 44100, 15 * 44100

    def place(before: int, seam: int, frames: int) -> tuple[float, float]:
        total, offset = song_span(config, request(frames=frames), before, seam)
        return total / second, (offset + seam) / second

    chain = [place(number * piece, second, piece) for number in range(12)]
    assert chain == [(90, 31), *[(90, 46)] * 11]
    assert place(0, 0, piece) == (90, 0)  # from nothing: the beginning
    # What is longer begins earlier, or is part of a longer song: the last sixth is for endings that were asked for.
    for seconds in (40, 60, 90, 400):
        total, begins = place(0, second, seconds * second)
        assert begins >= 1 and begins + seconds <= total * 5 / 6 + 0.01


def test_a_given_song_must_lie_in_the_models_range(model: Model) -> None:
    with pytest.raises(OutOfRange) as raised:
        song_span(model.config, request(song=SongPosition(total_seconds=500)), 2856, 6144)
    assert raised.value.message == "the song is 500 s long; this model knows songs from 0.2 to 20 s"
    late = request(song=SongPosition(total_seconds=20, prime_at_seconds=19.9))
    with pytest.raises(OutOfRange) as raised:
        song_span(model.config, late, 2856, 6144)
    assert raised.value.message == (
        "the continuation would begin at 20.1 s of a song of 20 s; it must begin before the song ends"
    )
    at = request(song=SongPosition(total_seconds=20, prime_at_seconds=4))
    assert song_span(model.config, at, 2856, 6144) == (882_000, 4 * 44100 + 2856)


def test_an_ending_ends_where_the_song_does(model: Model) -> None:
    ending = request(song=SongPosition(total_seconds=20, ending=True))
    total, offset = song_span(model.config, ending, 2856, 6144)
    assert (total, offset + 6144 + FRAMES) == (882_000, 882_000)
    with pytest.raises(OutOfRange) as raised:
        song_span(model.config, request(song=SongPosition(total_seconds=0.25, ending=True)), 2856, 6144)
    assert raised.value.message == (
        "0.3 s of prime and ending do not fit into a song of 0.25 s; "
        "give a longer song, or a shorter prime or ending"
    )


def test_filters_reach_the_levels(model: Model, prime: NDArray[np.float32]) -> None:
    greedy = Sampling(
        top=LevelSampling(top_k=1), middle=LevelSampling(top_k=1), bottom=LevelSampling(top_k=1)
    )
    a, _, _ = collect(continue_prime(model, request(sampling=greedy), prime))
    b, _, _ = collect(continue_prime(model, request(sampling=greedy, seed=99), prime))
    np.testing.assert_array_equal(a, b)  # where only the likeliest token is left, the seed decides nothing


def test_cancelling_stops_between_quanta(model: Model, prime: NDArray[np.float32]) -> None:
    seen = []
    with pytest.raises(Cancelled, match="the job was cancelled"):
        for event in continue_prime(model, request(), prime, should_stop=lambda: len(seen) > 5):
            seen.append(event)
    assert len(seen) < 12


def test_requests_that_cannot_be_met(model: Model, prime: NDArray[np.float32]) -> None:
    with pytest.raises(TooShort, match=r"the prime holds 100 samples; it needs at least 128 \(2.9 ms\)"):
        list(continue_prime(model, request(), prime[:100]))
    with pytest.raises(NoStyle, match="the model knows no artist 'ad'; nearest: ada"):
        list(continue_prime(model, request(style=Style(artists={"ad": 1})), prime))
    with pytest.raises(OutOfRange, match="chunk_frames is 0; it must be at least 1"):
        list(continue_prime(model, request(), prime, chunk_frames=0))
