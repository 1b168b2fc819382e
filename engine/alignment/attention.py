"""The attention of a whole take to the whole text, put together from windows (facts/jukebox.md §5.4)."""

from __future__ import annotations

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

    Windows lie as in sampling; where they overlap, the earlier one counts. Raises BadArguments for a model whose
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
    n_ctx = prior.config.n_ctx
    step = hop_tokens(n_ctx, head.request.sampling.top.hop_fraction, None)
    matrix = np.zeros((codes.size, song.ids.size), np.float32)
    for start in reversed(window_starts(codes.size, n_ctx, step)):
        at = offset + start * hop
        ids, places = window_ids(song, total, at, prior.config.window_samples)
        window = codes[start : start + n_ctx]
        style = _style_at(head.request, (start + window.size) * hop - seam)
        labels = make_labels(style, total, at, config.vocabulary(config.top))
        if pulse is not None:
            labels = labels.with_pulse([pulse_rows(prior.config, pulse, at)])
        found = _window(prior, window, labels, ids)
        inside = places >= 0
        matrix[start : start + window.size] = 0.0
        matrix[start : start + window.size, places[inside]] = found[: window.size, inside]
    return TakeAttention(song, matrix, seam, hop, config.rate)


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
