"""Pairwise losses over lists of scores as modules."""

from __future__ import annotations

from torch import Tensor

from fused_rankloss import functional
from fused_rankloss.modules._base import Loss


class _ListLoss(Loss):
    """A loss over a batch of lists."""

    def forward(
        self,
        scores: Tensor,
        labels: Tensor,
        *,
        mask: Tensor | None = None,
        lengths: Tensor | None = None,
        offsets: Tensor | None = None,
        weights: Tensor | None = None,
        list_weights: Tensor | None = None,
    ) -> Tensor:
        """The loss of a batch of lists; arguments as in the function of the same name."""
        return self._function(
            scores,
            labels,
            margin=self.margin,
            mask=mask,
            lengths=lengths,
            offsets=offsets,
            weights=weights,
            list_weights=list_weights,
            **self._options,
        )


class PairwiseHingeLoss(_ListLoss):
    """All-pairs hinge loss; see :func:`fused_rankloss.pairwise_hinge_loss`.

    Args:
        margin: a float, a tensor ``[]`` or ``[K]``, or an ``nn.Parameter`` to learn it.
        weighting: as in the function.
        reduction: as in the function.
        boundary_grad: as in the function.
        impl: as in the function.

    Shape:
        - scores, labels, mask, weights: ``[N]``, ``[B, N]``, ``[T]`` with ``offsets``, or nested
          jagged
        - result: ``[]``, or ``[B]`` with ``reduction="none"``, with K margins in front

    Example:
        >>> import torch
        >>> from fused_rankloss import PairwiseHingeLoss
        >>> loss_function = PairwiseHingeLoss(margin=0.5, reduction="list_mean")
        >>> scores = torch.randn(8, 20, requires_grad=True)
        >>> loss = loss_function(scores, torch.randint(0, 3, (8, 20)))
        >>> loss.backward()
    """

    def __init__(
        self,
        margin: float | Tensor = 1.0,
        *,
        weighting: str = "product",
        reduction: str = "mean",
        boundary_grad: float = 1.0,
        impl: str = "auto",
    ) -> None:
        super().__init__(
            functional.pairwise_hinge_loss,
            margin=margin,
            weighting=weighting,
            reduction=reduction,
            boundary_grad=boundary_grad,
            impl=impl,
        )


class PairwiseSquaredHingeLoss(_ListLoss):
    """All-pairs squared hinge loss; see :func:`fused_rankloss.pairwise_squared_hinge_loss`.

    Args:
        margin: a float, a tensor ``[]`` or ``[K]``, or an ``nn.Parameter`` to learn it.
        weighting: as in the function.
        reduction: as in the function.
        impl: as in the function.

    Shape:
        - scores, labels, mask, weights: ``[N]``, ``[B, N]``, ``[T]`` with ``offsets``, or nested
          jagged
        - result: ``[]``, or ``[B]`` with ``reduction="none"``, with K margins in front

    Example:
        >>> import torch
        >>> from fused_rankloss import PairwiseSquaredHingeLoss
        >>> loss_function = PairwiseSquaredHingeLoss()
        >>> scores = torch.randn(8, 20, requires_grad=True)
        >>> loss = loss_function(scores, torch.randint(0, 3, (8, 20)))
        >>> loss.backward()
    """

    def __init__(
        self,
        margin: float | Tensor = 1.0,
        *,
        weighting: str = "product",
        reduction: str = "mean",
        impl: str = "auto",
    ) -> None:
        super().__init__(
            functional.pairwise_squared_hinge_loss,
            margin=margin,
            weighting=weighting,
            reduction=reduction,
            impl=impl,
        )
