"""Decoders without a tone of their own.

A transposed convolution gives neighbouring samples by different taps, so what its input is on average comes out
unevenly, and unevenly again at the next one. It is heard as a tone at the rate of the tokens and multiples of it (from
344 Hz on for the top level at 44.1 kHz), whatever is played. Training by spectra does not take it away: under music it
costs nearly nothing.
"""

from __future__ import annotations

import contextlib
import math

import torch
from torch import Tensor, nn

from engine.codec.vqvae import CodecLevel

_FAINT = 1e-9


class _Heard(Exception):
    """Enough was heard of a layer's input."""


@torch.inference_mode()
def even_out(level: CodecLevel, crops: Tensor) -> None:
    """Makes the decoder's transposed convolutions give the mean of their input, over ``crops`` [N, T], alike at
    every phase: the smallest change of the taps that does.

    From the input on, since each one is measured behind those that were changed.
    """
    features = [
        level.bottleneck.decode(level.bottleneck.encode(level.encoder(crop.unsqueeze(1))))
        for crop in crops.split(1)
    ]
    for up in [part for part in level.decoder.modules() if isinstance(part, nn.ConvTranspose1d)]:
        _even_taps(up, _mean_input(level, up, features))


def _mean_input(level: CodecLevel, up: nn.ConvTranspose1d, features: list[Tensor]) -> Tensor:
    means: list[Tensor] = []

    def hear(_: nn.Module, given: tuple[Tensor]) -> None:
        means.append(given[0][0].mean(1))
        raise _Heard  # what lies behind is most of the work

    with up.register_forward_pre_hook(hear):
        for feature in features:
            with contextlib.suppress(_Heard):
                level.decoder(feature)
    return torch.stack(means).mean(0)  # [channels]


def _even_taps(up: nn.ConvTranspose1d, mean: Tensor) -> None:
    """Taps k and k + stride give the samples of one phase; a constant ``mean`` [in] is to come out alike at all."""
    taps = up.weight.unflatten(2, (-1, up.stride[0]))  # [in, out, taps of a phase, phase], a view
    given = torch.einsum("i,iokp->op", mean, taps)
    excess = given - given.mean(1, keepdim=True)
    power = float(mean @ mean) * taps.shape[2]
    if power > _FAINT:
        taps -= (mean[:, None, None, None] * excess[None, :, None, :]) / power


@torch.inference_mode()
def tone_db(level: CodecLevel, crops: Tensor, hop: int) -> float:
    """How loud the tone is: RMS in dB full scale of the waveform, ``hop`` samples long, that is in what the decoder
    makes of ``crops`` [N, T] over and over. T is a multiple of ``hop``."""
    made = torch.cat([level.reconstruct(crop)[0] for crop in crops.split(1)])
    mean = made.reshape(-1, hop).mean(0)
    return 20.0 * math.log10(max(float((mean - mean.mean()).square().mean().sqrt()), _FAINT))
