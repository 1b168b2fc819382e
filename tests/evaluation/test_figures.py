"""Single figures against values worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.errors import NoDevice, TooShort
from engine.evaluation import codec_metrics
from engine.evaluation.codec_metrics import count_codes, decode_whole, entropy_bits, measure_codec
from engine.evaluation.continuations import choose_pairs, judge, through_codec
from engine.evaluation.data import (
    Excerpt,
    Song,
    choose_sources,
    encode_span,
    load_songs,
    make_excerpts,
    spread,
)
from engine.evaluation.devices import resolve_device
from engine.evaluation.musical import compare, dead_shares, tempo_verdict, timbre_difference
from engine.evaluation.prior_metrics import measure_prior, passes, unigram_bits
from engine.evaluation.prior_windows import cut_windows
from engine.evaluation.summary import summarise
from engine.store import load_model
from engine.training.data import list_sources
from tests.analysis.synth import RATE, chords, drum_loop, sine
from tests.host.tiny import make_tiny_model

from . import tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory):
    return load_model(tiny.save_tiny(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def loops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_loops(tmp_path_factory.mktemp("loops"), 4)


def song(samples: np.ndarray, name: str = "a.wav") -> Song:
    return Song(name, "ada", ("house",), samples.astype(np.float32))


def test_entropy_and_counts() -> None:
    counts = count_codes([torch.tensor([[0, 1], [1, 3]]), torch.tensor([3])], 4)
    assert counts.tolist() == [1, 2, 0, 2]
    assert entropy_bits(torch.tensor([8, 8, 8, 8])) == pytest.approx(2.0)
    assert entropy_bits(torch.tensor([4, 2, 1, 1])) == pytest.approx(1.75)
    assert entropy_bits(torch.tensor([7, 0])) == 0.0


def test_unigram_bits_by_hand() -> None:
    # (3 + 0.5) / 10 and (1 + 0.5) / 10 of four codes, six of them seen in training in all
    training = torch.tensor([3, 1, 2, 2])
    expected = (3 * -math.log2(0.35) + -math.log2(0.15)) / 4
    assert unigram_bits([torch.tensor([0, 0, 0, 1])], training) == pytest.approx(expected)


def test_tempo_verdicts() -> None:
    verdicts = {120.0: "same", 124.5: "same", 125.0: "other", 60.0: "octave", 240.0: "octave", 40.5: "octave"}
    assert {bpm: tempo_verdict(120.0, bpm) for bpm in verdicts} == verdicts


def test_silence_and_a_drone_are_dead_and_drums_are_not() -> None:
    silence = np.zeros(4 * RATE, np.float32)
    assert dead_shares(silence, RATE) == (1.0, 0.0)
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)
    assert dead_shares(np.concatenate([np.zeros(2 * RATE, np.float32), noise]), RATE) == (0.5, 0.0)
    drone = sine(220.0, 4.0, amplitude=0.3)
    assert dead_shares(drone, RATE)[1] > 0.9
    music = drum_loop(120, 4.0) + chords([(57, 60, 64)] * 4, 1.0)
    assert sum(dead_shares(music, RATE)) < 0.2


def test_timbre_difference_of_a_known_filter() -> None:
    noise = np.random.default_rng(0).standard_normal(6 * RATE).astype(np.float32) * 0.1
    assert timbre_difference(noise, noise * 0.01, RATE) == pytest.approx(0.0, abs=1e-3)
    assert timbre_difference(noise, np.roll(noise, 12345), RATE) < 0.5
    assert timbre_difference(noise, sine(440.0, 6.0), RATE) > 30.0


def test_a_continuation_in_the_same_groove_and_key_beats_noise_and_another_song() -> None:
    cadence = [(57, 60, 64), (62, 65, 69), (64, 68, 71), (57, 60, 64)]
    music = 0.5 * drum_loop(120, 12.0) + 0.5 * chords(cadence * 2, 1.5)
    prime, rest = music[: 6 * RATE], music[6 * RATE :]
    good = compare(prime, rest, RATE)
    assert (good.tempo, good.key, good.key_found, good.collapsed) == ("same", "same", "A minor", False)
    assert abs(good.loudness_difference or 0.0) < 0.5 and good.timbre_db < 2.0
    other = compare(prime, 0.25 * drum_loop(97, 6.0), RATE)
    assert other.tempo == "other" and other.tempo_error_percent == pytest.approx(19.2, abs=1.5)
    noise = np.random.default_rng(2).normal(0, 0.1, 6 * RATE).astype(np.float32)
    assert compare(prime, noise, RATE).timbre_db > 3 * good.timbre_db
    silent = compare(prime, np.zeros(6 * RATE, np.float32), RATE)
    assert (silent.tempo, silent.key, silent.bpm, silent.loudness_difference) == ("none", "none", None, None)
    assert silent.collapsed


def test_encoding_a_span_gives_the_codes_of_the_whole_song(model, loops: Path) -> None:
    samples = load_songs(list_sources(loops)[:1], tiny.RATE, 1)[0].samples
    for level, hop in enumerate((8, 32, 128)):
        assert len(model.codec.encode(torch.from_numpy(samples), [level])[level].unique()) > 4
        whole = model.codec.encode(torch.from_numpy(samples), [level])[level]
        span = encode_span(model.codec, samples, 128 * 300, 128 * 200, level)
        assert torch.equal(span, whole[128 * 300 // hop :][: 128 * 200 // hop])


def test_decoding_in_one_pass_equals_decoding_in_pieces(model, loops: Path) -> None:
    samples = load_songs(list_sources(loops)[:1], tiny.RATE, 1)[0].samples
    for level in range(3):
        codes = encode_span(model.codec, samples, 0, 3 * tiny.RATE // 128 * 128, level)
        pieces = model.codec.decode(codes, level)
        assert float(pieces.abs().max()) > 0.01
        torch.testing.assert_close(decode_whole(model.codec, codes, level), pieces, atol=1e-5, rtol=1e-4)


def test_half_the_level_is_minus_six_decibels(model, loops: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    songs = load_songs(list_sources(loops), tiny.RATE, 1)
    excerpts = make_excerpts(model.codec, songs, 2 * tiny.RATE, 1, [2])
    random = measure_codec(model.codec, excerpts, [2])[0]
    queue = [torch.from_numpy(0.5 * e.samples) for e in excerpts]  # a relative error of exactly one half
    monkeypatch.setattr(codec_metrics, "decode_whole", lambda codec, codes, level: queue.pop(0))
    halved = measure_codec(model.codec, excerpts, [2])[0]
    assert halved.spectral_convergence_db == pytest.approx(-6.02, abs=0.01)
    assert random.spectral_convergence_db > -3.0
    assert random.tokens == sum(e.codes[2].numel() for e in excerpts)


def test_bits_of_a_prior_that_knows_nothing_are_the_uniform_ones(model, loops: Path) -> None:
    songs = load_songs(list_sources(loops), tiny.RATE, 1)
    excerpts = make_excerpts(model.codec, songs, 2 * tiny.RATE, 2, [0, 1, 2])
    prior = model.priors[0]
    ticks = []
    report = measure_prior(prior, model.config, excerpts, None, lambda: ticks.append(1))
    assert (report.windows, report.tokens, report.uniform) == (8, 8 * 128, 5.0)
    assert len(ticks) == passes(prior, cut_windows(prior.config, model.config, excerpts))
    assert report.unigram is None and report.upper_shuffled is not None
    assert report.labels_unknown is not None and report.labels_shuffled is not None
    top = measure_prior(model.priors[2], model.config, excerpts, torch.ones(32, dtype=torch.long))
    assert top.upper_shuffled is None and top.unigram == pytest.approx(5.0)
    assert top.bits == pytest.approx(5.0, abs=0.1)  # freshly initialised: hardly more than uniform


def test_windows_carry_the_codes_above_them_and_their_place_in_the_song(model, loops: Path) -> None:
    songs = load_songs(list_sources(loops)[:2], tiny.RATE, 1)
    excerpts = make_excerpts(model.codec, songs, 2 * tiny.RATE, 1, [0, 1, 2])
    for level in (0, 1):
        prior = model.priors[level].config
        for window in cut_windows(prior, model.config, excerpts):
            offset = int(window.labels.offset)
            samples = (
                songs[0].samples if torch.equal(window.codes, _at(model, songs[0], offset, level)) else None
            )
            samples = songs[1].samples if samples is None else samples
            own = encode_span(model.codec, samples, offset, 128 * prior.hop, level)
            above = encode_span(model.codec, samples, offset, 128 * prior.hop, level + 1)
            assert torch.equal(window.codes, own) and window.upper is not None
            assert torch.equal(window.upper, above)


def _at(model, song: Song, offset: int, level: int) -> torch.Tensor:
    return encode_span(model.codec, song.samples, offset, 128 * model.config.hops[level], level)


def test_pairs_are_consecutive_spans_of_their_song_and_shuffled_ones_are_of_another() -> None:
    songs = [song(np.arange(1000) + 5000 * i, f"{i}.wav") for i in range(3)]
    pairs = choose_pairs([*songs, song(np.zeros(10))], 7, 128, 100, 8)
    assert len(pairs) == 7 and len({(p.song.name, p.start) for p in pairs}) == 7
    for pair in pairs:
        assert pair.start % 8 == 0
        joined = np.concatenate([pair.prime, pair.real])
        np.testing.assert_array_equal(joined, pair.song.samples[pair.start : pair.start + 228])
    with pytest.raises(TooShort, match=r"no file is as long as a prime and its continuation together \(2100"):
        choose_pairs(songs, 3, 2000, 100, 8)


def test_what_goes_through_the_codec_is_what_it_decodes_of_the_same_place(tmp_path: Path) -> None:
    model = load_model(make_tiny_model(tmp_path / "tiny"))
    sound = 0.3 * drum_loop(120, 3.0)
    (pair,) = choose_pairs([song(sound)], 1, RATE, RATE + 5, 128)
    for level in (0, 2):
        heard, after = through_codec(model, pair, level)
        assert heard.shape == (RATE + 5,)
        hop = model.config.hops[level]
        whole = torch.from_numpy(np.pad(np.concatenate([pair.prime, pair.real]), (0, -(2 * RATE + 5) % hop)))
        expected = model.codec.decode(model.codec.encode(whole, [level])[level], level).reshape(-1)
        np.testing.assert_allclose(heard, expected[RATE : 2 * RATE + 5].numpy(), atol=1e-5)
        padded = torch.nn.functional.pad(whole[: 2 * RATE + 5], (0, -(2 * RATE + 5) % 128))
        np.testing.assert_array_equal(after, model.codec.encode(padded, [2])[2][RATE // 128 :])


def test_baselines_and_their_summary() -> None:
    quick, slow = 0.5 * drum_loop(140, 14.0), 0.5 * drum_loop(98, 14.0)
    pairs = choose_pairs([song(quick, "q"), song(slow, "s")], 2, 6 * RATE, 6 * RATE, 128)
    silence = np.zeros(6 * RATE, np.float32)
    judged = [judge(pairs, i, silence, 0.1 * pairs[i].real, RATE, seed=0) for i in range(2)]
    assert judged[0].audio["shuffled"] is pairs[1].real
    lines = {name: summarise(name, [j.comparisons[name] for j in judged]) for name in judged[0].audio}
    assert lines["real"].tempo_same == 1.0 and lines["real"].collapsed == 0.0
    assert lines["codec"].tempo_same == 1.0 and lines["codec"].loudness_difference == pytest.approx(20, abs=1)
    assert lines["shuffled"].tempo_same == 0.0
    assert lines["model"].tempo_error_percent is None and lines["model"].collapsed == 1.0
    level = np.sqrt(np.mean(pairs[0].prime.astype(float) ** 2))
    assert np.std(judged[0].audio["noise"]) == pytest.approx(level, rel=0.01)


def test_sources_take_turns_by_genre_in_an_order_of_the_seed(loops: Path) -> None:
    chosen = choose_sources(loops, "all", 4, seed=0)
    assert [s.genres[0] for s in chosen] == ["house", "rock", "house", "rock"]
    assert choose_sources(loops, "all", 4, seed=0) == chosen
    orders = {tuple(s.name for s in choose_sources(loops, "all", 4, seed)) for seed in range(8)}
    assert len(orders) > 1
    held = {s.name for s in choose_sources(loops, "held-out", 9, 0)}
    train = {s.name for s in choose_sources(loops, "train", 9, 0)}
    assert held and train and not held & train


def test_unreadable_and_short_files_are_passed_over(loops: Path, tmp_path: Path) -> None:
    tiny.save_loops(tmp_path, 1, seconds=4.0)
    (tmp_path / "broken.wav").write_bytes(b"RIFF????WAVEjunk")
    sources = list_sources(tmp_path)
    assert [s.name for s in load_songs(sources, tiny.RATE, 1000)] == ["loop0.wav"]
    message = r"^the longest readable file has 4\.0 s; measuring needs at least 10\.0 s in one file$"
    with pytest.raises(TooShort, match=message):
        load_songs(sources, tiny.RATE, 10 * tiny.RATE)


def test_spread_leaves_the_ends_out() -> None:
    assert spread(100, 2, 1) == [25, 75]
    assert spread(1000, 3, 128) == [128, 384, 768]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_cuda_asked_for_where_there_is_none() -> None:
    assert resolve_device("auto").type == "cpu"
    with pytest.raises(NoDevice, match=r"^there is no CUDA device here; use --device cpu or --device auto$"):
        resolve_device("cuda")


def test_excerpts_of_a_song_shorter_than_asked_for_take_all_of_it(model) -> None:
    short = song(0.3 * drum_loop(120, 1.0, tiny.RATE))
    excerpt: Excerpt = make_excerpts(model.codec, [short], 10 * tiny.RATE, 1, [2])[0]
    assert (excerpt.start, excerpt.samples.size) == (0, tiny.RATE // 128 * 128)
