"""What surrounds a prior's layers: the conditions of a window, and the codec."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.codec.vqvae import Codec, CodecLevel
from engine.prior.labels import Labels
from engine.prior.patterns import Kind
from engine.prior.prior import Prior
from engine.prior.transformer import Layer


class ConditionGraph(nn.Module):
    """Everything that is the same for a whole window.

    Inputs, as far as the prior has them: ``artists`` float [N, A], ``genres`` float [N, G]; ``total``, ``offset``
    float [N], samples, with a time signal; ``phase`` int64 [N, n_ctx], ``tempo``, ``key`` int64 [N], with a pulse;
    ``upper`` int64 [N, M]; ``characters`` int64 [N, P] with a lyric encoder.
    Outputs: ``start`` [N, width]; ``added`` [N, n, width], the music's positions only; ``lyrics``
    [L, 2, N, H, P, D], keys and values for every layer that reads lyrics.
    """

    def __init__(self, prior: Prior) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """See the class."""
        prior = self.prior
        outputs: dict[str, Tensor] = {}
        if prior.labels is not None:
            total = inputs.get("total", inputs["artists"][:, 0])
            offset = inputs.get("offset", total)
            pulse = (inputs.get(name) for name in ("phase", "tempo", "key"))
            labels = Labels(inputs["artists"], inputs["genres"], total, offset, *pulse)
            outputs["start"] = prior.labels(labels)
            added = prior.signals(labels)
            if added is not None:
                outputs["added"] = added
        if prior.upper is not None:
            outputs["added"] = prior.upper(inputs["upper"])
        if prior.lyrics is not None:
            outputs["lyrics"] = self._lyrics(prior.lyrics(inputs["characters"]))
        return outputs

    def _lyrics(self, states: Tensor) -> Tensor:
        read = []
        for layer in self.prior.transformer.layers:
            assert isinstance(layer, Layer)
            if layer.attn.kind is Kind.LYRICS:
                read.append(torch.stack(layer.attn.source(states)))
        return torch.stack(read)


class EncoderGraph(nn.Module):
    """Samples float [N, T] to codes int64 [N, T // hop] of one level; T a multiple of the hop."""

    def __init__(self, codec: Codec, level: int) -> None:
        super().__init__()
        self.codec, self.level = codec, level

    def forward(self, samples: Tensor) -> Tensor:
        """See the class."""
        module = _level(self.codec, self.level)
        codebook = module.bottleneck.codebook
        x = module.encoder(samples.unsqueeze(1)).transpose(1, 2)  # [N, T // hop, width]
        # |x - c|^2 less |x|^2, which is the same for all codes: one matrix product, no table of its size beside it.
        offsets = torch.addmm((codebook**2).sum(1), x.flatten(0, 1), codebook.T, alpha=-2.0)
        distance = offsets.view(*x.shape[:2], -1)
        return distance.argmin(-1)


class DecoderGraph(nn.Module):
    """Codes int64 [N, T] of one level to samples float [N, T * hop]."""

    def __init__(self, codec: Codec, level: int) -> None:
        super().__init__()
        self.codec, self.level = codec, level

    def forward(self, codes: Tensor) -> Tensor:
        """See the class."""
        module = _level(self.codec, self.level)
        return module.decoder(module.bottleneck.codebook[codes].transpose(1, 2)).squeeze(1)


def _level(codec: Codec, level: int) -> CodecLevel:
    module = codec.levels[level]
    assert isinstance(module, CodecLevel)
    return module
