"""The custom ops as Python sees them: typed handles, shape functions, and what they refuse.

Schemas are in ``csrc/ops.cpp``; the kernels register themselves when ``_extension`` loads them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from fused_rankloss import _extension  # loads the kernels, which registers the ops

pairwise_forward = torch.ops.fused_rankloss.pairwise_forward.default
lambda_forward = torch.ops.fused_rankloss.lambda_forward.default
listwise_forward = torch.ops.fused_rankloss.listwise_forward.default
lists_backward = torch.ops.fused_rankloss.lists_backward.default
triplet_forward = torch.ops.fused_rankloss.triplet_forward.default
triplet_backward = torch.ops.fused_rankloss.triplet_backward.default
batch_triplet_forward = torch.ops.fused_rankloss.batch_triplet_forward.default
batch_triplet_backward = torch.ops.fused_rankloss.batch_triplet_backward.default

# How the texts of csrc/bind/torch.h begin.
_OUT_OF_MEMORY = "fused_rankloss: out of memory"


def call(op: Callable, *arguments: Any) -> Any:
    """The results of an op. What C++ can only tell in words becomes the exception it stands for.

    Raises:
        torch.OutOfMemoryError: there is not enough memory.
        BaseException: what a signal handler raised while the op ran, KeyboardInterrupt by default.
    """
    if torch.compiler.is_compiling():
        return op(*arguments)
    try:
        return op(*arguments)
    except RuntimeError as error:
        text = str(error)
        if text.startswith("fused_rankloss: interrupted"):
            # Of no other error: one that a compiled graph could not pass on may still be waiting.
            interruption = _extension.take_interruption()
            if interruption is not None:
                raise interruption from None
        if text.startswith(_OUT_OF_MEMORY):
            if "CUDA error" in text and "out of memory" not in text.removeprefix(_OUT_OF_MEMORY):
                # What an earlier kernel has left shows where memory is asked for.
                raise RuntimeError(text.replace("out of memory: ", "", 1)) from None
            raise torch.OutOfMemoryError(text) from None
        raise


def _register_fake(name: str) -> Callable:
    """``torch.library.register_fake`` that refuses tensors of several devices, as kernels do.

    One tensor on the meta device is enough for an op to be faked.
    """

    def register(fake: Callable) -> Callable:
        names = list(inspect.signature(fake).parameters)

        @functools.wraps(fake)
        def checked(*arguments):
            for what, value in zip(names, arguments, strict=True):
                if isinstance(value, Tensor) and value.device != arguments[0].device:
                    raise ValueError(
                        f"{name}: expected {what} on {arguments[0].device} (as {names[0]}), "
                        f"got {value.device}"
                    )
            return fake(*arguments)

        return torch.library.register_fake(f"fused_rankloss::{name}")(checked)

    return register


def raw_grad_dtype(scores: Tensor, weighted: bool, loss: str, boundary_grad: float) -> torch.dtype:
    """The dtype of d list_sum / d score: an integer where it is a number of pairs."""
    if loss == "hinge" and not weighted and boundary_grad in (0.0, 1.0):
        return torch.int32 if scores.numel() < 2**31 else torch.int64
    return loss_dtype(scores)


def loss_dtype(scores: Tensor) -> torch.dtype:
    return torch.float64 if scores.dtype == torch.float64 else torch.float32


def _lists_of(scores: Tensor, offsets: Tensor | None) -> tuple[int, bool]:
    """The number of lists, and whether a loss of each has a dimension of its own."""
    if offsets is not None:
        return offsets.shape[0] - 1, True
    return (scores.shape[0], True) if scores.dim() == 2 else (1, False)


@_register_fake("pairwise_forward")
def _(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor | None,
    mask: Tensor | None,
    lengths: Tensor | None,
    offsets: Tensor | None,
    margins: Tensor | None,
    margin: float,
    loss: str,
    weighting: str,
    boundary_grad: float,
    reduction: str,
    needs_grad: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    num_lists, batched = _lists_of(scores, offsets)
    leading = list(margins.shape) if margins is not None else []
    num_margins = margins.shape[0] if margins is not None and margins.dim() == 1 else 1
    loss_shape = leading + ([num_lists] if batched and reduction == "none" else [])
    grad_shape = [num_margins, *scores.shape] if needs_grad else [0]
    return (
        scores.new_empty(loss_shape, dtype=loss_dtype(scores)),
        scores.new_empty(
            grad_shape, dtype=raw_grad_dtype(scores, weights is not None, loss, boundary_grad)
        ),
        scores.new_empty([num_lists], dtype=torch.float64),
        scores.new_empty([num_margins, num_lists], dtype=torch.float64),
    )


def _list_sums(
    scores: Tensor, offsets: Tensor | None, reduction: str, needs_grad: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss, raw_grad and list_scale of a loss without margins."""
    num_lists, batched = _lists_of(scores, offsets)
    dtype = loss_dtype(scores)
    return (
        scores.new_empty([num_lists] if batched and reduction == "none" else [], dtype=dtype),
        scores.new_empty([1, *scores.shape] if needs_grad else [0], dtype=dtype),
        scores.new_empty([num_lists], dtype=torch.float64),
    )


