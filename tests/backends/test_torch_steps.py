"""The step with static shapes: the logits of the eager step, and no control flow that depends on data."""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from engine.backends.torch_draw import Filter, device_draw
from engine.backends.torch_steps import PlainOperations, StepState, begin_window, make_state, step_logits
from engine.prior.patterns import Kind
from engine.prior.prior import Prior
from tests.backends.priors import FORMS, SELDOM, conditions_of, form_prior, tokens_of
from tests.often import often
from tests.prior.build import prior_config


def ready(prior: Prior, lanes: int, tokens: torch.Tensor, prefix: int, seed: int = 0) -> StepState:
    """A state that stands behind ``prefix`` tokens, with caches full of an earlier window's leavings."""
    caches = prior.caches(lanes)
    for cache in caches:
        cache.keys.fill_(7.0)
        cache.values.fill_(-7.0)
    conditions = conditions_of(prior, lanes, seed)
    state = make_state(prior, lanes, caches)
    begin_window(prior, state, conditions, prefix)
    prior.prefill(caches, conditions, tokens[:, :prefix])
    if prefix:
        state.ids.copy_(tokens[:, prefix - 1] + prior.first_code)
    return state


def advance(prior: Prior, state: StepState, token: torch.Tensor) -> None:
    state.position.add_(1)
    state.ids.copy_(token + prior.first_code)


def test_the_forms_have_every_kind_of_attention() -> None:
    assert {kind for form in FORMS for kind in form_prior(form).config.kinds} == set(Kind)


@pytest.mark.parametrize("lanes", often((1, 2, 3, 4), but=(1, 2, 4)))
@pytest.mark.parametrize("form", FORMS)
def test_logits_are_those_of_the_eager_step(form: str, lanes: int) -> None:
    """Every position of a window from its beginning, and from prefixes that end in, before and behind rows."""
    prior = form_prior(form)
    n = prior.config.n_ctx
    tokens = tokens_of(prior, lanes)
    with torch.inference_mode():
        for prefix in (0, 1, n // 2, n - 3):
            state, caches = ready(prior, lanes, tokens, prefix, seed=prefix), prior.caches(lanes)
            conditions = conditions_of(prior, lanes, seed=prefix)
            prior.prefill(caches, conditions, tokens[:, :prefix])
            for position in range(prefix, n):
                before = tokens[:, position - 1] if position else None
                wanted = prior.step(caches, conditions, before, position)[:, prior.first_code :]
                found = step_logits(prior, state, PlainOperations())
                torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5, msg=f"position {position}")
                advance(prior, state, tokens[:, position])


@pytest.mark.parametrize("form", often(tuple(FORMS), but=SELDOM))
def test_one_capture_serves_every_position(form: str) -> None:
    """Compiled as one graph (any branch or size that depends on data refuses), once, and right everywhere."""
    prior = form_prior(form)
    lanes, n = 2, prior.config.n_ctx
    tokens = tokens_of(prior, lanes)
    captured = 0

    def count(module: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> torch.fx.GraphModule:
        nonlocal captured
        captured += 1
        return module

    torch._dynamo.reset()
    whole = torch.compile(step_logits, fullgraph=True, dynamic=False, backend=count)
    with torch.inference_mode():
        compiled, plain = (ready(prior, lanes, tokens, 0) for _ in range(2))
        for position in range(n):
            found = whole(prior, compiled, PlainOperations())
            wanted = step_logits(prior, plain, PlainOperations())
            torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6)
            for state in (compiled, plain):
                advance(prior, state, tokens[:, position])
    assert captured == 1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["none", "top_k", "top_p"])
def test_a_step_and_a_draw_look_at_no_value(form: str, kind: Filter) -> None:
    """On tensors without values, asking for one raises; so nothing waits for the device."""
    with FakeTensorMode(), torch.no_grad():
        prior = Prior(prior_config(**FORMS[form]))
        state = make_state(prior, 2, prior.caches(2))
        logits = step_logits(prior, state, PlainOperations())
        assert logits.shape == (2, prior.config.bins)
        numbers = torch.ones(4, dtype=torch.float64)
        assert device_draw(logits, numbers[:2], numbers[2:3], kind, numbers[3:]).shape == (2,)
        with pytest.raises(DataDependentOutputException):
            state.position.item()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_makes_its_logits_in_float32(dtype: torch.dtype) -> None:
    """Norms, softmax and logits round once, not on the way: logits are multiples of no half-precision step."""
    prior = form_prior("order-2").to(dtype)
    tokens = tokens_of(prior, 2)
    with torch.inference_mode():
        state = ready(prior, 2, tokens, 10)
        found = step_logits(prior, state, PlainOperations())
        whole = form_prior("order-2")
        exact = step_logits(whole, ready(whole, 2, tokens, 10), PlainOperations())
    assert found.dtype == state.table.dtype == torch.float32
    assert not torch.equal(found, found.to(dtype).float())
    close = {torch.float16: 0.02, torch.bfloat16: 0.15}[dtype]
    assert (found - exact).abs().max() < close * exact.std()


def test_norms_of_half_precision_do_not_overflow() -> None:
    """Squares of these values are beyond float16; torch sums a norm in float32 (facts/jukebox.md §3)."""
    norm = torch.nn.LayerNorm(64, eps=1e-5)
    x = torch.randn(2, 64) * 5000
    with torch.no_grad():
        found = PlainOperations().linear(torch.nn.Identity(), x.half(), norm.half())
        torch.testing.assert_close(found.float(), norm.float()(x), rtol=5e-3, atol=5e-3)
