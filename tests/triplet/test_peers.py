"""Agreement with other libraries where their definitions coincide with ours, and where they part.

sentence-transformers' batch losses (those of TensorFlow Addons, and of most code on the web):

- BatchHardTripletLoss averages over all N anchors. One without a positive has distance 0 in its
  place, one without a negative the greatest distance of its row. Ours skips both. The same where
  every class has two samples, and there are two classes.
- BatchSemiHardTripletLoss averages over all ordered positive pairs, as ours; an anchor without a
  negative has distance 0 in its place, where ours has no term. The same where there are two
  classes, whatever their sizes.
- BatchAllTripletLoss averages over the terms above 1e-16: ours with ``"mean_nonzero"``.

Its margin is 5 by default, its distances are expanded, |x|^2 - 2 xy + |y|^2.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from support.cases import generator_for
from support.embeddings import BATCH_LOSSES, TripletBatch
from support.oracle.triplet import exact_batch

losses = pytest.importorskip("sentence_transformers.sentence_transformer.losses")

PEERS = {
    "hard": (losses.BatchHardTripletLoss, "batch_hard_triplet_loss", "mean"),
    "semi_hard": (losses.BatchSemiHardTripletLoss, "batch_semi_hard_triplet_loss", "mean"),
    "all": (losses.BatchAllTripletLoss, "batch_all_triplet_loss", "mean_nonzero"),
}
METRICS = {
    "euclidean": losses.BatchHardTripletLossDistanceFunction.euclidean_distance,
    "cosine": losses.BatchHardTripletLossDistanceFunction.cosine_distance,
}
every_mining = pytest.mark.parametrize("mining", PEERS)
every_metric = pytest.mark.parametrize("distance", METRICS)


def random_layout(seed: int, singletons: bool = False) -> TripletBatch:
    """Classes of two to five samples, two to six of them, in any order."""
    generator = generator_for(f"peers_{seed}")

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high, (), generator=generator))

    sizes = [number(2, 6) for _ in range(number(2, 7))] + [1] * (2 if singletons else 0)
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    labels = labels[torch.randperm(len(labels), generator=generator)]
    embeddings = torch.randn(len(labels), 7, generator=generator, dtype=torch.float64)
    return TripletBatch(embeddings, labels)


def peer(mining: str, distance: str, margin: float, batch: TripletBatch) -> tuple[Tensor, Tensor]:
    module, method, _ = PEERS[mining]
    loss = module(torch.nn.Identity(), METRICS[distance], margin)
    embeddings = batch.embeddings.clone().requires_grad_()
    value = getattr(loss, method)(batch.labels, embeddings)
    return value.detach(), torch.autograd.grad(value, embeddings)[0]


@every_mining
@every_metric
@pytest.mark.parametrize("margin", [0.25, 5.0])
def test_sentence_transformers(mining: str, distance: str, margin: float) -> None:
    """fp64 on both sides: only their expansion and 1e-16 differ."""
    for seed in range(20):
        batch = random_layout(seed)
        theirs, their_grad = peer(mining, distance, margin, batch)
        embeddings = batch.embeddings.clone().requires_grad_()
        options = {"distance": distance, "margin": margin, "reduction": PEERS[mining][2]}
        ours = BATCH_LOSSES[mining](embeddings, batch.labels, **options)
        ours.backward()
        torch.testing.assert_close(ours.detach(), theirs, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(embeddings.grad, their_grad, rtol=1e-9, atol=1e-9)


def test_where_singletons_part() -> None:
    """Their mean takes anchors without a positive in, as terms max(0, 0 - hn + margin)."""
    batch = random_layout(0, singletons=True)
    theirs, _ = peer("hard", "euclidean", 5.0, batch)
    exact = exact_batch(batch, "hard", margin=5.0, reduction="none")
    alone = exact.positive < 0
    others = torch.cdist(batch.embeddings, batch.embeddings).fill_diagonal_(torch.inf)
    terms = torch.where(alone, (5.0 - others.amin(1)).relu(), exact.loss)
    assert alone.sum() == 2
    torch.testing.assert_close(theirs, terms.mean(), rtol=1e-10, atol=1e-10)
    ours = BATCH_LOSSES["hard"](*batch[:2], margin=5.0)
    torch.testing.assert_close(ours, exact.loss[~alone].mean(), rtol=1e-10, atol=1e-10)
