"""Backends: what runs the model. Sampling knows only the protocol."""

SAMPLING_THREADS = 1  # takes are made with this many: another number rounds otherwise, and is another take
