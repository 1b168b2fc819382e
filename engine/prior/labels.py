"""Labels of a window: artist and genre weights and the place in the song (facts/jukebox.md §4.1)."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.errors import NoStyle
from engine.request import Style

UNKNOWN = 0  # label id of a missing or unknown name


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


def _weights(given: Mapping[str, float], names: Sequence[str], what: str) -> Tensor:
    row = torch.zeros(1, len(names))
    if not given:
        row[0, UNKNOWN] = 1.0
        return row
    total = sum(given.values())
    for name, weight in given.items():
        if name not in names:
            near = difflib.get_close_matches(name, names, 3, 0.3) or list(names[1:4])
            raise NoStyle(f"the model knows no {what} '{name}'; nearest: {', '.join(near)}")
        row[0, names.index(name)] = weight / total
    return row


def make_labels(
    style: Style, total_samples: int, offset_samples: int, artists: Sequence[str], genres: Sequence[str]
) -> Labels:
    """Labels of one lane; weights of a mix are normalised to 1. Raises NoStyle for names the model lacks."""
    return Labels(
        _weights(style.artists, artists, "artist"),
        _weights(style.genres, genres, "genre"),
        torch.tensor([total_samples]),
        torch.tensor([offset_samples]),
    )
