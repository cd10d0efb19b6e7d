"""Ranking losses for PyTorch that never hold an n x n matrix; exact and deterministic.

Losses over lists of scores, at the cost of a sort, as functions and as modules:

    pairwise_hinge_loss, PairwiseHingeLoss
    pairwise_squared_hinge_loss, PairwiseSquaredHingeLoss

Losses over embeddings, at the cost of a matrix product:

    triplet_loss, TripletLoss
    batch_hard_triplet_loss, BatchHardTripletLoss
    batch_semi_hard_triplet_loss, BatchSemiHardTripletLoss
    batch_all_triplet_loss, BatchAllTripletLoss

``PKSampler`` draws the batches that the last three need. ``build_info()`` says what this
installation was built with and whether its CUDA kernels loaded.
"""

from fused_rankloss._extension import build_info
from fused_rankloss.functional import (
    MinedTriplets,
    batch_all_triplet_loss,
    batch_hard_triplet_loss,
    batch_semi_hard_triplet_loss,
    pairwise_hinge_loss,
    pairwise_squared_hinge_loss,
    triplet_loss,
)
from fused_rankloss.modules import (
    BatchAllTripletLoss,
    BatchHardTripletLoss,
    BatchSemiHardTripletLoss,
    PairwiseHingeLoss,
    PairwiseSquaredHingeLoss,
    TripletLoss,
)
from fused_rankloss.samplers import PKSampler

__version__ = build_info()["version"]

__all__ = [
    "BatchAllTripletLoss",
    "BatchHardTripletLoss",
    "BatchSemiHardTripletLoss",
    "MinedTriplets",
    "PKSampler",
    "PairwiseHingeLoss",
    "PairwiseSquaredHingeLoss",
    "TripletLoss",
    "batch_all_triplet_loss",
    "batch_hard_triplet_loss",
    "batch_semi_hard_triplet_loss",
    "build_info",
    "pairwise_hinge_loss",
    "pairwise_squared_hinge_loss",
    "triplet_loss",
]
