"""Triplet losses over embeddings as modules."""

from __future__ import annotations

from torch import Tensor

from fused_rankloss import functional
from fused_rankloss.functional.triplet import MinedTriplets
from fused_rankloss.modules._base import Loss


class TripletLoss(Loss):
    """The loss of given triplets; see :func:`fused_rankloss.triplet_loss`.

    The default distance is the *squared* Euclidean one; ``torch.nn.TripletMarginLoss`` is
    ``TripletLoss(distance="euclidean")``.

    Args:
        margin: a float, ``"soft"``, a tensor ``[]``, or an ``nn.Parameter`` to learn it.
        distance: as in the function.
        p: as in the function.
        eps: as in the function.
        swap: as in the function.
        reduction: as in the function.
        boundary_grad: as in the function.
        impl: as in the function.

    Shape:
        - anchor, positive, negative: ``[..., D]``, broadcast against each other
        - result: ``[]``, or ``[...]`` with ``reduction="none"``

    Example:
        >>> import torch
        >>> from fused_rankloss import TripletLoss
        >>> loss_function = TripletLoss(margin=0.2, distance="euclidean")
        >>> anchor, positive, negative = torch.randn(3, 10, 16, requires_grad=True)
        >>> loss_function(anchor, positive, negative).backward()
    """

    def __init__(
        self,
        margin: float | str | Tensor = 1.0,
        *,
        distance: str = "sqeuclidean",
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
        boundary_grad: float | None = None,
        impl: str = "auto",
    ) -> None:
        super().__init__(
            functional.triplet_loss,
            margin=margin,
            distance=distance,
            p=p,
            eps=eps,
            swap=swap,
            reduction=reduction,
            boundary_grad=boundary_grad,
            impl=impl,
        )

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """The loss of the triplets; arguments as in the function."""
        return self._function(anchor, positive, negative, margin=self.margin, **self._options)


class _BatchTripletLoss(Loss):
    """A loss over the triplets of a batch that one label rule mines."""

    def __init__(
        self,
        margin: float | str | Tensor = 1.0,
        *,
        distance: str = "euclidean",
        reduction: str = "mean",
        boundary_grad: float = 0.0,
        return_mined: bool = False,
        impl: str = "auto",
    ) -> None:
        super().__init__(
            type(self)._loss,
            margin=margin,
            distance=distance,
            reduction=reduction,
            boundary_grad=boundary_grad,
            return_mined=return_mined,
            impl=impl,
        )

    def forward(
        self,
        embeddings: Tensor,
        labels: Tensor,
        *,
        ref_embeddings: Tensor | None = None,
        ref_labels: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, MinedTriplets]:
        """The loss of the batch; arguments as in the function of the same name."""
        return self._function(
            embeddings,
            labels,
            margin=self.margin,
            ref_embeddings=ref_embeddings,
            ref_labels=ref_labels,
            **self._options,
        )


class BatchHardTripletLoss(_BatchTripletLoss):
    """Hardest positive and negative of every anchor; see
    :func:`fused_rankloss.batch_hard_triplet_loss`.

    Args:
        margin: a float, ``"soft"``, a tensor ``[]``, or an ``nn.Parameter`` to learn it.
        distance: as in the function.
        reduction: as in the function.
        boundary_grad: as in the function.
        return_mined: as in the function.
        impl: as in the function.

    Shape:
        - embeddings: ``[N, D]``; labels: ``[N]``; ref_embeddings: ``[M, D]``; ref_labels: ``[M]``
        - result: ``[]``, or ``[N]`` with ``reduction="none"``

    Example:
        >>> import torch
        >>> from fused_rankloss import BatchHardTripletLoss
        >>> loss_function = BatchHardTripletLoss(margin=0.2)
        >>> embeddings = torch.randn(32, 16, requires_grad=True)
        >>> loss_function(embeddings, torch.arange(32) // 4).backward()
    """

    _loss = staticmethod(functional.batch_hard_triplet_loss)


class BatchSemiHardTripletLoss(_BatchTripletLoss):
    """The nearest negative beyond every positive; see
    :func:`fused_rankloss.batch_semi_hard_triplet_loss`.

    Args:
        margin: a float, ``"soft"``, a tensor ``[]``, or an ``nn.Parameter`` to learn it.
        distance: as in the function.
        reduction: as in the function.
        boundary_grad: as in the function.
        return_mined: as in the function.
        impl: as in the function.

    Shape:
        - embeddings: ``[N, D]``; labels: ``[N]``; ref_embeddings: ``[M, D]``; ref_labels: ``[M]``
        - result: ``[]``, or ``[N]`` with ``reduction="none"``

    Example:
        >>> import torch
        >>> from fused_rankloss import BatchSemiHardTripletLoss
        >>> loss_function = BatchSemiHardTripletLoss(margin=0.2)
        >>> embeddings = torch.randn(32, 16, requires_grad=True)
        >>> loss_function(embeddings, torch.arange(32) // 4).backward()
    """

    _loss = staticmethod(functional.batch_semi_hard_triplet_loss)


class BatchAllTripletLoss(_BatchTripletLoss):
    """Every valid triplet of the batch; see :func:`fused_rankloss.batch_all_triplet_loss`.

    Args:
        margin: a float, ``"soft"``, a tensor ``[]``, or an ``nn.Parameter`` to learn it.
        distance: as in the function.
        reduction: as in the function.
        boundary_grad: as in the function.
        return_mined: as in the function.
        impl: as in the function.

    Shape:
        - embeddings: ``[N, D]``; labels: ``[N]``; ref_embeddings: ``[M, D]``; ref_labels: ``[M]``
        - result: ``[]``, or ``[N]`` with ``reduction="none"``

    Example:
        >>> import torch
        >>> from fused_rankloss import BatchAllTripletLoss
        >>> loss_function = BatchAllTripletLoss(margin=0.2)
        >>> embeddings = torch.randn(32, 16, requires_grad=True)
        >>> loss_function(embeddings, torch.arange(32) // 4).backward()
    """

    _loss = staticmethod(functional.batch_all_triplet_loss)