@_register_fake("lambda_forward")
def _(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor | None,
    gains: Tensor | None,
    mask: Tensor | None,
    lengths: Tensor | None,
    offsets: Tensor | None,
    discounts: Tensor | None,
    scheme: str,
    pair_loss: str,
    sigma: float,
    margin: float,
    scale: float,
    mu: float,
    gain: str,
    k: int,
    truncation: str,
    score_normalization: bool,
    list_normalization: bool,
    weighting: str,
    reduction: str,
    needs_grad: bool,
    needs_statistics: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows = _lists_of(scores, offsets)[0] if needs_statistics else 0
    statistics = scores.new_empty([rows, 3], dtype=torch.float64)
    return *_list_sums(scores, offsets, reduction, needs_grad), statistics


@_register_fake("listwise_forward")
def _(
    scores: Tensor,
    labels: Tensor,
    weights: Tensor | None,
    gains: Tensor | None,
    mask: Tensor | None,
    lengths: Tensor | None,
    offsets: Tensor | None,
    position_weights: Tensor | None,
    loss: str,
    positions: str,
    temperature: float,
    gain: str,
    reduction: str,
    needs_grad: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    return _list_sums(scores, offsets, reduction, needs_grad)


@_register_fake("lists_backward")
def _(
    grad_loss: Tensor,
    raw_grad: Tensor,
    list_scale: Tensor,
    mask: Tensor | None,
    lengths: Tensor | None,
    offsets: Tensor | None,
    dtype: torch.dtype,
) -> Tensor:
    return raw_grad.new_empty(raw_grad.shape[1:], dtype=dtype)


@_register_fake("triplet_forward")
def _(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin_tensor: Tensor | None,
    margin: float,
    soft: bool,
    distance: str,
    p: float,
    eps: float,
    swap: bool,
    boundary_grad: float,
    reduction: str,
) -> tuple[Tensor, Tensor, Tensor]:
    rows = anchor.shape[0]
    return (
        anchor.new_empty([rows] if reduction == "none" else [], dtype=loss_dtype(anchor)),
        anchor.new_empty([3 if swap else 2, rows], dtype=torch.float64),
        anchor.new_empty([rows], dtype=torch.float64),
    )


@_register_fake("triplet_backward")
def _(
    grad_loss: Tensor,
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    distances: Tensor,
    slope: Tensor,
    distance: str,
    p: float,
    eps: float,
    swap: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    return tuple(rows.new_empty(rows.shape) for rows in (anchor, positive, negative))


@_register_fake("batch_triplet_forward")
def _(
    embeddings: Tensor,
    labels: Tensor,
    ref_embeddings: Tensor | None,
    ref_labels: Tensor | None,
    margin_tensor: Tensor | None,
    margin: float,
    soft: bool,
    mining: str,
    distance: str,
    boundary_grad: float,
    reduction: str,
    needs_grad: bool,
    needs_mined: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    anchors = embeddings.shape[0]
    loss_shape = [anchors] if reduction == "none" else []
    grad_shape = embeddings.shape if needs_grad else [0]
    ref_shape = [0] if ref_embeddings is None or not needs_grad else ref_embeddings.shape
    return (
        embeddings.new_empty(loss_shape, dtype=loss_dtype(embeddings)),
        embeddings.new_empty([anchors], dtype=torch.int64),
        embeddings.new_empty([anchors], dtype=torch.int64),
        embeddings.new_empty([2, anchors], dtype=torch.float64),
        embeddings.new_empty([anchors], dtype=torch.float64),
        embeddings.new_empty([], dtype=torch.float64),
        embeddings.new_empty(grad_shape, dtype=loss_dtype(embeddings)),
        embeddings.new_empty(ref_shape, dtype=loss_dtype(embeddings)),
    )


@_register_fake("batch_triplet_backward")
def _(
    grad_loss: Tensor,
    embeddings: Tensor,
    labels: Tensor,
    ref_embeddings: Tensor | None,
    ref_labels: Tensor | None,
    margin_tensor: Tensor | None,
    margin: float,
    soft: bool,
    mining: str,
    distance: str,
    boundary_grad: float,
    positive: Tensor,
    negative: Tensor,
    distances: Tensor,
    slope: Tensor,
    anchor_scale: Tensor,
) -> tuple[Tensor, Tensor]:
    ref_shape = [0] if ref_embeddings is None else ref_embeddings.shape
    return embeddings.new_empty(embeddings.shape), embeddings.new_empty(ref_shape)


NO_SECOND_DERIVATIVE = (
    "fused_rankloss: second derivatives of the fused losses are not implemented; "
    "use impl='reference' where they are needed"
)


def _refuse(message: str):
    def backward(ctx, *grads):
        raise NotImplementedError(message)

    return backward


# Without these torch would only warn, and hand out wrong gradients.
for _family in ("pairwise", "lambda", "listwise", "triplet", "batch_triplet"):
    torch.library.register_autograd(
        f"fused_rankloss::{_family}_forward",
        _refuse(
            f"fused_rankloss.ops.{_family}_forward: expected to be differentiated through the "
            "functions of fused_rankloss, which pair it with its backward op; the raw op has no "
            "derivative"
        ),
    )
for _family in ("lists", "triplet", "batch_triplet"):
    torch.library.register_autograd(
        f"fused_rankloss::{_family}_backward", _refuse(NO_SECOND_DERIVATIVE)
    )
