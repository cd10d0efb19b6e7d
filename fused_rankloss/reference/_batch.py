"""A batch is a loop over its lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from fused_rankloss.reference.pairwise import reduce_lists, weigh_list

# What goes item by item: scores, labels, weights, gains.
Items = Sequence[Tensor | None]


def each_list(tensors: Items, items: list[Tensor]) -> list[list[Tensor | None]]:
    """The tensors cut into lists; ``items[b]`` are the flat positions of list b's real items."""
    flat = [None if tensor is None else tensor.flatten() for tensor in tensors]
    return [[None if tensor is None else tensor[index] for tensor in flat] for index in items]


def over_lists(
    list_sum: Callable[..., tuple[Tensor, Tensor]],
    tensors: Items,
    items: list[Tensor],
    list_weights: Tensor | None,
    reduction: str,
) -> Tensor:
    """Reduces ``list_sum(scores, labels, ...) -> (sum, pairs)`` of every list to the loss."""
    scores = tensors[0].flatten()
    sums, pairs = [scores[:0]], [scores.new_zeros(0)]  # a graph, even without a list
    for b, one in enumerate(each_list(tensors, items)):
        total, count = list_sum(*one)
        if list_weights is not None:
            total, count = weigh_list(total, count, list_weights[b], one[0])
        sums.append(total[None])
        pairs.append(count[None])
    return reduce_lists(torch.cat(sums), torch.cat(pairs), reduction, list_weights)


def poisoned(scores: Tensor) -> tuple[Tensor, Tensor]:
    """A list with NaN among its numbers: loss and gradient NaN, and no pair for any mean."""
    return (scores * torch.nan).sum() + torch.nan, scores.new_zeros(())
