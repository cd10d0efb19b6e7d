"""The losses, one row each: everything else in this folder follows from the row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

import fused_rankloss


@dataclass(frozen=True)
class Loss:
    name: str
    title: str  # for people
    fused: Callable[..., Tensor]
    mining: str | None  # hard | semi_hard | all: triplets of a labelled batch; None: as given
    distance: str = "euclidean"
    reduction: str = "mean"  # all: over the active triplets, as the libraries have it
    # Relative error allowed to the gradient beyond rounding: of 100,000 triplets a few lie so close
    # to the margin that fp32 distances decide otherwise.
    slack: float = 0.0


LOSSES = {
    loss.name: loss
    for loss in (
        Loss(
            "batch_hard_triplet",
            "Batch-hard triplet loss",
            fused_rankloss.batch_hard_triplet_loss,
            mining="hard",
        ),
        Loss(
            "batch_semi_hard_triplet",
            "Batch-semi-hard triplet loss",
            fused_rankloss.batch_semi_hard_triplet_loss,
            mining="semi_hard",
        ),
        Loss(
            "batch_all_triplet",
            "Batch-all triplet loss",
            fused_rankloss.batch_all_triplet_loss,
            mining="all",
            reduction="mean_nonzero",
            slack=1e-3,
        ),
        Loss(
            "triplet",
            "Triplet loss, squared distances",
            fused_rankloss.triplet_loss,
            mining=None,
            distance="sqeuclidean",
        ),
        Loss(
            "triplet_euclidean",
            "Triplet loss, distances",
            fused_rankloss.triplet_loss,
            mining=None,
        ),
    )
}
