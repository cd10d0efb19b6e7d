"""Gradients that refuse to be differentiated again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fused_rankloss import ops


class _FirstDerivative(torch.autograd.Function):
    """A gradient as a function of what it depends on, which refuses to be differentiated again.

    The gradient comes out of a kernel and has no graph of its own: without this, a penalty on it
    would silently count as constant.
    """

    @staticmethod
    def forward(ctx, grad: Tensor, *sources: Tensor | None) -> Tensor:
        return grad.view_as(grad)

    @staticmethod
    def backward(ctx, grad_grad: Tensor):
        raise NotImplementedError(ops.NO_SECOND_DERIVATIVE)


def refuse_second(
    grads: Sequence[Tensor | None], sources: Sequence[Tensor | None]
) -> tuple[Tensor | None, ...]:
    """The gradients, with a graph that refuses where one is asked for (``create_graph=True``)."""
    if not torch.is_grad_enabled():
        return tuple(grads)
    return tuple(None if grad is None else _FirstDerivative.apply(grad, *sources) for grad in grads)
