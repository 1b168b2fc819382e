"""Where training begins when not from nothing: a model's codec; the prior of an earlier run or of a model, fitted to
new labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.codec.vqvae import Codec
from engine.errors import TrainingError
from engine.prior.config import PriorConfig
from engine.prior.prior import Prior
from engine.store import load_codec, load_model, model_folder, read_config
from engine.training.codes import CodeStore
from engine.training.prior_trainer import load_prior


def starting_codec(source: str) -> tuple[Codec, dict[str, Any]]:
    """The codec of the model ``source`` (name or folder) and its training record. Raises NoModel."""
    folder = model_folder(source)
    config = read_config(folder)
    return load_codec(folder, config, "cpu"), dict(config.training.get("codec", {}))


def starting_prior(source: str, level: int, store: CodeStore) -> Prior:
    """The prior of ``level`` of ``source``, a training run or a model (name or folder), with the labels of ``store``.

    Label rows move with their names; a name that is new begins as "unknown" did. Raises TrainingError when the
    prior is of another level or reads other codes, NoModel when ``source`` is neither.
    """
    folder = Path(source).expanduser()
    if any(folder.glob("checkpoint-*")):
        prior, state = load_prior(folder)
        names = (state["arguments"]["artists"], state["arguments"]["genres"])
    else:
        model = load_model(source, levels=[level])
        prior, names = model.priors[level], (model.config.artists, model.config.genres)
    config = prior.config
    if config.level != level:
        raise TrainingError(
            f"'{source}' holds a prior of level {config.level}; level {level} is to be trained"
        )
    wanted = (store.index.bins, store.index.hops[level], store.index.rate)
    if (config.bins, config.hop, config.sample_rate) != wanted:
        raise TrainingError(
            f"the prior in '{source}' reads {config.bins} codes at a hop of {config.hop} and {config.sample_rate} Hz; "
            f"the codes here are {wanted[0]} at a hop of {wanted[1]} and {wanted[2]} Hz"
        )
    return prior if config.artists == 0 else _relabelled(prior, names, store.names)


def _relabelled(
    prior: Prior, old: tuple[Sequence[str], Sequence[str]], new: tuple[Sequence[str], Sequence[str]]
) -> Prior:
    counts = {"artists": len(new[0]), "genres": len(new[1])}
    made = Prior(PriorConfig.model_validate({**prior.config.model_dump(), **counts}))
    state = prior.state_dict()
    for place, kind in enumerate(("artist", "genre")):
        for key in (f"labels.{kind}", f"style.{kind}"):
            if key in state:
                state[key] = _rows(state[key], old[place], new[place])
    made.load_state_dict(state)
    return made


def _rows(table: Tensor, before: Sequence[str], after: Sequence[str]) -> Tensor:
    places = {name: place for place, name in enumerate(before)}
    return table[torch.tensor([places.get(name, 0) for name in after])].clone()
