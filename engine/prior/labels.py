"""Labels of a window: artist and genre weights and the place in the song (facts/jukebox.md §4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from engine.prior.pulse import PulseRows
from engine.prior.vocabulary import LabelVocabulary
from engine.request import Style


@dataclass(frozen=True)
class Labels:
    """One row per lane. ``artists`` float [N, A] and ``genres`` float [N, G]: weights of the embedding rows
    (a one-hot artist, a bag of genres with 1 each, or any mix). ``total`` and ``offset`` int64 [N]: length of
    the song and start of the window in it, in samples. ``phase`` int64 [N, n_ctx], ``tempo`` and ``key`` int64 [N]:
    table rows of the pulse (engine/prior/pulse.py), or None for unknown.
    """

    artists: Tensor
    genres: Tensor
    total: Tensor
    offset: Tensor
    phase: Tensor | None = None
    tempo: Tensor | None = None
    key: Tensor | None = None

    @staticmethod
    def stack(rows: Sequence[Labels]) -> Labels:
        """Join lanes, which have a pulse all or none."""
        parts = zip(*(row.parts for row in rows), strict=True)
        return Labels(*(None if part[0] is None else torch.cat(part) for part in parts))  # type: ignore[arg-type]

    @property
    def parts(self) -> tuple[Tensor | None, ...]:
        """The fields in order."""
        return (self.artists, self.genres, self.total, self.offset, self.phase, self.tempo, self.key)

    def rows(self, rows: Tensor) -> Labels:
        """The labels of some lanes."""
        return Labels(*(None if part is None else part[rows] for part in self.parts))  # type: ignore[arg-type]

    def to(self, device: torch.device) -> Labels:
        """The same labels on another device."""
        return Labels(*(None if part is None else part.to(device) for part in self.parts))  # type: ignore[arg-type]

    def with_pulse(self, rows: Sequence[PulseRows]) -> Labels:
        """The same labels with a pulse, one a lane."""
        return replace(
            self,
            phase=torch.from_numpy(np.stack([row.phase for row in rows])),
            tempo=torch.tensor([row.tempo for row in rows]),
            key=torch.tensor([row.key for row in rows]),
        )


def _row(weights: Mapping[int, float], rows: int) -> Tensor:
    row = torch.zeros(1, rows)
    for place, weight in weights.items():
        row[0, place] = weight
    return row


def make_labels(
    style: Style,
    total_samples: int,
    offset_samples: int,
    vocabulary: LabelVocabulary,
    *,
    strict: bool = True,
) -> Labels:
    """Labels of one lane; the weights of a mix are normalised to 1.

    A name that ``vocabulary`` lacks raises NoStyle if ``strict``, else it counts as "unknown": a level below the
    top that has another list than the top does what it can.
    """
    return Labels(
        _row(vocabulary.artist_weights(style, strict=strict), vocabulary.artist_rows),
        _row(vocabulary.genre_weights(style, strict=strict), vocabulary.genre_rows),
        torch.tensor([total_samples]),
        torch.tensor([offset_samples]),
    )
