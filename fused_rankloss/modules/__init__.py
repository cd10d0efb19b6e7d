"""The losses as ``nn.Module``s: options at construction, the batch in ``forward``."""

from fused_rankloss.modules.pairwise import PairwiseHingeLoss, PairwiseSquaredHingeLoss
from fused_rankloss.modules.triplet import (
    BatchAllTripletLoss,
    BatchHardTripletLoss,
    BatchSemiHardTripletLoss,
    TripletLoss,
)

__all__ = [
    "BatchAllTripletLoss",
    "BatchHardTripletLoss",
    "BatchSemiHardTripletLoss",
    "PairwiseHingeLoss",
    "PairwiseSquaredHingeLoss",
    "TripletLoss",
]
