"""Values summed in pairs of fp32 numbers, for GPUs with few fp64 units: the same error budget.

The tile kernel; test_short_lists_host.py has both numbers for the kernel of short lists.
"""

from __future__ import annotations

import math

import pytest
import torch
from host_cases import cases, every_loss, forward, hold, sanitize

from batches import Batch, evaluate, one_list
from cases import LOSSES, MEDIUM, SMALL, WEIGHTINGS, Case, by_name
from oracle import exact
from tolerance import check, grad_floor, loss_floor

NARROW = (torch.float16, torch.bfloat16, torch.float32)


@pytest.fixture(autouse=True)
def slow_double(on_host):
    on_host.slow_double(True)
    yield
    on_host.slow_double(False)


@cases(SMALL)
def test_small(case: Case) -> None:
    for dtype in NARROW:
        hold(case, "squared_hinge", dtype)


@cases(SMALL, "ragged", "weighted", "weighted_boundary")
@pytest.mark.parametrize("weighting", WEIGHTINGS)
@every_loss
def test_weights(case: Case, weighting: str, loss: str) -> None:
    for dtype in NARROW:
        hold(case, loss, dtype, weighting=weighting)


@sanitize
@cases(SMALL, "boundary", "weighted_boundary", "wide")
@pytest.mark.parametrize("boundary_grad", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("margin", [-0.25, 0.0, 0.1, 100.0])
def test_margin_and_boundary(case: Case, margin: float, boundary_grad: float) -> None:
    for dtype in (torch.float16, torch.float32):
        hold(case, "hinge", dtype, margin=margin, boundary_grad=boundary_grad)


@cases(MEDIUM, "n257", "n1025", "growing", "weighted_long", "weighted_ties")
@every_loss
def test_medium(case: Case, loss: str) -> None:
    hold(case, loss, torch.float32)


@pytest.mark.parametrize(
    "margin", [2**-50, -(2**-50), 2**-149, 2**-152, -(2**-152), 1e-300, 1 + 2**-52, 0.1, 1e-30]
)
def test_boundary_is_decided_in_double_precision(margin: float, host) -> None:
    """s + m rounds to s, or to a neighbour: what decides is the part that rounding takes away."""
    # Beside 2^-100, 2^-152 counts in fp64 and is no fp32 number.
    s = torch.tensor(
        [0.0, 1.0, 1 + 2**-23, 1 - 2**-24, -1.0, 2.0, 1.1, 0.1, 1e30, 2**-126, 2**-100]
    )
    if 0 < abs(margin) < 2**-149:  # TwoFloat::round: not among numbers 2^-149 apart
        s = s[s.abs() > 2**-125]
    near = (s.double() + margin).float()
    up, down = torch.tensor(math.inf), torch.tensor(-math.inf)
    scores = torch.cat([s, near, near.nextafter(up), near.nextafter(down)])
    labels = torch.arange(len(scores)) // len(s)
    results = forward(
        host,
        one_list(Batch(scores, labels, (len(scores),))),
        "hinge",
        margin=margin,
        boundary_grad=0.5,
    )
    reach = scores.double() + margin
    row, column = scores.double()[:, None], reach[None, :]
    pairs = labels[:, None] > labels[None, :]
    slope = pairs * ((row < column) + 0.5 * (row == column))
    assert torch.equal(results["raw_grad"][0].double(), slope.sum(0) - slope.sum(1))


def test_offset_keeps_digits(host) -> None:
    """Gaps of scores around 2^20 are as exact as around 0, and their squares need 2^-46 of it."""
    scores = by_name(SMALL)["boundary_grades"].batch(torch.float32).scores
    labels = torch.arange(48) % 3
    plain, shifted = (
        forward(host, one_list(Batch(scores + offset, labels, (48,))), "squared_hinge")
        for offset in (0.0, 2.0**20)
    )
    assert plain["loss"] == shifted["loss"]
    assert torch.equal(plain["raw_grad"], shifted["raw_grad"])


def test_sums_of_many_terms(host) -> None:
    """A million terms of which fp32 alone would lose the last four digits."""
    n = 1024
    scores = torch.arange(n) * 0.001 + 0.1
    batch = Batch(scores.float(), torch.arange(n).flip(0), (n,))
    outcome = evaluate(LOSSES["squared_hinge"], one_list(batch), reduction="sum")
    wanted = exact(batch, "squared_hinge", reduction="sum")
    check("loss", outcome.loss, wanted.loss, loss_floor(wanted, torch.float32))
    check("grad", outcome.grad, wanted.grad, grad_floor(wanted, torch.float32))


@every_loss
def test_infinite_scores(loss: str) -> None:
    inf = math.inf
    for scores, labels, loss_is in (
        ([inf, 1.0, 0.0], [1, 0, 0], 0.0),
        ([0.0, inf], [1, 0], inf),
        ([-inf, 0.0], [1, 0], inf),
        ([inf, inf, 0.0], [1, 1, 0], 0.0),
        ([inf, inf], [1, 0], math.nan),
    ):
        weights = [1.0] * len(scores)
        batch = Batch.of(scores, labels, weights, dtype=torch.float32)
        outcome = evaluate(LOSSES[loss], one_list(batch), reduction="sum")
        assert outcome.loss.isnan() if math.isnan(loss_is) else outcome.loss == loss_is
