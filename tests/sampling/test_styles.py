"""A style that changes inside a take: what was before stays, what comes after is sampled in the new style."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from engine.errors import NoStyle
from engine.request import PrimeRef, Request, Sampling, Style, StyleChange
from engine.sampling import continue_with
from engine.sampling.plan import make_plan, upper_reach
from engine.store import starter_config
from engine.store.folder import Model
from tests.prior.build import prior_config
from tests.sampling.collecting import ListeningBackend, collect, heard

FRAMES = 9_000
FIRST, SECOND = Style(genres={"house": 1.0}), Style(genres={"dub": 1.0}, artists={"ada": 1.0})
CHANGE = 5_000  # sample of the continuation
SEAM = 48 * 128


def request(*changes: tuple[int, Style], **more: object) -> Request:
    return Request.model_validate(
        {
            "prime": PrimeRef(path="riff.wav"),
            "frames": FRAMES,
            "seed": 5,
            "style": FIRST,
            "style_changes": tuple(StyleChange(at_frame=at, style=style) for at, style in changes),
            **more,
        }
    )


def test_before_the_change_nothing_differs_and_after_it_the_new_style_holds(
    model: Model, prime: NDArray[np.float32]
) -> None:
    plain_audio, plain, _ = collect(continue_with(ListeningBackend(model), request(), prime))
    backend = ListeningBackend(model)
    audio, codes, _ = collect(continue_with(backend, request((CHANGE, SECOND)), prime))

    at = round((SEAM + CHANGE) / 128)  # top token 87 of 119
    np.testing.assert_array_equal(codes[2][:at], plain[2][:at])
    assert (codes[2][at:] != plain[2][at:]).any()
    # Lower codes hear the upper codes that follow, as far as the conditioner reaches: 1 + 4, then 1 + 4/2 + 4.
    reach = upper_reach(prior_config(0).upper)
    same = {1: (at - reach) * 4, 0: ((at - reach) * 4 - reach) * 4}
    for level, until in same.items():
        np.testing.assert_array_equal(codes[level][:until], plain[level][:until])
        assert (codes[level][at * (4 if level else 16) :] != plain[level][at * (4 if level else 16) :]).any()
    margin = model.codec.decode_margin(0) * 8
    heard = same[0] * 8 - SEAM - margin
    if heard > 0:
        np.testing.assert_array_equal(audio[:heard], plain_audio[:heard])

    origin = backend.begun[0][1].offsets[0]
    for level, window in backend.begun:
        for style, offset in zip(window.styles, window.offsets, strict=True):
            position = offset - origin + window.prefix.shape[1] * (8, 32, 128)[level]
            assert style == (FIRST if position < SEAM + CHANGE - 64 else SECOND), (level, position)


def test_two_changes_and_a_resume_between_them(model: Model, prime: NDArray[np.float32]) -> None:
    wanted = request((2_000, SECOND), (6_000, FIRST))
    audio, codes, _ = collect(continue_with(ListeningBackend(model), wanted, prime))
    known = {0: 768, 1: 192, 2: 48}
    done = {level: c[: known[level] + (c.size - known[level]) // 2] for level, c in codes.items()}
    again = heard(continue_with(ListeningBackend(model), wanted, prime, done=done))
    np.testing.assert_array_equal(audio, again)


def test_every_style_is_checked_before_anything_is_sampled(model: Model, prime: NDArray[np.float32]) -> None:
    with pytest.raises(NoStyle, match="the model knows no genre 'dup'; nearest: dub"):
        next(continue_with(ListeningBackend(model), request((CHANGE, Style(genres={"dup": 1}))), prime))


@given(
    changes=st.lists(st.integers(0, 40_000), max_size=4, unique=True).map(sorted),
    prime=st.integers(1, 48),
    new=st.integers(1, 300),
)
def test_windows_cut_at_changes_sample_the_same_tokens(changes: list[int], prime: int, new: int) -> None:
    config = starter_config()
    whole = make_plan(config, Sampling(), prime, prime + new, 0)
    cut = make_plan(config, Sampling(), prime, prime + new, 0, changes=changes)
    assert cut.steps == whole.steps
    for level in range(3):
        hop = config.hops[level]
        unit = hop * (1 if level == 2 else 4)
        tokens = [
            (token, window.style)
            for window in cut.windows[level]
            for token in range(window.first_new, window.stop)
        ]
        assert [token for token, _ in tokens] == list(range(cut.known[level], cut.total[level]))
        for token, style in tokens[:: max(1, len(tokens) // 50)]:
            near = [abs(token * hop - change) <= unit for change in changes]
            assert style == sum(change <= token * hop for change in changes) or any(near)


def test_changes_come_in_order_and_inside_the_take() -> None:
    for changes in ([(3, SECOND), (3, FIRST)], [(FRAMES, SECOND)]):
        with pytest.raises(
            ValidationError, match="changes come in order of time, before the end at frame 9000"
        ):
            request(*changes)
