"""Labels of a window: artist and genre weights and the place in the song (facts/jukebox.md §4.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.prior.vocabulary import LabelVocabulary
from engine.request import Style


@dataclass(frozen=True)
class Labels:
    """One row per lane. ``artists`` float [N, A] and ``genres`` float [N, G]: weights of the embedding rows
    (a one-hot artist, a bag of genres with 1 each, or any mix). ``total`` and ``offset`` int64 [N]: length of
    the song and start of the window in it, in samples.
    """

    artists: Tensor
    genres: Tensor
    total: Tensor
    offset: Tensor

    @staticmethod
    def stack(rows: Sequence[Labels]) -> Labels:
        """Join lanes."""
        return Labels(
            torch.cat([row.artists for row in rows]),
            torch.cat([row.genres for row in rows]),
            torch.cat([row.total for row in rows]),
            torch.cat([row.offset for row in rows]),
        )

    def at(self, offset: int) -> Labels:
        """The same labels for a window that starts at ``offset`` samples."""
        return Labels(self.artists, self.genres, self.total, torch.full_like(self.offset, offset))

    def to(self, device: torch.device) -> Labels:
        """The same labels on another device."""
        return Labels(*(part.to(device) for part in (self.artists, self.genres, self.total, self.offset)))


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
