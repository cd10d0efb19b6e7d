"""Ranks, gains and discounts of one list ``[n]``."""

from __future__ import annotations

import torch
from torch import Tensor


def ranks(scores: Tensor) -> Tensor:
    """1-based, by descending score; equal scores keep their order in the list."""
    order = scores.detach().argsort(descending=True, stable=True)
    return torch.empty_like(order).scatter_(0, order, torch.arange(1, len(order) + 1).to(order))


def item_gains(labels: Tensor, gains: Tensor | None, gain: str, like: Tensor) -> Tensor:
    """``gains``, or labels, or 2^label - 1 relative to 2^(largest label), which cancels in NDCG."""
    if gains is not None or gain == "linear" or len(labels) == 0:
        return (labels if gains is None else gains).to(like)
    labels = labels.to(like)
    top = labels.max().clamp(min=0)
    return torch.exp2(labels - top) - torch.exp2(-top)


def discounts_at(ranks: Tensor, discounts: Tensor | None, like: Tensor) -> Tensor:
    """1 / log2(1 + rank), or ``discounts[rank - 1]`` and 0 behind its end."""
    if discounts is None:
        return 1 / torch.log2(1 + ranks.to(like))
    padded = torch.cat([discounts, discounts.new_zeros(1)]).to(like)
    return padded[(ranks - 1).clamp(max=len(discounts))]


def max_dcg(gains: Tensor, discounts: Tensor | None, k: int) -> Tensor:
    """The DCG at k (0: at n) of the best order."""
    best = gains.sort(descending=True).values
    places = torch.arange(1, len(best) + 1, device=best.device)
    products = best * discounts_at(places, discounts, best)
    return products[: k or None].sum()


def normalised(gains: Tensor, discounts: Tensor | None, k: int) -> Tensor:
    """Gains whose best DCG is 1; all 0 where it cannot be."""
    ideal = max_dcg(gains, discounts, k)
    return torch.where(ideal > 0, gains / ideal, 0)
