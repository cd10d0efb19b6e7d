"""Fits the exponential sums of the logistic loss; prints csrc/losses/logistic_series.h.

    python build_tools/fit_logistic.py > csrc/losses/logistic_series.h

With u = exp(-x) in [0, 1], each function is analytic in u with its nearest singularity at -1, so
that polynomials without a constant term converge like 5.83^-K. Remez exchange, in 60 digits, finds
those with the least largest relative error. Needs mpmath, which comes with torch's sympy.

So, too, the two polynomials of the arithmetic in fp32 (csrc/losses/logistic_float.h).
"""

import ctypes

import mpmath

mpmath.mp.dps = 60

# Of f(u) / u: name, the function f, f(u) / u.
FUNCTIONS = [
    ("softplus", "ln(1 + u)", lambda u: mpmath.log1p(u) / u if u > 0 else mpmath.mpf(1)),
    ("sigmoid", "u / (1 + u)", lambda u: 1 / (1 + u)),
    ("curvature", "u / (1 + u)^2", lambda u: 1 / (1 + u) ** 2),
]
SERIES = [("NarrowSeries", 12, "fp32"), ("WideSeries", 22, "fp64")]

# Of fp32 arithmetic: name, that of the number of terms, formula, function, interval, terms.
FLOAT_FUNCTIONS = [
    (
        "exp2_growth",
        "kGrowthTerms",
        "(2^f - 1) / f for |f| <= 1/2",
        lambda f: mpmath.expm1(f * mpmath.log(2)) / f if f else mpmath.log(2),
        (-0.5, 0.5),
        6,
    ),
    (
        "softplus_excess",
        "kExcessTerms",
        "(u - ln(1 + u)) / u^2 for 0 <= u <= 1",
        lambda u: (u - mpmath.log1p(u)) / u**2 if u > 0 else mpmath.mpf("0.5"),
        (0, 1),
        10,
    ),
]

HEAD = """\
// SPDX-License-Identifier: BSD-3-Clause
//
// The functions of the logistic loss as sums of exponentials. With u = exp(-x), x >= 0,
//
//   f(u) = sum_k f(k) u^(k+1),  k = 0 .. K-1
//
// to the largest relative error stated with each. Written by build_tools/fit_logistic.py, which
// says how; tests/ranking/test_logistic_series.py measures the errors.
#pragma once

#include "common/platform.h"

namespace fused_rankloss {
"""


def chebyshev_points(count, interval):
    """``count + 1`` points of an interval, denser towards both ends."""
    low, high = interval
    return [
        low + (high - low) * (1 - mpmath.cos(mpmath.pi * i / count)) / 2 for i in range(count + 1)
    ]


def fit(function, terms, interval=(0, 1)):
    """Coefficients of the polynomial P that minimises max |P / function - 1|, and that maximum."""
    points = chebyshev_points(terms, interval)
    grid = chebyshev_points(24 * terms, interval)
    while True:
        matrix, values = mpmath.matrix(terms + 1, terms + 1), mpmath.matrix(terms + 1, 1)
        for i, point in enumerate(points):
            for k in range(terms):
                matrix[i, k] = point**k
            matrix[i, terms] = (-1) ** i * function(point)
            values[i] = function(point)
        solution = mpmath.lu_solve(matrix, values)
        coefficients = [solution[k] for k in range(terms)]
        errors = [mpmath.polyval(coefficients[::-1], u) / function(u) - 1 for u in grid]
        # The farthest point of every run of one sign takes part in the next exchange.
        points, largest, sign = [], [], 0
        for u, error in zip(grid, errors, strict=True):
            if mpmath.sign(error) != sign:
                sign = mpmath.sign(error)
                points.append(u)
                largest.append(abs(error))
            elif abs(error) > largest[-1]:
                points[-1], largest[-1] = u, abs(error)
        if max(largest) < abs(solution[terms]) * mpmath.mpf("1.001"):
            return coefficients, max(largest)


def main():
    """Prints the header."""
    print(HEAD)
    for name, terms, dtype in SERIES:
        print(f"// For scores of {dtype}.\nstruct {name} {{")
        print(f"  static constexpr int kTerms = {terms};")
        for function, formula, of_u in FUNCTIONS:
            coefficients, error = fit(of_u, terms)
            print(f"\n  // {formula}, largest relative error {mpmath.nstr(1.05 * error, 2)}")
            print(f"  FRL_HD static double {function}(int k) {{")
            print("    constexpr double coefficients[kTerms] = {")
            for coefficient in coefficients:
                print(f"        {float(coefficient)!r},")
            print("    };\n    return coefficients[k];\n  }")
        print("};\n")
    print_float_series()
    print("}  // namespace fused_rankloss")


def print_float_series():
    """The polynomials whose coefficients are fp32 numbers."""
    print("// For arithmetic in fp32, without what rounding the coefficients adds.")
    print("struct FloatSeries {")
    for function, constant, formula, of_x, interval, terms in FLOAT_FUNCTIONS:
        coefficients, error = fit(of_x, terms, interval)
        print(f"  static constexpr int {constant} = {terms};\n")
        print(f"  // {formula}, largest relative error {mpmath.nstr(1.05 * error, 2)}")
        print(f"  FRL_HD static float {function}(int k) {{")
        print(f"    constexpr float coefficients[{constant}] = {{")
        for coefficient in coefficients:
            print(f"        {ctypes.c_float(coefficient).value:.9g}f,")
        print("    };\n    return coefficients[k];\n  }")
    print("};\n")


if __name__ == "__main__":
    main()
