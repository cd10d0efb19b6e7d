"""Ranking losses for PyTorch that cost a sort, never an n x n matrix; exact and deterministic.

Losses over lists of scores, as functions and as modules:

    pairwise_hinge_loss, PairwiseHingeLoss
    pairwise_squared_hinge_loss, PairwiseSquaredHingeLoss

``build_info()`` says what this installation was built with and whether its CUDA kernels loaded.
"""

from fused_rankloss._extension import build_info
from fused_rankloss.functional import pairwise_hinge_loss, pairwise_squared_hinge_loss
from fused_rankloss.modules import PairwiseHingeLoss, PairwiseSquaredHingeLoss

__version__ = build_info()["version"]

__all__ = [
    "PairwiseHingeLoss",
    "PairwiseSquaredHingeLoss",
    "build_info",
    "pairwise_hinge_loss",
    "pairwise_squared_hinge_loss",
]
