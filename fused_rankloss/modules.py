"""The losses as ``nn.Module``s: options at construction, the batch in ``forward``."""

from __future__ import annotations

from torch import Tensor, nn

from fused_rankloss import functional


class _ListLoss(nn.Module):
    """Holds a loss function's options; a margin that is a parameter is registered as one."""

    def __init__(self, function, **options) -> None:
        super().__init__()
        self._function = function
        margin = options.pop("margin")
        if isinstance(margin, Tensor) and not isinstance(margin, nn.Parameter):
            self.register_buffer("margin", margin)
        else:
            self.margin = margin
        self._options = options

    def forward(
        self,
        scores: Tensor,
        labels: Tensor,
        *,
        mask: Tensor | None = None,
        lengths: Tensor | None = None,
        offsets: Tensor | None = None,
        weights: Tensor | None = None,
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
            **self._options,
        )

    def extra_repr(self) -> str:
        return ", ".join(f"{key}={value!r}" for key, value in self._described().items())

    def _described(self) -> dict[str, object]:
        margin = tuple(self.margin.shape) if isinstance(self.margin, Tensor) else self.margin
        return {"margin": margin, **self._options}


class PairwiseHingeLoss(_ListLoss):
    """All-pairs hinge loss; see :func:`fused_rankloss.pairwise_hinge_loss`.

    Args:
        margin: a float, a tensor ``[]`` or ``[K]``, or an ``nn.Parameter`` to learn it.
        weighting, reduction, boundary_grad, impl: as in the function.

    Shape:
        scores, labels ``[N]``, ``[B, N]``, ``[T]`` with offsets, or nested jagged; the result is
        ``[]``, or ``[B]`` with ``reduction="none"``, with K margins in front.
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
        weighting, reduction, impl: as in the function.

    Shape:
        as :class:`PairwiseHingeLoss`.
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
