"""Pairwise losses over lists of scores: quadratic."""

from __future__ import annotations

import torch
from torch import Tensor


def hinge(gap: Tensor, boundary_grad: float) -> Tensor:
    """max(0, gap); the derivative at gap = 0 is ``boundary_grad``."""
    return torch.where(gap == 0, boundary_grad * gap, gap.relu())


def squared_hinge(gap: Tensor, boundary_grad: float) -> Tensor:
    """max(0, gap)^2, whose derivative at gap = 0 is 0 whatever ``boundary_grad`` says."""
    return gap.relu().square()


PAIR_TERMS = {"hinge": hinge, "squared_hinge": squared_hinge}


def pairwise_list_sum(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor | None,
    margin: Tensor | float,
    loss: str,
    weighting: str,
    boundary_grad: float,
) -> tuple[Tensor, Tensor]:
    """Sum of a pair loss over one list ``[n]`` and the (weighted) number of its pairs.

    A list that holds NaN, or the difference of two equal infinities, has loss and gradient NaN and
    counts no pair, so that its gradient reaches no other list through the mean.
    """
    is_pair = labels[:, None] > labels[None, :]
    # What is no pair has a gap of no loss and no slope: infinite scores shall not reach it.
    gap = torch.where(is_pair, margin - (scores[:, None] - scores[None, :]), -1)
    terms = PAIR_TERMS[loss](gap, boundary_grad)
    pair_weights = torch.ones_like(gap)
    if weights is not None:
        pair_weights = weights[:, None].to(gap.dtype).expand_as(gap)
        if weighting == "product":
            pair_weights = pair_weights * weights[None, :].to(gap.dtype)
    total = (pair_weights * terms).sum()
    pairs = torch.where(is_pair, pair_weights, 0).sum()
    inputs = [scores, labels] if weights is None else [scores, labels, weights]
    if any(tensor.isnan().any() for tensor in inputs) or gap.isnan().any():
        return total + (scores * torch.nan).sum() + margin * torch.nan, torch.zeros_like(pairs)
    return total, pairs


def reduce_lists(sums: Tensor, pairs: Tensor, reduction: str) -> Tensor:
    """Reduces list sums ``[..., B]`` with ``pairs`` ``[B]`` to the loss."""
    if reduction == "none":
        return sums
    if reduction == "sum":
        return sums.sum(-1)
    if reduction == "batch_mean":
        return sums.sum(-1) / max(sums.shape[-1], 1)
    if reduction == "mean":
        total = pairs.sum()
        return sums.sum(-1) / torch.where(total > 0, total, 1)
    has_pairs = pairs > 0
    means = sums / torch.where(has_pairs, pairs, 1)
    return means.sum(-1) / has_pairs.sum().clamp(min=1)


def pairwise(
    scores: Tensor,
    labels: Tensor,
    items: list[Tensor],
    *,
    weights: Tensor | None,
    margin: Tensor | float,
    loss: str,
    weighting: str,
    boundary_grad: float,
    reduction: str,
) -> Tensor:
    """A pair loss over a batch; ``items[b]`` are the flat positions of list b's real items."""
    scores, labels = scores.flatten(), labels.flatten()
    weights = None if weights is None else weights.flatten()
    margins = margin.flatten() if isinstance(margin, Tensor) else [margin]

    def batch(margin: Tensor | float) -> Tensor:
        sums, pairs = [scores[:0]], [scores.new_zeros(0)]  # a graph, even without a list
        for index in items:
            list_weights = None if weights is None else weights[index]
            list_sum, list_pairs = pairwise_list_sum(
                scores[index], labels[index], list_weights, margin, loss, weighting, boundary_grad
            )
            sums.append(list_sum[None])
            pairs.append(list_pairs[None])
        return reduce_lists(torch.cat(sums), torch.cat(pairs), reduction)

    return torch.stack([batch(margin) for margin in margins])
