"""Our models against Hugging Face's port with the same random weights, float32, CPU (facts/jukebox.md §10.3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.prior.labels import Labels
from engine.prior.prior import Conditions, Prior
from tests.often import often
from tests.oracle import build

TOLERANCE = 1e-5
TEMPERATURE = 4.0  # the loud weights' logits are peaked; this spreads the draws


def close(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    assert theirs.abs().max() > 0.05, "the oracle says nothing"
    # (Logits of 10 are rounded by a millionth otherwise on other processors; up to 8 the bound is the bare one.)
    scale = max(1.0, float(theirs.detach().abs().max()) / 8.0)
    assert float((ours - theirs).detach().abs().max()) <= TOLERANCE * scale


def test_codes_and_decodes_of_every_level() -> None:
    theirs, ours = build.codec()
    audio = torch.rand(2, 5120, 1, generator=torch.Generator().manual_seed(0)) * 2 - 1
    codes = theirs.encode(audio, bs_chunks=2)
    for lane in range(2):
        found = ours.encode(audio[lane, :, 0], range(3))
        for level in range(3):
            assert codes[level][lane].unique().numel() > 3, "one code everywhere shows nothing"
            assert torch.equal(found[level], codes[level][lane])
    for level in range(3):
        sound = theirs.decode(codes[level:], start_level=level)[:, :, 0]
        close(ours.decode(codes[level], level).reshape(2, -1), sound)


@pytest.mark.parametrize("level", [0, 1])
@pytest.mark.parametrize("residual_scale", [False, True])
def test_upsampler(level: int, residual_scale: bool) -> None:
    theirs, ours = build.upsampler(level, residual_scale)
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(0, build.BINS, (2, 64), generator=generator)
    upper = torch.randint(0, build.BINS, (2, 16), generator=generator)
    metadata, labels = build.label_pair(None, 64 * (8, 32)[level])
    conditions = ours.condition(labels, upper)
    added, start, _ = theirs.get_cond([upper], metadata)
    assert conditions.added is not None
    close(conditions.added, added)
    close(conditions.start, start[:, 0])
    loss, logits = theirs.prior(tokens, added, start, None, get_preds=True)
    close(ours(tokens, conditions), logits)
    close(ours.loss(tokens, labels, upper).mean(), loss)


@pytest.mark.parametrize("pair", [build.joint, build.separate, lambda: build.joint(merged=True)],
                         ids=["order 12", "order 10", "order 12, merged"])  # fmt: skip
def test_top_prior_with_lyrics(pair: Callable[[], tuple[Any, Prior]]) -> None:
    theirs, ours = pair()
    n = ours.config.n_ctx
    generator = torch.Generator().manual_seed(2)
    tokens = torch.randint(0, build.BINS, (2, n), generator=generator)
    lyrics = torch.randint(0, 79, (2, 20), generator=generator)
    metadata, labels = build.label_pair(lyrics, n * 128)
    for lane in (
        slice(0, 1),
        slice(1, 2),
    ):  # one at a time: the port breaks otherwise, as the original does (facts §3)
        total, metrics = theirs.forward_tokens(tokens[lane], [], metadata[lane], get_preds=True)
        own = Labels(labels.artists[lane], labels.genres[lane], labels.total[lane], labels.offset[lane])
        logits = metrics["preds"][:, -n:]
        close(ours(tokens[lane], ours.condition(own, None, 1, lyrics[lane])), logits)
        music, sung = ours.losses(tokens[lane], own, None, lyrics[lane])
        assert sung is not None
        close(music[0], metrics["next_token_prediction_loss"])
        close(sung[0], metrics["encoder_loss"])
        close(ours.objective(music, sung, n)[0], total)


def sample_as_they_do(prior: Prior, conditions: Conditions, prefix: Tensor, total: int) -> Tensor:
    """Our steps with the oracle's sampler: one draw a step from the global generator, lyric ids become code 0."""
    caches = prior.caches(len(prefix))
    prior.prefill(caches, conditions, prefix)
    before = prefix[:, -1] if prefix.shape[1] else None
    drawn = []
    for position in range(prefix.shape[1], total):
        logits = prior.step(caches, conditions, before, position).unsqueeze(1) / TEMPERATURE
        before = torch.distributions.Categorical(logits=logits).sample()[:, 0] - prior.first_code
        drawn.append(before)
    return torch.cat((prefix, torch.stack(drawn, 1).clamp(min=0)), 1)


@pytest.mark.parametrize("known", often((0, 1, 7, 8, 19), but=(1, 8, 19)))
@pytest.mark.parametrize("pair", [lambda: build.upsampler(0, False), build.joint, build.separate],
                         ids=["upsampler", "order 12", "order 10"])  # fmt: skip
def test_sampled_tokens_are_identical(pair: Callable[[], tuple[Any, Prior]], known: int) -> None:
    """Ancestral (nothing known) and primed, partial rows included, under the same seed (facts §10.3)."""
    theirs, ours = pair()
    n = ours.config.n_ctx
    generator = torch.Generator().manual_seed(3)
    prefix = torch.randint(0, build.BINS, (2, known), generator=generator)
    lyrics = torch.randint(0, 79, (2, 20), generator=generator) if ours.config.lyrics else None
    upper = torch.randint(0, build.BINS, (2, 16), generator=generator) if ours.upper else None
    metadata, labels = build.label_pair(lyrics, ours.config.window_samples)
    torch.manual_seed(7)
    expected = theirs.sample(
        2,
        prefix.clone(),
        None if upper is None else [upper],
        metadata,
        temp=TEMPERATURE,
        chunk_size=8,
        sample_tokens=n,
    )
    torch.manual_seed(7)
    conditions = ours.condition(labels, upper, 2, lyrics)
    assert torch.equal(sample_as_they_do(ours, conditions, prefix, n), expected)
    assert expected.unique().numel() > 5
