"""Segue's engine: codec, priors, sampling, model store, training, evaluation and take record.

Importing this package is cheap: nothing here imports torch until a model is used.
"""
