"""The codec against the released shapes, its receptive field by gradient, and exact time chunks."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from pydantic import ValidationError

from engine.codec.config import CodecConfig, released
from engine.codec.pieces import decoder_margin, encoder_margin
from engine.codec.vqvae import Codec
from tests.store.tables import released_table

SMALL = CodecConfig(
    width=8, depth=2, bins=32, embed_width=8, downs=(2, 1), strides=(2, 2), multipliers=(2, 1)
)


def filled(config: CodecConfig) -> Codec:
    torch.manual_seed(3)
    codec = Codec(config)
    for level in codec.levels:
        level.bottleneck.codebook.normal_()
    return codec.eval()


def test_released_parameter_counts() -> None:
    """facts/jukebox.md §1.6: per encoder, per decoder, in all."""
    with torch.device("meta"):
        codec = Codec(released())
    encoders = [sum(p.numel() for p in level.encoder.parameters()) for level in codec.levels]
    decoders = [sum(p.numel() for p in level.decoder.parameters()) for level in codec.levels]
    assert encoders == [441_856, 116_384, 168_224]
    assert decoders == [458_177, 124_641, 176_481]
    assert sum(p.numel() for p in codec.parameters()) == 1_485_763


def test_released_tensor_shapes() -> None:
    """Every released tensor has a counterpart of its shape, and nothing is over."""
    with torch.device("meta"):
        codec = Codec(released())
    ours = Counter(tuple(p.shape) for p in codec.parameters())
    ours.update((2048, 64) for _ in range(3))  # codebooks
    theirs = Counter(released_table("vqvae").values())
    assert ours == theirs


def test_released_margins_cover_the_measured_receptive_field() -> None:
    """facts/jukebox.md §1.2 gives the field; ours may exceed it by less than two hops and never fall short."""
    measured_encoder, measured_decoder = (45_942, 2_582, 10_582), (5_742, 80, 82)
    for level in range(3):
        assert 0 <= encoder_margin(released(), level) - measured_encoder[level] < 2 * released().hops[level]
        assert 0 <= decoder_margin(released(), level) - measured_decoder[level] <= 1


@pytest.mark.parametrize("level", [0, 1])
def test_margins_by_gradient(level: int) -> None:
    """No gradient reaches beyond the margin; some reaches close to it."""
    codec = filled(SMALL)
    hop, tokens = SMALL.hops[level], 400
    vectors = torch.randn(1, SMALL.embed_width, tokens, requires_grad=True)
    middle = tokens // 2
    codec.levels[level].decoder(vectors)[0, 0, middle * hop : (middle + 1) * hop].abs().sum().backward()
    assert vectors.grad is not None
    touched = vectors.grad[0].abs().sum(0).nonzero()[:, 0]
    margin = decoder_margin(SMALL, level)
    assert middle - margin <= int(touched.min()) <= middle - margin + 2
    assert middle + margin - 2 <= int(touched.max()) <= middle + margin

    samples = torch.randn(1, 1, 4096, requires_grad=True)
    code = 2048 // hop
    codec.levels[level].encoder(samples)[0, :, code].abs().sum().backward()
    assert samples.grad is not None
    touched = samples.grad[0, 0].nonzero()[:, 0]
    margin = encoder_margin(SMALL, level)
    assert 2048 - margin <= int(touched.min()) and int(touched.max()) < 2048 + hop + margin


@pytest.mark.parametrize("chunk", [64, 1000, 1 << 20])
def test_chunked_codes_are_the_whole_files(chunk: int) -> None:
    codec = filled(SMALL)
    samples = torch.randn(2, 5003) * 0.3
    codes = codec.encode(samples, chunk=chunk)
    for level, hop in enumerate(SMALL.hops):
        whole = samples[:, : 5003 // hop * hop]
        features = codec.levels[level].encoder(whole[:, None])
        assert torch.equal(codes[level], codec.levels[level].bottleneck.encode(features))
        assert codes[level].shape == (2, 5003 // hop)


@pytest.mark.parametrize("level", [0, 1])
def test_chunked_audio_is_the_whole_files(level: int) -> None:
    codec = filled(SMALL)
    tokens = 3 * codec.decode_grid(level) + 17
    codes = torch.randint(0, SMALL.bins, (tokens,))
    module = codec.levels[level]
    with torch.no_grad():
        whole = module.decoder(module.bottleneck.decode(codes[None])).flatten()
    torch.testing.assert_close(codec.decode(codes, level), whole, rtol=0, atol=1e-6)


def test_nothing_to_encode_gives_no_codes() -> None:
    codec = filled(SMALL)
    assert codec.encode(torch.zeros(3))[0].shape == (0,)
    assert codec.decode(torch.zeros(0, dtype=torch.long), 0).shape == (0,)


def test_configuration_says_what_is_wrong() -> None:
    with pytest.raises(ValidationError, match="multipliers has 2 entries; it needs one per level, 3"):
        CodecConfig(multipliers=(1, 1))
    assert CodecConfig().hops == (8, 32, 128)
    assert released().dilations(0)[-1] == 2187  # facts/jukebox.md §1.1
