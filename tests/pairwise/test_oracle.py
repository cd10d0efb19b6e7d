"""The oracles agree with each other, so that the fast ones may stand for the definition."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from support.cases import LOSSES, MEDIUM, SMALL, WEIGHTINGS, Case, by_name
from support.oracle.pairwise import by_loops, by_rows
from support.oracle.sorting import by_sorting

U64 = 2.0**-53
TINY = [case for case in SMALL if sum(case.sizes) <= 50]


def _arrays(case: Case, number: int = 0) -> tuple:
    one = case.batch().lists()[number]
    weights = None if one.weights is None else one.weights.numpy()
    return one.scores.numpy(), one.labels.numpy(), weights


def _plain(array: np.ndarray | None) -> list | None:
    return None if array is None else array.tolist()


def _assert_close(actual, expected, roundings: int) -> None:
    allowed = roundings * U64
    assert actual.pairs == pytest.approx(float(expected.pairs), rel=allowed)
    total_error = abs(float(actual.total - expected.total))
    assert total_error <= allowed * (float(expected.total) + float(expected.total_bound))
    rows = zip(actual.grad, expected.grad, expected.grad_bound, strict=True)
    assert all(abs(float(got - want)) <= allowed * float(bound) for got, want, bound in rows)
    slope_bound = sum(map(float, expected.grad_bound))
    assert abs(float(actual.margin_slope - expected.margin_slope)) <= allowed * slope_bound


@pytest.mark.parametrize("case", [case for case in TINY if case.sizes], ids=lambda case: case.name)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_loops_against_fractions(case: Case, loss: str, weighting: str) -> None:
    scores, labels, weights = map(_plain, _arrays(case))
    margin = 0.75
    options = {"weighting": weighting, "boundary_grad": 0.5}
    exact = by_loops(scores, labels, weights, margin, loss, **options, number=Fraction)
    loops = by_loops(scores, labels, weights, margin, loss, **options)
    assert isinstance(exact.total, Fraction)
    _assert_close(loops, exact, roundings=4 * len(scores) + 8)


@pytest.mark.parametrize("case", [case for case in SMALL if case.sizes], ids=lambda case: case.name)
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("boundary_grad", [0.0, 0.5, 1.0])
def test_rows_against_loops(case: Case, loss: str, weighting: str, boundary_grad: float) -> None:
    for number in range(len(case.sizes)):
        scores, labels, weights = _arrays(case, number)
        options = {"weighting": weighting, "boundary_grad": boundary_grad}
        rows = by_rows(scores, labels, weights, 1.0, loss, **options)
        plain = map(_plain, (scores, labels, weights))
        loops = by_loops(*plain, 1.0, loss, **options)
        _assert_close(rows, loops, roundings=4 * len(scores) + 8)


@pytest.mark.parametrize("name", ["n1025", "n2047", "n2049", "n4096_distinct"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("boundary_grad", [0.0, 1.0])
def test_sorting_against_rows(name: str, loss: str, boundary_grad: float) -> None:
    scores, labels, _ = _arrays(by_name(MEDIUM)[name])
    sorting = by_sorting(scores, labels, 1.0, loss, boundary_grad)
    rows = by_rows(scores, labels, None, 1.0, loss, boundary_grad=boundary_grad)
    _assert_close(sorting, rows, roundings=4 * len(scores) + 8)
    if loss == "hinge":
        assert np.array_equal(sorting.grad, rows.grad)


@pytest.mark.parametrize("number", [float, Fraction], ids=["loops", "fractions"])
def test_nan_poisons(number) -> None:
    assert math.isnan(by_loops([1.0, math.nan], [1, 0], None, 1.0, "hinge", number=number).total)


INFINITE = {
    # name: (scores, labels, total of the hinge)
    "best_above_all": ([math.inf, 0.0], [1, 0], 0.0),
    "worst_below_all": ([0.0, -math.inf], [1, 0], 0.0),
    "best_below_all": ([-math.inf, 0.0], [1, 0], math.inf),
    "equal_infinities": ([math.inf, math.inf], [1, 0], math.nan),
    "equal_infinities_no_pair": ([math.inf, math.inf, 0.0], [1, 1, 0], 0.0),
}


@pytest.mark.parametrize("name", INFINITE)
def test_infinities(name: str) -> None:
    scores, labels, total = INFINITE[name]
    loops = by_loops(scores, labels, None, 1.0, "hinge")
    rows = by_rows(np.array(scores), np.array(labels), None, 1.0, "hinge")
    assert np.array_equal(loops.total, total, equal_nan=True)
    assert np.array_equal(rows.total, total, equal_nan=True)
    assert np.array_equal(loops.grad, rows.grad, equal_nan=True)
