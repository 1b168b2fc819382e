"""Backends: what runs the model. Sampling knows only the protocol."""
