"""Losses over lists of scores that see each list as a whole, as modules."""

from __future__ import annotations

from torch import Tensor

from fused_rankloss import functional
from fused_rankloss.modules._base import GainListLoss, ListLoss


class ListNetLoss(ListLoss):
    """Cross entropy of softmaxes; see :func:`fused_rankloss.listnet_loss`.

    Args:
        reduction: as in the function.
        impl: as in the function.

    Shape:
        - scores, labels, mask, weights: ``[N]``, ``[B, N]``, ``[T]`` with ``offsets``, or nested
          jagged
        - result: ``[]``, or ``[B]`` with ``reduction="none"``

    Example:
        >>> import torch
        >>> from fused_rankloss import ListNetLoss
        >>> loss_function = ListNetLoss()
        >>> scores = torch.randn(8, 20, requires_grad=True)
        >>> loss = loss_function(scores, torch.randint(0, 3, (8, 20)))
        >>> loss.backward()
    """

    def __init__(self, *, reduction: str = "mean", impl: str = "auto") -> None:
        super().__init__(functional.listnet_loss, reduction=reduction, impl=impl)


class ListMLELoss(ListLoss):
    """Likelihood of the order by labels; see :func:`fused_rankloss.list_mle_loss`.

    Args:
        position_weights: as in the function; a tensor becomes a buffer.
        reduction: as in the function.
        impl: as in the function.

    Shape:
        - scores, labels, mask, weights: ``[N]``, ``[B, N]``, ``[T]`` with ``offsets``, or nested
          jagged
        - result: ``[]``, or ``[B]`` with ``reduction="none"``

    Example:
        >>> import torch
        >>> from fused_rankloss import ListMLELoss
        >>> loss_function = ListMLELoss("exponential")
        >>> scores = torch.randn(8, 20, requires_grad=True)
        >>> loss = loss_function(scores, torch.randint(0, 3, (8, 20)))
        >>> loss.backward()
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

    ``gains`` of items go with the batch, to ``forward``.

    Args:
        temperature: as in the function.
        gain: as in the function.
        reduction: as in the function.
        impl: as in the function.

    Shape:
        - scores, labels, mask, weights: ``[N]``, ``[B, N]``, ``[T]`` with ``offsets``, or nested
          jagged
        - result: ``[]``, or ``[B]`` with ``reduction="none"``

    Example:
        >>> import torch
        >>> from fused_rankloss import ApproxNDCGLoss
        >>> loss_function = ApproxNDCGLoss(temperature=0.1)
        >>> scores = torch.randn(8, 20, requires_grad=True)
        >>> loss = loss_function(scores, torch.randint(0, 3, (8, 20)))
        >>> loss.backward()
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
