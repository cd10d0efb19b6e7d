"""Pairwise losses over lists of scores."""

from __future__ import annotations

import torch
from torch import Tensor

from fused_rankloss import ops
from fused_rankloss.autograd._first_derivative import keep_sources, refuse_second
from fused_rankloss.autograd._list_sums import in_double
from fused_rankloss.lists import Lists
from fused_rankloss.options import PairwiseOptions


class Pairwise(torch.autograd.Function):
    """A pair loss over lists; its gradient is computed in the forward pass, where it is cheaper."""

    @staticmethod
    def forward(
        ctx,
        scores: Tensor,
        margins: Tensor | None,
        lists: Lists,
        options: PairwiseOptions,
        reduction: str,
        needs_grad: bool,
    ) -> Tensor:
        value, raw_grad, list_scale, margin_slope = ops.call(
            ops.pairwise_forward,
            scores,
            lists.labels,
            lists.weights,
            in_double(lists.list_weights),
            lists.mask,
            lists.lengths,
            lists.offsets,
            in_double(margins),
            *options,
            reduction,
            needs_grad,
        )
        ctx.save_for_backward(
            raw_grad, list_scale, margin_slope, lists.mask, lists.lengths, lists.offsets
        )
        ctx.dtype = scores.dtype
        ctx.margins = None if margins is None else (margins.shape, margins.dtype)
        keep_sources(ctx, scores, margins)
        return value

    @staticmethod
    def backward(ctx, grad_loss: Tensor):
        raw_grad, list_scale, margin_slope, *description = ctx.saved_tensors
        grad_scores = grad_margins = None
        if ctx.needs_input_grad[0]:
            grad_scores = ops.call(
                ops.lists_backward, grad_loss, raw_grad, list_scale, *description, ctx.dtype
            )
        if ctx.needs_input_grad[1]:
            grad_output = grad_loss.to(torch.float64).reshape(margin_slope.shape[0], -1)
            grad_margins = (grad_output * margin_slope * list_scale).sum(-1)
            shape, dtype = ctx.margins
            grad_margins = grad_margins.reshape(shape).to(dtype)
        return *refuse_second(ctx, grad_scores, grad_margins), *[None] * 4
