"""Sums over all pairs of a list of a smooth function of their gaps, in float64 and O(n) time.

Scores fall into narrow cells. A function that is analytic within pi of the real axis, as the
logistic ones are, is on every pair of cells its interpolation at a few Chebyshev points of each, to
the last digits of float64. So the items of a cell become weights at its points,
points meet points, and what they sum up goes back to the items.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

# Narrow: pairs that need more than the sum are enumerated within a cell. The error falls as
# (4 pi / width)^-points.
_WIDTH = 0.05
_POINTS = 7

Kernel = Callable[[Tensor], Tensor]  # elementwise, of gaps


class Cells:
    """The scores ``[n]`` of a list; cell 0 has the highest."""

    def __init__(self, scores: Tensor) -> None:
        depth = (scores.max() - scores) / _WIDTH
        self._cell = depth.long()
        self._num_cells = int(self._cell.max()) + 1
        angles = torch.arange(_POINTS, device=scores.device, dtype=torch.float64)
        points = (torch.cos((angles + 0.5) * math.pi / _POINTS) + 1) / 2  # in a cell of width 1
        self._basis = _lagrange(depth - self._cell, points)
        firsts = torch.arange(self._num_cells, device=scores.device)
        self._points = -_WIDTH * (firsts[:, None] + points).flatten()

    def slices(self) -> Iterator[slice]:
        """The items of each cell, where scores descend."""
        begin = 0
        for count in self._cell.unique_consecutive(return_counts=True)[1].tolist():
            yield slice(begin, begin + count)
            begin += count

    def sums(self, kernel: Kernel, weights: Tensor, signed: bool = False) -> Tensor:
        """For each item i the sum over the items j of ``kernel(s_i - s_j) weights[j]``: ``[n, F]``.

        ``signed``: times the sign of s_i - s_j, and without the items in the cell of i.
        """
        num_features = weights.shape[1]
        at_points = weights.new_zeros(self._num_cells, _POINTS, num_features)
        for p, basis in enumerate(self._basis):
            at_points[:, p].index_add_(0, self._cell, basis[:, None] * weights)
        matrix = kernel(self._points[:, None] - self._points)
        if signed:
            cell = torch.arange(len(self._points), device=weights.device) // _POINTS
            matrix *= (cell - cell[:, None]).sign()
        summed = (matrix @ at_points.flatten(0, 1)).view_as(at_points)
        return sum(b[:, None] * summed[self._cell, p] for p, b in enumerate(self._basis))


def _lagrange(x: Tensor, points: Tensor) -> list[Tensor]:
    """The polynomials that are 1 at one of the points and 0 at the others, at ``x``."""
    basis = []
    for p, point in enumerate(points):
        others = torch.cat([points[:p], points[p + 1 :]])
        factors = [(x - other) / (point - other) for other in others]
        basis.append(math.prod(factors[1:], start=factors[0]))
    return basis
