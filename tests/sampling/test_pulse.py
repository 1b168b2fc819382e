"""Which pulse a take keeps: stated, heard, or none; and that windows are told it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from pydantic import ValidationError

from engine.backends.torch_backend import TorchBackend
from engine.host.jobs import run_request
from engine.prior.config import PriorConfig, PulseConfig
from engine.prior.prior import Prior
from engine.prior.pulse import SongPulse
from engine.request import Fidelity, Mode, PrimeRef, Pulse, Request, Style, TakeRef
from engine.sampling import continue_prime
from engine.sampling.pulse import song_pulse
from engine.store.folder import Model
from tests.analysis.synth import RATE, drum_loop
from tests.prior.build import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A tiny model whose top prior listens to the pulse, loudly."""
    plain = tiny_model(tmp_path_factory.mktemp("pulse"))
    shape = {**plain.config.priors[2].model_dump(), "pulse": PulseConfig(phases=16).model_dump()}
    config = plain.config.model_copy(
        update={"priors": (*plain.config.priors[:2], PriorConfig.model_validate(shape))}
    )
    told = Prior(config.priors[2])
    told.load_state_dict(told.state_dict() | plain.priors[2].state_dict())
    assert told.pulse is not None
    for table in told.pulse.parameters():
        torch.nn.init.normal_(table)
    return dataclasses.replace(plain, config=config, priors={**plain.priors, 2: told.eval()})


def request(pulse: Pulse | None = None, bpm: float | None = None) -> Request:
    return Request(
        prime=PrimeRef(path="x"), style=Style(), frames=9000, bpm=bpm, pulse=pulse, fidelity=Fidelity.DRAFT
    )


def test_a_stated_pulse_counts_from_the_seam(model: Model) -> None:
    found = song_pulse(
        model.config,
        request(Pulse(bpm=100.0, downbeat_frame=-500, key="F# minor")),
        np.zeros(0, np.float32),
        70_000,
    )
    assert found == SongPulse(60 * 4 / 100 * RATE, 69_500.0, 13 + 6)


def test_what_is_not_stated_is_heard_in_the_prime(model: Model) -> None:
    loop = 0.5 * drum_loop(120, 8.0)
    found = song_pulse(model.config, request(), loop, 500_000)
    assert found is not None
    assert found.bar == pytest.approx(2.0 * RATE, rel=0.01)
    beats = (found.downbeat - (500_000 - loop.size)) / (found.bar / 4)
    assert abs(beats - round(beats)) < 0.05
    kept = song_pulse(model.config, request(bpm=60.0), loop, 500_000)
    assert kept is not None and kept.bar == 4.0 * RATE


def test_without_a_tempo_the_bar_is_unknown_and_from_nothing_it_begins_at_the_seam(model: Model) -> None:
    silence = np.zeros(5 * RATE, np.float32)
    assert song_pulse(model.config, request(Pulse(key="C major")), silence, 0) == SongPulse(0.0, 0.0, 1)
    assert song_pulse(model.config, request(bpm=120.0), silence[:0], 1234) == SongPulse(2.0 * RATE, 1234.0, 0)


def test_models_that_are_not_told_it_have_none(tmp_path: Path) -> None:
    assert song_pulse(tiny_model(tmp_path).config, request(bpm=120.0), np.zeros(0, np.float32), 0) is None


def test_another_tempo_is_another_take_and_the_same_one_the_same(model: Model) -> None:
    prime = np.random.default_rng(0).normal(0, 0.1, 30_000).astype(np.float32)

    def made(bpm: float) -> np.ndarray:
        events = continue_prime(TorchBackend(model), request(Pulse(bpm=bpm)), prime)
        return np.concatenate([event.samples for event in events if hasattr(event, "samples")])

    first, again, other = made(120.0), made(120.0), made(93.0)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_key_that_is_none_is_named() -> None:
    with pytest.raises(
        ValidationError, match="'H minor' is no key; write a note and a mode, such as 'C major'"
    ):
        Pulse(key="H minor")


def test_a_take_that_goes_on_keeps_the_pulse_and_hears_nothing_again(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bar of the riff goes on through child and grandchild, wherever in the bar the parent is left."""
    loop, riff = 0.5 * drum_loop(120, 8.0), tmp_path / "riff.wav"
    soundfile.write(riff, loop, RATE, subtype="FLOAT")
    backend = TorchBackend(model)
    first = Request(prime=PrimeRef(path=str(riff)), frames=40_000, fidelity=Fidelity.DRAFT, seed=3)
    (take,) = run_request(backend, first, folder=tmp_path)
    kept = take.info.head.pulse
    assert kept is not None and kept.bpm == pytest.approx(120, abs=0.5) and kept.downbeat_frame is not None

    def deaf(*_: object) -> None:
        raise AssertionError("a pulse that is known was listened for")

    monkeypatch.setattr("engine.analysis.pulse.estimate_pulse", deaf)
    passed, bar = 0, 240 * RATE / kept.bpm
    for frames in (30_001, 17_777):
        said = Pulse(key="A minor") if passed == 0 else None  # (of a drum loop no key is known)
        child = Request(
            mode=Mode.CONTINUE,
            parents=(TakeRef(folder=str(take.folder), frames=frames),),
            frames=40_000,
            pulse=said,
            fidelity=Fidelity.DRAFT,
        )
        passed += frames
        (take,) = run_request(backend, child, folder=tmp_path)
        later = take.info.head.pulse
        assert later is not None and later.downbeat_frame is not None
        assert (later.bpm, later.key) == (pytest.approx(kept.bpm), "A minor")
        off = (later.downbeat_frame + passed - kept.downbeat_frame) / bar
        assert abs(off - round(off)) * bar <= 2.0  # samples
