"""Runs the Triton kernels in Triton's interpreter on the processor, against plain torch; a process of its own, since
``TRITON_INTERPRET=1`` has to be there when Triton is imported. Prints the largest difference in standard deviations."""

from __future__ import annotations

import sys

import torch

from engine.backends.torch_kernels import FusedOperations
from engine.backends.torch_steps import PlainOperations, begin_window, make_state, step_logits
from engine.prior.int8 import quantise
from tests.backends.priors import DEPTHS, conditions_of, form_prior, tokens_of


def difference(form: str, int8: bool, dtype: torch.dtype, prefix: int) -> float:
    """Of the logits of the two steps behind ``prefix`` tokens, three lanes."""
    prior = form_prior(form, depth=DEPTHS[form])
    if int8:
        quantise(prior)
    for part in (parameter for parameter in prior.parameters()):
        part.data = part.data.to(dtype)
    tokens, conditions, logits = tokens_of(prior, 3), conditions_of(prior, 3), []
    for operations in (PlainOperations(), FusedOperations()):
        caches = prior.caches(3)
        state = make_state(prior, 3, caches)
        begin_window(prior, state, conditions, prefix)
        prior.prefill(caches, conditions, tokens[:, :prefix])
        found = []
        for position in (prefix, prefix + 1):
            if position:
                state.ids.copy_(tokens[:, position - 1] + prior.first_code)
            found.append(step_logits(prior, state, operations))
            state.position.add_(1)
        logits.append(torch.stack(found))
    return float((logits[1] - logits[0]).abs().max() / logits[0].std())


if __name__ == "__main__":
    with torch.inference_mode():
        name, eight, kind, *places = sys.argv[1:]
        print(max(difference(name, eight == "int8", getattr(torch, kind), int(place)) for place in places))
