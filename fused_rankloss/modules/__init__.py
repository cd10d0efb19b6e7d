"""The losses as ``nn.Module``s: options at construction, the batch in ``forward``."""

from fused_rankloss.modules.catalogue import (
    CatalogueHingeLoss,
    CatalogueLogisticLoss,
    CatalogueSoftmaxLoss,
    CatalogueSquaredHingeLoss,
    CatalogueWARPLoss,
)
from fused_rankloss.modules.lambda_loss import LambdaLoss, PairwiseLogisticLoss
from fused_rankloss.modules.listwise import ApproxNDCGLoss, ListMLELoss, ListNetLoss
from fused_rankloss.modules.pairwise import PairwiseHingeLoss, PairwiseSquaredHingeLoss
from fused_rankloss.modules.triplet import (
    BatchAllTripletLoss,
    BatchHardTripletLoss,
    BatchSemiHardTripletLoss,
    TripletLoss,
)

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
    "PairwiseHingeLoss",
    "PairwiseLogisticLoss",
    "PairwiseSquaredHingeLoss",
    "TripletLoss",
]
