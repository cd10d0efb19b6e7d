"""Logistic and weighted pair losses over lists of scores as modules."""

from __future__ import annotations

from torch import Tensor

from fused_rankloss import functional
from fused_rankloss.modules._base import GainListLoss, ListLoss


class PairwiseLogisticLoss(ListLoss):
    """All-pairs logistic loss (RankNet, BPR); see :func:`fused_rankloss.pairwise_logistic_loss`.

    Args:
        sigma, log, weighting, reduction, return_statistics, impl: as in the function.

    Shape:
        as :class:`PairwiseHingeLoss`, without margins.
    """

    def __init__(
        self,
        sigma: float = 1.0,
        *,
        log: str = "natural",
        weighting: str = "product",
        reduction: str = "mean",
        return_statistics: bool = False,
        impl: str = "auto",
    ) -> None:
        super().__init__(
            functional.pairwise_logistic_loss,
            sigma=sigma,
            log=log,
            weighting=weighting,
            reduction=reduction,
            return_statistics=return_statistics,
            impl=impl,
        )


class LambdaLoss(GainListLoss):
    """Pair losses weighed by a ranking metric; see :func:`fused_rankloss.lambda_loss`.

    Args:
        scheme, pair_loss, sigma, margin, mu, log, gain, discount, k, truncation,
            score_normalization, list_normalization, weighting, reduction, return_statistics, impl:
            as in the function; a tensor of discounts becomes a buffer. ``gains`` goes with the
            batch.

    Shape:
        as :class:`PairwiseHingeLoss`, without margins.
    """

    def __init__(
        self,
        scheme: str = "lambdarank",
        *,
        pair_loss: str = "logistic",
        sigma: float = 1.0,
        margin: float = 1.0,
        mu: float = 10.0,
        log: str = "natural",
        gain: str = "exponential",
        discount: str | Tensor = "log2",
        k: int | None = None,
        truncation: str = "either",
        score_normalization: bool = False,
        list_normalization: bool = False,
        weighting: str = "product",
        reduction: str = "mean",
        return_statistics: bool = False,
        impl: str = "auto",
    ) -> None:
        super().__init__(
            functional.lambda_loss,
            scheme=scheme,
            pair_loss=pair_loss,
            sigma=sigma,
            margin=margin,
            mu=mu,
            log=log,
            gain=gain,
            discount=discount,
            k=k,
            truncation=truncation,
            score_normalization=score_normalization,
            list_normalization=list_normalization,
            weighting=weighting,
            reduction=reduction,
            return_statistics=return_statistics,
            impl=impl,
        )
