"""What the package is compared with: padded batches ``[B, N]``, as libraries for learning to rank
in PyTorch have them. The pair losses and ApproxNDCG fill ``[B, N, N]``.

The steps are those of allRank's losses; what those compute in passing, as a power of a probability
clamped from below, is left out where it only costs. Half-precision scores are widened, as autocast
widens them. Data preparation that a user could do once, such as padding labels, is outside.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

_FAR_BELOW = -1e16  # the score of padding, whose exponential is 0
_EPS = 1e-10


def widened(scores: Tensor) -> Tensor:
    return scores.to(torch.promote_types(scores.dtype, torch.float32))


def ranknet(scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    scores = widened(scores)
    gaps = scores[:, :, None] - scores[:, None, :]
    is_pair = _pairs(labels, mask)
    return torch.where(is_pair, F.softplus(-gaps), 0).sum() / is_pair.sum()


def lambda_loss(
    scores: Tensor, labels: Tensor, mask: Tensor, k: int | None = None, mu: float | None = None
) -> Tensor:
    """LambdaRank, or with ``mu`` NDCG-Loss2++: everything in the order of the scores.

    With ``k``, pairs with one of the two among the first k, as LightGBM and XGBoost have them.
    """
    scores = widened(scores).masked_fill(~mask, _FAR_BELOW)
    scores, order = scores.sort(dim=1, descending=True, stable=True)
    labels, mask = labels.gather(1, order), mask.gather(1, order)
    gains = _relative_gains(labels, mask, k)
    places = torch.arange(labels.shape[1], device=labels.device)
    discounts = 1 / torch.log2(2 + places)
    change = (discounts[:, None] - discounts[None, :]).abs()
    if mu is not None:
        apart = (places[:, None] - places[None, :]).abs().clamp(min=1)
        change = change + mu * (1 / torch.log2(1 + apart) - 1 / torch.log2(2 + apart))
    is_pair = _pairs(labels, mask)
    if k is not None:
        is_pair = is_pair & ((places < k)[:, None] | (places < k)[None, :])
    weights = (gains[:, :, None] - gains[:, None, :]).abs() * change
    losses = weights * F.softplus(-(scores[:, :, None] - scores[:, None, :]))
    return torch.where(is_pair, losses, 0).sum() / is_pair.sum()


def listnet(scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    wanted = torch.softmax(labels.to(torch.float32).masked_fill(~mask, -torch.inf), dim=1)
    return F.cross_entropy(widened(scores).masked_fill(~mask, _FAR_BELOW), wanted)


def list_mle(scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """With a stable sort, where allRank shuffles equal labels; its mean is over all lists."""
    order = labels.masked_fill(~mask, -1).sort(dim=1, descending=True, stable=True).indices
    scores = widened(scores).masked_fill(~mask, _FAR_BELOW).gather(1, order)
    below_best = scores - scores.amax(dim=1, keepdim=True)
    rest = below_best.exp().flip(1).cumsum(1).flip(1)
    terms = torch.where(mask.gather(1, order), torch.log(rest + _EPS) - below_best, 0)
    has_order = labels.amax(1) > labels.masked_fill(~mask, labels.max()).amin(1)
    return torch.where(has_order, terms.sum(1), 0).sum() / has_order.sum()


def approx_ndcg(scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    scores = widened(scores)
    above = torch.sigmoid(scores[:, None, :] - scores[:, :, None]) * mask[:, None, :]
    soft_ranks = 0.5 + above.sum(2)  # an item meets itself, which is another half
    gains = _relative_gains(labels, mask)
    counts = (labels * mask).amax(1) > 0
    return -(gains / torch.log2(1 + soft_ranks)).sum() / counts.sum()


def scattered(
    scores: Tensor,  # [T]
    labels: Tensor,  # [B, N]
    mask: Tensor,  # [B, N]
    eager: Callable[..., Tensor],
    **options: object,
) -> Tensor:
    """As sentence-transformers train cross-encoders: flat logits go into a matrix at every call."""
    matrix = torch.full(mask.shape, _FAR_BELOW, device=scores.device)
    return eager(matrix.masked_scatter(mask, widened(scores)), labels, mask, **options)


def _pairs(labels: Tensor, mask: Tensor) -> Tensor:
    """``[B, N, N]``, True for i, j where i is more relevant."""
    is_pair = labels[:, :, None] > labels[:, None, :]
    return is_pair & mask[:, :, None] & mask[:, None, :]


def _relative_gains(labels: Tensor, mask: Tensor, k: int | None = None) -> Tensor:
    """Of the best DCG at k; padding has none."""
    gains = (torch.exp2(labels.to(torch.float32)) - 1) * mask
    discounts = 1 / torch.log2(2 + torch.arange(labels.shape[1], device=labels.device))
    best = (gains.sort(dim=1, descending=True).values * discounts)[:, :k].sum(1, keepdim=True)
    return gains / best.clamp(min=_EPS)
