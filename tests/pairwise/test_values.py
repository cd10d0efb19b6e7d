"""The fused losses against the oracle, over every regime of list, dtype, reduction and option."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from support.batches import Batch, evaluate, flat
from support.cases import (
    LARGE,
    LOSSES,
    MEDIUM,
    REDUCTIONS,
    SCORE_DTYPES,
    SMALL,
    WEIGHTINGS,
    Case,
    by_name,
    generator_for,
    name_of,
)
from support.oracle.pairwise import exact
from support.tolerance import check, grad_floor, loss_floor

pytestmark = pytest.mark.sanitize

# The reference holds the matrix of pairs. For longer lists the floor alone has to do.
LONGEST_REFERENCE = 600

every_loss = pytest.mark.parametrize("loss", LOSSES)
every_dtype = pytest.mark.parametrize("dtype", SCORE_DTYPES, ids=name_of)


def cases(table: list[Case]):
    return pytest.mark.parametrize("case", table, ids=lambda case: case.name)


def grad_output_for(case: Case, reduction: str) -> Tensor:
    """A random d objective / d loss, of numbers that every dtype holds."""
    shape = (len(case.sizes),) if reduction == "none" else ()
    return torch.randint(-8, 9, shape, generator=generator_for(case.name)).double() / 4


def hold_against_oracle(
    case: Case,
    batch: Batch,
    loss: str,
    device: str,
    **options,
) -> None:
    """The error budget of tolerance.py, for the loss and for the gradient of every item."""
    dtype = batch.scores.dtype
    grad_output = grad_output_for(case, options.get("reduction", "mean"))
    call = flat(batch.to(device))
    fused = evaluate(LOSSES[loss], call, grad_output, **options)
    wanted = exact(batch, loss, grad_output=grad_output, **options)
    plain = None
    if max(batch.sizes, default=0) <= LONGEST_REFERENCE:
        plain = evaluate(LOSSES[loss], call, grad_output, impl="reference", **options)
    check(
        "loss",
        fused.loss,
        wanted.loss,
        loss_floor(wanted, dtype),
        plain and plain.loss,
        case=case,
    )
    check(
        "grad",
        fused.grad,
        wanted.grad,
        grad_floor(wanted, dtype),
        plain and plain.grad,
        case=case,
    )


@cases(SMALL)
@every_loss
@every_dtype
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_small(case: Case, loss: str, dtype: torch.dtype, reduction: str, device: str) -> None:
    hold_against_oracle(case, case.batch(dtype), loss, device, reduction=reduction)


@cases([case for case in SMALL + MEDIUM if case.weighted])
@every_loss
@every_dtype
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_weights(case: Case, loss: str, dtype: torch.dtype, reduction: str, device: str) -> None:
    for weighting in WEIGHTINGS:
        options = {"reduction": reduction, "weighting": weighting}
        hold_against_oracle(case, case.batch(dtype), loss, device, **options)


@cases(MEDIUM)
@pytest.mark.parametrize(
    ("loss", "dtype"),
    [
        ("hinge", torch.bfloat16),
        ("hinge", torch.float32),
        ("hinge", torch.float64),
        ("squared_hinge", torch.float16),
        ("squared_hinge", torch.float32),
        ("squared_hinge", torch.float64),
    ],
    ids=lambda value: value if isinstance(value, str) else name_of(value),
)
def test_medium(case: Case, loss: str, dtype: torch.dtype, device: str) -> None:
    hold_against_oracle(case, case.batch(dtype), loss, device)


@cases(MEDIUM)
@every_loss
def test_medium_list_mean(case: Case, loss: str, device: str) -> None:
    batch = case.batch(torch.float32)
    hold_against_oracle(case, batch, loss, device, reduction="list_mean")


@cases(LARGE)
@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=name_of)
def test_large(case: Case, loss: str, dtype: torch.dtype, device: str) -> None:
    batch = case.batch(dtype)
    hold_against_oracle(case, batch, loss, device)


@every_loss
def test_more_lists_than_a_16_bit_grid_has(loss: str, device: str) -> None:
    """70,000 lists of two items: one pair each, whose gap is a closed form."""
    scores = torch.randn(70_000, 2, generator=generator_for("pairs"))
    labels = torch.tensor([1, 0]).expand(70_000, 2)
    batch = Batch(scores.flatten(), labels.flatten(), (2,) * 70_000)
    gap = (1 - (scores[:, 0].double() - scores[:, 1].double())).clamp(min=0)
    value, slope = (gap, (gap > 0).double()) if loss == "hinge" else (gap**2, 2 * gap)
    got = evaluate(LOSSES[loss], flat(batch.to(device)), reduction="none")
    # Rounded once, from a double precision gap that rounded twice.
    torch.testing.assert_close(got.loss.double().cpu(), value, rtol=2**-23, atol=1e-15)
    wanted = torch.stack([-slope, slope], 1).flatten()
    torch.testing.assert_close(got.grad.double().cpu(), wanted, rtol=2**-23, atol=1e-15)


@pytest.mark.slow
@every_loss
@pytest.mark.parametrize("labels", ["binary", "grades", "continuous"])
def test_ten_million_items(loss: str, labels: str, device: str) -> None:
    case = Case(f"ten_million_{labels}", (10_000_000,), "5e13 pairs and more", labels=labels)
    hold_against_oracle(case, case.batch(torch.float32), loss, device)


@cases([by_name(SMALL)[name] for name in ("boundary", "boundary_grades", "n33", "ragged")])
@pytest.mark.parametrize("margin", [-1.5, -0.25, 0.0, 0.1, 0.75, 100.0])
@pytest.mark.parametrize("boundary_grad", [0.0, 0.5, 1.0])
@every_dtype
def test_margin_and_boundary(
    case: Case, margin: float, boundary_grad: float, dtype: torch.dtype, device: str
) -> None:
    options = {"margin": margin, "boundary_grad": boundary_grad}
    hold_against_oracle(case, case.batch(dtype), "hinge", device, **options)


@cases([by_name(MEDIUM)[name] for name in ("n2047", "weighted_ties")])
@pytest.mark.parametrize("boundary_grad", [0.0, 0.5, 1.0])
@every_dtype
def test_boundary_of_long_lists(
    case: Case, boundary_grad: float, dtype: torch.dtype, device: str
) -> None:
    batch = case.batch(dtype)
    hold_against_oracle(case, batch, "hinge", device, boundary_grad=boundary_grad)


@cases([by_name(SMALL)[name] for name in ("boundary_grades", "wide", "ragged")])
@pytest.mark.parametrize("margin", [-1.5, 0.0, 0.1, 100.0])
@every_dtype
def test_margin_of_squared_hinge(
    case: Case, margin: float, dtype: torch.dtype, device: str
) -> None:
    hold_against_oracle(case, case.batch(dtype), "squared_hinge", device, margin=margin)
