"""Ranking losses over a whole catalogue: all scores, and every pair of each query."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from fused_rankloss.options import CatalogueOptions
from fused_rankloss.reference.pairwise import PAIR_TERMS, reduce_lists


def softmax_terms(positive: Tensor, negative: Tensor, o: CatalogueOptions) -> Tensor:
    """logsumexp over the denominator of s / temperature, less s_i / temperature."""
    positive, negative = positive / o.temperature, negative / o.temperature
    if o.denominator == "catalogue":
        return torch.cat([positive, negative]).logsumexp(0) - positive
    rows = [positive[:, None], negative.expand(len(positive), -1)]
    return torch.cat(rows, 1).logsumexp(1) - positive


def pair_terms(
    positive: Tensor, negative: Tensor, rank_sums: Tensor | None, o: CatalogueOptions
) -> Tensor:
    """The sum over the negatives of each positive."""
    distance = positive[:, None] - negative[None, :]
    if o.loss == "logistic":
        return -logsigmoid(o.sigma * distance).sum(1)
    gap = o.margin - distance
    if o.loss != "warp":
        return PAIR_TERMS[o.loss](gap, o.boundary_grad).sum(1)
    violated = gap >= 0 if o.boundary_grad else gap > 0
    ranks = violated.sum(1)
    weights = torch.ones_like(positive)
    if rank_sums is not None:
        weights = rank_sums[ranks.clamp(max=len(rank_sums) - 1)] / ranks.clamp(min=1)
    return weights.to(gap) * torch.where(violated, gap, 0).sum(1)


def is_weight(weight: Tensor) -> bool:
    return bool(weight.isfinite() & (weight >= 0))


def is_spoiled(positive: Tensor, negative: Tensor, weight: Tensor, o: CatalogueOptions) -> bool:
    """NaN or no weight; where the weight is not 0, two equal infinities, a margin that is NaN or,
    as some score is, infinite, or no temperature."""
    both = torch.cat([positive, negative])
    if both.isnan().any() or not is_weight(weight):
        return True
    if weight == 0:
        return False
    if o.loss == "softmax":
        temperature = torch.as_tensor(o.temperature)
        return bool(both.max().isinf() | ~temperature.isfinite() | (temperature <= 0))
    if len(negative) == 0:
        return False
    margin = torch.as_tensor(o.margin)
    if margin.isnan() or (margin.isinf() and both.isinf().any()):
        return True
    return any((positive == x).any() and (negative == x).any() for x in (torch.inf, -torch.inf))


def hardest(scores: Tensor, negative: Tensor, k: int) -> Tensor:
    """Of the negatives ``[M]``, the k with the highest scores; of equal ones the first."""
    order = torch.where(negative, scores, -torch.inf).sort(descending=True, stable=True).indices
    order = order[negative[order]]
    kept = torch.zeros_like(negative)
    kept[order[:k]] = True
    return kept


def catalogue(
    scores: Tensor,
    positive: Tensor,
    excluded: Tensor,
    list_weights: Tensor | None,
    rank_sums: Tensor | None,
    options: CatalogueOptions,
    reduction: str,
) -> Tensor:
    """The loss of ``scores`` ``[B, M]``; ``positive`` and ``excluded`` say what each item is."""
    weights = torch.ones_like(scores[:, 0]) if list_weights is None else list_weights.to(scores)
    sums, pairs = [scores[:0].sum(1)], [scores.new_zeros(0)]  # a graph, even without a query
    for row, own, other, weight in zip(scores, positive, excluded, weights, strict=True):
        total, count = row[:0].sum(), row.new_zeros(())
        negative = ~own & ~other
        if own.any() or not is_weight(weight):
            parameter = torch.as_tensor(options.margin) + torch.as_tensor(options.temperature)
            if is_spoiled(row[own], row[negative], weight, options):
                total = (row[own | negative] * torch.nan).sum() + parameter * torch.nan
            elif weight != 0:
                if options.negatives:
                    negative = hardest(row.detach(), negative, options.negatives)
                count = own.sum().to(row)
                if options.loss == "softmax":
                    total = softmax_terms(row[own], row[negative], options).sum()
                elif negative.any():
                    total = pair_terms(row[own], row[negative], rank_sums, options).sum()
                if options.loss not in ("softmax", "warp"):
                    count = count * negative.sum()
        sums.append(total[None])
        pairs.append(count[None])
    list_sums = torch.cat(sums) if list_weights is None else torch.cat(sums) * weights
    return reduce_lists(list_sums, torch.cat(pairs), reduction, list_weights)
