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


def are_weights(weights: Tensor | None) -> bool:
    """Whether all are finite and not negative."""
    return weights is None or bool((weights.isfinite() & (weights >= 0)).all())


def pairwise_list_sums(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor | None,
    margins: Tensor,
    loss: str,
    weighting: str,
    boundary_grad: float,
) -> tuple[Tensor, Tensor]:
    """Sums of a pair loss over one list ``[n]``, ``[K]``, and the summed weight of its pairs.

    A list that holds NaN, what is no weight, or the difference of two equal infinities, has loss
    and gradient NaN and counts no pair, so that its gradient reaches no other list through the
    mean. Where there is a pair, a margin that is NaN, or infinite as some score is, makes its own
    sum and all gradients NaN.
    """
    is_pair = labels[:, None] > labels[None, :]
    # What is no pair is in order by far: infinite scores shall not reach it.
    distance = torch.where(is_pair, scores[:, None] - scores[None, :], torch.inf)
    pair_weights = is_pair.to(scores)
    if weights is not None:
        pair_weights = torch.where(is_pair, weights[:, None].to(scores), 0)
        if weighting == "product":
            pair_weights = torch.where(is_pair, pair_weights * weights[None, :].to(scores), 0)
    pairs = pair_weights.sum()
    has_nan = any(bool(tensor.isnan().any()) for tensor in (scores, labels, distance))
    spoiled = (scores * torch.nan).sum() + (margins * torch.nan).sum()
    if has_nan or not are_weights(weights) or not pairs.isfinite():
        return spoiled.expand(len(margins)), torch.zeros_like(pairs)
    if not pairs > 0:
        return (scores[:0].sum() + margins[:0].sum()).expand(len(margins)), pairs
    unclear = margins.isnan() | (margins.isinf() & scores.isinf().any())
    # What weighs nothing counts nothing, even at an infinite gap.
    counts = pair_weights > 0
    sums = []
    for margin, is_unclear in zip(margins, unclear, strict=True):
        gap = torch.where(counts, margin - distance, -1)
        total = (pair_weights * PAIR_TERMS[loss](gap, boundary_grad)).sum()
        if unclear.any():
            # What is not taken has its gradient, NaN, all the same.
            total = torch.where(is_unclear, spoiled, total)
        sums.append(total)
    return torch.stack(sums), pairs


def overflow_is_nan(weight: Tensor) -> Tensor:
    return weight + (weight - weight)


def weigh_list(
    sums: Tensor, pairs: Tensor, weight: Tensor, *variables: Tensor
) -> tuple[Tensor, Tensor]:
    """The sums and the pairs of a list that counts ``weight`` times.

    What is no weight makes the list NaN, and all gradients of ``variables`` in it. A weight of 0
    leaves the list out, even where it is infinite, but not where it is NaN and counts no pair.
    """
    if not are_weights(weight):
        spoiled = sum((variable * torch.nan).sum() for variable in variables) + torch.nan
        return spoiled.expand(sums.shape), torch.zeros_like(pairs)
    if weight == 0 and pairs > 0:
        nothing = sum(variable[:0].sum() for variable in variables)
        return nothing.expand(sums.shape), torch.zeros_like(pairs)
    return sums * weight.to(sums), pairs


def reduce_lists(
    sums: Tensor, pairs: Tensor, reduction: str, list_weights: Tensor | None
) -> Tensor:
    """Reduces list sums ``[..., B]`` with ``pairs`` ``[B]`` to the loss.

    The sums have been multiplied by ``list_weights`` ``[B]``, the pairs have not.
    """
    if reduction == "none":
        return sums
    if reduction == "sum":
        return sums.sum(-1)
    if reduction == "batch_mean":
        return sums.sum(-1) / max(sums.shape[-1], 1)
    has_pairs = pairs > 0
    counts = has_pairs.to(pairs)  # how often each list counts
    if list_weights is not None:
        counts = torch.where(has_pairs, list_weights.to(pairs), 0)
    if reduction == "mean":
        divisor = (counts * pairs).sum()
    else:
        sums = sums / torch.where(has_pairs, overflow_is_nan(pairs), 1)
        divisor = counts.sum()
    return sums.sum(-1) / torch.where(divisor > 0, overflow_is_nan(divisor), 1)


def pairwise(
    scores: Tensor,
    labels: Tensor,
    items: list[Tensor],
    *,
    weights: Tensor | None,
    list_weights: Tensor | None,
    margin: Tensor | float,
    loss: str,
    weighting: str,
    boundary_grad: float,
    reduction: str,
) -> Tensor:
    """A pair loss over a batch; ``items[b]`` are the flat positions of list b's real items."""
    scores, labels = scores.flatten(), labels.flatten()
    weights = None if weights is None else weights.flatten()
    margins = torch.as_tensor(margin).to(scores).flatten()
    # A graph, even without a list.
    sums, pairs = [scores[:0].expand(len(margins), 0)], [scores.new_zeros(0)]
    for b, index in enumerate(items):
        own = None if weights is None else weights[index]
        list_sums, list_pairs = pairwise_list_sums(
            scores[index], labels[index], own, margins, loss, weighting, boundary_grad
        )
        if list_weights is not None:
            list_sums, list_pairs = weigh_list(
                list_sums, list_pairs, list_weights[b], scores[index], margins
            )
        sums.append(list_sums[:, None])
        pairs.append(list_pairs[None])
    return reduce_lists(torch.cat(sums, 1), torch.cat(pairs), reduction, list_weights)
