"""Triplet losses: explicit triplets, and triplets mined within a batch.

The forward ops return slopes; gradients of rows are made by the backward ops, from the inputs, but
for batches on the CPU, where sweeping over all pairs a second time would cost most of the first.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fused_rankloss import ops
from fused_rankloss.autograd._first_derivative import keep_sources, refuse_second


def _in_double(margin: Tensor | None) -> Tensor | None:
    return None if margin is None else margin.to(torch.float64)


def grads_at_once(embeddings: Tensor, mining: str, reduction: str) -> bool:
    """Whether the forward pass of a batch makes the gradients on the way.

    With one upstream number for all anchors the backward pass is then a multiplication. Mined pairs
    are gathered as cheaply later.
    """
    return embeddings.device.type == "cpu" and mining != "hard" and reduction != "none"


class Triplet(torch.autograd.Function):
    """The loss of explicit triplets ``[R, D]``."""

    @staticmethod
    def forward(
        ctx,
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
    ) -> Tensor:
        loss, distances, slope = ops.call(
            ops.triplet_forward,
            anchor,
            positive,
            negative,
            _in_double(margin_tensor),
            margin,
            soft,
            distance,
            p,
            eps,
            swap,
            boundary_grad,
            reduction,
        )
        ctx.save_for_backward(anchor, positive, negative, distances, slope)
        ctx.margin_dtype = None if margin_tensor is None else margin_tensor.dtype
        keep_sources(ctx, margin_tensor)
        ctx.options = (distance, p, eps, swap)
        return loss

    @staticmethod
    def backward(ctx, grad_loss: Tensor):
        *rows, distances, slope = ctx.saved_tensors
        grads: list[Tensor | None] = [None] * 4
        if any(ctx.needs_input_grad[:3]):
            row_grads = ops.call(
                ops.triplet_backward, grad_loss, *rows, distances, slope, *ctx.options
            )
            for place, grad in enumerate(row_grads):
                grads[place] = grad if ctx.needs_input_grad[place] else None
        if ctx.needs_input_grad[3]:
            grads[3] = (grad_loss.to(torch.float64) * slope).sum().to(ctx.margin_dtype)
        return *refuse_second(ctx, *grads, saved=rows), *[None] * 8


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
        margin: float,
        soft: bool,
        mining: str,
        distance: str,
        boundary_grad: float,
        reduction: str,
        needs_grad: bool,
        return_mined: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        batch = (embeddings, labels, ref_embeddings, ref_labels, _in_double(margin_tensor))
        options = (margin, soft, mining, distance, boundary_grad)
        at_once = grads_at_once(embeddings, mining, reduction)
        loss, *mined, slope, anchor_scale, grad, grad_refs = ops.call(
            ops.batch_triplet_forward,
            *batch,
            *options,
            reduction,
            needs_grad and at_once,
            return_mined,
        )
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
            upstream = grad_loss.to(torch.float64) * anchor_scale
            grad_margin = (upstream * slope).sum().to(ctx.margin_dtype)
        grads = refuse_second(
            ctx,
            grad_embeddings if needs_embeddings else None,
            grad_refs if needs_refs else None,
            grad_margin,
            saved=() if ctx.at_once else (saved[0], saved[2]),
        )
        return grads[0], None, grads[1], None, grads[2], *[None] * 8
