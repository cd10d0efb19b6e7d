"""Loss and gradient of one list in float64, as the losses are defined.

Pairs are enumerated in lists of up to _LONGEST_BY_PAIRS items, and wherever their weights leave no
other way; gap_sums takes those of longer lists together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.ranking.gap_sums import Cells, Kernel

MU = 10.0  # of NDCG-Loss2++
_LONGEST_BY_PAIRS = 4096
_CHUNK_ENTRIES = 2**22  # of a matrix of pairs held at once


@dataclass(frozen=True)
class Answer:
    total: float
    count: float  # what the mean divides by: kept pairs, or 1 of a list that counts
    grad: Tensor  # of total, for the list's scores


# --- Pairs of unequal labels ---------------------------------------------------------------------


def pair_sums(scores: Tensor, labels: Tensor, scheme: str = "none", k: int | None = None) -> Answer:
    """``scheme`` as in lambda_loss; ``k`` keeps pairs with one of the two in the first k ranks."""
    order = scores.argsort(descending=True, stable=True)
    pairs = _RankedPairs(scores[order], labels[order], scheme, k)
    n, top = len(order), len(order) if k is None else min(k, len(order))
    if k is None and n > _LONGEST_BY_PAIRS and scheme != "ndcg_loss2++":
        pairs.add_levels()
    else:
        pairs.add(slice(0, top), slice(0, n))
        pairs.add(slice(top, n), slice(0, top))
    count = _num_pairs(labels) - _num_pairs(labels[order[top:]])
    return Answer(
        float(pairs.total), count, torch.empty_like(scores).scatter_(0, order, pairs.grad)
    )


def _num_pairs(labels: Tensor) -> float:
    counts = labels.unique(return_counts=True)[1].double()
    return float(len(labels) ** 2 - counts.square().sum()) / 2


class _RankedPairs:
    """The logistic loss of a list's pairs, in the order of its scores."""

    def __init__(self, scores: Tensor, labels: Tensor, scheme: str, k: int | None) -> None:
        self.scores, self.labels, self.scheme = scores, labels.double(), scheme
        self.gains = relative_gains(labels, k)
        self.places = torch.arange(len(scores), device=scores.device, dtype=torch.float64)
        self.discounts = 1 / torch.log2(2 + self.places)
        self.grad = torch.zeros_like(scores)
        self.total = scores.new_zeros(())

    def add(self, rows: slice, columns: slice) -> None:
        """Every item of ``rows`` with every item of ``columns``.

        The gradient is that of the rows, and the value half: pairs come a second time, mirrored.
        """
        height = max(1, _CHUNK_ENTRIES // max(1, columns.stop - columns.start))
        for begin in range(rows.start, rows.stop, height):
            part = slice(begin, min(begin + height, rows.stop))
            side = (self.labels[part, None] - self.labels[columns]).sign()  # 0: no pair
            gaps = side * (self.scores[part, None] - self.scores[columns])
            weights = self._weights(part, columns) * side.abs()
            self.total -= (weights * F.logsigmoid(gaps)).sum() / 2
            self.grad[part] -= (side * weights * torch.sigmoid(-gaps)).sum(1)

    def _weights(self, rows: slice, columns: slice) -> Tensor:
        if self.scheme == "none":
            return self.scores.new_ones(())
        change = (self.discounts[rows, None] - self.discounts[columns]).abs()
        if self.scheme == "ndcg_loss2++":
            apart = (self.places[rows, None] - self.places[columns]).abs().clamp(min=1)
            change += MU * (1 / torch.log2(1 + apart) - 1 / torch.log2(2 + apart))
        return change * (self.gains[rows, None] - self.gains[columns]).abs()

    def add_levels(self) -> None:
        """Every item with every level of labels at once.

        What LambdaRank gives to a pair is a change of gain, which two levels know, times one of
        discount, d_i - d_j with the sign of s_i - s_j: a sum of two products over cells above and
        below, and pair by pair within a cell.
        """
        cells = Cells(self.scores)
        levels, level_of = self.labels.unique(return_inverse=True)
        in_level = F.one_hot(level_of).double()
        if self.scheme == "none":
            factors = self.scores.new_ones(())
        else:
            level_gains = torch.zeros_like(levels).scatter_(0, level_of, self.gains)
            factors = (self.gains[:, None] - level_gains).abs()
        side = (self.labels[:, None] - levels).sign()

        def sums(kernel: Kernel) -> Tensor:
            if self.scheme == "none":
                return cells.sums(kernel, in_level)
            d = self.discounts[:, None]
            plain, discounted = (
                cells.sums(kernel, weights, signed=True) for weights in (in_level, d * in_level)
            )
            return d * plain - discounted

        self.total -= (factors * (side > 0) * sums(F.logsigmoid)).sum()
        self.grad -= (factors * (side > 0) * sums(lambda gap: torch.sigmoid(-gap))).sum(1)
        self.grad += (factors * (side < 0) * sums(torch.sigmoid)).sum(1)
        if self.scheme != "none":
            for cell in cells.slices():
                self.add(cell, cell)


def relative_gains(labels: Tensor, k: int | None = None) -> Tensor:
    """2^label - 1, of the best DCG at k; 0 where that is 0."""
    gains = torch.exp2(labels.double()) - 1
    places = torch.arange(len(labels), device=labels.device, dtype=torch.float64)
    best = (gains.sort(descending=True).values / torch.log2(2 + places))[:k].sum()
    return torch.where(best > 0, gains / best, 0)


# --- Lists as a whole ----------------------------------------------------------------------------


def _differentiated(scores: Tensor, loss: Callable[[Tensor], Tensor], counts: bool) -> Answer:
    leaf = scores.detach().clone().requires_grad_()
    total = loss(leaf) * counts
    total.backward()
    return Answer(total.item(), float(counts), leaf.grad)


def listnet(scores: Tensor, labels: Tensor) -> Answer:
    wanted = torch.softmax(labels.double(), 0)
    return _differentiated(scores, lambda s: -(wanted * s.log_softmax(0)).sum(), True)


def list_mle(scores: Tensor, labels: Tensor) -> Answer:
    order = labels.argsort(descending=True, stable=True)

    def loss(scores: Tensor) -> Tensor:
        ordered = scores[order]
        return (ordered.flip(0).logcumsumexp(0).flip(0) - ordered).sum()

    return _differentiated(scores, loss, bool(labels.min() < labels.max()))


def approx_ndcg(scores: Tensor, labels: Tensor) -> Answer:
    """An item is its own half a rank; the derivative of a soft rank is even in the gap."""
    if len(scores) > _LONGEST_BY_PAIRS:
        sums = Cells(scores).sums
    else:

        def sums(kernel: Kernel, weights: Tensor) -> Tensor:
            return kernel(scores[:, None] - scores) @ weights

    ones = torch.ones_like(scores)
    ranks = 0.5 + sums(lambda gap: torch.sigmoid(-gap), ones[:, None]).squeeze(1)
    gains, logs = relative_gains(labels), torch.log2(1 + ranks)
    by_rank = gains / (logs.square() * (1 + ranks) * math.log(2))  # d total / d rank
    slopes = sums(
        lambda gap: torch.sigmoid(gap) * torch.sigmoid(-gap), torch.stack([by_rank, ones], 1)
    )
    grad = slopes[:, 0] - by_rank * slopes[:, 1]
    return Answer(float(-(gains / logs).sum()), float(gains.any()), grad)
