"""Losses over a whole catalogue as modules."""

from __future__ import annotations

import inspect

from torch import Tensor

from fused_rankloss import functional
from fused_rankloss.modules._base import ConstantLoss


class _CatalogueLoss(ConstantLoss):
    """A loss of queries over a catalogue; the options of its function are given at construction."""

    _loss: staticmethod

    def __init__(self, **options) -> None:
        signature = inspect.signature(self._loss)
        unknown = options.keys() - signature.parameters.keys() | options.keys() & {
            "queries",
            "items",
            "positives",
            *_BATCH,
        }
        if unknown:
            raise TypeError(f"{type(self).__name__}() got unexpected options {sorted(unknown)}")
        defaults = {
            name: parameter.default
            for name, parameter in signature.parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY and name not in _BATCH
        }
        super().__init__(self._loss, **{**defaults, **options})

    def forward(
        self,
        queries: Tensor,
        items: Tensor,
        positives: Tensor,
        *,
        offsets: Tensor | None = None,
        exclude: Tensor | None = None,
        exclude_offsets: Tensor | None = None,
        query_ids: Tensor | None = None,
        item_ids: Tensor | None = None,
        item_bias: Tensor | None = None,
        list_weights: Tensor | None = None,
    ) -> Tensor:
        """The loss of the batch; arguments as in the function of the same name."""
        values = (offsets, exclude, exclude_offsets, query_ids, item_ids, item_bias, list_weights)
        batch = dict(zip(_BATCH, values, strict=True))
        return self._function(queries, items, positives, **batch, **self._options())


# What is given with each batch.
_BATCH = (
    "offsets",
    "exclude",
    "exclude_offsets",
    "query_ids",
    "item_ids",
    "item_bias",
    "list_weights",
)


class CatalogueHingeLoss(_CatalogueLoss):
    """See :func:`fused_rankloss.catalogue_hinge_loss`.

    Args:
        options: keywords of the function, with its defaults:
            margin, negatives, reduction, boundary_grad, workspace, impl.

    Shape:
        - queries: ``[B, D]``; items: ``[M, D]``
        - result: ``[]``, or ``[B]`` with ``reduction="none"``

    Example:
        >>> import torch
        >>> from fused_rankloss import CatalogueHingeLoss
        >>> loss_function = CatalogueHingeLoss(reduction="list_mean")
        >>> queries, items = torch.randn(4, 8, requires_grad=True), torch.randn(100, 8)
        >>> loss_function(queries, items, torch.tensor([3, 14, 15, 92])).backward()
    """

    _loss = staticmethod(functional.catalogue_hinge_loss)


class CatalogueLogisticLoss(_CatalogueLoss):
    """See :func:`fused_rankloss.catalogue_logistic_loss`.

    Args:
        options: keywords of the function, with its defaults:
            sigma, negatives, reduction, workspace, impl.

    Shape:
        - queries: ``[B, D]``; items: ``[M, D]``
        - result: ``[]``, or ``[B]`` with ``reduction="none"``

    Example:
        >>> import torch
        >>> from fused_rankloss import CatalogueLogisticLoss
        >>> loss_function = CatalogueLogisticLoss(reduction="list_mean")
        >>> queries, items = torch.randn(4, 8, requires_grad=True), torch.randn(100, 8)
        >>> loss_function(queries, items, torch.tensor([3, 14, 15, 92])).backward()
    """

    _loss = staticmethod(functional.catalogue_logistic_loss)


class CatalogueSoftmaxLoss(_CatalogueLoss):
    """See :func:`fused_rankloss.catalogue_softmax_loss`.

    Args:
        options: keywords of the function, with its defaults:
            temperature, denominator, negatives, reduction, workspace, impl.

    Shape:
        - queries: ``[B, D]``; items: ``[M, D]``
        - result: ``[]``, or ``[B]`` with ``reduction="none"``

    Example:
        >>> import torch
        >>> from fused_rankloss import CatalogueSoftmaxLoss
        >>> loss_function = CatalogueSoftmaxLoss(reduction="list_mean")
        >>> queries, items = torch.randn(4, 8, requires_grad=True), torch.randn(100, 8)
        >>> loss_function(queries, items, torch.tensor([3, 14, 15, 92])).backward()
    """

    _loss = staticmethod(functional.catalogue_softmax_loss)


class CatalogueSquaredHingeLoss(_CatalogueLoss):
    """See :func:`fused_rankloss.catalogue_squared_hinge_loss`.

    Args:
        options: keywords of the function, with its defaults:
            margin, negatives, reduction, workspace, impl.

    Shape:
        - queries: ``[B, D]``; items: ``[M, D]``
        - result: ``[]``, or ``[B]`` with ``reduction="none"``

    Example:
        >>> import torch
        >>> from fused_rankloss import CatalogueSquaredHingeLoss
        >>> loss_function = CatalogueSquaredHingeLoss(reduction="list_mean")
        >>> queries, items = torch.randn(4, 8, requires_grad=True), torch.randn(100, 8)
        >>> loss_function(queries, items, torch.tensor([3, 14, 15, 92])).backward()
    """

    _loss = staticmethod(functional.catalogue_squared_hinge_loss)


class CatalogueWARPLoss(_CatalogueLoss):
    """See :func:`fused_rankloss.catalogue_warp_loss`.

    Args:
        options: keywords of the function, with its defaults:
            margin, rank_weights, negatives, reduction, boundary_grad, workspace, impl.

    Shape:
        - queries: ``[B, D]``; items: ``[M, D]``
        - result: ``[]``, or ``[B]`` with ``reduction="none"``

    Example:
        >>> import torch
        >>> from fused_rankloss import CatalogueWARPLoss
        >>> loss_function = CatalogueWARPLoss(reduction="list_mean")
        >>> queries, items = torch.randn(4, 8, requires_grad=True), torch.randn(100, 8)
        >>> loss_function(queries, items, torch.tensor([3, 14, 15, 92])).backward()
    """

    _loss = staticmethod(functional.catalogue_warp_loss)
