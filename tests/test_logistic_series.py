"""The polynomials of the logistic loss keep the errors that the header states."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

mpmath = pytest.importorskip("mpmath")

HEADER = Path(__file__).parents[1] / "csrc" / "losses" / "logistic_series.h"

pytestmark = pytest.mark.skipif(not HEADER.is_file(), reason="no source tree beside the tests")

FUNCTIONS = {
    "softplus": mpmath.log1p,
    "sigmoid": lambda u: u / (1 + u),
    "curvature": lambda u: u / (1 + u) ** 2,
}


def stated() -> list[tuple[str, str, float, list[float]]]:
    """Every series of the header: its struct, function, largest relative error, coefficients."""
    if not HEADER.is_file():
        return []
    found = []
    for struct in re.split(r"\nstruct ", HEADER.read_text())[1:]:
        for error, name, numbers in re.findall(
            r"relative error (\S+)\s+FRL_HD static double (\w+).*?= \{(.*?)\}", struct, re.DOTALL
        ):
            coefficients = [float(number) for number in re.findall(r"[-\d][^,\s]*", numbers)]
            found.append((struct.split()[0], name, float(error), coefficients))
    return found


def test_all_are_found() -> None:
    assert [(struct, name, len(numbers)) for struct, name, _, numbers in stated()] == [
        (struct, name, terms)
        for struct, terms in (("NarrowSeries", 12), ("WideSeries", 22))
        for name in FUNCTIONS
    ]


@pytest.mark.parametrize(
    "name, error, coefficients",
    [case[1:] for case in stated()],
    ids=[f"{case[0]}-{case[1]}" for case in stated()],
)
def test_largest_relative_error(name: str, error: float, coefficients: list[float]) -> None:
    with mpmath.workdps(40):
        # Rounding the coefficients to fp64 adds up to 2^-53 of each.
        rounded = sum(map(abs, coefficients)) / 2**53
        for t in range(1, 1001):
            u = (1 - mpmath.cos(mpmath.pi * t / 1000)) / 2
            exact = FUNCTIONS[name](u)
            got = u * mpmath.polyval(coefficients[::-1], u)
            assert abs(got - exact) <= (error + rounded * (u / exact)) * exact
