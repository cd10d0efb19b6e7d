"""Logistic and weighted pair losses over lists of scores as modules."""

from __future__ import annotations

from torch import Tensor

from fused_rankloss import functional
from fused_rankloss.modules._base import GainListLoss, ListLoss


class PairwiseLogisticLoss(ListLoss):
    """All-pairs logistic loss (RankNet, BPR); see :func:`fused_rankloss.pairwise_logistic_loss`.

    Args:
        sigma: as in the function.
        log: as in the function.
        weighting: as in the function.
        reduction: as in the function.
        return_statistics: as in the function.
        impl: as in the function.

    Shape:
        - scores, labels, mask, weights: ``[N]``, ``[B, N]``, ``[T]`` with ``offsets``, or nested
          jagged
        - result: ``[]``, or ``[B]`` with ``reduction="none"``

    Example:
        >>> import torch
        >>> from fused_rankloss import PairwiseLogisticLoss
        >>> loss_function = PairwiseLogisticLoss(sigma=2.0)
        >>> scores = torch.randn(8, 20, requires_grad=True)
        >>> loss = loss_function(scores, torch.randint(0, 3, (8, 20)))
        >>> loss.backward()
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

    ``gains`` of items go with the batch, to ``forward``.

    Args:
        scheme: as in the function.
        pair_loss: as in the function.
        sigma: as in the function.
        margin: as in the function.
        mu: as in the function.
        log: as in the function.
        gain: as in the function.
        discount: as in the function; a tensor becomes a buffer.
        k: as in the function.
        truncation: as in the function.
        score_normalization: as in the function.
        list_normalization: as in the function.
        weighting: as in the function.
        reduction: as in the function.
        return_statistics: as in the function.
        impl: as in the function.

    Shape:
        - scores, labels, mask, weights: ``[N]``, ``[B, N]``, ``[T]`` with ``offsets``, or nested
          jagged
        - result: ``[]``, or ``[B]`` with ``reduction="none"``

    Example:
        >>> import torch
        >>> from fused_rankloss import LambdaLoss
        >>> loss_function = LambdaLoss(k=10)
        >>> scores = torch.randn(8, 20, requires_grad=True)
        >>> loss = loss_function(scores, torch.randint(0, 3, (8, 20)))
        >>> loss.backward()
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
