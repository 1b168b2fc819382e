"""The quantiser: nearest rows, moving averages by hand, restarts, and the small-batch trap."""

from __future__ import annotations

import torch

from engine.codec.bottleneck import Bottleneck


def test_codes_are_nearest_rows_by_brute_force() -> None:
    torch.manual_seed(0)
    quantiser = Bottleneck(50, 6).eval()
    quantiser.codebook.normal_()
    x = torch.randn(3, 6, 40)
    brute = torch.cdist(x.transpose(1, 2).reshape(-1, 6).double(), quantiser.codebook.double()).argmin(1)
    assert torch.equal(quantiser.encode(x).flatten(), brute)
    assert torch.equal(
        quantiser.decode(quantiser.encode(x)), quantiser.codebook[brute].view(3, 40, 6).transpose(1, 2)
    )


def test_moving_averages_by_hand() -> None:
    """Two rows, known counts: one step of k = sum / count (facts/jukebox.md §1.3)."""
    quantiser = Bottleneck(2, 1, decay=0.9, threshold=0.5).train()
    quantiser.codebook.copy_(torch.tensor([[0.0], [10.0]]))
    quantiser.sum.copy_(torch.tensor([[0.0], [20.0]]))
    quantiser.count.copy_(torch.tensor([1.0, 2.0]))
    quantiser.started.fill_(True)
    quantiser(torch.tensor([[[1.0, 2.0, 9.0]]]))  # two vectors to row 0, one to row 1
    torch.testing.assert_close(quantiser.count, torch.tensor([0.9 * 1 + 0.1 * 2, 0.9 * 2 + 0.1 * 1]))
    torch.testing.assert_close(quantiser.codebook, torch.tensor([[0.1 * 3 / 1.1], [(18 + 0.9) / 1.9]]))


def test_commitment_and_straight_through() -> None:
    quantiser = Bottleneck(2, 1).train()
    quantiser.codebook.copy_(torch.tensor([[0.0], [10.0]]))
    quantiser.sum.copy_(quantiser.codebook)
    quantiser.count.fill_(1.0)
    quantiser.started.fill_(True)
    x = torch.tensor([[[1.0, 7.0]]], requires_grad=True)
    found = quantiser(x)
    assert float(found.commit.detach()) == (1.0**2 + 3.0**2) / 2
    found.vectors.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))  # the quantiser passes gradients through unchanged


def test_an_unused_row_restarts_at_a_feature_of_the_batch() -> None:
    quantiser = Bottleneck(3, 2, decay=0.5, threshold=0.4).train()
    quantiser.codebook.copy_(torch.tensor([[0.0, 0.0], [1.0, 1.0], [99.0, 99.0]]))
    quantiser.sum.copy_(quantiser.codebook * 0.5)
    quantiser.count.fill_(0.5)
    quantiser.started.fill_(True)
    batch = torch.tensor([[[0.0, 0.1, 1.0, 1.1], [0.0, 0.1, 1.0, 1.1]]])
    quantiser(batch)
    rows = {tuple(v) for v in batch[0].t().tolist()}
    assert tuple(quantiser.codebook[2].tolist()) in rows
    assert tuple(quantiser.codebook[0].tolist()) not in rows  # used rows are averages, not samples


def test_small_batches_keep_their_codebook() -> None:
    """64 clusters, 32 vectors a step: with scaled restarts rows settle; the released threshold redraws most at every
    step (facts/training.md: usage 1 %, nothing learned)."""
    centres = torch.randn(64, 8, generator=torch.Generator().manual_seed(1)) * 5

    def alive(scaled: bool) -> float:
        torch.manual_seed(0)
        quantiser = Bottleneck(64, 8).train()
        if scaled:
            quantiser.scale_restarts(32)
        shares = []
        for _ in range(400):
            rows = centres[torch.randint(0, 64, (32,))] + torch.randn(32, 8) * 0.1
            shares.append(float(quantiser(rows.t()[None]).metrics["usage"]) / 64)
        return sum(shares[-100:]) / 100

    assert alive(scaled=True) > 0.95
    assert alive(scaled=False) < 0.5


def test_evaluation_changes_nothing() -> None:
    quantiser = Bottleneck(8, 4).eval()
    quantiser.codebook.normal_()
    before = {k: v.clone() for k, v in quantiser.state_dict().items()}
    found = quantiser(torch.randn(1, 4, 16, requires_grad=True))
    assert all(torch.equal(v, before[k]) for k, v in quantiser.state_dict().items())
    assert not found.vectors.requires_grad  # detached outside training (facts/jukebox.md §1.3)


def test_without_restarts_an_unused_row_stays_where_it_was() -> None:
    """Also long after its average count has faded to nothing in float32."""
    quantiser = Bottleneck(2, 1, decay=0.5, threshold=0.0).train()
    quantiser.begin_from(torch.tensor([[0.0], [10.0]]), 1.0)
    for _ in range(300):
        quantiser(torch.tensor([[[1.0, -1.0]]]))
    assert float(quantiser.count[1]) < 1e-30
    assert float(quantiser.codebook[1]) == 10.0


def test_a_trained_codebook_is_gone_on_with() -> None:
    codebook = torch.randn(16, 3, generator=torch.Generator().manual_seed(2))
    quantiser = Bottleneck(16, 3, decay=0.9).train()
    quantiser.begin_from(codebook, 5.0)
    quantiser(codebook.t()[None])  # every row seen once, where it is
    torch.testing.assert_close(quantiser.codebook, codebook)
    torch.testing.assert_close(quantiser.count, torch.full((16,), 0.9 * 5 + 0.1))


def test_entropy_of_the_average_use_is_in_bits() -> None:
    quantiser = Bottleneck(4, 1, decay=0.5, threshold=0.0).train()
    quantiser.begin_from(torch.tensor([[0.0], [1.0], [2.0], [3.0]]), 1.0)
    assert abs(float(quantiser(torch.tensor([[[0.0, 1.0, 2.0, 3.0]]])).metrics["codebook_bits"]) - 2.0) < 1e-6
