"""The attention of a whole take to the whole text, put together from windows (facts/jukebox.md §5.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from engine.errors import BadArguments, BadFormat
from engine.lyrics import SongLyrics, song_lyrics, window_ids
from engine.prior.labels import Labels, make_labels
from engine.prior.prior import Prior
from engine.prior.pulse import pulse_rows
from engine.request import Request, Style
from engine.sampling.plan import hop_tokens, window_starts
from engine.sampling.pulse import song_pulse
from engine.sampling.song import song_span
from engine.store import Model
from engine.take import Take


@dataclass(frozen=True, eq=False)
class TakeAttention:
    """``matrix`` float32 [T, F]: share of attention that top-level token t gives to character f of ``lyrics``.

    Token 0 is the first that the model saw of the prime; the continuation begins at sample ``seam`` from there.
    """

    lyrics: SongLyrics
    matrix: NDArray[np.float32]
    seam: int
    hop: int
    rate: int

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Time of every token's beginning, from the beginning of the continuation: float64 [T]."""
        return (np.arange(len(self.matrix)) * self.hop - self.seam) / self.rate


def take_attention(model: Model, take: Take) -> TakeAttention:
    """Read the attention of ``take`` by the prior it was made with.

    Windows lie as in sampling; where they overlap, their mean counts. Raises BadArguments for a model whose
    prior reads no lyrics or a take without any, BadFormat for a take of another model.
    """
    head, config = take.info.head, model.config
    prior = model.priors[config.top]
    wanted = prior.config.lyrics
    if wanted is None or wanted.alignment is None:
        raise BadArguments(
            f"the model '{config.name}' has no layer that tells which character is sung; "
            "take a model that reads lyrics, such as 1b_lyrics"
        )
    if head.model_hash != model.hash:
        raise BadFormat(f"'{take.folder}' was made with other weights than those of '{config.name}' here")
    song = song_lyrics(head.request, wanted, config.rate)
    if not song.text.strip():
        raise BadArguments(f"'{take.folder}' was made without lyrics; there is nothing to align")
    codes = take.codes()[config.top]
    hop = config.hops[config.top]
    seam = take.info.prime_tokens[config.top] * hop - head.overhang
    total, offset = song_span(config, head.request, head.prime_frames - seam, seam)
    pulse = song_pulse(config, head.request, take.prime().mono_samples(), offset + seam)

    def label(start: int, size: int, at: int) -> Labels:
        style = _style_at(head.request, (start + size) * hop - seam)
        labels = make_labels(style, total, at, config.vocabulary(config.top))
        return labels if pulse is None else labels.with_pulse([pulse_rows(prior.config, pulse, at)])

    fraction = head.request.sampling.top.hop_fraction
    matrix = song_attention(prior, codes, song, (total, offset), label, fraction)
    return TakeAttention(song, matrix, seam, hop, config.rate)


def song_attention(
    prior: Prior,
    codes: NDArray[np.int64],
    song: SongLyrics,
    place: tuple[int, int],
    label: Callable[[int, int, int], Labels],
    hop_fraction: float,
) -> NDArray[np.float32]:
    """Share of attention [T, F] that each of the top-level ``codes`` int64 [T] gives to each character of ``song``.

    ``place``: length of the song and position 0 of the codes in it, in samples; ``label(start, size, at)``: labels of
    the window of ``size`` codes from ``start`` on, at sample ``at`` of the song. Windows lie ``hop_fraction`` of a
    window apart, as in sampling; where they overlap, their mean counts, not the earliest alone as in the released code:
    at its beginning a window has heard little, at its end it is far from the middle of its text, and the two err to
    opposite sides (words of held-out songs placed within 0.3 s by a starter in training: 46 % by the earliest window,
    44 % by the latest, 66 % by the mean).
    """
    total, offset = place
    n_ctx = prior.config.n_ctx
    matrix = np.zeros((codes.size, song.ids.size), np.float32)
    windows = np.zeros((codes.size, 1), np.float32)  # that hold each token
    for start in window_starts(codes.size, n_ctx, hop_tokens(n_ctx, hop_fraction, None)):
        at = offset + start * prior.config.hop
        ids, places = window_ids(song, total, at, prior.config.window_samples)
        window = codes[start : start + n_ctx]
        found = _window(prior, window, label(start, window.size, at), ids)
        inside = places >= 0
        matrix[start : start + window.size, places[inside]] += found[: window.size, inside]
        windows[start : start + window.size] += 1.0
    matrix /= np.maximum(windows, 1.0)
    return matrix


def _style_at(request: Request, frame: int) -> Style:
    """The style that holds just before sample ``frame`` of the continuation: that of a window which ends there."""
    held = [change.style for change in request.style_changes if change.at_frame < frame]
    return held[-1] if held else request.style


def _window(
    prior: Prior, codes: NDArray[np.int64], labels: Labels, ids: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Attention [n, P] of one window."""
    device = prior.embed.device
    known = labels.to(device) if prior.labels is not None else None
    lyrics = torch.from_numpy(ids)[None].to(device)
    with torch.inference_mode():
        conditions = prior.condition(known, None, 1, lyrics)
        found = prior.attention(torch.from_numpy(codes)[None].to(device), conditions)
    return found[0].float().cpu().numpy()
