"""Parameters of which some are tried by every run of the tests, and the others by `scripts/test --all` only."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pytest


def often(values: Iterable[Any], *, but: Collection[Any]) -> list[Any]:
    """``values`` as parameters, those in ``but`` marked slow; of a mapping its values, under their names."""
    named = values.items() if isinstance(values, Mapping) else ((value, value) for value in values)
    left = [name for name in but if name not in values]
    assert not left, f"there is no {left[0]!r} that could be slow"
    return [
        pytest.param(
            *(value if isinstance(value, tuple) else (value,)),
            id=name if isinstance(name, str) else None,
            marks=[pytest.mark.slow] if name in but else [],
        )
        for name, value in named
    ]
