"""Ranking losses for PyTorch that never hold an n x n matrix; exact and deterministic.

Losses over lists of scores, at the cost of a sort, as functions and as modules:

    pairwise_hinge_loss, PairwiseHingeLoss
    pairwise_squared_hinge_loss, PairwiseSquaredHingeLoss
    pairwise_logistic_loss, PairwiseLogisticLoss     RankNet, BPR
    lambda_loss, LambdaLoss                          LambdaRank, LambdaLoss
    listnet_loss, ListNetLoss
    list_mle_loss, ListMLELoss
    approx_ndcg_loss, ApproxNDCGLoss

Losses over embeddings, at the cost of a matrix product:

    triplet_loss, TripletLoss
    batch_hard_triplet_loss, BatchHardTripletLoss
    batch_semi_hard_triplet_loss, BatchSemiHardTripletLoss
    batch_all_triplet_loss, BatchAllTripletLoss

Losses of queries over a whole catalogue of items, without sampling, at the cost of three products:

    catalogue_hinge_loss, CatalogueHingeLoss
    catalogue_squared_hinge_loss, CatalogueSquaredHingeLoss
    catalogue_logistic_loss, CatalogueLogisticLoss   BPR against all negatives
    catalogue_warp_loss, CatalogueWARPLoss           exact ranks
    catalogue_softmax_loss, CatalogueSoftmaxLoss

``PKSampler`` draws the batches that mining needs. ``build_info()`` says what this
installation was built with and whether its CUDA kernels loaded.
``python -m fused_rankloss`` prints that, and compares every loss with its reference.
"""

from fused_rankloss._extension import build_info
from fused_rankloss.functional import (
    ListStatistics,
    MinedTriplets,
    approx_ndcg_loss,
    batch_all_triplet_loss,
    batch_hard_triplet_loss,
    batch_semi_hard_triplet_loss,
    catalogue_hinge_loss,
    catalogue_logistic_loss,
    catalogue_softmax_loss,
    catalogue_squared_hinge_loss,
    catalogue_warp_loss,
    lambda_loss,
    list_mle_loss,
    listnet_loss,
    pairwise_hinge_loss,
    pairwise_logistic_loss,
    pairwise_squared_hinge_loss,
    triplet_loss,
)
from fused_rankloss.modules import (
    ApproxNDCGLoss,
    BatchAllTripletLoss,
    BatchHardTripletLoss,
    BatchSemiHardTripletLoss,
    CatalogueHingeLoss,
    CatalogueLogisticLoss,
    CatalogueSoftmaxLoss,
    CatalogueSquaredHingeLoss,
    CatalogueWARPLoss,
    LambdaLoss,
    ListMLELoss,
    ListNetLoss,
    PairwiseHingeLoss,
    PairwiseLogisticLoss,
    PairwiseSquaredHingeLoss,
    TripletLoss,
)
from fused_rankloss.samplers import PKSampler

__version__ = build_info()["version"]

__all__ = [
    "ApproxNDCGLoss",
    "BatchAllTripletLoss",
    "BatchHardTripletLoss",
    "BatchSemiHardTripletLoss",
    "CatalogueHingeLoss",
    "CatalogueLogisticLoss",
    "CatalogueSoftmaxLoss",
    "CatalogueSquaredHingeLoss",
    "CatalogueWARPLoss",
    "LambdaLoss",
    "ListMLELoss",
    "ListNetLoss",
    "ListStatistics",
    "MinedTriplets",
    "PKSampler",
    "PairwiseHingeLoss",
    "PairwiseLogisticLoss",
    "PairwiseSquaredHingeLoss",
    "TripletLoss",
    "approx_ndcg_loss",
    "batch_all_triplet_loss",
    "batch_hard_triplet_loss",
    "batch_semi_hard_triplet_loss",
    "build_info",
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
