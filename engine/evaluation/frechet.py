"""The Fréchet distance between two sets of features: how far apart they lie if each is a Gaussian."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.evaluation.features import Features, second_features

RIDGE = 1e-6  # added to the variances, so that few rows still make a covariance that has a root


def frechet_distance(one: Features, other: Features) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) of rows [n, d] and [m, d]; at least 2 rows each.

    With few rows the covariances are rough and the distance is too large: compare distances of sets of like size.
    """
    means = one.mean(axis=0) - other.mean(axis=0)
    first, second = _covariance(one), _covariance(other)
    root = _root(first)
    # tr (C1 C2)^(1/2) is the sum of the roots of the eigenvalues of C1^(1/2) C2 C1^(1/2), which is symmetric.
    crossed = np.linalg.eigvalsh(root @ second @ root)
    overlap = np.sqrt(np.maximum(crossed, 0.0)).sum()
    return float(means @ means + np.trace(first) + np.trace(second) - 2.0 * overlap)


def _covariance(rows: Features) -> NDArray[np.float64]:
    return np.atleast_2d(np.cov(rows, rowvar=False)) + RIDGE * np.eye(rows.shape[1])


def _root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def distance_from(reference: Features, sounds: Sequence[NDArray[np.float32]], rate: int) -> float:
    """Fréchet distance of ``sounds`` (each [T], 2 s or more) from the rows of ``reference`` [n, 64], every column
    in standard deviations of the reference."""
    rows = np.concatenate([second_features(sound, rate) for sound in sounds])
    scale = np.maximum(reference.std(axis=0), 1e-3)
    return frechet_distance(reference / scale, rows / scale)
