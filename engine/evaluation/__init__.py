"""Measuring a model: codec, priors and continuations, against baselines (`segue eval`)."""
