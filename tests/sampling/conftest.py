"""What most tests of sampling share."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.store import Model
from tests.prior.build import tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A tiny random model of three levels."""
    return tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def prime() -> NDArray[np.float32]:
    """Noise, float32 [9000]: longer than a window of any level."""
    return (np.random.default_rng(0).standard_normal(9000) * 0.2).astype(np.float32)
