"""Losses of queries over a whole catalogue of items."""

from __future__ import annotations

import torch
from torch import Tensor

import fused_rankloss.catalogue_blocks  # noqa: F401  the op's implementation
from fused_rankloss import ops
from fused_rankloss.autograd._first_derivative import keep_sources, refuse_second
from fused_rankloss.autograd._list_sums import in_double
from fused_rankloss.options import CatalogueOptions


class Catalogue(torch.autograd.Function):
    """The forward op makes the gradients but with reduction "none", where the backward pass does.

    ``sets`` are the seven tensors of the op between the bias and the parameter.
    """

    @staticmethod
    def forward(
        ctx,
        queries: Tensor,
        items: Tensor,
        item_bias: Tensor | None,
        parameter: Tensor | None,
        sets: tuple[Tensor | None, ...],
        rank_sums: Tensor | None,
        options: CatalogueOptions,
        reduction: str,
        workspace: int,
        needs_grad: bool,
    ) -> Tensor:
        inputs = (queries, items, item_bias, *sets, in_double(parameter), rank_sums)
        ctx.settings = (*options, reduction, workspace)
        ctx.at_once = reduction != "none"
        loss, slope, scale, *grads = ops.call(
            ops.catalogue_forward, *inputs, None, *ctx.settings, needs_grad and ctx.at_once
        )
        ctx.dtypes = [
            None if x is None else x.dtype for x in (queries, items, item_bias, parameter)
        ]
        if ctx.at_once:
            ctx.save_for_backward(slope, scale, *grads)
            keep_sources(ctx, queries, items, item_bias, parameter)
        else:
            ctx.save_for_backward(slope, *inputs)
            keep_sources(ctx, parameter)
        return loss

    @staticmethod
    def backward(ctx, grad_loss: Tensor):
        slope, *saved = ctx.saved_tensors
        grad_output = grad_loss.to(torch.float64)
        grads: list[Tensor | None] = [None] * 4
        if any(ctx.needs_input_grad[:3]):
            if ctx.at_once:
                scale, *made = saved
                factor = grad_output * scale
            else:
                _, _, factor, *made = ops.call(
                    ops.catalogue_forward, *saved, grad_output, *ctx.settings, True
                )
            for place, grad in enumerate(made):
                if ctx.needs_input_grad[place]:
                    grads[place] = (grad * factor.to(grad.dtype)).to(ctx.dtypes[place])
        if ctx.needs_input_grad[3]:
            grads[3] = (grad_output * slope).sum().to(ctx.dtypes[3])
        sources = () if ctx.at_once else saved[:3]
        return *refuse_second(ctx, *grads, saved=sources), *[None] * 6
