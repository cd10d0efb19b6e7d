"""The losses as functions: argument checks, choice of implementation."""

from fused_rankloss.functional.pairwise import pairwise_hinge_loss, pairwise_squared_hinge_loss
from fused_rankloss.functional.triplet import (
    MinedTriplets,
    batch_all_triplet_loss,
    batch_hard_triplet_loss,
    batch_semi_hard_triplet_loss,
    triplet_loss,
)

__all__ = [
    "MinedTriplets",
    "batch_all_triplet_loss",
    "batch_hard_triplet_loss",
    "batch_semi_hard_triplet_loss",
    "pairwise_hinge_loss",
    "pairwise_squared_hinge_loss",
    "triplet_loss",
]
