"""Ranking losses for PyTorch that cost a sort, never an n x n matrix; exact and deterministic.

Losses over lists of scores, as functions and as modules:

    pairwise_hinge_loss, PairwiseHingeLoss
    pairwise_squared_hinge_loss, PairwiseSquaredHingeLoss
    pairwise_logistic_loss, PairwiseLogisticLoss     RankNet, BPR
    lambda_loss, LambdaLoss                          LambdaRank, LambdaLoss
    listnet_loss, ListNetLoss
    list_mle_loss, ListMLELoss
    approx_ndcg_loss, ApproxNDCGLoss

``build_info()`` says what this installation was built with and whether its CUDA kernels loaded.
"""

from fused_rankloss._extension import build_info
from fused_rankloss.functional import (
    ListStatistics,
    approx_ndcg_loss,
    lambda_loss,
    list_mle_loss,
    listnet_loss,
    pairwise_hinge_loss,
    pairwise_logistic_loss,
    pairwise_squared_hinge_loss,
)
from fused_rankloss.modules import (
    ApproxNDCGLoss,
    LambdaLoss,
    ListMLELoss,
    ListNetLoss,
    PairwiseHingeLoss,
    PairwiseLogisticLoss,
    PairwiseSquaredHingeLoss,
)

__version__ = build_info()["version"]

__all__ = [
    "ApproxNDCGLoss",
    "LambdaLoss",
    "ListMLELoss",
    "ListNetLoss",
    "ListStatistics",
    "PairwiseHingeLoss",
    "PairwiseLogisticLoss",
    "PairwiseSquaredHingeLoss",
    "approx_ndcg_loss",
    "build_info",
    "lambda_loss",
    "list_mle_loss",
    "listnet_loss",
    "pairwise_hinge_loss",
    "pairwise_logistic_loss",
    "pairwise_squared_hinge_loss",
]
