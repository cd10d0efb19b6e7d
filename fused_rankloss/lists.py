"""The input forms of losses over lists, checked and brought to one description.

Whatever form a batch of lists comes in, the kernels see a run of slots, and ``mask``, ``lengths``
or ``offsets`` that say which slots are the real items of which list. Nothing here reads a value, so
that nothing waits for a GPU.
"""

from __future__ import annotations

import sys
import warnings
from types import FrameType
from typing import NamedTuple

import torch
from torch import Tensor

FLOAT_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
INDEX_DTYPES = (torch.int32, torch.int64)

# Label dtypes that the kernels do not read, and one that holds the same values; the 8-bit floats
# are all in float32.
_WIDER_LABELS = {torch.uint16: torch.int32, torch.uint32: torch.int64}


class Lists(NamedTuple):
    """A checked batch of lists: ``[N]``, ``[B, N]`` or, with ``offsets``, ``[T]``."""

    scores: Tensor
    labels: Tensor
    weights: Tensor | None
    mask: Tensor | None
    lengths: Tensor | None
    offsets: Tensor | None
    gains: Tensor | None = None
    list_weights: Tensor | None = None

    @property
    def batched(self) -> bool:
        """Whether ``reduction="none"`` gives a dimension of lists; one list ``[N]`` has none."""
        return self.offsets is not None or self.scores.dim() == 2

    @property
    def number(self) -> int:
        if self.offsets is not None:
            return self.offsets.shape[0] - 1
        return self.scores.shape[0] if self.batched else 1

    def items(self) -> list[Tensor]:
        """The flat positions of each list's real items (for the reference; reads values)."""
        slots = torch.arange(self.scores.numel(), device=self.scores.device)
        if self.offsets is not None:
            bounds = self.offsets.tolist()
            lists = [slots[begin:end] for begin, end in zip(bounds, bounds[1:], strict=False)]
        elif self.scores.dim() == 1:
            lists = [slots]
        else:
            lists = list(slots.view(self.scores.shape))
        if self.lengths is not None:
            lists = [row[:n] for row, n in zip(lists, self.lengths.tolist(), strict=True)]
        if self.mask is not None:
            real = self.mask.flatten()
            lists = [row[real[row]] for row in lists]
        return lists


