"""The specification of losses that see a list as a whole: ListNet, ListMLE, ApproxNDCG."""

from __future__ import annotations

import torch
from torch import Tensor

from fused_rankloss.options import ListwiseOptions
from fused_rankloss.reference._batch import Items, over_lists, poisoned
from fused_rankloss.reference._ndcg import discounts_at, item_gains, max_dcg, normalised
from fused_rankloss.reference.lambda_loss import has_nan
from fused_rankloss.reference.pairwise import are_weights

# Every loss gives the terms of a list's items, each of which counts its item's weight, and whether
# the list counts.
Terms = tuple[Tensor, Tensor | bool]


def listnet(scores: Tensor, labels: Tensor, *_: object) -> Terms:
    """Cross entropy from softmax(labels) to softmax(scores)."""
    surprise = scores.logsumexp(0) - scores
    return torch.softmax(labels.to(scores), 0) * surprise, len(scores) > 0


def position_weights(n: int, given: Tensor | None, positions: str, like: Tensor) -> Tensor:
    """The weight of each of n positions."""
    place = torch.arange(1, n + 1, device=like.device)
    if given is not None:
        return discounts_at(place, given, like)
    if positions == "none":
        return torch.ones_like(like)
    raw = torch.exp2(-place.to(like)) - 2.0**-n  # (2^(n - place) - 1) 2^-n
    return raw / raw.sum().clamp(min=torch.finfo(like.dtype).tiny)


def list_mle(
    scores: Tensor, labels: Tensor, gains: Tensor | None, given: Tensor | None, o: ListwiseOptions
) -> Terms:
    """-log of the Plackett-Luce probability of the order by labels; ties keep their order."""
    order = labels.argsort(descending=True, stable=True)
    ordered = scores[order]
    places = torch.arange(len(order), device=order.device)
    is_left = places[None, :] >= places[:, None]  # when place t is filled, of the items at u
    surprise = torch.where(is_left, ordered, -torch.inf).logsumexp(1) - ordered
    weighted = position_weights(len(scores), given, o.positions, scores) * surprise
    return torch.zeros_like(scores).scatter(0, order, weighted), (labels != labels[:1]).any()


def approx_ndcg(
    scores: Tensor, labels: Tensor, gains: Tensor | None, given: Tensor | None, o: ListwiseOptions
) -> Terms:
    """-NDCG, with 1/2 + sum_j sigmoid((s_j - s_i) / T) for the rank of i; the sum includes i."""
    above = (scores[None, :] - scores[:, None]) / o.temperature
    soft_rank = 0.5 + torch.sigmoid(above).sum(1)
    return -normalised(gains, None, 0) / torch.log2(1 + soft_rank), max_dcg(gains, None, 0) > 0


LISTWISE = {"listnet": listnet, "list_mle": list_mle, "approx_ndcg": approx_ndcg}


def listwise(
    tensors: Items,
    items: list[Tensor],
    list_weights: Tensor | None,
    given: Tensor | None,
    options: ListwiseOptions,
    reduction: str,
) -> Tensor:
    """The loss of a batch; ``tensors`` are scores, labels, weights and gains."""

    def list_sum(
        scores: Tensor, labels: Tensor, weights: Tensor | None, gains: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        if has_nan(labels) or not scores.isfinite().all() or not are_weights(weights):
            return poisoned(scores)
        if options.loss == "approx_ndcg":
            gains = item_gains(labels, gains, options.gain, scores)
            if not gains.isfinite().all():
                return poisoned(scores)
        terms, counts = LISTWISE[options.loss](scores, labels, gains, given, options)
        total = (terms if weights is None else terms * weights.to(terms)).sum()
        counts = torch.as_tensor(counts, device=scores.device)
        return torch.where(counts, total, 0 * scores.sum()), counts.to(scores)

    return over_lists(list_sum, tensors, items, list_weights, reduction)
