"""The comparison with the Hugging Face sampler: the same weights in all three, rates by a clock of the test's own."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import numpy as np
import pytest
import torch

from engine.backends.torch_backend import TorchBackend
from engine.bench.measure import random_window
from engine.bench.random_model import random_model
from engine.errors import BadArguments, BadFormat
from engine.prior.config import LyricsConfig, PriorConfig
from engine.store import ModelConfig
from export.bench import versus
from export.bench.peer import logits_theirs, metadata_row, peer_name, peer_prior, sample_theirs
from export.bench.versus import Shapes, compare, rates, shapes_named

pytest.importorskip("transformers.models.deprecated.jukebox.modeling_jukebox")
JOINT = {
    "attention_order": 12,
    "depth": 17,  # prime attention at 15
    "lyrics": LyricsConfig(tokens=128),
    "blocks": 32,
}


def joint_model() -> ModelConfig:
    """The tiny shapes with lyrics and music in one sequence at the top, as 1b_lyrics has them."""
    config = versus._model(32, 2)
    top = PriorConfig.model_validate(config.priors[2].model_dump() | JOINT)
    return config.model_copy(update={"priors": (*config.priors[:2], top)})


CONFIGS = {
    "no lyrics": versus._model(32, 3),
    "lyric encoder": versus._model(32, 19, lyrics=True),
    "joint lyrics": joint_model(),
}


@pytest.mark.parametrize("form", CONFIGS)
@pytest.mark.parametrize("level", [0, 1, 2])
def test_their_prior_says_what_ours_says(form: str, level: int) -> None:
    """By their forward pass and by our steps, codes of a whole window known."""
    config = CONFIGS[form].priors[level]
    model = random_model(CONFIGS[form], torch.device("cpu"), [level])
    backend, theirs = TorchBackend(model), peer_prior(model.priors[level])
    window = random_window(backend, level, 1, config.n_ctx)
    expected = logits_theirs(theirs, config, window, window.prefix).numpy()
    assert expected.shape == (512, 2048) and np.abs(expected).max() > 0.05
    runner = backend.runner(level, 1)
    runner.begin(random_window(backend, level, 1, 0))
    for position in range(40):
        before = window.prefix[:, position - 1] if position else None
        np.testing.assert_allclose(runner.step(before)[0], expected[position], atol=1e-4)
    assert sample_theirs(theirs, config, window, 5).shape == (1, 5)


def test_their_row_of_labels() -> None:
    """Length and place in samples, the window, artist, five genres, the lyrics (facts/jukebox.md §4.2)."""
    config = CONFIGS["lyric encoder"].priors[2]
    backend = TorchBackend(random_model(CONFIGS["lyric encoder"], torch.device("cpu"), [2]))
    window = random_window(backend, 2, 1, 0)
    assert window.lyrics is not None
    row = metadata_row(config, window)[0].tolist()
    assert row[:9] == [90 * 44100, 30 * 44100, 512 * 128, 0, 0, -1, -1, -1, -1]
    assert row[9:] == window.lyrics[0].tolist() and len(row) == 9 + 128


def test_rates_are_those_of_the_fastest_of_five_turns() -> None:
    now, calls = [0.0], []

    def way(name: str, seconds: list[float]) -> Any:
        def sample(tokens: int) -> None:
            calls.append((name, tokens))
            if tokens == 100:
                now[0] += seconds.pop(0)

        return sample

    found = rates([way("a", [3.0, 50.0, 2.0, 9.0, 8.0]), way("b", [4.0] * 5)], 100, clock=lambda: now[0])
    assert found == [50.0, 25.0]
    assert calls == [("a", 32), ("b", 32)] + [("a", 100), ("b", 100)] * 5


def test_shapes_are_compared_with_and_without_lyrics() -> None:
    plain, sung = shapes_named("tiny")
    assert plain.levels == (2, 1, 0) and sung.levels == (2,)
    assert sung.config.priors[2].lyrics is not None and plain.config.priors[2].lyrics is None
    assert plain.only((0,)).levels == (0,) and sung.only((0,)).levels == ()
    with pytest.raises(
        BadArguments, match="there are no shapes 'huge' to compare in; choose from tiny, small, sta"
    ):
        shapes_named("huge")


@pytest.mark.slow
def test_a_row_of_a_comparison() -> None:
    said: list[str] = []
    (row,) = compare(Shapes("narrow", versus._model(16, 3), (1,)), said.append, tokens=40)
    assert (row.shapes, row.level, row.width, row.depth, row.tokens, row.lyrics) == (
        "narrow",
        1,
        16,
        3,
        40,
        False,
    )
    assert row.logits_differ < 1e-3
    assert row.onnx_ratio * row.peer_tokens_per_second == pytest.approx(row.onnx_tokens_per_second)
    assert row.torch_ratio * row.peer_tokens_per_second == pytest.approx(row.torch_tokens_per_second)
    assert row.int8_ratio * row.peer_tokens_per_second == pytest.approx(row.int8_tokens_per_second)
    assert said == ["narrow, level 1: writing graphs", "narrow, level 1: sampling"]


@pytest.mark.slow
def test_other_weights_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    def other(prior: Any, levels: int) -> Any:
        theirs = peer_prior(prior, levels)
        theirs.prior.transformer._attn_mods[0].mlp.c_fc.weight.data *= 3.0
        return theirs

    monkeypatch.setattr(versus, "peer_prior", other)
    with pytest.raises(
        BadFormat, match=r"the three give other logits at level 2, by \S+; the weights are not the"
    ):
        list(compare(Shapes("narrow", versus._model(16, 3), (2,)), tokens=8))


def test_a_missing_peer_is_said_with_the_version_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(
        BadArguments, match=r"install the last version that has it: pip install transformers==4\.57\.6"
    ):
        peer_name()


def test_an_order_without_a_name_there_is_refused() -> None:
    config = PriorConfig.model_validate(CONFIGS["no lyrics"].priors[2].model_dump() | {"attention_order": 9})
    model = random_model(
        CONFIGS["no lyrics"].model_copy(update={"priors": (*CONFIGS["no lyrics"].priors[:2], config)}),
        torch.device("cpu"),
        [2],
    )
    with pytest.raises(BadArguments, match=r"attention order 9 has no name there; take one of \[2, 10, 12\]"):
        peer_prior(model.priors[2])
