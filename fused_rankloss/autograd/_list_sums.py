"""The backward pass of losses that are scaled sums over lists, with no variable but the scores."""

from __future__ import annotations

import torch
from torch import Tensor

from fused_rankloss import ops
from fused_rankloss.autograd._first_derivative import keep_sources, refuse_second
from fused_rankloss.lists import Lists


def in_double(constants: Tensor | None) -> Tensor | None:
    return None if constants is None else constants.to(torch.float64)


def save(ctx, scores: Tensor, lists: Lists, raw_grad: Tensor, list_scale: Tensor) -> None:
    ctx.save_for_backward(raw_grad, list_scale, lists.mask, lists.lengths, lists.offsets)
    ctx.dtype = scores.dtype
    keep_sources(ctx, scores)


def grad_scores(ctx, grad_loss: Tensor) -> Tensor | None:
    grad = ops.call(ops.lists_backward, grad_loss, *ctx.saved_tensors, ctx.dtype)
    return refuse_second(ctx, grad)[0]
