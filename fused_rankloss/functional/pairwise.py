"""Pairwise losses over lists of scores as functions.

Every function takes the same batch of lists: ``scores`` and ``labels`` of shape ``[N]`` (one list),
``[B, N]`` (padded, with ``mask`` or ``lengths``), ``[T]`` with ``offsets`` ``[B + 1]`` (flat), or
nested jagged tensors. Higher labels are more relevant; binary and graded labels are the same call.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fused_rankloss import reference
from fused_rankloss.autograd import Pairwise
from fused_rankloss.functional._checks import (
    IMPLEMENTATIONS,
    check_boundary_grad,
    check_device,
    check_finite,
    check_margin_tensor,
    check_option,
)
from fused_rankloss.lists import Lists, parse
from fused_rankloss.ops import loss_dtype
from fused_rankloss.options import PairwiseOptions

REDUCTIONS = ("mean", "sum", "none", "list_mean", "batch_mean")
WEIGHTINGS = ("product", "preferred")


def pairwise_hinge_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    margin: float | Tensor = 1.0,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    offsets: Tensor | None = None,
    weights: Tensor | None = None,
    list_weights: Tensor | None = None,
    weighting: str = "product",
    reduction: str = "mean",
    boundary_grad: float = 1.0,
    impl: str = "auto",
) -> Tensor:
    r"""All-pairs hinge loss over lists of scores, exact, in O(n log n) time and O(n) memory.

    For every pair of items i, j of one list with ``labels[i] > labels[j]``

    .. math:: \ell_{ij} = w_{ij} \max(0,\; \text{margin} - (s_i - s_j))

    With binary labels, one list and the defaults this is
    ``torch.clamp(margin - pos[:, None] + neg[None, :], min=0).mean()`` in value and gradient.

    Args:
        scores: predicted scores ``[N]``, ``[B, N]``, ``[T]`` with ``offsets``, or nested jagged
            ``[B, j]``; float16, bfloat16, float32 or float64.
        labels: relevance, shaped as ``scores``, any bool, integer or float dtype; higher is more
            relevant. They get no gradient.
        margin: in units of the scores; a float, or a tensor on the scores' device. With K margins
            ``[K]`` the result has a leading K; one sort serves all. A margin tensor that requires
            grad gets its gradient.
        mask: bool, shaped as ``scores``; True marks a real item. The rest is padding, which is
            ignored whatever it holds.
        lengths: int32 or int64 ``[B]``, the number of real items at the start of each row.
        offsets: int32 or int64 ``[B + 1]``; list b is ``scores[offsets[b]:offsets[b + 1]]``.
        weights: per item, shaped as ``scores``; constants of the loss. They are finite and not
            negative: any other makes its list NaN, whether or not the item is in a pair. A list
            whose pair weights sum to 0 has loss 0.
        list_weights: per list, ``[B]``; finite, not negative, constants of the loss. Each
            multiplies its list's loss, and what the list adds to the divisor of a mean: with
            ``"mean"``, as if it multiplied the weights of all pairs of the list. A weight of 0
            leaves the list out, unless the list is NaN. One list ``[N]`` takes ``[]`` or ``[1]``.
        weighting: the pair weight w_ij: ``"product"`` is w_i w_j (an integer weight is equal to
            that many copies of the item), ``"preferred"`` is w_i, of the more relevant item.
        reduction: ``"mean"``, the sum over all pairs of the batch / their summed weight; ``"sum"``;
            ``"none"``, the sum of each list, ``[B]``; ``"list_mean"``, the mean over lists with
            pairs of each list's own mean; ``"batch_mean"``, the sum / B.
        boundary_grad: the slope where ``s_i - s_j == margin`` exactly, in [0, 1]: 1 as ``clamp``
            has it, 0 as ``relu``. The value does not depend on it.
        impl: ``"auto"``, or ``"reference"`` for the quadratic pure-PyTorch specification.

    Shape:
        - scores, labels, mask, weights: ``[N]``, ``[B, N]`` or ``[T]``, all the same
        - list_weights: ``[B]``; of one list ``[N]``, ``[]`` or ``[1]``
        - result: ``[]``; with ``reduction="none"`` ``[B]``, for one list ``[N]`` still ``[]``, and
          K margins in front

    Returns:
        The loss, float32 (float64 for float64 scores). Exactly 0, with gradient 0, where there is
        no pair. NaN in an item's score or label, a weight that is negative or not finite, a summed
        pair weight that overflows, or the difference of two equal infinities, makes that list's
        loss and gradient NaN. In lists that have a pair, NaN in a margin tensor makes the loss of
        that margin NaN, and the gradients of the scores and of all margins; so does an infinite
        margin where a score is infinite. With an infinite margin alone the loss is infinite, or 0.

    Raises:
        TypeError: a dtype or type that the argument cannot have; integer scores among them.
        ValueError: shapes, devices, offsets, lengths or option values that do not fit.
        RuntimeError: CUDA tensors where the CUDA kernels are not installed.

    Example:
        >>> import torch
        >>> from fused_rankloss import pairwise_hinge_loss
        >>> scores = torch.tensor([0.25, 1.5, 0.5], requires_grad=True)
        >>> labels = torch.tensor([1, 0, 2])  # three pairs
        >>> loss = pairwise_hinge_loss(scores, labels, reduction="sum")
        >>> loss.item()  # 0.75 for (2, 0), 2 for (2, 1) and 2.25 for (0, 1)
        5.0
        >>> loss.backward()
        >>> scores.grad
        tensor([ 0.,  2., -2.])

    Source: the gradient counts and the sweep over sorted scores follow Joachims, "A support vector
    method for multivariate performance measures" (2005); graded labels by merge sort on labels.
    """
    name = "pairwise_hinge_loss"
    boundary_grad = check_boundary_grad(name, boundary_grad)
    lists = parse(name, scores, labels, weights, list_weights, mask, lengths, offsets)
    return _pairwise(name, "hinge", lists, margin, weighting, reduction, boundary_grad, impl)


def pairwise_squared_hinge_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    margin: float | Tensor = 1.0,
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    offsets: Tensor | None = None,
    weights: Tensor | None = None,
    list_weights: Tensor | None = None,
    weighting: str = "product",
    reduction: str = "mean",
    impl: str = "auto",
) -> Tensor:
    r"""All-pairs squared hinge loss over lists of scores, in O(n log n) time and O(n) memory.

    For every pair of items i, j of one list with ``labels[i] > labels[j]``

    .. math:: \ell_{ij} = w_{ij} \max(0,\; \text{margin} - (s_i - s_j))^2

    The slope is continuous, so there is no ``boundary_grad``.

    Args:
        scores: predicted scores ``[N]``, ``[B, N]``, ``[T]`` with ``offsets``, or nested jagged
            ``[B, j]``; float16, bfloat16, float32 or float64.
        labels: relevance, shaped as ``scores``, any bool, integer or float dtype; higher is more
            relevant.
        margin: in units of the scores; a float, or a tensor on the scores' device. With K margins
            ``[K]`` the result has a leading K. A margin tensor that requires grad gets its
            gradient.
        mask: bool, shaped as ``scores``; True marks a real item. The rest is padding.
        lengths: int32 or int64 ``[B]``, the number of real items at the start of each row.
        offsets: int32 or int64 ``[B + 1]``; list b is ``scores[offsets[b]:offsets[b + 1]]``.
        weights: per item, shaped as ``scores``; finite, not negative, constants of the loss.
        list_weights: per list, ``[B]``; finite, not negative, constants of the loss. Each
            multiplies its list's loss, and what the list adds to the divisor of a mean.
        weighting: the pair weight w_ij: ``"product"`` is w_i w_j, ``"preferred"`` is w_i, of the
            more relevant item.
        reduction: ``"mean"``, the sum over all pairs of the batch / their summed weight; ``"sum"``;
            ``"none"``, the sum of each list, ``[B]``; ``"list_mean"``, the mean over lists with
            pairs of each list's own mean; ``"batch_mean"``, the sum / B.
        impl: ``"auto"``, or ``"reference"`` for the quadratic pure-PyTorch specification.

    Shape:
        - scores, labels, mask, weights: ``[N]``, ``[B, N]`` or ``[T]``, all the same
        - list_weights: ``[B]``; of one list ``[N]``, ``[]`` or ``[1]``
        - result: ``[]``; with ``reduction="none"`` ``[B]``, for one list ``[N]`` still ``[]``, and
          K margins in front

    Returns:
        The loss, float32 (float64 for float64 scores). Exactly 0, with gradient 0, where there is
        no pair. NaN as in :func:`pairwise_hinge_loss`.

    Raises:
        TypeError: a dtype or type that the argument cannot have; integer scores among them.
        ValueError: shapes, devices, offsets, lengths or option values that do not fit.
        RuntimeError: CUDA tensors where the CUDA kernels are not installed.

    Example:
        >>> import torch
        >>> from fused_rankloss import pairwise_squared_hinge_loss
        >>> scores, labels = torch.tensor([1.5, 0.5]), torch.tensor([0, 1])
        >>> pairwise_squared_hinge_loss(scores, labels)  # (1 - (0.5 - 1.5)) squared
        tensor(4.)

    Source: Rust and Hocking, "A log-linear gradient descent algorithm for unbalanced binary
    classification using the all pairs squared hinge loss" (2023); here with moments of gaps, which
    do not cancel.
    """
    name = "pairwise_squared_hinge_loss"
    lists = parse(name, scores, labels, weights, list_weights, mask, lengths, offsets)
    return _pairwise(name, "squared_hinge", lists, margin, weighting, reduction, 1.0, impl)


def _check_margin(name: str, margin: object, scores: Tensor) -> tuple[float, Tensor | None]:
    """``(margin, None)``, or ``(0.0, margins)``: the tensor overrides the float."""
    if isinstance(margin, Tensor):
        if margin.dim() > 1 or margin.shape == (0,):
            raise ValueError(
                f"{name}: expected margin to be a float or a tensor of shape [] or [K], K >= 1, "
                f"got shape {list(margin.shape)}"
            )
        check_margin_tensor(name, margin, "scores", scores)
        return 0.0, margin
    return check_finite(name, "margin", margin, "a float or a tensor"), None


def _pairwise(
    name: str,
    loss: str,
    lists: Lists,
    margin: float | Tensor,
    weighting: str,
    reduction: str,
    boundary_grad: float,
    impl: str,
) -> Tensor:
    check_option(name, "weighting", weighting, WEIGHTINGS)
    check_option(name, "reduction", reduction, REDUCTIONS)
    check_option(name, "impl", impl, IMPLEMENTATIONS)
    margin, margins = _check_margin(name, margin, lists.scores)
    options = PairwiseOptions(margin, loss, weighting, boundary_grad)
    if impl == "auto":
        check_device(name, "scores", lists.scores)
        return Pairwise.apply(
            lists.scores,
            margins,
            lists,
            options,
            reduction,
            lists.scores.requires_grad and torch.is_grad_enabled(),
        )
    scores = lists.scores.to(loss_dtype(lists.scores))
    if margins is not None:
        options = options._replace(margin=margins.to(scores.dtype))
    batch = (scores, lists.labels, lists.items())
    value = reference.pairwise(
        *batch,
        weights=lists.weights,
        list_weights=lists.list_weights,
        reduction=reduction,
        **options._asdict(),
    )
    leading = [] if margins is None else list(margins.shape)
    trailing = list(value.shape[1:]) if lists.batched else []
    return value.reshape(leading + trailing)
