"""Weighted pair losses over lists of scores."""

from __future__ import annotations

import torch
from torch import Tensor

from fused_rankloss import ops
from fused_rankloss.autograd._list_sums import grad_scores, in_double, save
from fused_rankloss.lists import Lists
from fused_rankloss.options import LambdaOptions


class Lambda(torch.autograd.Function):
    """The loss, and statistics ``[B, 3]`` (``[0, 3]`` if they are not wanted)."""

    @staticmethod
    def forward(
        ctx,
        scores: Tensor,
        lists: Lists,
        discounts: Tensor | None,
        options: LambdaOptions,
        reduction: str,
        needs_grad: bool,
        needs_statistics: bool,
    ) -> tuple[Tensor, Tensor]:
        value, raw_grad, list_scale, statistics = ops.call(
            ops.lambda_forward,
            scores,
            lists.labels,
            lists.weights,
            in_double(lists.list_weights),
            in_double(lists.gains),
            lists.mask,
            lists.lengths,
            lists.offsets,
            in_double(discounts),
            *options,
            reduction,
            needs_grad,
            needs_statistics,
        )
        save(ctx, scores, lists, raw_grad, list_scale)
        ctx.mark_non_differentiable(statistics)
        return value, statistics

    @staticmethod
    def backward(ctx, grad_loss: Tensor, _: Tensor):
        return grad_scores(ctx, grad_loss), *[None] * 6
