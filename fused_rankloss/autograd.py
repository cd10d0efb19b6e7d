"""One autograd.Function per family: what to save for the backward pass, and nothing else."""

from __future__ import annotations

import torch
from torch import Tensor

from fused_rankloss import ops
from fused_rankloss.lists import Lists


class Pairwise(torch.autograd.Function):
    """A pair loss over lists; its gradient is computed in the forward pass, where it is cheaper."""

    @staticmethod
    def forward(
        ctx,
        scores: Tensor,
        margins: Tensor | None,
        lists: Lists,
        margin: float,
        loss: str,
        weighting: str,
        boundary_grad: float,
        reduction: str,
    ) -> Tensor:
        value, raw_grad, list_scale, margin_slope = ops.pairwise_forward(
            scores,
            lists.labels,
            lists.weights,
            lists.mask,
            lists.lengths,
            lists.offsets,
            None if margins is None else margins.to(torch.float64),
            margin,
            loss,
            weighting,
            boundary_grad,
            reduction,
            ctx.needs_input_grad[0],
        )
        ctx.save_for_backward(
            raw_grad, list_scale, margin_slope, lists.mask, lists.lengths, lists.offsets
        )
        ctx.scores_dtype = scores.dtype
        ctx.margins_meta = None if margins is None else (margins.shape, margins.dtype)
        return value

    @staticmethod
    def backward(ctx, grad_loss: Tensor):
        raw_grad, list_scale, margin_slope, mask, lengths, offsets = ctx.saved_tensors
        grad_scores = grad_margins = None
        if ctx.needs_input_grad[0]:
            grad_scores = ops.lists_backward(
                grad_loss, raw_grad, list_scale, mask, lengths, offsets, ctx.scores_dtype
            )
        if ctx.needs_input_grad[1]:
            shape, dtype = ctx.margins_meta
            upstream = grad_loss.to(torch.float64).reshape(margin_slope.shape[0], -1)
            grad_margins = (upstream * margin_slope * list_scale).sum(-1).reshape(shape).to(dtype)
        return grad_scores, grad_margins, *[None] * 6
