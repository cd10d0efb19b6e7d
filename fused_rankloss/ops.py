"""The custom ops as Python sees them: typed handles, shape functions, and what they refuse.

Schemas are in ``csrc/bind/schemas.h``; kernels register themselves when ``_extension`` loads them.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from fused_rankloss import _extension  # loads the kernels, which registers the ops

pairwise_forward = torch.ops.fused_rankloss.pairwise_forward.default
lambda_forward = torch.ops.fused_rankloss.lambda_forward.default
listwise_forward = torch.ops.fused_rankloss.listwise_forward.default
lists_backward = torch.ops.fused_rankloss.lists_backward.default
triplet_forward = torch.ops.fused_rankloss.triplet_forward.default
triplet_backward = torch.ops.fused_rankloss.triplet_backward.default
batch_triplet_forward = torch.ops.fused_rankloss.batch_triplet_forward.default
batch_triplet_backward = torch.ops.fused_rankloss.batch_triplet_backward.default
catalogue_forward = torch.ops.fused_rankloss.catalogue_forward.default
# Called within catalogue_forward alone, where nothing is traced: torch takes neither shapes for a
# compiler nor a refusal of derivatives of an op that writes to its argument.
catalogue_block = torch.ops.fused_rankloss.catalogue_block.default

# How the texts of csrc/bind/torch.h begin.
_OUT_OF_MEMORY = "fused_rankloss: out of memory"

NO_SECOND_DERIVATIVE = (
    "fused_rankloss: second derivatives of the fused losses are not implemented; "
    "use impl='reference' where they are needed"
)
_NO_DERIVATIVE = (
    "expected to be differentiated through the functions of fused_rankloss, which pair it with its "
    "backward op; the raw op has no derivative"
)


def call(op: Callable, *arguments: Any) -> Any:
    """The results of an op. What C++ can only tell in words becomes the exception it stands for.

    Raises:
        torch.OutOfMemoryError: there is not enough memory.
        BaseException: what a signal handler raised while the op ran, KeyboardInterrupt by default.
    """
    if torch.compiler.is_compiling():
        return op(*arguments)
    try:
        return op(*arguments)
    except RuntimeError as error:
        text = str(error)
        if text.startswith("fused_rankloss: interrupted"):
            # Of no other error: one that a compiled graph could not pass on may still be waiting.
            interruption = _extension.take_interruption()
            if interruption is not None:
                raise interruption from None
        if text.startswith(_OUT_OF_MEMORY):
            if "CUDA error" in text and "out of memory" not in text.removeprefix(_OUT_OF_MEMORY):
                # What an earlier kernel has left shows where memory is asked for.
                raise RuntimeError(text.replace("out of memory: ", "", 1)) from None
            raise torch.OutOfMemoryError(text) from None
        raise


def loss_dtype(scores: Tensor) -> torch.dtype:
    return torch.float64 if scores.dtype == torch.float64 else torch.float32


def _shapes_of(op: torch._ops.OpOverload) -> Callable:
    """Registers what tells the shapes of an op's results, of its arguments by the schema's names.

    Tensors of several devices are refused, as kernels do: one on the meta device is enough for an
    op to be faked. So are derivatives: torch would only warn, and hand out wrong gradients.
    """
    full_name, names = op._schema.name, [argument.name for argument in op._schema.arguments]
    name = full_name.partition("::")[2]

    def refuse(ctx, *grads):
        is_forward = name.endswith("_forward")
        raise NotImplementedError(
            f"fused_rankloss.ops.{name}: {_NO_DERIVATIVE}" if is_forward else NO_SECOND_DERIVATIVE
        )

    def register(shapes: Callable) -> Callable:
        def fake(*values):
            for what, value in zip(names, values, strict=True):
                if isinstance(value, Tensor) and value.device != values[0].device:
                    raise ValueError(
                        f"{name}: expected {what} on {values[0].device} (as {names[0]}), "
                        f"got {value.device}"
                    )
            return shapes(SimpleNamespace(**dict(zip(names, values, strict=True))))

        torch.library.register_fake(full_name)(fake)
        torch.library.register_autograd(full_name, refuse)
        return shapes

    return register


def _fp64(like: Tensor, *shape: int) -> Tensor:
    return like.new_empty(shape, dtype=torch.float64)


def _lists_of(a: SimpleNamespace) -> tuple[int, list[int]]:
    """The number of lists, and the dimension of a loss of each."""
    if a.offsets is None and a.scores.dim() == 1:
        return 1, []
    number = a.scores.shape[0] if a.offsets is None else a.offsets.shape[0] - 1
    return number, [number] if a.reduction == "none" else []


@_shapes_of(pairwise_forward)
def _(a: SimpleNamespace) -> tuple[Tensor, ...]:
    number, none = _lists_of(a)
    margins = [] if a.margins is None else list(a.margins.shape)
    dtype = raw_dtype = loss_dtype(a.scores)
    if a.loss == "hinge" and a.weights is None and a.boundary_grad in (0.0, 1.0):
        # The gradient is a number of pairs.
        raw_dtype = torch.int32 if a.scores.numel() < 2**31 else torch.int64
    rows = margins[0] if margins else 1
    return (
        a.scores.new_empty(margins + none, dtype=dtype),
        a.scores.new_empty([rows, *a.scores.shape] if a.needs_grad else [0], dtype=raw_dtype),
        _fp64(a.scores, number),
        _fp64(a.scores, rows, number),
    )


@_shapes_of(listwise_forward)
def _list_sums(a: SimpleNamespace) -> tuple[Tensor, ...]:
    """Of a loss without margins."""
    number, none = _lists_of(a)
    dtype = loss_dtype(a.scores)
    return (
        a.scores.new_empty(none, dtype=dtype),
        a.scores.new_empty([1, *a.scores.shape] if a.needs_grad else [0], dtype=dtype),
        _fp64(a.scores, number),
    )


@_shapes_of(lambda_forward)
def _(a: SimpleNamespace) -> tuple[Tensor, ...]:
    return *_list_sums(a), _fp64(a.scores, _lists_of(a)[0] if a.needs_statistics else 0, 3)


@_shapes_of(lists_backward)
def _(a: SimpleNamespace) -> Tensor:
    return a.raw_grad.new_empty(a.raw_grad.shape[1:], dtype=a.dtype)


@_shapes_of(triplet_forward)
def _(a: SimpleNamespace) -> tuple[Tensor, ...]:
    rows = a.anchor.shape[0]
    return (
        a.anchor.new_empty([rows] if a.reduction == "none" else [], dtype=loss_dtype(a.anchor)),
        _fp64(a.anchor, 3 if a.swap else 2, rows),
        _fp64(a.anchor, rows),
    )


@_shapes_of(triplet_backward)
def _(a: SimpleNamespace) -> tuple[Tensor, ...]:
    return tuple(rows.new_empty(rows.shape) for rows in (a.anchor, a.positive, a.negative))


@_shapes_of(batch_triplet_forward)
def _(a: SimpleNamespace) -> tuple[Tensor, ...]:
    x, dtype, anchors = a.embeddings, loss_dtype(a.embeddings), a.embeddings.shape[0]
    # As BatchTripletCall::make_grads, which only the CPU calls.
    at_once = a.mining != "hard" and a.reduction != "none" and x.device.type != "cuda"
    made = (x, a.ref_embeddings) if a.needs_grad and at_once else (None, None)
    return (
        x.new_empty([anchors] if a.reduction == "none" else [], dtype=dtype),
        *(x.new_empty([anchors], dtype=torch.int64) for _ in range(2)),
        _fp64(x, 2, anchors),
        _fp64(x, anchors),
        _fp64(x),
        *(x.new_empty([0] if side is None else side.shape, dtype=dtype) for side in made),
    )


@_shapes_of(batch_triplet_backward)
def _(a: SimpleNamespace) -> tuple[Tensor, Tensor]:
    refs = a.ref_embeddings
    return (
        a.embeddings.new_empty(a.embeddings.shape),
        a.embeddings.new_empty([0] if refs is None else refs.shape),
    )


@_shapes_of(catalogue_forward)
def _(a: SimpleNamespace) -> tuple[Tensor, ...]:
    x, dtype = a.queries, loss_dtype(a.queries)
    none = [x.shape[0]] if a.reduction == "none" else []
    made = (x, a.items, a.item_bias) if a.needs_grad else (None,) * 3
    return (
        x.new_empty(none, dtype=dtype),
        _fp64(x, *none),
        _fp64(x),
        *(x.new_empty([0] if side is None else side.shape, dtype=dtype) for side in made),
    )
