"""One prior: loss for training; condition, prefill and step for sampling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.prior.cache import LayerCache, make_caches
from engine.prior.conditioning import (
    PulseSignal,
    StartToken,
    StyleSignal,
    TimeSignal,
    UpperConditioner,
)
from engine.prior.config import PriorConfig
from engine.prior.labels import Labels
from engine.prior.lyrics import LyricEncoder
from engine.prior.transformer import Transformer


@dataclass(frozen=True)
class Conditions:
    """What one window of N lanes is conditioned on.

    ``start`` [N, width] in slot 0; ``added`` [N, n, width] or None, per position of the transformer (n at least
    the positions that are used); ``characters`` int64 [N, P] or None, the window's lyrics; ``states`` [N, P, width]
    or None, what the lyric encoder made of them.
    """

    start: Tensor
    added: Tensor | None
    characters: Tensor | None = None
    states: Tensor | None = None


class Prior(nn.Module):
    """Autoregressive model of one level's codes (facts/jukebox.md §3).

    Position p sees the embedding of token p - 1 (slot 0: the start embedding) and predicts token p. With joint
    lyrics the window's characters come first in the same sequence and slot 0 is theirs; ids are then characters,
    and codes after them. Positions of the music count from 0 either way.
    """

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.config = config
        scale = config.init_scale
        self.embed = nn.Parameter(torch.randn(config.vocabulary, config.width) * 0.02 * scale)
        self.position = nn.Parameter(torch.randn(config.ctx, config.width) * 0.01 * scale)
        self.transformer = Transformer(config.shape)
        self.out = nn.Linear(config.width, config.vocabulary, bias=False) if config.merged_decoder else None
        self.labels = StartToken(config) if config.artists else None
        self.start = None if config.artists else nn.Parameter(torch.randn(1, config.width) * 0.01 * scale)
        self.time = TimeSignal(config, config.time) if config.time and config.artists else None
        self.pulse = PulseSignal(config, config.pulse) if config.pulse else None
        self.style = StyleSignal(config) if config.style_signal else None
        self.upper = UpperConditioner(config, config.upper) if config.upper else None
        separate = config.lyrics is not None and config.lyrics.encoder is not None
        self.lyrics = LyricEncoder(config, config.lyrics) if separate and config.lyrics else None
        self.first_code = config.vocabulary - config.bins  # id of code 0

    def condition(
        self, labels: Labels | None, upper: Tensor | None, lanes: int = 1, lyrics: Tensor | None = None
    ) -> Conditions:
        """Conditions of one window. ``upper``: int64 [N, M], the codes above that window, M * ratio positions;
        ``lyrics``: int64 [N, P], its characters (None: none are known, all padding).

        The time signal takes the place of labels and is not given to a prior without them.
        """
        if self.labels is not None and labels is None:
            raise ValueError("this prior needs labels")
        if (self.upper is None) != (upper is None):
            raise ValueError("upper codes are given to the lower levels' priors and to no other")
        if self.labels is not None and labels is not None:
            start = self.labels(labels)
        else:
            assert self.start is not None
            start = self.start.expand(lanes, -1)
        added = None
        if self.upper is not None and upper is not None:
            added = self.upper(upper)
        elif labels is not None:
            added = self.signals(labels)
        if added is not None and self.config.joint_lyrics:  # nothing is added to the lyrics' own positions
            added = F.pad(added, (0, 0, self.config.joint_lyrics, 0))
        characters = self._characters(lyrics, len(start))
        states = self.lyrics(characters) if self.lyrics is not None else None
        return Conditions(start, added, characters, states)

    def signals(self, labels: Labels) -> Tensor | None:
        """Sum of what labels say at every position, [N, n_ctx, width]; None for a prior that is told nothing there."""
        signals = [signal(labels) for signal in (self.time, self.pulse, self.style) if signal is not None]
        return sum(signals[1:], signals[0]) if signals else None

    def _characters(self, lyrics: Tensor | None, lanes: int) -> Tensor | None:
        wanted = self.config.lyrics
        if wanted is None:
            if lyrics is not None:
                raise ValueError("this prior reads no lyrics")
            return None
        if lyrics is None:
            return torch.zeros(lanes, wanted.tokens, dtype=torch.int64, device=self.embed.device)
        if lyrics.shape != (lanes, wanted.tokens):
            raise ValueError(
                f"lyrics {tuple(lyrics.shape)} are given; this prior reads {(lanes, wanted.tokens)}"
            )
        return lyrics

    def _ids(self, tokens: Tensor, conditions: Conditions) -> Tensor:
        """Ids of the whole sequence, the characters first where the form is joint: [N, P + n]."""
        ids = tokens + self.first_code
        if not self.config.joint_lyrics:
            return ids
        assert conditions.characters is not None
        return torch.cat((conditions.characters, ids), 1)

    def _inputs(self, ids: Tensor, conditions: Conditions, length: int) -> Tensor:
        """Embedded inputs of positions 0 .. length - 1 from ids 0 .. length - 2: [N, length, width]."""
        x = torch.cat((conditions.start.unsqueeze(1), self.embed[ids[:, : length - 1]]), 1)
        x = x + self.position[:length]
        return x if conditions.added is None else x + conditions.added[:, :length]

    def _logits(self, y: Tensor, added: Tensor | None) -> Tensor:
        if self.out is not None:
            return self.out(y)
        return F.linear(y if added is None else y + added, self.embed)

    def _all_logits(self, ids: Tensor, conditions: Conditions) -> Tensor:
        """Logits [N, T, vocabulary] of every position of the sequence ids [N, T]."""
        length = ids.shape[1]
        y = self.transformer(self._inputs(ids, conditions, length), conditions.states)
        return self._logits(y, None if conditions.added is None else conditions.added[:, :length])

    def forward(self, tokens: Tensor, conditions: Conditions) -> Tensor:
        """Logits [N, L, vocabulary] of every position for tokens int64 [N, L], L up to n_ctx, by the full forward.

        The codes are the last ``bins`` of the vocabulary.
        """
        return self._all_logits(self._ids(tokens, conditions), conditions)[:, self.config.joint_lyrics :]

    def losses(
        self,
        codes: Tensor,
        labels: Labels | None = None,
        upper: Tensor | None = None,
        lyrics: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Bits per token of each row of codes int64 [N, n], and bits per character of its lyrics: [N] each,
        differentiable; the second is None for a prior that reads none."""
        conditions = self.condition(labels, upper, codes.shape[0], lyrics)
        ids = self._ids(codes, conditions)
        return self._judged(self._all_logits(ids, conditions), ids, conditions)

    def watched_losses(
        self, codes: Tensor, labels: Labels | None, lyrics: Tensor
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """:meth:`losses` and :meth:`attention` [N, L, P] of a top prior in one pass, differentiable.

        Raises ValueError for a prior without ``alignment``.
        """
        layer, head, characters = self._alignment()
        conditions = self.condition(labels, None, codes.shape[0], lyrics)
        ids = self._ids(codes, conditions)
        x = self._inputs(ids, conditions, ids.shape[1])
        y, seen = self.transformer.watched(x, conditions.states, layer, head, characters)
        music, sung = self._judged(self._logits(y, conditions.added), ids, conditions)
        return music, sung, seen[:, self.config.joint_lyrics :]

    def _judged(self, logits: Tensor, ids: Tensor, conditions: Conditions) -> tuple[Tensor, Tensor | None]:
        """Bits per token [N] of the codes in ids [N, T] under logits [N, T, V], and per character of the lyrics."""
        bits = _bits(logits, ids)
        joint = self.config.joint_lyrics
        sung = bits[:, :joint].mean(1) if joint else None
        if self.lyrics is not None and conditions.states is not None and conditions.characters is not None:
            sung = _bits(self.lyrics.logits(conditions.states), conditions.characters).mean(1)
        return bits[:, joint:].mean(1), sung

    def loss(
        self,
        codes: Tensor,
        labels: Labels | None = None,
        upper: Tensor | None = None,
        lyrics: Tensor | None = None,
    ) -> Tensor:
        """Bits per token of each row of codes int64 [N, n]: [N], differentiable."""
        return self.losses(codes, labels, upper, lyrics)[0]

    def objective(self, music: Tensor, sung: Tensor | None, tokens: int) -> Tensor:
        """What training minimises, from :meth:`losses` of ``tokens`` codes: music and lyrics weighted by their
        numbers, the lyrics also by ``loss_fraction`` (facts/jukebox.md §3)."""
        wanted = self.config.lyrics
        if sung is None or wanted is None:
            return music
        share = wanted.tokens / (wanted.tokens + tokens)
        return (1 - share) * music + wanted.loss_fraction * share * sung

    @torch.inference_mode()
    def attention(self, codes: Tensor, conditions: Conditions) -> Tensor:
        """Where each of the codes int64 [N, L] looks in the lyrics, by the configured layer and head: [N, L, P].

        Raises ValueError for a prior without ``alignment`` (facts/jukebox.md §5.4).
        """
        layer, head, characters = self._alignment()
        ids = self._ids(codes, conditions)
        x = self._inputs(ids, conditions, ids.shape[1])
        found = self.transformer.attention(x, conditions.states, layer, head, characters)
        return found[:, self.config.joint_lyrics :]

    def _alignment(self) -> tuple[int, int, int]:
        """Layer and head that tell which character is sung, and how many characters there are."""
        wanted = self.config.lyrics
        if wanted is None or wanted.alignment is None:
            raise ValueError("this prior has no alignment layer")
        return (*wanted.alignment, wanted.tokens)

    def caches(self, lanes: int) -> list[LayerCache]:
        """Static caches for ``lanes`` lanes, on the model's device and in its type."""
        return make_caches(self.config.shape, lanes, self.embed.device, self.embed.dtype)

    @torch.inference_mode()
    def prefill(self, caches: list[LayerCache], conditions: Conditions, tokens: Tensor) -> None:
        """Pass lyrics and the known prefix int64 [N, n] through in one go; the next :meth:`step` is at position n."""
        if conditions.states is not None:
            self.transformer.read(conditions.states, caches)
        ids = self._ids(tokens, conditions)
        if ids.shape[1]:
            self.transformer(self._inputs(ids, conditions, ids.shape[1]), conditions.states, caches)

    @torch.inference_mode()
    def step(
        self, caches: list[LayerCache], conditions: Conditions, previous: Tensor | None, position: int
    ) -> Tensor:
        """Logits [N, vocabulary] of token ``position`` given the token before it, int64 [N] (None at position 0)."""
        place = self.config.joint_lyrics + position
        if previous is not None:
            x = self.embed[previous + self.first_code]
        elif self.config.joint_lyrics:
            assert conditions.characters is not None
            x = self.embed[conditions.characters[:, -1]]
        else:
            x = conditions.start
        x = x + self.position[place]
        added = None if conditions.added is None else conditions.added[:, place]
        if added is not None:
            x = x + added
        return self._logits(self.transformer.step(x, caches, place), added)


def _bits(logits: Tensor, ids: Tensor) -> Tensor:
    """Cross-entropy in bits of ids [N, T] under logits [N, T, V]: [N, T]."""
    nats = F.cross_entropy(logits.flatten(0, 1).float(), ids.flatten(), reduction="none")
    return nats.view(ids.shape) / math.log(2)
