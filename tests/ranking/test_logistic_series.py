"""The polynomials of the logistic loss keep the errors that the header states."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

mpmath = pytest.importorskip("mpmath")

HEADER = Path(__file__).parents[2] / "csrc" / "losses" / "logistic_series.h"

pytestmark = pytest.mark.skipif(not HEADER.is_file(), reason="no source tree beside the tests")

# What the polynomial itself is, and where.
FUNCTIONS = {
    "softplus": (lambda u: mpmath.log1p(u) / u, (0, 1)),
    "sigmoid": (lambda u: 1 / (1 + u), (0, 1)),
    "curvature": (lambda u: 1 / (1 + u) ** 2, (0, 1)),
    "exp2_growth": (lambda f: mpmath.expm1(f * mpmath.log(2)) / f, (-0.5, 0.5)),
    "softplus_excess": (lambda u: (u - mpmath.log1p(u)) / u**2, (0, 1)),
}


def stated() -> list[tuple[str, str, float, list[float]]]:
    """Every series of the header: its struct, function, largest relative error, coefficients."""
    if not HEADER.is_file():
        return []
    found = []
    for struct in re.split(r"\nstruct ", HEADER.read_text())[1:]:
        for error, name, numbers in re.findall(
            r"relative error (\S+)\s+FRL_HD static (?:double|float) (\w+).*?= \{(.*?)\}",
            struct,
            re.DOTALL,
        ):
            coefficients = [float(n.rstrip("f")) for n in re.findall(r"[-\d][^,\s]*", numbers)]
            found.append((struct.split()[0], name, float(error), coefficients))
    return found


def test_all_are_found() -> None:
    assert [(struct, name, len(numbers)) for struct, name, _, numbers in stated()] == [
        *(("NarrowSeries", name, 12) for name in ("softplus", "sigmoid", "curvature")),
        *(("WideSeries", name, 22) for name in ("softplus", "sigmoid", "curvature")),
        ("FloatSeries", "exp2_growth", 6),
        ("FloatSeries", "softplus_excess", 10),
    ]


@pytest.mark.parametrize(
    "struct, name, error, coefficients", stated(), ids=[f"{case[0]}-{case[1]}" for case in stated()]
)
def test_largest_relative_error(
    struct: str, name: str, error: float, coefficients: list[float]
) -> None:
    function, (low, high) = FUNCTIONS[name]
    with mpmath.workdps(40):
        # Rounding the coefficients adds up to half a unit in the last place of each.
        rounded = sum(map(abs, coefficients)) / 2 ** (24 if struct == "FloatSeries" else 53)
        for t in range(1, 1001):
            x = low + (high - low) * (1 - mpmath.cos(mpmath.pi * t / 1000)) / 2
            if x == 0:
                continue
            exact, got = function(x), mpmath.polyval(coefficients[::-1], x)
            assert abs(got - exact) <= error * exact + rounded
