"""The losses, one row each: everything else in this folder follows from the row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor

import fused_rankloss
from benchmarks.ranking import baselines, one_list

MAIN_LOSSES = ("pairwise_logistic", "lambdarank")  # measured in more ways than the others


@dataclass(frozen=True)
class Loss:
    """A loss with its options: the mean over kept pairs, or over the lists that count."""

    name: str
    title: str  # for people
    fused: Callable[..., Tensor]
    eager: Callable[..., Tensor]  # of padded scores, labels and mask
    exact: Callable[[Tensor, Tensor], one_list.Answer]  # of one list
    options: dict = field(default_factory=dict)  # of fused
    eager_options: dict = field(default_factory=dict)
    quadratic: bool = True  # whether eager fills [B, N, N]


LOSSES = {
    loss.name: loss
    for loss in (
        Loss(
            "pairwise_logistic",
            "RankNet",
            fused_rankloss.pairwise_logistic_loss,
            baselines.ranknet,
            one_list.pair_sums,
        ),
        Loss(
            "lambdarank",
            "LambdaRank",
            fused_rankloss.lambda_loss,
            baselines.lambda_loss,
            partial(one_list.pair_sums, scheme="lambdarank"),
        ),
        Loss(
            "lambdarank_at_100",
            "LambdaRank at 100",
            fused_rankloss.lambda_loss,
            baselines.lambda_loss,
            partial(one_list.pair_sums, scheme="lambdarank", k=100),
            options={"k": 100},
            eager_options={"k": 100},
        ),
        Loss(
            "ndcg_loss2pp",
            "NDCG-Loss2++",
            fused_rankloss.lambda_loss,
            baselines.lambda_loss,
            partial(one_list.pair_sums, scheme="ndcg_loss2++"),
            options={"scheme": "ndcg_loss2++", "mu": one_list.MU},
            eager_options={"mu": one_list.MU},
        ),
        Loss(
            "listnet",
            "ListNet",
            fused_rankloss.listnet_loss,
            baselines.listnet,
            one_list.listnet,
            quadratic=False,
        ),
        Loss(
            "list_mle",
            "ListMLE",
            fused_rankloss.list_mle_loss,
            baselines.list_mle,
            one_list.list_mle,
            quadratic=False,
        ),
        Loss(
            "approx_ndcg",
            "ApproxNDCG",
            fused_rankloss.approx_ndcg_loss,
            baselines.approx_ndcg,
            one_list.approx_ndcg,
        ),
    )
}
