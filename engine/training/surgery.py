"""Model surgery: a trained top prior is given lyrics (facts/jukebox.md §7.3, "lyrics model surgery").

Blocks that read a new lyric encoder are inserted between the trained ones. They begin as the identity, so the
prior says what it said before; training then teaches them to listen.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.errors import TrainingError
from engine.prior.config import LyricsConfig, PriorConfig
from engine.prior.patterns import ORDERS, Kind
from engine.prior.prior import Prior

LYRIC_ORDERS = (6, 7, 8, 10)  # those that are order 2 with blocks that read lyrics between


def with_lyrics(config: PriorConfig, lyrics: LyricsConfig, order: int) -> PriorConfig:
    """The shape of ``config`` with a lyric encoder and the blocks of ``order`` that read it.

    ``lyrics.alignment`` left None becomes the last of those blocks. Raises TrainingError when the trained
    layers cannot be found again in that order.
    """
    if config.lyrics is not None:
        raise TrainingError("this prior reads lyrics already; train it further with --from alone")
    if config.upper is not None:
        raise TrainingError(f"lyrics belong to the top prior; this one is of level {config.level}")
    if config.residual_scale:
        raise TrainingError(
            "residual_scale divides by the number of layers, so inserted layers would change what the prior says; "
            "only a prior without it can be given lyrics"
        )
    if lyrics.encoder is None:
        raise TrainingError("only a lyric encoder can be added to a trained prior; give its width and depth")
    depth = 0
    kept: list[Kind] = []
    while kept != list(config.kinds):
        kind = ORDERS[order](depth) if order in LYRIC_ORDERS else Kind.DENSE
        if kind is not Kind.LYRICS:
            kept.append(kind)
        if kept != list(config.kinds[: len(kept)]):
            raise TrainingError(
                f"a prior of attention_order {config.attention_order} is not order {order} without its lyric "
                f"blocks; give one of order 2, and one of {LYRIC_ORDERS} to turn it into"
            )
        depth += 1
    if ORDERS[order](depth) is Kind.LYRICS:  # one may stand at the very end, as in the released 79 layers
        depth += 1
    reading = [layer for layer in range(depth) if ORDERS[order](layer) is Kind.LYRICS]
    if not reading:
        first = next(layer for layer in range(1000) if ORDERS[order](layer) is Kind.LYRICS)
        raise TrainingError(
            f"{config.depth} layers are too few for order {order}, whose first lyric block comes after {first}; "
            "order 6 puts one after every third"
        )
    if lyrics.alignment is None:
        lyrics = lyrics.model_copy(update={"alignment": (reading[-1], 0)})
    changes = {"attention_order": order, "depth": depth, "lyrics": lyrics.model_dump()}
    return PriorConfig.model_validate({**config.model_dump(), **changes})


def give_lyrics(prior: Prior, lyrics: LyricsConfig, order: int, seed: int = 0) -> Prior:
    """A new prior with the weights of ``prior`` and a lyric encoder; its logits are those of ``prior``.

    The encoder's own weights are drawn from ``seed``.
    """
    config = with_lyrics(prior.config, lyrics, order)
    torch.manual_seed(seed)
    made = Prior(config)
    kept = [layer for layer, kind in enumerate(config.kinds) if kind is not Kind.LYRICS]
    renamed: dict[str, Tensor] = {}
    for key, value in prior.state_dict().items():
        head, found, rest = key.partition("transformer.layers.")
        if found:
            number, _, tail = rest.partition(".")
            key = f"{head}{found}{kept[int(number)]}.{tail}"
        renamed[key] = value
    made.load_state_dict(made.state_dict() | renamed)
    return made
