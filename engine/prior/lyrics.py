"""The separate lyric encoder of a top prior, and its language model (facts/jukebox.md §3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.prior.config import LyricsConfig, PriorConfig
from engine.prior.transformer import Linear, Transformer


class LyricEncoder(nn.Module):
    """Characters int64 [N, P] of a window to the states [N, P, width] that the prior's lyric attention reads.

    A causal transformer of its own: state p has seen the characters before p, so that predicting character p
    from it is a language model, which is trained beside the music.
    """

    def __init__(self, config: PriorConfig, lyrics: LyricsConfig) -> None:
        super().__init__()
        encoder = lyrics.encoder
        assert encoder is not None
        scale = encoder.init_scale
        self.embed = nn.Parameter(torch.randn(lyrics.characters, encoder.width) * 0.02 * scale)
        self.position = nn.Parameter(torch.randn(lyrics.tokens, encoder.width) * 0.01 * scale)
        self.start = nn.Parameter(torch.randn(1, encoder.width) * 0.01 * scale)
        self.transformer = Transformer(encoder.shape(lyrics.tokens))
        self.project = Linear(encoder.width, config.width, 0.02 * scale)
        self.norm = nn.LayerNorm(config.width, eps=1e-5)
        self.out = nn.Linear(config.width, lyrics.characters, bias=False)
        nn.init.normal_(self.out.weight, std=0.02 * config.init_scale)

    def forward(self, characters: Tensor) -> Tensor:
        start = self.start.unsqueeze(0).expand(characters.shape[0], -1, -1)
        x = torch.cat((start, self.embed[characters[:, :-1]]), 1) + self.position
        return self.norm(self.project(self.transformer(x)))

    def logits(self, states: Tensor) -> Tensor:
        """Logits [N, P, characters] of every character from the states [N, P, width]."""
        return self.out(states)
