"""What the package is compared with: common PyTorch code, and sorts as yardsticks.

Each is written to be fast for what it is. Data preparation that a user could do once, such as
padding, is outside the timed part.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.family import MARGIN

Term = Callable[[Tensor], Tensor]


def mean_over_pairs(positives: Tensor, negatives: Tensor, term: Term) -> Tensor:
    """The loss of every pair of a positive ``[P]`` and a negative ``[N]`` item."""
    return term(MARGIN - positives[:, None] + negatives[None, :]).mean()


def eager(scores: Tensor, labels: Tensor, term: Term, pair_mean=mean_over_pairs) -> Tensor:
    """One list ``[N]`` with two levels in a line or five, the P x N matrix in memory."""
    return pair_mean(scores[labels > 0], scores[labels == 0], term)


def eager_loop(scores: Tensor, labels: Tensor, lengths: list[int], term: Term) -> Tensor:
    """A Python loop over lists with two levels; the mean over all pairs of the batch."""
    total = scores.new_zeros(())
    num_pairs = 0
    # split, because the backward pass of a slice is as long as the batch
    lists = scores.flatten().split(lengths)
    positive = (labels.flatten() > 0).split(lengths)
    for in_list, is_positive in zip(lists, positive, strict=True):
        positives, negatives = in_list[is_positive], in_list[~is_positive]
        total = total + term(MARGIN - positives[:, None] + negatives[None, :]).sum()
        num_pairs += len(positives) * len(negatives)
    return total / num_pairs


def padded_eager(
    scores: Tensor,  # [B, N]
    labels: Tensor,  # [B, N]
    mask: Tensor,  # [B, N], True where an item is real
    term: Term,
    weights: Tensor | None = None,  # [B, N]
) -> Tensor:
    """Batches and grades the way learning-to-rank libraries in PyTorch do them: ``[B, N, N]``."""
    is_pair = labels[:, :, None] > labels[:, None, :]
    is_pair &= mask[:, :, None] & mask[:, None, :]
    terms = term(MARGIN - scores[:, :, None] + scores[:, None, :])
    if weights is None:
        return torch.where(is_pair, terms, 0).sum() / is_pair.sum()
    pair_weights = torch.where(is_pair, weights[:, :, None] * weights[:, None, :], 0)
    return (pair_weights * terms).sum() / pair_weights.sum()


def sort_cumsum(
    scores: Tensor,  # [..., N]
    labels: Tensor,  # as scores
    levels: int,
    degree: int,
    mask: Tensor | None = None,
    weights: Tensor | None = None,
) -> Tensor:
    """The log-linear textbook recipe: sort, running sums over the lower items, once per level.

    A positive item meets the negatives above ``score - MARGIN``; their number, sum and sum of
    squares are running sums in descending order. Autograd differentiates it.
    """
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    present = torch.ones_like(scores) if weights is None else weights.to(scores.dtype)
    if mask is not None:
        present = present * mask
    total = num_pairs = 0
    for level in range(1, levels):
        higher, lower = labels == level, labels < level
        value = torch.where(higher, scores - MARGIN, scores)
        # A pair on the margin counts, as in clamp: among equals the negative comes first.
        below = torch.nextafter(value.detach(), torch.full_like(value, -torch.inf))
        order = torch.where(higher, below, value.detach()).argsort(dim=-1, descending=True)
        value = value.gather(-1, order)
        positive = (present * higher).gather(-1, order)
        negative = (present * lower).gather(-1, order)
        count = negative.cumsum(-1)
        first = (negative * value).cumsum(-1)
        if degree == 1:
            terms = first - count * value
        else:
            second = (negative * value.square()).cumsum(-1)
            terms = second - 2 * value * first + count * value.square()
        total = total + (positive * terms).sum()
        num_pairs = num_pairs + (positive.sum(-1) * count[..., -1]).sum()
    return total / num_pairs
