"""The losses of other packages, set to the same definition; imported when they are used.

Their defaults differ: pytorch-metric-learning normalises embeddings and averages over active
triplets, sentence-transformers averages over all anchors. Here embeddings are taken as they are,
and every anchor is valid.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.family import MARGIN
from benchmarks.triplet.baselines import widened


def metric_learning(mining: str) -> Callable[..., Tensor]:
    """pytorch-metric-learning: a miner and its TripletMarginLoss; without a miner, all triplets."""
    from pytorch_metric_learning import distances, losses, miners, reducers

    distance = distances.LpDistance(normalize_embeddings=False)
    over = reducers.MeanReducer() if mining == "hard" else reducers.AvgNonZeroReducer()
    loss = losses.TripletMarginLoss(margin=MARGIN, distance=distance, reducer=over)
    miner = miners.BatchHardMiner(distance=distance) if mining == "hard" else None

    def run(
        embeddings: Tensor,
        labels: Tensor,
        ref_embeddings: Tensor | None = None,
        ref_labels: Tensor | None = None,
    ) -> Tensor:
        embeddings = widened(embeddings)
        if ref_embeddings is not None:
            ref_embeddings = widened(ref_embeddings)
        references = {"ref_emb": ref_embeddings, "ref_labels": ref_labels}
        mined = miner and miner(embeddings, labels, **references)
        return loss(embeddings, labels, mined, **references)

    return run


def sentence_transformers(mining: str) -> Callable[..., Tensor]:
    """The method of the library's loss that takes embeddings; the model is of no concern to it."""
    try:
        from sentence_transformers.sentence_transformer import losses
    except ImportError:  # before 6.0
        from sentence_transformers import losses

    if mining == "hard":
        function = losses.BatchHardTripletLoss(None, margin=MARGIN).batch_hard_triplet_loss
    elif mining == "semi_hard":
        function = losses.BatchSemiHardTripletLoss(None, margin=MARGIN).batch_semi_hard_triplet_loss
    else:
        function = losses.BatchAllTripletLoss(None, margin=MARGIN).batch_all_triplet_loss
    return lambda embeddings, labels: function(labels, embeddings)


def keops_hard(embeddings: Tensor, labels: Tensor) -> Tensor:
    """KeOps: the search as two generated reductions without a matrix, then two gathers."""
    from pykeops.torch import LazyTensor

    x = embeddings.detach()
    far = 4 * x.square().sum(dim=1).max()  # no squared distance is greater
    y = labels.to(x.dtype)[:, None]
    distances = LazyTensor(x[:, None, :]).sqdist(LazyTensor(x[None, :, :]))
    unequal = (LazyTensor(y[:, None, :]) - LazyTensor(y[None, :, :])).abs() - 0.5
    # Strangers below zero in the order of their distances, the class above.
    keys = distances - unequal.step() * far
    positive, negative = keys.argmax(dim=1).flatten(), keys.argmin(dim=1).flatten()

    def distance_to(index: Tensor) -> Tensor:
        return (embeddings - embeddings.index_select(0, index)).norm(dim=1)

    return torch.relu(distance_to(positive) - distance_to(negative) + MARGIN).mean()
