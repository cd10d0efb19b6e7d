"""The specification: every loss in plain PyTorch, short, quadratic or cubic, and obvious.

``impl="reference"`` of the public functions runs these files. Autograd differentiates them, twice
where asked to. They hold every pair in memory, so they are for checking and for reading, not for
training.
"""

from fused_rankloss.reference.catalogue import catalogue
from fused_rankloss.reference.lambda_loss import lambda_loss, statistics
from fused_rankloss.reference.listwise import listwise
from fused_rankloss.reference.pairwise import pairwise, pairwise_list_sums, reduce_lists
from fused_rankloss.reference.triplet import batch_triplet, triplet

__all__ = [
    "batch_triplet",
    "catalogue",
    "lambda_loss",
    "listwise",
    "pairwise",
    "pairwise_list_sums",
    "reduce_lists",
    "statistics",
    "triplet",
]
