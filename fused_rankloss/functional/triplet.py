"""Triplet losses over embeddings as functions.

Explicit triplets are rows of three tensors. In a batch with labels, every embedding is an anchor;
embeddings of its label are its positives, all others its negatives.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fused_rankloss import reference
from fused_rankloss.autograd import BatchTriplet, Triplet
from fused_rankloss.functional._checks import (
    IMPLEMENTATIONS,
    check_alike,
    check_boundary_grad,
    check_dense,
    check_device,
    check_finite,
    check_flag,
    check_floats,
    check_margin_tensor,
    check_number,
    check_option,
    check_same_device,
)
from fused_rankloss.ops import loss_dtype
from fused_rankloss.options import BatchOptions, TripletOptions

DISTANCES = ("euclidean", "sqeuclidean", "cosine")
REDUCTIONS = ("mean", "mean_nonzero", "sum", "none")


class MinedTriplets(NamedTuple):
    """Each anchor's triplet of the greatest loss, without a graph.

    ``positive`` and ``negative`` are int64 indices ``[N]`` into the references (the embeddings
    where there are none), -1 where the anchor has no valid triplet. Their distances ``[N]`` have
    the dtype of the loss and are NaN there.
    """

    positive: Tensor
    negative: Tensor
    positive_distance: Tensor
    negative_distance: Tensor


def triplet_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    margin: float | str | Tensor = 1.0,
    distance: str = "sqeuclidean",
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
    boundary_grad: float | None = None,
    impl: str = "auto",
) -> Tensor:
    r"""The triplet loss of given triplets, forward and backward in one pass each.

    For every triplet

    .. math:: \ell = \max(0,\; d(a, p) - d(a, n) + \text{margin})

    With ``distance="euclidean"`` this is ``torch.nn.functional.triplet_margin_loss``, with the
    default ``relu((a - p).square().sum(1) - (a - n).square().sum(1) + margin).mean()``, each in
    value and gradient.

    Args:
        anchor: ``[..., D]``, float16, bfloat16, float32 or float64.
        positive: of the anchor's dtype; ``[..., D]``, broadcast.
        negative: of the anchor's dtype; ``[..., D]``, broadcast.
        margin: in units of the distance; a float, a tensor ``[]`` on the embeddings' device, which
            gets its gradient if it requires grad, or ``"soft"`` for
            ``softplus(d(a, p) - d(a, n))``.
        distance: ``"sqeuclidean"``, the sum of squared differences; ``"euclidean"``, the norm
            ``(sum |x - y + eps|^p)^(1/p)``; ``"cosine"``, 1 - cos, which is 1 for a zero row.
        p: of the norm, positive, ``inf`` for the maximum.
        eps: added to every difference before the norm, as torch does; it keeps a slope where the
            points coincide. The other distances have gradient 0 there.
        swap: replaces d(a, n) by the smaller of d(a, n) and d(p, n); where they are equal each
            gets half of the gradient.
        reduction: ``"mean"`` over the triplets; ``"mean_nonzero"`` over those with a loss above 0;
            ``"sum"``; ``"none"``, the loss of every triplet ``[...]``.
        boundary_grad: the slope where the loss is at exactly 0, in [0, 1]: 1 as ``clamp`` has it,
            0 as ``relu``. None, the default: 1 for ``"euclidean"``, else 0, to match the PyTorch
            losses above.
        impl: ``"auto"``, or ``"reference"`` for the pure-PyTorch specification.

    Shape:
        - anchor, positive, negative: ``[..., D]``, broadcast against each other
        - result: ``[]``; with ``reduction="none"`` ``[...]``

    Returns:
        The loss, float32 (float64 for float64 rows). Exactly 0, with gradient 0, where there is
        no triplet. NaN in a row makes its loss and gradient NaN.

    Raises:
        TypeError: a dtype or type that the argument cannot have.
        ValueError: shapes, devices, or option values that do not fit.
        RuntimeError: CUDA tensors where the CUDA kernels are not installed.

    Example:
        >>> import torch
        >>> from fused_rankloss import triplet_loss
        >>> anchor = torch.tensor([[0.0, 0.0]], requires_grad=True)
        >>> positive, negative = torch.tensor([[0.0, 3.0]]), torch.tensor([[2.0, 0.0]])
        >>> triplet_loss(anchor, positive, negative)  # 9 - 4 + 1
        tensor(6., grad_fn=<...>)

    Source: Weinberger and Saul, "Distance metric learning for large margin nearest neighbor
    classification" (2009); Schroff, Kalenichenko and Philbin, "FaceNet" (2015); swap from Balntas
    et al., "Learning local feature descriptors with triplets" (2016).
    """
    name = "triplet_loss"
    check_option(name, "distance", distance, DISTANCES)
    check_option(name, "reduction", reduction, REDUCTIONS)
    check_option(name, "impl", impl, IMPLEMENTATIONS)
    p, eps = _check_norm(name, distance, p, eps)
    check_flag(name, "swap", swap)
    if boundary_grad is None:
        boundary_grad = 1.0 if distance == "euclidean" else 0.0
    boundary_grad = check_boundary_grad(name, boundary_grad)

    rows = _check_rows(name, anchor, positive, negative)
    margin, soft, margin_tensor = _check_margin(name, margin, "anchor", anchor)
    leading = rows[0].shape[:-1]
    rows = [row.reshape(leading.numel(), row.shape[-1]) for row in rows]
    options = TripletOptions(margin, soft, distance, p, eps, swap, boundary_grad)
    if impl == "auto":
        check_device(name, "anchor", anchor)
        value = Triplet.apply(*rows, margin_tensor, options, reduction)
    else:
        dtype = loss_dtype(anchor)
        value = reference.triplet(
            *(row.to(dtype) for row in rows),
            reduction=reduction,
            **_reference_options(options, margin_tensor, dtype),
        )
    return value.reshape(leading) if reduction == "none" else value


def batch_hard_triplet_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    margin: float | str | Tensor = 1.0,
    distance: str = "euclidean",
    ref_embeddings: Tensor | None = None,
    ref_labels: Tensor | None = None,
    reduction: str = "mean",
    boundary_grad: float = 0.0,
    return_mined: bool = False,
    impl: str = "auto",
) -> Tensor | tuple[Tensor, MinedTriplets]:
    r"""The triplet loss of every anchor with its hardest positive and negative, in O(N D) memory.

    For every anchor a that has a positive and a negative

    .. math:: \ell_a = \max(0,\; \max_p d(a, p) - \min_n d(a, n) + \text{margin})

    Positives are the references of the anchor's label, negatives all others. An anchor that lacks
    either has no term. The hardest pair is that of the given values: their squared differences (of
    unit rows for cosine) are summed in double precision, in one order on every device. Of equal
    ones the lowest index wins. Equal rows are a tie. Distances that only exact arithmetic makes
    equal, as cosine's of parallel rows, may differ in the last bit, and are none. The pair's
    distance and gradient come from direct differences.

    Args:
        embeddings: ``[N, D]``, float16, bfloat16, float32 or float64.
        labels: any bool or integer dtype ``[N]``; uint64 beside other unsigned ones only.
        margin: in units of the distance; a float, a tensor ``[]`` on the embeddings' device, which
            gets its gradient if it requires grad, or ``"soft"`` for
            ``softplus(d(a, p) - d(a, n))``.
        distance: ``"euclidean"``; ``"sqeuclidean"``, its square; ``"cosine"``, 1 - cos, which is 1
            for a zero row. Only ``"cosine"`` normalizes the embeddings. Where two points coincide,
            their distance has gradient 0.
        ref_embeddings: the references ``[M, D]``, of the embeddings' dtype: where positives and
            negatives are taken from, every one of them a candidate. They get their gradient. If
            omitted, the batch itself is used, and an anchor is never its own positive.
        ref_labels: their labels ``[M]``, any bool or integer dtype.
        reduction: ``"mean"`` over the terms, one per anchor; ``"mean_nonzero"`` over
            those above 0; ``"sum"``; ``"none"``, the sum of
            each anchor's terms ``[N]``, 0 for an anchor without any.
        boundary_grad: the slope where a term is at exactly 0, in [0, 1]: 1 as ``clamp`` has it, 0
            as ``relu``.
        return_mined: also return :class:`MinedTriplets`: each anchor's
            hardest positive and negative.
        impl: ``"auto"``, or ``"reference"`` for the quadratic pure-PyTorch specification.

    Shape:
        - embeddings: ``[N, D]``; labels: ``[N]``; ref_embeddings: ``[M, D]``; ref_labels: ``[M]``
        - result: ``[]``; with ``reduction="none"`` ``[N]``

    Returns:
        The loss, float32 (float64 for float64 embeddings). Exactly 0, with gradient 0, where there
        is no term. A NaN distance counts as hardest on both sides, so that it surfaces: loss and
        gradient of that anchor are NaN. With ``return_mined`` a tuple of the loss and the triplets.

    Raises:
        TypeError: a dtype or type that the argument cannot have; float labels among
            them.
        ValueError: shapes, devices, or option values that do not fit.
        RuntimeError: CUDA tensors where the CUDA kernels are not installed.

    Example:
        >>> import torch
        >>> from fused_rankloss import batch_hard_triplet_loss
        >>> embeddings = torch.tensor([[0.0], [2.0], [3.0], [7.0]], requires_grad=True)
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> loss = batch_hard_triplet_loss(embeddings, labels)
        >>> loss.item()  # the mean of 0, 2, 4 and 0
        1.5
        >>> loss.backward()

    Source: Hermans, Beyer and Leibe, "In defense of the triplet loss for person
    re-identification" (2017), batch hard.
    """
    batch = (embeddings, labels, ref_embeddings, ref_labels)
    options = (margin, distance, boundary_grad)
    return _batch_triplet("hard", batch, options, reduction, return_mined, impl)


def batch_semi_hard_triplet_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    margin: float | str | Tensor = 1.0,
    distance: str = "euclidean",
    ref_embeddings: Tensor | None = None,
    ref_labels: Tensor | None = None,
    reduction: str = "mean",
    boundary_grad: float = 0.0,
    return_mined: bool = False,
    impl: str = "auto",
) -> Tensor | tuple[Tensor, MinedTriplets]:
    r"""The triplet loss of every positive pair with its semi-hard negative, in O(N (K + D)) memory.

    For every anchor a that has a negative and each of its positives p

    .. math:: \ell_{ap} = \max(0,\; d(a, p) - d(a, n_{ap}) + \text{margin})

    where n_ap is the nearest negative that is farther from the anchor than p is, strictly; where
    none is, the farthest negative. Of equally distant ones it is that of the lowest index.

    Args:
        embeddings: ``[N, D]``, float16, bfloat16, float32 or float64.
        labels: any bool or integer dtype ``[N]``; uint64 beside other unsigned ones only.
        margin: in units of the distance; a float, a tensor ``[]`` on the embeddings' device, which
            gets its gradient if it requires grad, or ``"soft"`` for
            ``softplus(d(a, p) - d(a, n))``.
        distance: ``"euclidean"``; ``"sqeuclidean"``, its square; ``"cosine"``, 1 - cos, which is 1
            for a zero row. Only ``"cosine"`` normalizes the embeddings. Where two points coincide,
            their distance has gradient 0.
        ref_embeddings: the references ``[M, D]``, of the embeddings' dtype: where positives and
            negatives are taken from, every one of them a candidate. They get their gradient. If
            omitted, the batch itself is used, and an anchor is never its own positive.
        ref_labels: their labels ``[M]``, any bool or integer dtype.
        reduction: ``"mean"`` over the terms, the ordered pairs (a, p); ``"mean_nonzero"`` over
            those above 0; ``"sum"``; ``"none"``, the sum of
            each anchor's terms ``[N]``, 0 for an anchor without any.
        boundary_grad: the slope where a term is at exactly 0, in [0, 1]: 1 as ``clamp`` has it, 0
            as ``relu``.
        return_mined: also return :class:`MinedTriplets`: each anchor's
            triplet with the greatest d(a, p) - d(a, n_ap), the one of the lowest p of several.
        impl: ``"auto"``, or ``"reference"`` for the quadratic pure-PyTorch specification.

    Shape:
        - embeddings: ``[N, D]``; labels: ``[N]``; ref_embeddings: ``[M, D]``; ref_labels: ``[M]``
        - result: ``[]``; with ``reduction="none"`` ``[N]``

    Returns:
        The loss, float32 (float64 for float64 embeddings). Exactly 0, with gradient 0, where there
        is no term. A NaN distance counts as hardest on both sides, so that it surfaces: loss and
        gradient of that anchor are NaN. With ``return_mined`` a tuple of the loss and the triplets.

    Raises:
        TypeError: a dtype or type that the argument cannot have; float labels among
            them.
        ValueError: shapes, devices, or option values that do not fit.
        RuntimeError: CUDA tensors where the CUDA kernels are not installed.

    Example:
        >>> import torch
        >>> from fused_rankloss import batch_semi_hard_triplet_loss
        >>> embeddings = torch.tensor([[0.0], [2.0], [3.0], [7.0]], requires_grad=True)
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> loss = batch_semi_hard_triplet_loss(embeddings, labels)
        >>> loss.item()
        0.5
        >>> loss.backward()

    Source: Schroff, Kalenichenko and Philbin, "FaceNet: a unified embedding for face recognition
    and clustering" (2015).
    """
    batch = (embeddings, labels, ref_embeddings, ref_labels)
    options = (margin, distance, boundary_grad)
    return _batch_triplet("semi_hard", batch, options, reduction, return_mined, impl)


def batch_all_triplet_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    margin: float | str | Tensor = 1.0,
    distance: str = "euclidean",
    ref_embeddings: Tensor | None = None,
    ref_labels: Tensor | None = None,
    reduction: str = "mean",
    boundary_grad: float = 0.0,
    return_mined: bool = False,
    impl: str = "auto",
) -> Tensor | tuple[Tensor, MinedTriplets]:
    r"""The triplet loss of all triplets of a batch, without ever holding them.

    For every anchor a, each of its positives p and each of its negatives n

    .. math:: \ell_{apn} = \max(0,\; d(a, p) - d(a, n) + \text{margin})

    A positive and a negative that are equal rows are equally far from every anchor; distances to
    other negatives come from products of rows in the dtype of the loss.

    Args:
        embeddings: ``[N, D]``, float16, bfloat16, float32 or float64.
        labels: any bool or integer dtype ``[N]``; uint64 beside other unsigned ones only.
        margin: in units of the distance; a float, a tensor ``[]`` on the embeddings' device, which
            gets its gradient if it requires grad, or ``"soft"`` for
            ``softplus(d(a, p) - d(a, n))``.
        distance: ``"euclidean"``; ``"sqeuclidean"``, its square; ``"cosine"``, 1 - cos, which is 1
            for a zero row. Only ``"cosine"`` normalizes the embeddings. Where two points coincide,
            their distance has gradient 0.
        ref_embeddings: the references ``[M, D]``, of the embeddings' dtype: where positives and
            negatives are taken from, every one of them a candidate. They get their gradient. If
            omitted, the batch itself is used, and an anchor is never its own positive.
        ref_labels: their labels ``[M]``, any bool or integer dtype.
        reduction: ``"mean"`` over the terms, all triplets; ``"mean_nonzero"`` over
            those above 0, the batch-all loss of most papers; ``"sum"``; ``"none"``, the sum of
            each anchor's terms ``[N]``, 0 for an anchor without any.
        boundary_grad: the slope where a term is at exactly 0, in [0, 1]: 1 as ``clamp`` has it, 0
            as ``relu``.
        return_mined: also return :class:`MinedTriplets`: the hardest
            positive and the hardest negative of each anchor.
        impl: ``"auto"``, or ``"reference"`` for the quadratic pure-PyTorch specification.

    Shape:
        - embeddings: ``[N, D]``; labels: ``[N]``; ref_embeddings: ``[M, D]``; ref_labels: ``[M]``
        - result: ``[]``; with ``reduction="none"`` ``[N]``

    Returns:
        The loss, float32 (float64 for float64 embeddings). Exactly 0, with gradient 0, where there
        is no term. A NaN distance counts as hardest on both sides, so that it surfaces: loss and
        gradient of that anchor are NaN. With ``return_mined`` a tuple of the loss and the triplets.

    Raises:
        TypeError: a dtype or type that the argument cannot have; float labels among
            them.
        ValueError: shapes, devices, or option values that do not fit.
        RuntimeError: CUDA tensors where the CUDA kernels are not installed.

    Example:
        >>> import torch
        >>> from fused_rankloss import batch_all_triplet_loss
        >>> embeddings = torch.tensor([[0.0], [2.0], [3.0], [7.0]], requires_grad=True)
        >>> labels = torch.tensor([0, 0, 1, 1])
        >>> loss = batch_all_triplet_loss(embeddings, labels)
        >>> loss.item()  # the mean of 2, 2, 4 and five zeros
        1.0
        >>> loss.backward()

    Source: Hermans, Beyer and Leibe, "In defense of the triplet loss for person
    re-identification" (2017), batch all; Ding et al., "Deep feature learning with relative distance
    comparison for person re-identification" (2015).
    """
    batch = (embeddings, labels, ref_embeddings, ref_labels)
    options = (margin, distance, boundary_grad)
    return _batch_triplet("all", batch, options, reduction, return_mined, impl)


# ---- Checks --------------------------------------------------------------------------------------


def _check_rows(
    name: str, anchor: object, positive: object, negative: object
) -> tuple[Tensor, Tensor, Tensor]:
    """The three tensors at their common shape ``[..., D]``."""
    anchor = check_floats(name, "anchor", anchor)
    positive = check_floats(name, "positive", positive)
    negative = check_floats(name, "negative", negative)
    check_alike(name, "positive", positive, "anchor", anchor)
    check_alike(name, "negative", negative, "anchor", anchor)
    shapes = [list(rows.shape) for rows in (anchor, positive, negative)]
    if [] in shapes:
        raise ValueError(
            f"{name}: expected anchor, positive and negative of shape [..., D], "
            f"got {shapes[0]}, {shapes[1]} and {shapes[2]}"
        )
    try:
        return torch.broadcast_tensors(anchor, positive, negative)
    except RuntimeError:
        raise ValueError(
            f"{name}: expected anchor, positive and negative of shapes that broadcast, "
            f"got {shapes[0]}, {shapes[1]} and {shapes[2]}"
        ) from None


def _check_norm(name: str, distance: str, p: object, eps: object) -> tuple[float, float]:
    p, eps = check_number(name, "p", p), check_finite(name, "eps", eps)
    if not p > 0:
        raise ValueError(f"{name}: expected p > 0, got {p}")
    if distance != "euclidean" and (p, eps) != (2.0, 1e-6):
        raise ValueError(
            f"{name}: expected p and eps with distance='euclidean' only, "
            f"got p={p} and eps={eps} with distance={distance!r}"
        )
    return p, eps


def _check_margin(
    name: str, margin: object, what: str, model: Tensor
) -> tuple[float, bool, Tensor | None]:
    """The margin as a float, whether it is "soft", and as a tensor: one of which speaks."""
    kinds = "a float, a tensor or 'soft'"
    if isinstance(margin, Tensor):
        if margin.dim() != 0:
            raise ValueError(
                f"{name}: expected margin to be {kinds}, the tensor of shape [], "
                f"got shape {list(margin.shape)}"
            )
        check_margin_tensor(name, margin, what, model)
        return 0.0, False, margin
    if isinstance(margin, str):
        if margin != "soft":
            raise ValueError(f"{name}: expected margin to be {kinds}, got {margin!r}")
        return 0.0, True, None
    return check_finite(name, "margin", margin, kinds), False, None


def _check_labels(name: str, what: str, labels: object, like: str, embeddings: Tensor) -> Tensor:
    labels = check_dense(name, what, labels)
    if labels.dtype.is_floating_point or labels.dtype.is_complex:
        raise TypeError(f"{name}: expected {what} of a bool or integer dtype, got {labels.dtype}")
    if labels.shape != embeddings.shape[:1]:
        raise ValueError(
            f"{name}: expected {what} of shape [{embeddings.shape[0]}] (one for each row of "
            f"{like}), got {list(labels.shape)}"
        )
    check_same_device(name, what, labels, like, embeddings)
    return labels


def _readable(labels: Tensor) -> Tensor:
    """Labels of a dtype that the kernels read: in int64, equal ones are still equal."""
    unread = (torch.uint16, torch.uint32, torch.uint64)
    return labels.to(torch.int64) if labels.dtype in unread else labels


def _check_comparable(name: str, labels: Tensor, ref_labels: Tensor) -> None:
    """In int64, uint64 labels from 2^63 up would be equal to negative ones."""
    dtypes = (labels.dtype, ref_labels.dtype)
    if torch.uint64 in dtypes and any(dtype.is_signed for dtype in dtypes):
        raise TypeError(
            f"{name}: expected labels and ref_labels both signed or both unsigned where one is "
            f"uint64, got {dtypes[0]} and {dtypes[1]}"
        )


def _check_batch(
    name: str, embeddings: object, labels: object, ref_embeddings: object, ref_labels: object
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    embeddings = check_floats(name, "embeddings", embeddings)
    if embeddings.dim() != 2:
        raise ValueError(
            f"{name}: expected embeddings of shape [N, D], got {list(embeddings.shape)}"
        )
    labels = _check_labels(name, "labels", labels, "embeddings", embeddings)
    if (ref_embeddings is None) != (ref_labels is None):
        given = "ref_labels" if ref_embeddings is None else "ref_embeddings"
        raise ValueError(
            f"{name}: expected ref_embeddings and ref_labels or neither, got only {given}"
        )
    if ref_embeddings is None:
        return embeddings, _readable(labels), None, None
    ref_embeddings = check_floats(name, "ref_embeddings", ref_embeddings)
    check_alike(name, "ref_embeddings", ref_embeddings, "embeddings", embeddings)
    if ref_embeddings.dim() != 2 or ref_embeddings.shape[1] != embeddings.shape[1]:
        raise ValueError(
            f"{name}: expected ref_embeddings of shape [M, {embeddings.shape[1]}] "
            f"(D as embeddings), got {list(ref_embeddings.shape)}"
        )
    ref_labels = _check_labels(name, "ref_labels", ref_labels, "ref_embeddings", ref_embeddings)
    _check_comparable(name, labels, ref_labels)
    return embeddings, _readable(labels), ref_embeddings, _readable(ref_labels)


# ---- Choice of implementation --------------------------------------------------------------------


def _reference_options(
    options: TripletOptions | BatchOptions, margin_tensor: Tensor | None, dtype: torch.dtype
) -> dict[str, object]:
    """The options as the reference takes them: a margin that is a float, a tensor or "soft"."""
    named = options._asdict()
    if named.pop("soft"):
        named["margin"] = "soft"
    elif margin_tensor is not None:
        named["margin"] = margin_tensor.to(dtype)
    return named


def _batch_triplet(
    mining: str,
    batch: tuple[Tensor, Tensor, Tensor | None, Tensor | None],
    given: tuple[float | str | Tensor, str, float],
    reduction: str,
    return_mined: bool,
    impl: str,
) -> Tensor | tuple[Tensor, MinedTriplets]:
    """``given``: margin, distance and boundary_grad."""
    name = f"batch_{mining}_triplet_loss"
    margin, distance, boundary_grad = given
    check_option(name, "distance", distance, DISTANCES)
    check_option(name, "reduction", reduction, REDUCTIONS)
    check_option(name, "impl", impl, IMPLEMENTATIONS)
    boundary_grad = check_boundary_grad(name, boundary_grad)
    batch = embeddings, labels, ref_embeddings, ref_labels = _check_batch(name, *batch)
    margin, soft, margin_tensor = _check_margin(name, margin, "embeddings", embeddings)
    options = BatchOptions(margin, soft, mining, distance, boundary_grad)
    dtype = loss_dtype(embeddings)
    if impl == "auto":
        check_device(name, "embeddings", embeddings)
        needs_grad = torch.is_grad_enabled() and (
            embeddings.requires_grad
            or (ref_embeddings is not None and ref_embeddings.requires_grad)
        )
        value, positive, negative, distances = BatchTriplet.apply(
            *batch, margin_tensor, options, reduction, needs_grad, return_mined
        )
    else:
        value, positive, negative, distances = reference.batch_triplet(
            embeddings.to(dtype),
            labels,
            None if ref_embeddings is None else ref_embeddings.to(dtype),
            ref_labels,
            reduction=reduction,
            **_reference_options(options, margin_tensor, dtype),
        )
    if not return_mined:
        return value
    return value, MinedTriplets(positive, negative, *distances.to(dtype))
