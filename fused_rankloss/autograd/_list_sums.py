"""The backward pass of losses that are scaled sums over lists, with no variable but the scores."""

from __future__ import annotations

import torch
from torch import Tensor

from fused_rankloss import ops
from fused_rankloss.autograd._first_derivative import refuse_second
from fused_rankloss.lists import Lists


def in_double(constants: Tensor | None) -> Tensor | None:
    return None if constants is None else constants.to(torch.float64)


def save(ctx, lists: Lists, raw_grad: Tensor, list_scale: Tensor) -> None:
    ctx.save_for_backward(raw_grad, list_scale, lists.mask, lists.lengths, lists.offsets)
    # Not saved: its values are not needed again, and may change before the backward pass.
    ctx.scores = lists.scores


def grad_scores(ctx, grad_loss: Tensor) -> Tensor | None:
    grad = ops.lists_backward(grad_loss, *ctx.saved_tensors, ctx.scores.dtype)
    return refuse_second((grad,), (ctx.scores,))[0]
