"""Fades from a level's codes to those of the strand that begins there, with a decoder whose sound is known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.backends.protocol import Backend, Codes
from engine.sampling.decoding import CONTEXT, FIRST, Decoder, Fade, PreviewDecoder

GRID, MARGIN, HOP, TOTAL = 8, 2, 4, 32


class Steps:
    """Every token sounds as HOP samples of a tenth of its number."""

    config: Any = SimpleNamespace(hops=(HOP,))

    def decode_grid(self, level: int) -> int:
        return GRID

    def decode_margin(self, level: int) -> int:
        return MARGIN

    def decode_piece(self, codes: Codes, level: int, piece: int, total: int) -> NDArray[np.float32]:
        return np.repeat(codes[piece * GRID : (piece + 1) * GRID], HOP).astype(np.float32) / 10


def heard(codes: Codes, lead: Codes, filled: int = TOTAL) -> NDArray[np.float32]:
    decoder = Decoder(cast(Backend, Steps()), 0, TOTAL, 0, TOTAL * HOP, 16, [Fade(12, 20)])
    chunks = list(decoder.take(codes, filled, {12: lead}))
    return np.concatenate([np.zeros(0, np.float32), *(chunk.samples for chunk in chunks)])


def test_power_is_kept_where_the_two_have_nothing_in_common() -> None:
    sound = heard(np.full(TOTAL, 3), np.full(8, 6))
    place = (np.arange(8 * HOP) + 0.5) / (8 * HOP) * np.pi / 2
    np.testing.assert_allclose(sound[48:80], 0.3 * np.cos(place) + 0.6 * np.sin(place), atol=1e-6)
    np.testing.assert_array_equal(sound[:48], np.float32(0.3))
    np.testing.assert_array_equal(sound[80:], np.float32(0.3))  # the level's own codes go on there


def test_nothing_is_louder_where_both_are_the_same() -> None:
    np.testing.assert_allclose(heard(np.full(TOTAL, 5), np.full(8, 5)), 0.5, atol=1e-6)


@pytest.mark.parametrize(("filled", "pieces"), [(9, 0), (10, 1), (19, 1), (20, 2), (25, 2), (26, 3), (32, 4)])
def test_a_piece_waits_for_its_margin_and_for_all_of_its_fade(filled: int, pieces: int) -> None:
    assert heard(np.full(TOTAL, 3), np.full(8, 6), filled).size == pieces * GRID * HOP


def test_a_piece_waits_for_the_other_codes() -> None:
    decoder = Decoder(cast(Backend, Steps()), 0, TOTAL, 0, TOTAL * HOP, 16, [Fade(12, 20)])
    assert sum(chunk.samples.size for chunk in decoder.take(np.full(TOTAL, 3), TOTAL, {})) == GRID * HOP


class Long(Steps):
    """The same in pieces longer than what a preview waits for, and a margin that it does not wait for."""

    def decode_grid(self, level: int) -> int:
        return 4 * (CONTEXT + FIRST)

    def decode_margin(self, level: int) -> int:
        return 3 * CONTEXT

    def decode_piece(self, codes: Codes, level: int, piece: int, total: int) -> NDArray[np.float32]:
        grid = self.decode_grid(level)
        return np.repeat(codes[piece * grid : min(total, (piece + 1) * grid)], HOP).astype(np.float32) / 1000


def test_a_preview_begins_with_a_few_codes_and_goes_on_in_pieces() -> None:
    grid, seam = 4 * (CONTEXT + FIRST), 10
    total = 3 * grid
    codes = np.arange(total)
    decoder = PreviewDecoder(cast(Backend, Long()), 0, total, seam * HOP, (total - seam) * HOP, 16)
    heard: list[NDArray[np.float32]] = []
    ends = []  # codes that can be heard after so many are known
    least = seam + FIRST + CONTEXT
    for filled in (
        least - 1, least, least + 5, least + FIRST, grid + CONTEXT, 2 * grid + CONTEXT - 1, 2 * grid + CONTEXT, total,
    ):  # fmt: skip
        for chunk in decoder.take(codes, filled):
            assert chunk.start == sum(part.size for part in heard)
            heard.append(chunk.samples)
        ends.append(seam + sum(part.size for part in heard) // HOP)
    first = seam + FIRST
    assert ends == [seam, first, first, first + FIRST, grid, 2 * grid - 1, 2 * grid, total]
    np.testing.assert_array_equal(
        np.concatenate(heard), np.repeat(codes[seam:], HOP).astype(np.float32) / 1000
    )
