"""The rule of tolerance.py for the triplet losses.

The floor is derived from the oracle's bounds: one rounding to the dtype of the result; everything
before that in double precision, as many additions as the oracle counts; and, for the sweeps over
all pairs, the slack of distances that come from single-precision matrix products. A gradient that
is made in the forward pass has been rounded to the dtype of the loss before grad_output
multiplies it: one rounding more, and another one where that product is rounded to 16 bits in turn.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from support.embeddings import TripletOutcome
from support.oracle.triplet import ExactBatch, ExactRows, Side
from support.tolerance import check, half_of_smallest, loss_dtype, unit_roundoff

DOUBLE = unit_roundoff(torch.float64)


def product_unit(mining: str, dtype: torch.dtype) -> float:
    """The unit roundoff of the products that a sweep over all pairs takes distances from."""
    return unit_roundoff(loss_dtype(dtype)) if mining == "all" else 0.0


def triplet_loss_floor(exact: ExactBatch | ExactRows, dtype: torch.dtype) -> Tensor:
    out = loss_dtype(dtype)
    rounded = unit_roundoff(out) * exact.loss.abs() + half_of_smallest(out)
    slack = exact.loss_slack if isinstance(exact, ExactBatch) else 0
    return rounded + exact.roundings * DOUBLE * exact.loss_bound + slack


def side_floor(side: Side, roundings: int, dtype: torch.dtype) -> Tensor:
    rounded = unit_roundoff(dtype) * side.grad.abs() + half_of_smallest(dtype)
    return rounded + roundings * DOUBLE * side.bound + side.slack


def early_roundings(exact: ExactBatch, grad: Tensor, dtype: torch.dtype) -> Tensor | float:
    """What the roundings to the dtype of the loss may change before the last one."""
    if not exact.made_at_once:
        return 0.0
    out = loss_dtype(dtype)
    return (1 if dtype == out else 2) * (unit_roundoff(out) * grad.abs() + half_of_smallest(out))


def check_batch(
    got: TripletOutcome,
    wanted: ExactBatch,
    dtype: torch.dtype,
    reference: TripletOutcome | None = None,
    *,
    case: object = "",
) -> None:
    """Picks exactly, everything else by the rule."""
    out = loss_dtype(dtype)
    for pick in ("positive", "negative"):
        assert torch.equal(getattr(got.mined, pick).cpu(), getattr(wanted, pick)), (case, pick)
    floors = unit_roundoff(out) * wanted.distances + half_of_smallest(out)
    floors += wanted.roundings * DOUBLE * wanted.distance_bound
    check("distances", torch.stack(got.mined[2:]), wanted.distances, floors, case=case)

    def plain(name: str) -> Tensor | None:
        return None if reference is None else getattr(reference, name)

    floor = triplet_loss_floor(wanted, dtype)
    check("loss", got.loss, wanted.loss, floor, plain("loss"), case=case)
    for name, side in (("grad", wanted.embeddings), ("grad_refs", wanted.refs)):
        if side is not None:
            floor = side_floor(side, wanted.roundings, dtype)
            floor += early_roundings(wanted, side.grad, dtype)
            check(name, getattr(got, name), side.grad, floor, plain(name), case=case)


def check_rows(
    got: tuple[Tensor, Sequence[Tensor]],
    wanted: ExactRows,
    dtype: torch.dtype,
    plain: tuple[Tensor, Sequence[Tensor]] | None = None,
    *,
    case: object = "",
) -> None:
    """A loss and three gradients ``[R, D]``; ``plain`` is what they are compared with."""
    floor = triplet_loss_floor(wanted, dtype)
    check("loss", got[0], wanted.loss, floor, None if plain is None else plain[0], case=case)
    names = ("anchor", "positive", "negative")
    for place, (name, side) in enumerate(zip(names, wanted.sides, strict=True)):
        floor = side_floor(side, wanted.roundings, dtype)
        other = None if plain is None else plain[1][place]
        check(f"grad of {name}", got[1][place], side.grad, floor, other, case=case)
