"""The codec: samples to codes and back, whole or in time chunks that give the same result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.codec.blocks import Decoder, Encoder
from engine.codec.bottleneck import Bottleneck
from engine.codec.config import CodecConfig
from engine.codec.pieces import ENCODE_CHUNK, decode_grid, decode_span, decoder_margin, encode_pieces


@dataclass(frozen=True)
class LevelOutput:
    """Training forward of one level: ``reconstruction`` [N, T], ``commit`` scalar, quantiser ``metrics``."""

    reconstruction: Tensor
    commit: Tensor
    metrics: dict[str, Tensor]


class CodecLevel(nn.Module):
    """Encoder, quantiser and decoder of one level; levels share nothing (arXiv 2005.00341 §3)."""

    def __init__(self, config: CodecConfig, level: int) -> None:
        super().__init__()
        self.encoder = Encoder(config, level)
        self.bottleneck = Bottleneck(
            config.bins, config.embed_width, config.codebook_decay, config.restart_threshold
        )
        self.decoder = Decoder(config, level)

    def forward(self, x: Tensor) -> LevelOutput:
        """Samples float32 [N, T], T a multiple of the hop; in train mode the codebook learns from the batch. The
        quantiser works in float32 at any precision."""
        features = self.encoder(x.unsqueeze(1))
        with torch.autocast(x.device.type, enabled=False):
            quantised = self.bottleneck(features.float())
        reconstruction = self.decoder(quantised.vectors).squeeze(1)
        return LevelOutput(reconstruction, quantised.commit, quantised.metrics)

    def reconstruct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction [N, T] and codes int64 [N, T / hop] of samples [N, T]; in evaluation mode."""
        codes = self.bottleneck.encode(self.encoder(x.unsqueeze(1)))
        return self.decoder(self.bottleneck.decode(codes)).squeeze(1), codes

    @property
    def bottlenecks(self) -> list[Bottleneck]:
        """Every quantiser in it."""
        return [self.bottleneck]


class Codec(nn.Module):
    """All levels of one VQ-VAE; ``levels[0]`` is the bottom."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.levels = nn.ModuleList(CodecLevel(config, level) for level in range(config.levels))

    def _level(self, level: int) -> CodecLevel:
        module = self.levels[level]
        assert isinstance(module, CodecLevel)
        return module

    @torch.no_grad()
    def encode(
        self, samples: Tensor, levels: Iterable[int] | None = None, chunk: int = ENCODE_CHUNK
    ) -> dict[int, Tensor]:
        """Codes of samples float32 [T] or [N, T] for each of ``levels`` (default all): int64 [.., T // hop].

        T is cut down to a multiple of each level's hop. The work is done in pieces of ``chunk`` samples (a
        multiple of the hop) with the encoder's receptive field as margin, so memory does not grow with T and
        the codes are those of the whole file.
        """
        batch = samples if samples.dim() == 2 else samples.unsqueeze(0)
        codes: dict[int, Tensor] = {}
        for level in range(self.config.levels) if levels is None else levels:
            total = batch.shape[1] // self.config.hops[level] * self.config.hops[level]
            module = self._level(level)
            pieces = [
                module.bottleneck.encode(
                    module.encoder(batch[:, None, piece.left : piece.right])[:, :, piece.keep]
                )
                for piece in encode_pieces(self.config, level, total, chunk)
            ]
            found = torch.cat(pieces, 1) if pieces else batch.new_zeros((batch.shape[0], 0), dtype=torch.long)
            codes[level] = found if samples.dim() == 2 else found[0]
        return codes

    def decode_margin(self, level: int) -> int:
        """Tokens of context on either side that decoding of ``level`` needs."""
        return decoder_margin(self.config, level)

    def decode_grid(self, level: int) -> int:
        """Tokens per decoded piece, see :func:`engine.codec.pieces.decode_grid`."""
        return decode_grid(self.config, level)

    @torch.no_grad()
    def decode_piece(self, codes: Tensor, level: int, piece: int, total: int) -> Tensor:
        """Samples of piece ``piece`` of the grid: float32 [N, frames].

        ``codes`` int64 [N, at least min(total, (piece + 1) * grid + margin)]; ``total``: tokens of the whole.
        """
        span = decode_span(self.config, level, piece, total)
        module = self._level(level)
        audio = module.decoder(module.bottleneck.decode(codes[:, span.left : span.right])).squeeze(1)
        return audio[:, span.keep]

    @torch.no_grad()
    def decode(self, codes: Tensor, level: int) -> Tensor:
        """Samples float32 [.., tokens * hop] of codes int64 [tokens] or [N, tokens] of ``level``, piece by piece."""
        batch = codes if codes.dim() == 2 else codes.unsqueeze(0)
        total = batch.shape[1]
        pieces = [
            self.decode_piece(batch, level, piece, total)
            for piece in range(-(-total // self.decode_grid(level)))
        ]
        audio = torch.cat(pieces, 1) if pieces else torch.zeros((batch.shape[0], 0))
        return audio if codes.dim() == 2 else audio[0]
