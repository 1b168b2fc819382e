"""Other structures of a codec level, to see what the usual one is good for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.ablation.experiments import Variant
from engine.codec.blocks import Decoder, Encoder
from engine.codec.bottleneck import Bottleneck, Quantised
from engine.codec.config import CodecConfig
from engine.codec.vqvae import CodecLevel, LevelOutput


class UnquantisedLevel(CodecLevel):
    """Encoder and decoder with nothing between them: how far the networks alone would come. It has no codes."""

    def __init__(self, config: CodecConfig, level: int) -> None:
        nn.Module.__init__(self)
        self.encoder = Encoder(config, level)
        self.decoder = Decoder(config, level)

    def forward(self, x: Tensor) -> LevelOutput:
        """As :meth:`CodecLevel.forward`; there is no commitment to lose."""
        reconstruction = self.decoder(self.encoder(x.unsqueeze(1))).squeeze(1)
        return LevelOutput(reconstruction, torch.zeros((), device=x.device), {})

    def reconstruct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`CodecLevel.reconstruct`, with no codes: int64 [N, 0]."""
        empty = torch.zeros((len(x), 0), dtype=torch.long, device=x.device)
        return self.forward(x).reconstruction, empty

    @property
    def bottlenecks(self) -> list[Bottleneck]:
        """None."""
        return []


class SingleAutoencoder(CodecLevel):
    """One autoencoder for all levels up to ``level``, as in VQ-VAE-2, in place of one of its own for each.

    Features of a level are quantised beside what the level above already says, and the decoder adds both up; the
    loss sees only the whole. :meth:`reconstruct` decodes what the uppermost codes alone say.
    """

    def __init__(self, config: CodecConfig, level: int) -> None:
        nn.Module.__init__(self)
        encoder, decoder = Encoder(config, level), Decoder(config, level)
        self.down, self.up, self.out = encoder.blocks, decoder.blocks, decoder.out
        self.join = nn.ModuleList(
            nn.Conv1d(2 * config.embed_width, config.embed_width, 1) for _ in range(level)
        )
        self.quantise = nn.ModuleList(
            Bottleneck(config.bins, config.embed_width, config.codebook_decay, config.restart_threshold)
            for _ in range(level + 1)
        )

    @property
    def bottlenecks(self) -> list[Bottleneck]:
        """From the uppermost level down."""
        found = []
        for module in reversed(list(self.quantise)):
            assert isinstance(module, Bottleneck)
            found.append(module)
        return found

    def forward(self, x: Tensor) -> LevelOutput:
        """Reconstruction from the codes of all levels; commitment of all; the metrics are the uppermost level's."""
        features = self._encode(x)
        made: list[Quantised] = []
        below = torch.zeros(())
        for place, bottleneck in enumerate(self.bottlenecks):
            level = len(features) - 1 - place
            found = features[level]
            if made:
                found = self.join[level](torch.cat((found, below), 1))
            with torch.autocast(x.device.type, enabled=False):
                made.append(bottleneck(found.float()))
            said = made[-1].vectors if place == 0 else below + made[-1].vectors
            below = self.up[level](said)
        commit = torch.stack([one.commit for one in made]).sum()
        return LevelOutput(self.out(below).squeeze(1), commit, made[0].metrics)

    def reconstruct(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction [N, T] from the uppermost codes alone, and those codes int64 [N, T / hop]."""
        top = self.bottlenecks[0]
        codes = top.encode(self._encode(x)[-1])
        said = top.decode(codes)
        for block in reversed(list(self.up)):
            said = block(said)
        return self.out(said).squeeze(1), codes

    def _encode(self, x: Tensor) -> list[Tensor]:
        found = []
        said = x.unsqueeze(1)
        for block in self.down:
            said = block(said)
            found.append(said)
        return found


VARIANTS: dict[Variant, type[CodecLevel]] = {
    "plain": CodecLevel,
    "unquantised": UnquantisedLevel,
    "single": SingleAutoencoder,
}
