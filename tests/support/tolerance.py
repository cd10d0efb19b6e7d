"""The one rule for how far a result may lie from the exact one.

    |fused - exact| <= 2 |reference - exact| + floor

``exact`` comes from the oracle in double precision on the very same numbers, ``reference`` is the
plain PyTorch specification in the dtype under test: the fused loss may have at most twice the
error of plain PyTorch. Where that error happens to be 0, ``floor`` remains, which is derived:

- the result is rounded to its dtype once: u(dtype) |exact|, or half the smallest number;
- a gradient passes through the raw gradient, stored in the dtype of the loss: u(loss) |exact|;
- everything before that happens in double precision. ``roundings`` partial sums are rounded, each
  by at most u(fp64) times the bound that the oracle reports;
- except the terms of transcendental losses, each of which may be off by e (2 + |x|) of its size,
  where x is the argument of its exponential (the oracle reports these sizes, summed). For fp32 and
  half scores e = 2 u(fp32) = 2^-23. The gap is rounded, and so is its product with sigma: x is off
  by 2 u |x|, which moves exp(x), log(1 + exp(x)) and their slopes by no more than that, relatively.
  What remains, 4 u, is for the exponential itself: a polynomial in exp(-|x|) whose stated relative
  error is at most u (csrc/losses/logistic_series.h), or fp32's exp and log, off by a unit in the
  last place each. For fp64 scores e = 4 u(fp64): series as long as that takes. An exponential
  below the normal range of double precision may count as 0.

NaN and infinities must stand in the same places; a result too large for its dtype is infinite.
"""

from __future__ import annotations

import torch
from torch import Tensor

from support.oracle.pairwise import Exact


def unit_roundoff(dtype: torch.dtype) -> float:
    return torch.finfo(dtype).eps / 2


def half_of_smallest(dtype: torch.dtype) -> float:
    """The most that rounding takes from a number below the normal range."""
    return torch.finfo(dtype).tiny * unit_roundoff(dtype)


def loss_dtype(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype == torch.float64 else torch.float32


def term_error(dtype: torch.dtype, terms: Tensor, roundings: int) -> Tensor:
    error = 2.0**-51 if dtype == torch.float64 else 2.0**-23
    return error * terms + roundings * torch.finfo(torch.float64).tiny


def loss_floor(exact: Exact, dtype: torch.dtype) -> Tensor:
    """``dtype`` is that of the scores."""
    out = loss_dtype(dtype)
    rounded = unit_roundoff(out) * exact.loss.abs() + half_of_smallest(out)
    summed = exact.roundings * unit_roundoff(torch.float64) * exact.loss_bound
    return rounded + summed + term_error(dtype, exact.loss_terms, exact.roundings)


def grad_floor(exact: Exact, dtype: torch.dtype) -> Tensor:
    raw = loss_dtype(dtype)
    rounded = (unit_roundoff(dtype) + unit_roundoff(raw)) * exact.grad.abs()
    smallest = half_of_smallest(dtype) + half_of_smallest(raw)
    summed = exact.roundings * unit_roundoff(torch.float64) * exact.grad_bound
    return rounded + smallest + summed + term_error(dtype, exact.grad_terms, exact.roundings)


def check(
    what: str,
    fused: Tensor,
    exact: Tensor,
    floor: Tensor,
    reference: Tensor | None = None,
    *,
    case: object = "",
) -> None:
    """Asserts the rule elementwise; ``case`` is printed on failure."""
    assert fused.shape == exact.shape, f"{case}: {what} has shape {fused.shape}, not {exact.shape}"
    rounded = exact.to(fused.dtype).double().flatten()
    fused = fused.detach().double().cpu().flatten()
    exact, floor = exact.flatten(), floor.flatten()
    allowed = floor
    if reference is not None:
        reference = reference.detach().double().cpu().flatten()
        allowed = allowed + 2 * (reference - exact).abs().nan_to_num(nan=0.0, posinf=0.0)
    same = (fused == rounded) | (fused.isnan() & exact.isnan())
    good = same | (rounded.isfinite() & ((fused - exact).abs() <= allowed))
    if good.all():
        return
    excess = torch.where(good, -1.0, ((fused - exact).abs() / allowed).nan_to_num(nan=torch.inf))
    worst = int(excess.argmax())
    shown = "-" if reference is None else f"{reference[worst].item()!r}"
    raise AssertionError(
        f"{case}: {what}[{worst}] = {fused[worst].item()!r}, exact {exact[worst].item()!r}, "
        f"reference {shown}, allowed difference {allowed[worst].item():.3g}; "
        f"{int((~good).sum())} of {good.numel()} elements fail"
    )
