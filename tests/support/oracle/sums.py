"""What an oracle says of one list."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class ListSums:
    """Sums over the pairs of one list, and how far rounding can move them.

    ``total_bound`` and ``grad_bound`` sum, over the same pairs, the size of whatever a computation
    in floating point rounds. A relative error u in every score, in the margin and in each partial
    sum moves total and gradient by a small multiple of u times these bounds.

    ``total_terms`` and ``grad_terms`` are for losses whose terms are transcendental: the sizes of
    the terms, times 2 + |x| with x the argument of the exponential in each. A relative error e in
    x and a few of its size in the term moves total and gradient by e times these at most.
    """

    total: float
    pairs: float
    grad: Sequence
    margin_slope: float
    total_bound: float
    grad_bound: Sequence
    total_terms: float = 0.0
    grad_terms: Sequence | float = 0.0

    @property
    def is_poisoned(self) -> bool:
        return self.total != self.total


def is_weight(weight: float) -> bool:
    return 0 <= weight < math.inf


def poisoned(n: int) -> ListSums:
    """A list with NaN among its numbers: it is NaN itself and counts no pair."""
    return ListSums(math.nan, 0.0, [math.nan] * n, math.nan, math.nan, [math.nan] * n)
