"""The quantiser: a codebook learned by exponential moving averages with random restarts (facts/jukebox.md §1.3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from engine.codec.blocks import quantise_to

_NOTHING = 1e-20  # an average count that has faded away


@dataclass(frozen=True)
class Quantised:
    """``vectors`` [N, width, T] with straight-through gradient, ``codes`` int64 [N, T], ``commit`` scalar loss."""

    vectors: Tensor
    codes: Tensor
    commit: Tensor
    metrics: dict[str, Tensor]


def _parallel() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


class Bottleneck(nn.Module):
    """One codebook, float32 [bins, width].

    In train mode every forward updates the moving averages; rows whose average count falls below ``threshold``
    are replaced by random features of the batch. A batch with few tokens needs a threshold scaled to the
    expected count (facts/training.md, the trap): :meth:`scale_restarts`.
    """

    def __init__(self, bins: int, width: int, decay: float = 0.99, threshold: float = 1.0) -> None:
        super().__init__()
        self.bins, self.width, self.decay, self.threshold = bins, width, decay, threshold
        self.restart_count = 0.0  # average count that a restarted row begins with; 0: the released rule
        self._begun = False  # what ``started`` says, known without asking the card for it at every step
        self.codebook: Tensor
        self.sum: Tensor
        self.count: Tensor
        self.started: Tensor
        self.register_buffer("codebook", torch.zeros(bins, width))
        self.register_buffer("sum", torch.zeros(bins, width))
        self.register_buffer("count", torch.zeros(bins))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def encode(self, x: Tensor) -> Tensor:
        """Features [N, width, T] to codes int64 [N, T]."""
        n, width, t = x.shape
        return quantise_to(x.transpose(1, 2).reshape(n * t, width).float(), self.codebook).view(n, t)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes int64 [N, T] to vectors float32 [N, width, T]."""
        return self.codebook[codes].transpose(1, 2)

    def forward(self, x: Tensor) -> Quantised:
        n, width, t = x.shape
        flat = x.transpose(1, 2).reshape(n * t, width).float()
        with torch.no_grad():
            if self.training and not self._begun:
                if not bool(self.started):
                    self._start(flat)
                self._begun = True
            codes = quantise_to(flat, self.codebook)
            chosen = self.codebook[codes]
            metrics = self._update(flat, codes) if self.training else {}
        commit = (chosen - flat).pow(2).mean()
        metrics["fit"] = commit.detach()
        vectors = flat + (chosen - flat).detach() if self.training else chosen
        return Quantised(vectors.view(n, t, width).transpose(1, 2), codes.view(n, t), commit, metrics)

    def scale_restarts(self, tokens: float, fraction: float = 0.05, grace: float = 1.2) -> None:
        """Set the restart rule for batches of ``tokens`` vectors a step (all ranks together).

        Rows used less than ``fraction`` of the expected count, tokens / bins, restart. With few tokens a step
        one batch cannot lift a row over the threshold, and under the released rule the row would be drawn
        anew at every step and in the end learn the mean of all the places it was; so a restarted row begins
        with an average of its own, ``grace`` times the threshold, and has some steps to prove itself.
        """
        self.threshold = min(self.threshold, fraction * tokens / self.bins)
        self.restart_count = grace * self.threshold

    def begin_from(self, codebook: Tensor, count: float) -> None:
        """Go on with a trained ``codebook`` [bins, width], every row of it as if seen ``count`` times a step."""
        self.codebook.copy_(codebook)
        self.count.fill_(count)
        self.sum.copy_(codebook * count)
        self.started.fill_(True)

    def _candidates(self, flat: Tensor) -> Tensor:
        """``bins`` random rows of the features of all ranks, the same on all of them; repeated with a little noise if
        too few. Ranks that draw alike get what one process with all their features would."""
        rank, world = (dist.get_rank(), dist.get_world_size()) if _parallel() else (0, 1)
        rows = flat.shape[0]
        repeats = max(1, -(-self.bins // (rows * world)))
        picks = torch.randperm(rows * world * repeats, device=flat.device)[: self.bins] % (rows * world)
        if world > 1:
            dist.broadcast(picks, 0)
        picked = flat[(picks - rank * rows).clamp(0, rows - 1)]
        if repeats > 1:
            picked = picked + torch.randn_like(picked) * (0.01 / self.width**0.5)
        if world > 1:
            picked = picked * (picks // rows == rank).unsqueeze(1)
            dist.all_reduce(picked)
        return picked

    def _start(self, flat: Tensor) -> None:
        self.begin_from(self._candidates(flat), self.restart_count or 1.0)

    def _update(self, flat: Tensor, codes: Tensor) -> dict[str, Tensor]:
        batch_sum = torch.zeros_like(self.sum).index_add_(0, codes, flat)
        # (bincount would have a card tell its largest value, and the host wait for it)
        batch_count = torch.zeros_like(self.count).index_add_(0, codes, torch.ones_like(flat[:, 0]))
        if _parallel():
            dist.all_reduce(batch_sum)
            dist.all_reduce(batch_count)
        self.sum.lerp_(batch_sum, 1 - self.decay)
        self.count.lerp_(batch_count, 1 - self.decay)
        alive = self.count >= self.threshold
        before = self.codebook.clone()
        candidates = self._candidates(flat)
        if self.restart_count:
            self.count.masked_fill_(~alive, self.restart_count)
            self.sum.copy_(torch.where(alive.unsqueeze(1), self.sum, candidates * self.restart_count))
        # Without restarts a row that is never used stays where it is, also when nothing is left of its averages.
        kept = self.count.unsqueeze(1) > _NOTHING
        learned = torch.where(kept, self.sum / self.count.clamp_min(_NOTHING).unsqueeze(1), self.codebook)
        self.codebook.copy_(torch.where(alive.unsqueeze(1), learned, candidates))
        p, average = batch_count / batch_count.sum(), self.count / self.count.sum()
        return {
            "entropy": -(p * (p + 1e-8).log()).sum(),  # nats
            "codebook_bits": -(average * (average + 1e-12).log2()).sum(),
            "used_in_batch": (batch_count > 0).sum().to(flat.dtype),
            "usage": alive.sum().to(flat.dtype),
            "change": (self.codebook - before).norm() / before.numel() ** 0.5,
        }
