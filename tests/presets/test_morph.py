"""Between two presets, and from a preset to a request."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from engine.errors import NoStyle, OutOfRange
from engine.prior.labels import make_labels
from engine.request import Fidelity, LevelSampling, Mode, PrimeRef, Sampling, Style
from engine.store import model_folder, read_config
from presets import (
    LyricsPolicy,
    Preset,
    Quantum,
    factory_presets,
    fitted_style,
    lyrics_of,
    morph,
    request_of,
    seed_of,
)

DRY = Preset(
    name="Dry",
    style=Style(genres={"house": 3.0, "lofi": 1.0}),
    sampling=Sampling(top=LevelSampling(temperature=0.5, top_k=100), middle=LevelSampling(top_p=0.8)),
    bars=4,
    colour="#000000",
    program=1,
)
WET = Preset(
    name="Wet",
    style=Style(genres={"house": 1.0}, artists={"night_tram": 2.0}),
    sampling=Sampling(top=LevelSampling(temperature=2.0, top_k=400), middle=LevelSampling(top_p=0.9)),
    bars=8,
    quantum=Quantum.model_validate("2 bars"),
    fidelity=Fidelity.DRAFT,
    seed=9,
    lyrics="la",
    lyrics_policy=LyricsPolicy.REPLACE,
    colour="#ff8000",
    program=2,
)


def test_end_points_are_the_presets() -> None:
    for one in factory_presets().values():
        assert morph(one, WET, 0.0) is one
        assert morph(WET, one, 1.0) is one


def test_what_lies_between() -> None:
    half = morph(DRY, WET, 0.5)
    assert half.style.genres == pytest.approx({"house": 0.875, "lofi": 0.125})
    assert half.style.artists == pytest.approx({"unknown": 0.5, "night_tram": 0.5})
    assert half.sampling.top.temperature == pytest.approx(1.0)  # the geometric mean of 0.5 and 2
    assert half.sampling.top.top_k == 200  # of 100 and 400
    assert half.sampling.middle.top_p == pytest.approx(0.85)
    assert half.sampling.bottom == LevelSampling(strand=1)
    assert half.colour == "#804000"
    assert (half.name, half.bank, half.program) == ("Dry > Wet", None, None)
    quarter = morph(DRY, WET, 0.25)
    assert quarter.style.genres == pytest.approx({"house": 0.8125, "lofi": 0.1875})
    assert quarter.sampling.top.temperature == pytest.approx(0.5 * 2**0.5)


def test_what_cannot_be_between_switches_in_the_middle() -> None:
    before, after = morph(DRY, WET, 0.499), morph(DRY, WET, 0.5)
    for mix, whole in ((before, DRY), (after, WET)):
        for name in ("bars", "quantum", "fidelity", "seed", "lyrics", "lyrics_policy"):
            assert getattr(mix, name) == getattr(whole, name)


def test_there_is_no_jump_at_the_ends() -> None:
    near = morph(DRY, WET, 1e-6)
    assert near.style.artists["unknown"] == pytest.approx(1.0, abs=1e-5)
    assert near.style.genres["house"] == pytest.approx(0.75, abs=1e-5)
    assert near.sampling.top.temperature == pytest.approx(0.5, abs=1e-5)


def test_every_mix_is_a_valid_preset() -> None:
    factory = list(factory_presets().values())
    for first, second in pairwise(factory):
        for amount in (0.01, 0.37, 0.5, 0.99):
            mix = morph(first, second, amount)
            assert Preset.model_validate(mix.model_dump()) == mix
            for weights in (mix.style.genres, mix.style.artists):
                assert sum(weights.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("amount", [-0.1, 1.01, float("nan")])
def test_outside_is_out_of_range(amount: float) -> None:
    with pytest.raises(
        OutOfRange, match=rf"the morph is at {amount:g}; it must be from 0 \(the first preset\)"
    ):
        morph(DRY, WET, amount)


def test_the_model_hears_the_weights() -> None:
    """The rows that the starter's top prior mixes, "unknown" (row 0) among them."""
    config = read_config(model_folder("starter"))
    labels = make_labels(morph(DRY, WET, 0.25).style, 44100, 0, config.vocabulary(config.top))
    artists = {config.artists[row]: float(labels.artists[0, row]) for row in torch.nonzero(labels.artists[0])}
    assert artists == pytest.approx({"unknown": 0.75, "night_tram": 0.25})


def test_names_that_a_model_lacks_are_left_out() -> None:
    rich = Preset(name="Rich", style=Style(genres={"house": 1, "polka": 3, "lofi": 1}, artists={"Nobody": 1}))
    fitted = fitted_style(rich, ["unknown", "night_tram"], ["unknown", "House", "lofi"])
    assert fitted.style == Style(genres={"House": 1.0, "lofi": 1.0})
    assert fitted.left_out == ("polka", "Nobody")
    with pytest.raises(
        NoStyle, match="preset 'Rich' needs 'house', which this model does not know; choose one"
    ):
        fitted_style(rich, [], ["unknown", "rock"])
    words = Preset(name="Words", style=Style(genres={"country rock": 1.0}))
    assert fitted_style(words, [], ["country", "rock"], genre_words=True).style == words.style


def test_seed_and_lyrics_policies() -> None:
    keep = DRY.model_copy(update={"seed": "keep", "lyrics_policy": LyricsPolicy.CLEAR})
    assert [seed_of(preset, 5, 6) for preset in (DRY, keep, WET)] == [6, 5, 9]
    assert [lyrics_of(preset, "present") for preset in (DRY, keep, WET)] == ["present", "", "la"]


def test_requests() -> None:
    primed = request_of(
        WET, WET.style, prime=PrimeRef(path="a.wav"), rate=44100, bpm=90.0, seed=9, lyrics="la"
    )
    assert (primed.mode, primed.bars, primed.frames) == (Mode.PRIMED, 8.0, 940800)  # 32 beats of 2/3 s
    assert (primed.sampling, primed.fidelity, primed.seed, primed.pulse) == (
        WET.sampling,
        Fidelity.DRAFT,
        9,
        None,
    )
    hinted = WET.model_copy(update={"tempo": (118.0, 122.0), "key": "A minor"})
    nothing = request_of(hinted, hinted.style, prime=None, rate=44100)
    assert (nothing.mode, nothing.bpm, nothing.frames) == (Mode.ANCESTRAL, 120.0, 705600)
    assert nothing.pulse is not None
    assert nothing.pulse.key == "A minor"
    with pytest.raises(OutOfRange, match="preset 'Wet' is 8 bars long and no tempo is known; give the bpm"):
        request_of(WET, WET.style, prime=None, rate=44100)
    long = WET.model_copy(update={"bars": 64.0})
    with pytest.raises(OutOfRange, match="64 bars at 20 bpm last 768 s; at most 600 s can be made"):
        request_of(long, long.style, prime=None, rate=44100, bpm=20.0)
