"""The loss and gradient of a batch in float64, which a provider must give before it is timed."""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.pairwise.data import ListBatch
from benchmarks.ranking.losses import LOSSES


def exact_loss(batch: ListBatch) -> tuple[float, Tensor]:
    """The mean over pairs, or over the lists that count, and its gradient for the flat scores."""
    exact = LOSSES[batch.case.loss].exact
    lengths = batch.lengths()
    scores, labels = batch.scores.double().flatten(), batch.labels.flatten()
    answers = [
        exact(*one) for one in zip(scores.split(lengths), labels.split(lengths), strict=True)
    ]
    count = sum(answer.count for answer in answers)
    total = sum(answer.total for answer in answers)
    return total / count, torch.cat([answer.grad for answer in answers]).cpu() / count