def describe(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of dtype {value.dtype} and shape {list(value.shape)}"
    return f"{type(value).__name__}"


def as_tensor_hint(what: str, value: object) -> str:
    """For the end of a message, where a list or an array stands for a tensor."""
    if isinstance(value, Tensor) or not (
        isinstance(value, (list, tuple)) or hasattr(value, "__array__")
    ):
        return ""
    return f"; pass torch.as_tensor({what})"


def no_tensor(name: str, what: str, value: object) -> TypeError:
    return TypeError(
        f"{name}: expected {what} to be a tensor, got {describe(value)}"
        f"{as_tensor_hint(what, value)}"
    )


def _check_layout(name: str, what: str, tensor: Tensor) -> None:
    if tensor.layout != torch.strided:
        raise ValueError(
            f"{name}: expected dense or nested jagged {what}, got layout {tensor.layout}"
        )


def check_same_device(name: str, what: str, tensor: Tensor, like: str, model: Tensor) -> None:
    """``model`` is the argument called ``like``."""
    if tensor.device != model.device:
        raise ValueError(
            f"{name}: expected {what} on {model.device} (as {like}), got {tensor.device}"
        )


def _check_companion(name: str, what: str, tensor: object, scores: Tensor) -> Tensor:
    """A tensor that goes item by item with the scores."""
    if not isinstance(tensor, Tensor):
        raise no_tensor(name, what, tensor)
    _check_layout(name, what, tensor)
    if tensor.shape != scores.shape:
        hint = ""
        for column, its_name, other in ((scores, "scores", tensor), (tensor, what, scores)):
            if column.dim() == 2 and column.shape == (*other.shape, 1):
                hint = f"; for one list of {other.shape[0]} items, pass {its_name}.squeeze(-1)"
        raise ValueError(
            f"{name}: expected {what} of shape {list(scores.shape)} (as scores), "
            f"got {list(tensor.shape)}{hint}"
        )
    check_same_device(name, what, tensor, "scores", scores)
    return tensor


def _check_index(name: str, what: str, tensor: object, scores: Tensor) -> Tensor:
    if not isinstance(tensor, Tensor) or tensor.dtype not in INDEX_DTYPES:
        raise TypeError(
            f"{name}: expected {what} to be a tensor of int32 or int64, got {describe(tensor)}"
            f"{as_tensor_hint(what, tensor)}"
        )
    _check_layout(name, what, tensor)
    check_same_device(name, what, tensor, "scores", scores)
    return tensor


def _check_labels(name: str, labels: Tensor, values: bool) -> Tensor:
    """``values``: the loss computes with labels, and does not only compare them."""
    if labels.dtype.is_complex:
        raise TypeError(f"{name}: expected real labels, got dtype {labels.dtype}")
    if labels.dtype == torch.uint64:
        if values:
            return labels.to(torch.float64)
        # The same order in int64: flip the top bit.
        return labels.view(torch.int64) ^ torch.iinfo(torch.int64).min
    if labels.dtype.is_floating_point and labels.dtype.itemsize == 1:
        return labels.to(torch.float32)
    wider = _WIDER_LABELS.get(labels.dtype)
    return labels if wider is None else labels.to(wider)


def check_constant(name: str, what: str, tensor: Tensor) -> Tensor:
    """A real tensor of which the loss has no derivative."""
    if tensor.dtype.is_complex:
        raise TypeError(f"{name}: expected real {what}, got dtype {tensor.dtype}")
    if tensor.requires_grad:
        raise ValueError(
            f"{name}: expected {what} that require no grad (they are constants of the loss), "
            f"got {what} with requires_grad=True; pass {what}.detach()"
        )
    return tensor


def _check_list_weights(name: str, weights: object, lists: Lists) -> Tensor:
    """``[B]``; those of one list may have no dimension."""
    if not isinstance(weights, Tensor):
        raise no_tensor(name, "list_weights", weights)
    _check_layout(name, "list_weights", weights)
    number = lists.number
    if weights.shape != (number,) and (lists.batched or weights.shape != ()):
        raise ValueError(
            f"{name}: expected list_weights of shape [{number}] (one for each list), "
            f"got {list(weights.shape)}"
        )
    check_same_device(name, "list_weights", weights, "scores", lists.scores)
    return check_constant(name, "list_weights", weights).reshape(number)


def _check_scores(name: str, scores: object) -> Tensor:
    if not isinstance(scores, Tensor):
        raise no_tensor(name, "scores", scores)
    if scores.dtype not in FLOAT_DTYPES:
        hint = ""
        if not scores.dtype.is_floating_point and not scores.dtype.is_complex:
            hint = "; were scores and labels swapped? The order is (scores, labels)"
        raise TypeError(
            f"{name}: expected scores of dtype float16, bfloat16, float32 or float64, "
            f"got {scores.dtype}{hint}"
        )
    return scores


def _warn_of_column(name: str, scores: Tensor) -> None:
    if torch.compiler.is_compiling():
        return
    # Where the package was called from, so that Python shows the warning once for each such place.
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and _is_internal(frame):
        level, frame = level + 1, frame.f_back
    warnings.warn(
        f"{name}: scores of shape {list(scores.shape)} are {scores.shape[0]} lists of one item "
        f"each, so that there is no pair and nothing to learn; for one list of "
        f"{scores.shape[0]} items, pass scores.squeeze(-1) and labels.squeeze(-1)",
        UserWarning,
        stacklevel=level,
    )


def _is_internal(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__", "")
    return module.partition(".")[0] == "fused_rankloss" or module.startswith("torch.nn.modules")


def _from_nested(name: str, lists: Lists) -> Lists:
    """The values and offsets of nested jagged tensors."""
    for what in ("mask", "lengths", "offsets"):
        if getattr(lists, what) is not None:
            raise ValueError(f"{name}: expected no {what} with nested scores, got one")
    scores = lists.scores
    if scores.layout != torch.jagged or scores.dim() != 2 or scores.lengths() is not None:
        raise ValueError(
            f"{name}: expected nested scores of layout torch.jagged with one number per item "
            f"[B, j] and no holes, got layout {scores.layout} with {scores.dim()} dimensions"
        )
    values = {}
    for what in ("labels", "weights", "gains"):
        tensor = getattr(lists, what)
        if tensor is None:
            values[what] = None
            continue
        if not isinstance(tensor, Tensor):
            raise no_tensor(name, what, tensor)
        if not tensor.is_nested or tensor.layout != torch.jagged or tensor.dim() != 2:
            raise ValueError(
                f"{name}: expected nested jagged {what} as scores are, got {what} of "
                f"layout {tensor.layout} and {tensor.dim()} dimensions"
            )
        if tensor.offsets() is not scores.offsets() and (
            tensor.offsets().shape != scores.offsets().shape
            or (scores.device.type == "cpu" and not tensor.offsets().equal(scores.offsets()))
        ):
            raise ValueError(f"{name}: expected {what} with the list lengths of scores, got others")
        values[what] = tensor.values()
    return lists._replace(
        scores=scores.values(),
        labels=values["labels"],
        weights=values["weights"],
        offsets=scores.offsets(),
        gains=values["gains"],
    )


def parse(
    name: str,
    scores: object,
    labels: object,
    weights: object = None,
    list_weights: object = None,
    mask: object = None,
    lengths: object = None,
    offsets: object = None,
    gains: object = None,
    label_values: bool = False,
) -> Lists:
    """Checks a batch of lists; ``name`` is the function that errors speak for.

    With ``label_values`` labels keep their values, else only their order.

    Raises:
        TypeError: an argument is no tensor or has a dtype that it cannot have.
        ValueError: shapes, devices or the combination of arguments do not fit.
    """
    scores = _check_scores(name, scores)
    if scores.is_nested:
        lists = Lists(scores, labels, weights, mask, lengths, offsets, gains)
        scores, labels, weights, *indices, gains, _ = _from_nested(name, lists)
        mask, lengths, offsets = indices
    else:
        _check_layout(name, "scores", scores)
    if isinstance(labels, Tensor) and labels.is_nested:
        raise ValueError(f"{name}: expected labels as scores are, got nested labels")

    dim = scores.dim()
    if offsets is not None:
        if dim != 1:
            raise ValueError(
                f"{name}: expected flat scores of shape [T] with offsets, got {list(scores.shape)}"
            )
        if lengths is not None:
            raise ValueError(f"{name}: expected offsets or lengths, got both")
        _check_index(name, "offsets", offsets, scores)
        if offsets.dim() != 1 or offsets.shape[0] < 1:
            raise ValueError(
                f"{name}: expected offsets of shape [B + 1], got {list(offsets.shape)}"
            )
    elif dim != 1 and dim != 2:
        raise ValueError(
            f"{name}: expected scores of shape [N], [B, N] or, with offsets, [T], "
            f"got {list(scores.shape)}"
        )
    if lengths is not None:
        if mask is not None:
            raise ValueError(f"{name}: expected mask or lengths, got both")
        if dim != 2:
            raise ValueError(
                f"{name}: expected scores of shape [B, N] with lengths, got {list(scores.shape)}"
            )
        _check_index(name, "lengths", lengths, scores)
        if lengths.shape != scores.shape[:1]:
            raise ValueError(
                f"{name}: expected lengths of shape [{scores.shape[0]}], got {list(lengths.shape)}"
            )
    if mask is not None:
        _check_companion(name, "mask", mask, scores)
        if mask.dtype != torch.bool:
            raise TypeError(
                f"{name}: expected a mask of dtype torch.bool (True = real item), got {mask.dtype}"
            )
    labels = _check_companion(name, "labels", labels, scores)
    if dim == 2 and mask is None and lengths is None and scores.shape[1] == 1 < scores.shape[0]:
        _warn_of_column(name, scores)
    labels = _check_labels(name, labels, label_values)
    if weights is not None:
        _check_companion(name, "weights", weights, scores)
        check_constant(name, "weights", weights)
    if gains is not None:
        _check_companion(name, "gains", gains, scores)
        check_constant(name, "gains", gains)
    lists = Lists(scores, labels, weights, mask, lengths, offsets, gains)
    if list_weights is None:
        return lists
    return lists._replace(list_weights=_check_list_weights(name, list_weights, lists))
