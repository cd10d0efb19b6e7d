"""The specification of weighted pair losses: LambdaRank, LambdaLoss, RankNet."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from fused_rankloss.options import LambdaOptions
from fused_rankloss.reference._batch import Items, each_list, over_lists, poisoned
from fused_rankloss.reference._ndcg import discounts_at, item_gains, max_dcg, normalised, ranks
from fused_rankloss.reference.pairwise import are_weights

# Of the gap D = s_i - s_j: the loss of a pair, and the size of its slope.
PAIR_LOSSES = {
    "logistic": (
        lambda gap, o: -F.logsigmoid(o.sigma * gap),
        lambda gap, o: o.sigma * torch.sigmoid(-o.sigma * gap),
    ),
    "hinge": (
        lambda gap, o: (o.margin - gap).clamp(min=0),
        lambda gap, o: (o.margin >= gap).to(gap),
    ),
    "squared_hinge": (
        lambda gap, o: (o.margin - gap).relu().square(),
        lambda gap, o: 2 * (o.margin - gap).relu(),
    ),
}


def kept_pairs(labels: Tensor, rank: Tensor, o: LambdaOptions) -> Tensor:
    """Which (i, j) are pairs, ``[n, n]``: the truncation rule leaves some out."""
    if o.scheme == "ndcg_loss1":
        is_pair = torch.ones(len(rank), len(rank), dtype=torch.bool, device=rank.device)
    else:
        is_pair = labels[:, None] > labels[None, :]
    if o.k == 0:
        return is_pair
    i_on_top, j_on_top = (rank <= o.k)[:, None], (rank <= o.k)[None, :]
    return is_pair & (i_on_top & j_on_top if o.truncation == "both" else i_on_top | j_on_top)


def lambda_weights(
    labels: Tensor, gains: Tensor, discounts: Tensor | None, rank: Tensor, o: LambdaOptions
) -> Tensor:
    """The weight ``[n, n]`` that the scheme gives to pairs (i, j); ``gains`` are normalised."""
    if o.scheme == "none":
        return torch.ones_like(gains[:, None] - gains[None, :])
    if o.scheme == "arp":
        return (labels[:, None].to(gains) - labels[None, :].to(gains)).abs()
    discount = discounts_at(rank, discounts, gains)
    if o.truncation == "discount" and o.k > 0:
        discount = torch.where(rank <= o.k, discount, 0)
    if o.scheme == "ndcg_loss1":
        return (gains * discount)[:, None].expand(len(rank), len(rank))
    apart = (rank[:, None] - rank[None, :]).abs().clamp(min=1)
    step = discounts_at(apart, discounts, gains) - discounts_at(apart + 1, discounts, gains)
    change = {
        "lambdarank": (discount[:, None] - discount[None, :]).abs(),
        "ndcg_loss2": step.abs(),
    }
    change["ndcg_loss2++"] = o.mu * change["ndcg_loss2"] + change["lambdarank"]
    return (gains[:, None] - gains[None, :]).abs() * change[o.scheme]


def weigh_pairs(
    scores: Tensor, labels: Tensor, weights: Tensor | None, o: LambdaOptions
) -> tuple[Tensor, Tensor, Tensor]:
    """Which (i, j) are pairs, the gaps of their scores, and their weights, ``[n, n]`` each."""
    is_pair = kept_pairs(labels, ranks(scores), o)
    # What is no pair has a finite gap: infinite scores shall not reach it.
    gap = torch.where(is_pair, scores[:, None] - scores[None, :], 1)
    pair_weights = torch.where(is_pair, 1, 0).to(gap)
    if weights is not None:
        pair_weights = pair_weights * weights[:, None].to(gap)
        if o.weighting == "product":
            pair_weights = pair_weights * weights[None, :].to(gap)
    return is_pair, gap, pair_weights


def is_poisoned(
    scores: Tensor, labels: Tensor, weights: Tensor | None, gains: Tensor | None, o: LambdaOptions
) -> bool:
    """Whether the loss of a list is NaN. Gains have a say where the weights of pairs use them."""
    _, gap, pair_weights = weigh_pairs(scores, labels, weights, o)
    if has_nan(scores, labels, gap) or not are_weights(weights):
        return True
    if not pair_weights.sum().isfinite():
        return True
    if o.scheme == "none":
        return False
    used = labels if o.scheme == "arp" else item_gains(labels, gains, o.gain, scores)
    return not bool(used.isfinite().all())


def lambda_list_sum(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor | None,
    gains: Tensor | None,
    discounts: Tensor | None,
    o: LambdaOptions,
) -> tuple[Tensor, Tensor]:
    """Sum of the weighted pair loss over one list ``[n]``, and the weight of its pairs."""
    if is_poisoned(scores, labels, weights, gains, o):
        return poisoned(scores)
    rank = ranks(scores)
    _, gap, pair_weights = weigh_pairs(scores, labels, weights, o)
    relative = normalised(item_gains(labels, gains, o.gain, scores), discounts, o.k)
    factors = pair_weights * lambda_weights(labels, relative, discounts, rank, o) * o.scale
    if o.score_normalization and (scores != scores[:1]).any():
        factors = factors / (0.01 + gap.detach().abs())
    loss, slope = PAIR_LOSSES[o.pair_loss]
    # What weighs nothing counts nothing, even at an infinite gap.
    gap = torch.where(factors != 0, gap, 1)
    total = (factors * loss(gap, o)).sum()
    if o.list_normalization:
        size = 2 * (factors * slope(gap.detach(), o)).sum()
        total = total * torch.where(size > 0, torch.log2(1 + size) / size, 1)
    return total, pair_weights.sum()


def has_nan(*tensors: Tensor | None) -> bool:
    return any(bool(tensor.isnan().any()) for tensor in tensors if tensor is not None)


def lambda_loss(
    tensors: Items,
    items: list[Tensor],
    list_weights: Tensor | None,
    discounts: Tensor | None,
    options: LambdaOptions,
    reduction: str,
) -> Tensor:
    """The loss of a batch; ``tensors`` are scores, labels, weights and gains."""

    def list_sum(*one: Tensor | None) -> tuple[Tensor, Tensor]:
        return lambda_list_sum(*one, discounts, options)

    return over_lists(list_sum, tensors, items, list_weights, reduction)


def list_statistics(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor | None,
    gains: Tensor | None,
    discounts: Tensor | None,
    o: LambdaOptions,
) -> Tensor:
    """Number of pairs, how many of them are in order (ties count 1/2), NDCG at k: ``[3]``.

    A list whose loss is NaN has 0, NaN and NaN. Gains that the loss has no use for make the NDCG
    alone NaN.
    """
    scores = scores.detach()
    if is_poisoned(scores, labels, weights, gains, o):
        return torch.tensor([0, torch.nan, torch.nan], dtype=torch.float64, device=scores.device)
    is_pair = labels[:, None] > labels[None, :]
    above = (scores[:, None] > scores[None, :]).double()
    in_order = above + 0.5 * (scores[:, None] == scores[None, :])
    gains, rank = item_gains(labels, gains, o.gain, scores.double()), ranks(scores)
    products = gains * discounts_at(rank, discounts, gains)
    dcg = torch.where(rank <= (o.k or len(rank)), products, 0).sum()
    ideal = max_dcg(gains, discounts, o.k)
    ndcg = torch.where(gains.isfinite().all() & (ideal > 0), dcg / ideal, torch.nan)
    return torch.stack([is_pair.sum().double(), in_order[is_pair].sum(), ndcg])


def statistics(
    tensors: Items, items: list[Tensor], discounts: Tensor | None, options: LambdaOptions
) -> Tensor:
    """``[B, 3]``, see :func:`list_statistics`."""
    rows = [list_statistics(*one, discounts, options) for one in each_list(tensors, items)]
    return torch.stack(rows) if rows else tensors[0].new_zeros([0, 3], dtype=torch.float64)
