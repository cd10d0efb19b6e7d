"""The custom ops as Python sees them: typed handles, shape functions, and what they refuse.

Schemas are in ``csrc/ops.cpp``; the kernels register themselves when ``_extension`` loads them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fused_rankloss import _extension as _extension  # loads the kernels, which registers the ops

pairwise_forward = torch.ops.fused_rankloss.pairwise_forward.default
lists_backward = torch.ops.fused_rankloss.lists_backward.default


def raw_grad_dtype(scores: Tensor, weighted: bool, loss: str, boundary_grad: float) -> torch.dtype:
    """The dtype of d list_sum / d score: an integer where it is a number of pairs."""
    if loss == "hinge" and not weighted and boundary_grad in (0.0, 1.0):
        return torch.int32 if scores.numel() < 2**31 else torch.int64
    return loss_dtype(scores)


def loss_dtype(scores: Tensor) -> torch.dtype:
    return torch.float64 if scores.dtype == torch.float64 else torch.float32


@torch.library.register_fake("fused_rankloss::pairwise_forward")
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
    batched = offsets is not None or scores.dim() == 2
    if offsets is not None:
        num_lists = offsets.shape[0] - 1
    else:
        num_lists = scores.shape[0] if batched else 1
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


@torch.library.register_fake("fused_rankloss::lists_backward")
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


NO_SECOND_DERIVATIVE = (
    "fused_rankloss: second derivatives of the fused losses are not implemented; "
    "use impl='reference' where they are needed"
)


def _refuse(message: str):
    def backward(ctx, *grads):
        raise NotImplementedError(message)

    return backward


# Without these torch would only warn, and hand out wrong gradients.
torch.library.register_autograd(
    "fused_rankloss::pairwise_forward",
    _refuse(
        "fused_rankloss.ops.pairwise_forward: expected to be differentiated through the functions "
        "of fused_rankloss, which pair it with its backward op; the raw op has no derivative"
    ),
)
torch.library.register_autograd("fused_rankloss::lists_backward", _refuse(NO_SECOND_DERIVATIVE))
