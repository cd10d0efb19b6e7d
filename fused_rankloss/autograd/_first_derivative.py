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


def keep_sources(ctx, *sources: Tensor | None) -> None:
    """For refuse_second: inputs of the loss that are not saved with ``save_for_backward``.

    Their values are not needed again, and may change before the backward pass.
    """
    ctx.sources = sources


def refuse_second(
    ctx, *grads: Tensor | None, saved: Sequence[Tensor | None] = ()
) -> tuple[Tensor | None, ...]:
    """The gradients, with a graph that refuses where one is asked for (``create_graph=True``).

    ``saved``: the other inputs of the loss, as they come out of ``ctx.saved_tensors``.
    """
    if not torch.is_grad_enabled():
        # As torch does with what is saved: a loss that is kept keeps its inputs no longer.
        ctx.sources = None
        return grads
    if ctx.sources is None:
        raise NotImplementedError(ops.NO_SECOND_DERIVATIVE)
    return tuple(
        None if grad is None else _FirstDerivative.apply(grad, *saved, *ctx.sources)
        for grad in grads
    )
