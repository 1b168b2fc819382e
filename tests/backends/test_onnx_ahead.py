"""A window whose prefix passes through piece by piece, while it grows, is the window that is begun at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.backends.onnx_backend import OnnxBackend
from engine.backends.onnx_runner import OnnxRunner
from engine.backends.protocol import RowRunner, WindowInput
from engine.prior.pulse import SongPulse
from engine.prior.vocabulary import LabelVocabulary
from engine.request import Style
from tests.backends.test_onnx_runner import window
from tests.export.test_onnx import FORMS, sessions
from tests.often import often
from tests.prior.build import ARTISTS, GENRES
from tests.prior.test_lyric_attention import lyric_prior


def steps(runner: OnnxRunner, last: Any, following: np.ndarray) -> np.ndarray:
    return np.stack([runner.step(codes).copy() for codes in (last, *following.T)])


@pytest.mark.parametrize(
    "form", often(FORMS, but=("lyric encoder", "joint lyrics", "merged decoder", "style alone"))
)
def test_every_kind_of_cache_is_filled_alike(form: dict[str, Any], tmp_path: Path) -> None:
    """Two lanes, prefixes that end in, at and behind a row, of which ever more is known; one window after another."""
    torch.manual_seed(1)
    prior = lyric_prior({}, **form)
    loaded, names = sessions(tmp_path, prior), LabelVocabulary.own(ARTISTS, GENRES)
    whole, pieces = (OnnxRunner(loaded, prior.config, names, 2) for _ in range(2))
    n, block = prior.config.n_ctx, prior.config.shape.block_ctx
    rng = np.random.default_rng(0)
    styles = (Style(artists={"ada": 1}), Style(genres={"dub": 1, "jazz": 2}))
    for known in (3 * block, 2 * block + 3, 1, 0):
        tokens = rng.integers(0, 16, (2, n))
        lyrics = rng.integers(1, 79, (2, 20)) if prior.config.lyrics else None
        song = (44100 * 9, (44100, 20000), lyrics, SongPulse(5000.0, 77.0, 3))
        given = WindowInput(tokens[:, :known], None, styles, *song)
        whole.begin(given)
        pieces.prepare(replace(given, prefix=np.zeros_like(given.prefix)))
        passed = 0
        for count in range(known + 1):
            while pieces.pass_on(tokens[:, :count]):
                passed += 1
        assert passed == (prior.config.joint_lyrics + known) // block
        pieces.complete(given.prefix)
        last = tokens[:, known - 1] if known else None
        np.testing.assert_array_equal(
            steps(pieces, last, tokens[:, known : n - 1]), steps(whole, last, tokens[:, known : n - 1])
        )


def test_the_starters_windows_are_the_same_bit_for_bit() -> None:
    backend = OnnxBackend("starter", "int8")
    given = window(backend, 2, slice(0, 3), 200)
    following = np.random.default_rng(1).integers(0, 2048, (3, 40))
    found = []
    for ahead in (False, True):
        runner = backend.runner(2, 3)
        assert isinstance(runner, RowRunner) and isinstance(runner, OnnxRunner)
        if ahead:
            runner.prepare(given)
            while runner.pass_on(given.prefix[:, :150]):
                pass
            runner.complete(given.prefix)
        else:
            runner.begin(given)
        found.append(steps(runner, given.prefix[:, -1], following))
    np.testing.assert_array_equal(found[0], found[1])
