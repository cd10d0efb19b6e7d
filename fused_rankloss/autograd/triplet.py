"""Triplet losses: explicit triplets, and triplets mined within a batch.

The forward ops return slopes; gradients of rows are made by the backward ops, from the inputs, but
for batches where the forward op has made them on the way.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fused_rankloss import ops
from fused_rankloss.autograd._first_derivative import keep_sources, refuse_second
from fused_rankloss.autograd._list_sums import in_double
from fused_rankloss.options import BatchOptions, TripletOptions


class Triplet(torch.autograd.Function):
    """The loss of explicit triplets ``[R, D]``."""

    @staticmethod
    def forward(
        ctx,
        anchor: Tensor,
        positive: Tensor,
        negative: Tensor,
        margin_tensor: Tensor | None,
        options: TripletOptions,
        reduction: str,
    ) -> Tensor:
        loss, distances, slope = ops.call(
            ops.triplet_forward,
            anchor,
            positive,
            negative,
            in_double(margin_tensor),
            *options,
            reduction,
        )
        ctx.save_for_backward(anchor, positive, negative, distances, slope)
        ctx.margin_dtype = None if margin_tensor is None else margin_tensor.dtype
        keep_sources(ctx, margin_tensor)
        ctx.options = options
        return loss

    @staticmethod
    def backward(ctx, grad_loss: Tensor):
        *rows, distances, slope = ctx.saved_tensors
        grads: list[Tensor | None] = [None] * 4
        if any(ctx.needs_input_grad[:3]):
            o: TripletOptions = ctx.options
            row_grads = ops.call(
                *(ops.triplet_backward, grad_loss, *rows, distances, slope),
                *(o.distance, o.p, o.eps, o.swap),
            )
            for place, grad in enumerate(row_grads):
                grads[place] = grad if ctx.needs_input_grad[place] else None
        if ctx.needs_input_grad[3]:
            grads[3] = (grad_loss.to(torch.float64) * slope).sum().to(ctx.margin_dtype)
        return *refuse_second(ctx, *grads, saved=rows), None, None


class BatchTriplet(torch.autograd.Function):
    """The loss of triplets by label; also the mined positive, negative ``[N]`` and distances.

    Without ``return_mined``, nothing is promised of the latter.
    """

    @staticmethod
    def forward(
        ctx,
        embeddings: Tensor,
        labels: Tensor,
        ref_embeddings: Tensor | None,
        ref_labels: Tensor | None,
        margin_tensor: Tensor | None,
        options: BatchOptions,
        reduction: str,
        needs_grad: bool,
        return_mined: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        batch = (embeddings, labels, ref_embeddings, ref_labels, in_double(margin_tensor))
        loss, *mined, slope, anchor_scale, grad, grad_refs = ops.call(
            ops.batch_triplet_forward, *batch, *options, reduction, needs_grad, return_mined
        )
        # The forward op has made the gradients, or none are needed.
        at_once = grad.dim() == 2 or not needs_grad
        if at_once:
            ctx.save_for_backward(slope, anchor_scale, grad, grad_refs)
            keep_sources(ctx, embeddings, ref_embeddings, margin_tensor)
        else:
            ctx.save_for_backward(slope, anchor_scale, *batch, *mined)
            keep_sources(ctx, margin_tensor)
        ctx.at_once = at_once
        ctx.dtype = embeddings.dtype
        ctx.margin_dtype = None if margin_tensor is None else margin_tensor.dtype
        ctx.options = options
        ctx.mark_non_differentiable(*mined)
        return loss, *mined

    @staticmethod
    def backward(ctx, grad_loss: Tensor, *_):
        slope, anchor_scale, *saved = ctx.saved_tensors
        needs_embeddings, _, needs_refs, _, needs_margin, *_ = ctx.needs_input_grad
        grad_embeddings = grad_refs = grad_margin = None
        if ctx.at_once:
            grad, ref_grad = saved
            if needs_embeddings:
                grad_embeddings = (grad_loss * grad).to(ctx.dtype)
            if needs_refs:
                grad_refs = (grad_loss * ref_grad).to(ctx.dtype)
        elif needs_embeddings or needs_refs:
            *batch, positive, negative, distances = saved
            grad_embeddings, grad_refs = ops.call(
                ops.batch_triplet_backward,
                grad_loss,
                *batch,
                *ctx.options,
                positive,
                negative,
                distances,
                slope,
                anchor_scale,
            )
        if needs_margin:
            grad_output = grad_loss.to(torch.float64) * anchor_scale
            grad_margin = (grad_output * slope).sum().to(ctx.margin_dtype)
        grads = refuse_second(
            ctx,
            grad_embeddings if needs_embeddings else None,
            grad_refs if needs_refs else None,
            grad_margin,
            saved=() if ctx.at_once else (saved[0], saved[2]),
        )
        return grads[0], None, grads[1], None, grads[2], *[None] * 4
