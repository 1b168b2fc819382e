"""Between two presets: one number from 0 (the first) to 1 (the second)."""

from __future__ import annotations

import math

from engine.errors import OutOfRange
from engine.request import LevelSampling, Sampling, Style
from presets.schema import Preset

UNKNOWN = "unknown"  # label 0 of every model: what a preset that names no artist means by it


def morph(first: Preset, second: Preset, amount: float) -> Preset:
    """The preset ``amount`` of the way from ``first`` to ``second``; 0 and 1 are the presets themselves.

    - Styles are mixed by weight: every artist and genre has the mean of its shares in the two (where one preset names
      no artist or no genre at all, it is "unknown" there, so that a mix begins as what it comes from).
    - Temperatures are interpolated in their logarithms, level by level; top_k likewise and top_p in proportion where
      both presets have it.
    - What cannot be between, such as length, quantum, fidelity, lyrics and seed, is the first's below 0.5, else the
      second's. The colour is between. A mix has no program number.

    Raises :class:`OutOfRange` outside 0 to 1.
    """
    if not 0.0 <= amount <= 1.0:
        raise OutOfRange(
            f"the morph is at {amount:g}; it must be from 0 (the first preset) to 1 (the second)"
        )
    if amount in (0.0, 1.0):
        return second if amount else first
    near = first if amount < 0.5 else second
    return near.model_copy(
        update={
            "name": f"{first.name[:26]} > {second.name[:26]}",
            "style": mixed_style(first.style, second.style, amount),
            "sampling": Sampling(
                bottom=_sampling(first.sampling.bottom, second.sampling.bottom, amount),
                middle=_sampling(first.sampling.middle, second.sampling.middle, amount),
                top=_sampling(first.sampling.top, second.sampling.top, amount),
            ),
            "colour": _colour(first.colour, second.colour, amount),
            "bank": None,
            "program": None,
        }
    )


def mixed_style(first: Style, second: Style, amount: float) -> Style:
    """The weighted mean of two styles; shares sum to 1."""
    return Style(
        artists=_mixed(first.artists, second.artists, amount),
        genres=_mixed(first.genres, second.genres, amount),
    )


def _mixed(first: dict[str, float], second: dict[str, float], amount: float) -> dict[str, float]:
    if not first and not second:
        return {}
    mix: dict[str, float] = {}
    for weights, part in ((first or {UNKNOWN: 1.0}, 1.0 - amount), (second or {UNKNOWN: 1.0}, amount)):
        total = sum(weights.values())
        for name, weight in weights.items():
            mix[name] = mix.get(name, 0.0) + part * weight / total
    return {name: weight for name, weight in mix.items() if weight > 0}


def _between(first: float, second: float, amount: float) -> float:
    """In logarithms; exact where both are the same."""
    return first if first == second else math.exp((1 - amount) * math.log(first) + amount * math.log(second))


def _sampling(first: LevelSampling, second: LevelSampling, amount: float) -> LevelSampling:
    near = first if amount < 0.5 else second
    update: dict[str, float | int] = {"temperature": _between(first.temperature, second.temperature, amount)}
    if first.top_k is not None and second.top_k is not None:
        update["top_k"] = round(_between(first.top_k, second.top_k, amount))
    if first.top_p is not None and second.top_p is not None:
        update["top_p"] = (1 - amount) * first.top_p + amount * second.top_p
    return near.model_copy(update=update)


def _colour(first: str, second: str, amount: float) -> str:
    pairs = zip(bytes.fromhex(first[1:]), bytes.fromhex(second[1:]), strict=True)
    return "#" + bytes(round((1 - amount) * a + amount * b) for a, b in pairs).hex()
