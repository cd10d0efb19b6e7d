"""The losses as ``nn.Module``s: options at construction, the batch in ``forward``."""

from fused_rankloss.modules.lambda_loss import LambdaLoss, PairwiseLogisticLoss
from fused_rankloss.modules.listwise import ApproxNDCGLoss, ListMLELoss, ListNetLoss
from fused_rankloss.modules.pairwise import PairwiseHingeLoss, PairwiseSquaredHingeLoss

__all__ = [
    "ApproxNDCGLoss",
    "LambdaLoss",
    "ListMLELoss",
    "ListNetLoss",
    "PairwiseHingeLoss",
    "PairwiseLogisticLoss",
    "PairwiseSquaredHingeLoss",
]
