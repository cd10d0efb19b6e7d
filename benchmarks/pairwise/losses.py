"""The losses, one row each: everything else in this folder follows from the row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

import fused_rankloss


@dataclass(frozen=True)
class Loss:
    """A loss over lists whose value is the mean of ``term(gap)`` over pairs of unequal labels.

    The gap of items i, j with ``label_i > label_j`` is ``MARGIN - (score_i - score_j)``.
    """

    name: str
    title: str  # for people
    fused: Callable[..., Tensor]
    term: Callable[[Tensor], Tensor]  # elementwise torch, as a user writes it
    degree: int | None  # term(gap) = max(0, gap)**degree, for what sorts; None: no such form


LOSSES = {
    loss.name: loss
    for loss in (
        Loss(
            "pairwise_hinge",
            "All-pairs hinge loss",
            fused_rankloss.pairwise_hinge_loss,
            lambda gap: gap.clamp(min=0),
            degree=1,
        ),
        Loss(
            "pairwise_squared_hinge",
            "All-pairs squared hinge loss",
            fused_rankloss.pairwise_squared_hinge_loss,
            lambda gap: gap.clamp(min=0).square(),
            degree=2,
        ),
    )
}
