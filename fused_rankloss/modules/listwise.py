"""Losses over lists of scores that see each list as a whole, as modules."""

from __future__ import annotations

from torch import Tensor

from fused_rankloss import functional
from fused_rankloss.modules._base import GainListLoss, ListLoss


class ListNetLoss(ListLoss):
    """Cross entropy of softmaxes; see :func:`fused_rankloss.listnet_loss`.

    Args:
        reduction, impl: as in the function.

    Shape:
        as :class:`PairwiseHingeLoss`, without margins.
    """

    def __init__(self, *, reduction: str = "mean", impl: str = "auto") -> None:
        super().__init__(functional.listnet_loss, reduction=reduction, impl=impl)


class ListMLELoss(ListLoss):
    """Likelihood of the order by labels; see :func:`fused_rankloss.list_mle_loss`.

    Args:
        position_weights, reduction, impl: as in the function; a tensor becomes a buffer.

    Shape:
        as :class:`PairwiseHingeLoss`, without margins.
    """

    def __init__(
        self,
        position_weights: str | Tensor | None = None,
        *,
        reduction: str = "mean",
        impl: str = "auto",
    ) -> None:
        super().__init__(
            functional.list_mle_loss,
            position_weights=position_weights,
            reduction=reduction,
            impl=impl,
        )


class ApproxNDCGLoss(GainListLoss):
    """Minus NDCG of smooth ranks; see :func:`fused_rankloss.approx_ndcg_loss`.

    Args:
        temperature, gain, reduction, impl: as in the function; ``gains`` goes with the batch.

    Shape:
        as :class:`PairwiseHingeLoss`, without margins.
    """

    def __init__(
        self,
        temperature: float = 1.0,
        *,
        gain: str = "exponential",
        reduction: str = "mean",
        impl: str = "auto",
    ) -> None:
        super().__init__(
            functional.approx_ndcg_loss,
            temperature=temperature,
            gain=gain,
            reduction=reduction,
            impl=impl,
        )
