"""The losses as functions: argument checks, choice of implementation."""

from fused_rankloss.functional.catalogue import (
    catalogue_hinge_loss,
    catalogue_logistic_loss,
    catalogue_softmax_loss,
    catalogue_squared_hinge_loss,
    catalogue_warp_loss,
)
from fused_rankloss.functional.lambda_loss import (
    ListStatistics,
    lambda_loss,
    pairwise_logistic_loss,
)
from fused_rankloss.functional.listwise import approx_ndcg_loss, list_mle_loss, listnet_loss
from fused_rankloss.functional.pairwise import pairwise_hinge_loss, pairwise_squared_hinge_loss
from fused_rankloss.functional.triplet import (
    MinedTriplets,
    batch_all_triplet_loss,
    batch_hard_triplet_loss,
    batch_semi_hard_triplet_loss,
    triplet_loss,
)

__all__ = [
    "ListStatistics",
    "MinedTriplets",
    "approx_ndcg_loss",
    "batch_all_triplet_loss",
    "batch_hard_triplet_loss",
    "batch_semi_hard_triplet_loss",
    "catalogue_hinge_loss",
    "catalogue_logistic_loss",
    "catalogue_softmax_loss",
    "catalogue_squared_hinge_loss",
    "catalogue_warp_loss",
    "lambda_loss",
    "list_mle_loss",
    "listnet_loss",
    "pairwise_hinge_loss",
    "pairwise_logistic_loss",
    "pairwise_squared_hinge_loss",
    "triplet_loss",
]
