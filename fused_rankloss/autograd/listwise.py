"""Losses over lists of scores that see each list as a whole."""

from __future__ import annotations

import torch
from torch import Tensor

from fused_rankloss import ops
from fused_rankloss.autograd._list_sums import grad_scores, in_double, save
from fused_rankloss.lists import Lists
from fused_rankloss.options import ListwiseOptions


class Listwise(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx,
        scores: Tensor,
        lists: Lists,
        position_weights: Tensor | None,
        options: ListwiseOptions,
        reduction: str,
        needs_grad: bool,
    ) -> Tensor:
        value, raw_grad, list_scale = ops.call(
            ops.listwise_forward,
            scores,
            lists.labels,
            lists.weights,
            in_double(lists.list_weights),
            in_double(lists.gains),
            lists.mask,
            lists.lengths,
            lists.offsets,
            in_double(position_weights),
            *options,
            reduction,
            needs_grad,
        )
        save(ctx, scores, lists, raw_grad, list_scale)
        return value

    @staticmethod
    def backward(ctx, grad_loss: Tensor):
        return grad_scores(ctx, grad_loss), *[None] * 5
