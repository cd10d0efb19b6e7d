"""The sums over all pairs of one long list, in n log n: an oracle where n^2 is out of reach.

Split the grades in two halves: every item above the cut pairs with every item below
it. ``searchsorted`` counts the violating partners of each, prefix sums add up their gaps, and the
two halves are split again, until the pairs of what is left fit in a matrix. Counts are int64; sums
of scores are 80-bit floats (where the machine has them), taken from a centre so that little
cancels.
"""

from __future__ import annotations

import numpy as np

from support.oracle.sums import ListSums


def by_sorting(
    scores: np.ndarray,
    labels: np.ndarray,
    margin: float,
    loss: str,
    boundary_grad: float = 1.0,
) -> ListSums:
    """Finite scores and labels, no weights."""
    n = len(scores)
    order = np.argsort(labels, kind="stable")
    size = 2 * float(np.abs(scores).max(initial=0)) + abs(margin)
    sums = ListSums(np.longdouble(0), 0, np.zeros(n, np.longdouble), 0.0, 0.0, np.zeros(n))
    ranges = [(0, n)]
    while ranges:
        begin, end = ranges.pop()
        items = order[begin:end]
        edges = np.flatnonzero(np.diff(labels[items])) + 1
        if edges.size > 1 and items.size <= 256:
            _add_few(sums, scores, labels, items, margin, loss, boundary_grad, size)
        elif edges.size:
            cut = edges[np.argmin(np.abs(edges - items.size / 2))]
            halves = items[cut:], items[:cut]
            _add_cross_pairs(sums, scores, *halves, margin, loss, boundary_grad, size)
            ranges += [(begin, begin + cut), (begin + cut, end)]
    sums.total = float(sums.total)
    sums.grad = sums.grad.astype(np.float64)
    return sums


def _add_few(
    sums: ListSums,
    scores: np.ndarray,
    labels: np.ndarray,
    items: np.ndarray,
    margin: float,
    loss: str,
    boundary_grad: float,
    size: float,
) -> None:
    """Adds every pair among ``items``, as a matrix."""
    is_pair = labels[items][:, None] > labels[items][None, :]
    upper, lower = scores[items][:, None], scores[items][None, :]
    gap = np.maximum(margin - (upper - lower), 0.0)
    violates = (upper < lower + margin) & is_pair
    within = (upper <= lower + margin) & is_pair
    if loss == "hinge":
        value, slope = gap * violates, violates + boundary_grad * (within & ~violates)
        bound = within.astype(np.float64)
    else:
        value, slope, bound = gap * gap * violates, 2 * gap * violates, 4 * size * within
    sums.pairs += int(is_pair.sum())
    sums.total += value.sum()
    sums.margin_slope += float(slope.sum())
    sums.grad[items] += slope.sum(0) - slope.sum(1)
    sums.total_bound += float(slope.sum()) * size
    sums.grad_bound[items] += bound.sum(0) + bound.sum(1)


def _add_cross_pairs(
    sums: ListSums,
    scores: np.ndarray,
    upper: np.ndarray,
    lower: np.ndarray,
    margin: float,
    loss: str,
    boundary_grad: float,
    size: float,
) -> None:
    """Adds every pair of an item of ``upper`` with one of ``lower``."""
    reach = scores[lower] + margin
    high, far = np.sort(scores[upper]), np.sort(reach)
    # Partners strictly inside the margin, and those inside or on the boundary.
    inside_lower = np.searchsorted(high, reach, "left")
    within_lower = np.searchsorted(high, reach, "right")
    inside_upper = len(far) - np.searchsorted(far, scores[upper], "right")
    within_upper = len(far) - np.searchsorted(far, scores[upper], "left")
    inside, boundary = int(inside_lower.sum()), int((within_lower - inside_lower).sum())

    def prefix(values: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros(1, np.longdouble), np.cumsum(values)])

    def centred(values: np.ndarray) -> np.ndarray:
        return values.astype(np.longdouble) - np.longdouble(high[len(high) // 2])

    high_sums, far_sums = prefix(centred(high)), prefix(centred(far))
    gaps_lower = inside_lower * centred(reach) - high_sums[inside_lower]
    gaps_upper = far_sums[-1] - far_sums[len(far) - inside_upper]
    gaps_upper -= inside_upper * centred(scores[upper])

    sums.pairs += len(upper) * len(lower)
    if loss == "hinge":
        sums.total += gaps_lower.sum()
        sums.margin_slope += inside + boundary_grad * boundary
        sums.grad[lower] += inside_lower + boundary_grad * (within_lower - inside_lower)
        sums.grad[upper] -= inside_upper + boundary_grad * (within_upper - inside_upper)
        sums.total_bound += (inside + boundary) * size
        sums.grad_bound[lower] += within_lower
        sums.grad_bound[upper] += within_upper
    else:
        square_sums = prefix(centred(high) ** 2)[inside_lower]
        distance = centred(reach)
        terms = distance * (inside_lower * distance - 2 * high_sums[inside_lower]) + square_sums
        sums.total += terms.sum()
        sums.margin_slope += float(2 * gaps_lower.sum())
        sums.grad[lower] += 2 * gaps_lower
        sums.grad[upper] -= 2 * gaps_upper
        sums.total_bound += float(2 * gaps_lower.sum()) * size
        sums.grad_bound[lower] += within_lower * 4 * size
        sums.grad_bound[upper] += within_upper * 4 * size
