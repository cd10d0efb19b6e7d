"""What the functions of all families check about their options, and how they say it."""

from __future__ import annotations

import math
import numbers

import torch
from torch import Tensor

from fused_rankloss import _extension
from fused_rankloss.lists import (
    FLOAT_DTYPES,
    as_tensor_hint,
    check_constant,
    check_same_device,
    no_tensor,
)

IMPLEMENTATIONS = ("auto", "reference")


def check_option(
    name: str, option: str, value: object, allowed: tuple[str, ...], others: str = ""
) -> None:
    """``others`` names what else the option may be, for the message."""
    if not isinstance(value, str) or value not in allowed:
        expected = ", ".join([*map(repr, allowed), *filter(None, [others])])
        hint = as_tensor_hint(option, value) if "tensor" in others else ""
        raise ValueError(f"{name}: expected {option} to be one of {expected}, got {value!r}{hint}")


def check_number(name: str, what: str, value: object, kinds: str = "a float") -> float:
    """``kinds`` says what the argument may be, a number or else, for the message."""
    value = without_array(value)
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        hint = as_tensor_hint(what, value) if "tensor" in kinds else ""
        raise TypeError(f"{name}: expected {what} to be {kinds}, got {type(value).__name__}{hint}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(
            f"{name}: expected {what} within the range of float64, got a larger integer"
        ) from None


def without_array(value: object) -> object:
    """The number in a numpy scalar or an array of no dimension; anything else as it is."""
    if isinstance(value, (int, float, Tensor)) or getattr(value, "shape", None) != ():
        return value
    return value.item()


def check_boundary_grad(name: str, boundary_grad: object) -> float:
    slope = check_number(name, "boundary_grad", boundary_grad)
    if not 0.0 <= slope <= 1.0:
        raise ValueError(f"{name}: expected boundary_grad in [0, 1], got {boundary_grad}")
    return slope


def check_finite(name: str, what: str, value: object, kinds: str = "a float") -> float:
    number = check_number(name, what, value, kinds)
    if not -math.inf < number < math.inf:  # torch.compile traces this, and no math.isfinite
        raise ValueError(f"{name}: expected a finite {what}, got {value}")
    return number


def check_margin_tensor(
    name: str, margin: Tensor, what: str, model: Tensor, its_name: str = "margin"
) -> None:
    """``model`` is the argument called ``what``, on whose device the margin must be."""
    if margin.dtype.is_complex or margin.dtype == torch.bool:
        raise TypeError(f"{name}: expected a real {its_name}, got dtype {margin.dtype}")
    check_same_device(name, its_name, margin, what, model)


def check_device(name: str, what: str, tensor: Tensor) -> None:
    refuse_transforms(name)
    kind = tensor.device.type
    if kind == "cuda":
        _extension.require_cuda(name)
    elif kind not in ("cpu", "meta"):
        raise NotImplementedError(
            f"{name}: expected {what} on a cpu or cuda device, got {tensor.device}; "
            f"impl='reference' runs on every device"
        )


def refuse_transforms(name: str) -> None:
    """Where torch itself would speak of the inside of this package."""
    if torch.compiler.is_compiling():
        return
    if torch._C._are_functorch_transforms_active():  # what Function.apply of torch asks, too
        raise NotImplementedError(
            f"{name}: expected no torch.func transform (grad, vmap, jvp, ...), got one; use "
            f"torch.autograd.grad, or impl='reference' under torch.func.grad"
        )
    if torch.jit.is_tracing():
        raise NotImplementedError(
            f"{name}: expected no torch.jit.trace, got one; use torch.compile or torch.export"
        )


def check_positive(name: str, what: str, value: object) -> float:
    number = check_finite(name, what, value)
    if number <= 0:
        raise ValueError(f"{name}: expected {what} > 0, got {value}")
    return number


def check_flag(name: str, what: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name}: expected {what} to be a bool, got {type(value).__name__}")
    return value


def check_by_rank(name: str, what: str, values: Tensor, scores: Tensor) -> Tensor:
    """A number for each rank: ``[R]``."""
    check_constant(name, what, values)
    if values.dim() != 1 or values.shape[0] < 1:
        raise ValueError(f"{name}: expected {what} of shape [R], R >= 1, got {list(values.shape)}")
    check_same_device(name, what, values, "scores", scores)
    return values


def check_dense(name: str, what: str, tensor: object) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise no_tensor(name, what, tensor)
    if tensor.layout != torch.strided:
        raise ValueError(f"{name}: expected dense {what}, got layout {tensor.layout}")
    return tensor


def check_floats(name: str, what: str, tensor: object) -> Tensor:
    tensor = check_dense(name, what, tensor)
    if tensor.dtype not in FLOAT_DTYPES:
        raise TypeError(
            f"{name}: expected {what} of dtype float16, bfloat16, float32 or float64, "
            f"got {tensor.dtype}"
        )
    return tensor


def check_alike(name: str, what: str, tensor: Tensor, like: str, model: Tensor) -> None:
    """Of the dtype and on the device of ``model``, the argument called ``like``."""
    if tensor.dtype != model.dtype:
        raise TypeError(
            f"{name}: expected {what} of dtype {model.dtype} (as {like}), got {tensor.dtype}"
        )
    check_same_device(name, what, tensor, like, model)
