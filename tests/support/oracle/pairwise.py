"""What the losses are, computed in ways that share nothing with the package.

``by_loops`` is the definition, one pair after the other, over any number type: ``Fraction`` makes
it exact. ``by_rows`` is the same sum a row at a time in numpy, for lists of up to some ten thousand
items. ``oracle_sorting.by_sorting`` goes to 1e10 pairs. ``test_oracle.py`` ties them to each other
and to numbers computed by hand.

A pair (i, j) with label_i > label_j violates the margin m when s_i < s_j + m, evaluated in double
precision whatever the dtype of the scores. Its gap is m - (s_i - s_j), and decides where s_i is the
rounded s_j + m.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from support.batches import Batch
from support.oracle.sorting import by_sorting
from support.oracle.sums import ListSums, is_weight, poisoned


def by_loops(
    scores: list,
    labels: list,
    weights: list | None,
    margin,
    loss: str,
    weighting: str = "product",
    boundary_grad=1.0,
    number: Callable = float,
) -> ListSums:
    n = len(scores)
    if any(value != value for value in [*scores, *labels, margin]):
        return poisoned(n)
    if not all(map(is_weight, weights or [])):
        return poisoned(n)
    s = [number(value) for value in scores]
    w = [number(1 if weights is None else weights[i]) for i in range(n)]
    m, zero = number(margin), number(0)
    sums = ListSums(zero, zero, [zero] * n, zero, zero, [zero] * n)
    for i in range(n):
        for j in range(n):
            if not labels[i] > labels[j]:
                continue
            weight = w[i] * w[j] if weighting == "product" else w[i]
            sums.pairs += weight
            gap, reach = m - (s[i] - s[j]), s[j] + m
            if gap != gap:
                return poisoned(n)
            if weight == 0:
                continue
            side = gap if s[i] == reach else reach - s[i]
            if side < 0:
                continue
            above = max(gap, zero)
            size = abs(s[i]) + abs(s[j]) + abs(m)
            if loss == "hinge":
                value, slope = above, number(1) if side > 0 else number(boundary_grad)
                item_bound = slope
            else:
                value, slope = above * above, 2 * above
                item_bound = slope + 2 * size
            sums.total += weight * value
            sums.margin_slope += weight * slope
            sums.grad[i] -= weight * slope
            sums.grad[j] += weight * slope
            sums.total_bound += abs(weight) * slope * size
            for item in (i, j):
                sums.grad_bound[item] += abs(weight) * item_bound
    return sums


def by_rows(
    scores: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray | None,
    margin: float,
    loss: str,
    weighting: str = "product",
    boundary_grad: float = 1.0,
) -> ListSums:
    n = len(scores)
    floats = [scores, labels.astype(np.float64), np.float64(margin)]
    if any(np.isnan(values).any() for values in floats):
        return poisoned(n)
    if weights is not None and not all(map(is_weight, weights)):
        return poisoned(n)
    totals, pairs, slopes, bounds = np.zeros((4, n))
    grad, grad_bound = np.zeros((2, n))
    for i in range(n):
        lower = np.flatnonzero(labels < labels[i])
        with np.errstate(invalid="ignore"):
            gap = margin - (scores[i] - scores[lower])
        if np.isnan(gap).any():
            return poisoned(n)
        weight = np.full(lower.size, 1.0 if weights is None else weights[i])
        if weights is not None and weighting == "product":
            weight = weight * weights[lower]
        pairs[i] = weight.sum()
        reach = scores[lower] + margin
        with np.errstate(invalid="ignore"):
            side = np.where(scores[i] == reach, gap, reach - scores[i])
        near = (side >= 0) & (weight != 0)
        lower, gap, weight, side = lower[near], gap[near], weight[near], side[near]
        above = np.maximum(gap, 0.0)
        size = abs(scores[i]) + abs(scores[lower]) + abs(margin)
        if loss == "hinge":
            value, slope = above, np.where(side > 0, 1.0, boundary_grad)
            bound = np.abs(weight) * slope
        else:
            value, slope = above * above, 2 * above
            bound = np.abs(weight) * (slope + 2 * size)
        totals[i], slopes[i] = (weight * value).sum(), (weight * slope).sum()
        bounds[i] = (np.abs(weight) * slope * size).sum()
        grad[i] -= slopes[i]
        grad[lower] += weight * slope
        grad_bound[i] += bound.sum()
        grad_bound[lower] += bound
    return ListSums(totals.sum(), pairs.sum(), grad, slopes.sum(), bounds.sum(), grad_bound)


def list_scales(
    sums: Sequence[ListSums], reduction: str, list_weights: Sequence[float] | None = None
) -> list[float]:
    """d loss / d total of each list."""
    weights = [1.0] * len(sums) if list_weights is None else list(list_weights)
    counted = [
        (w, one.pairs) for w, one in zip(weights, sums, strict=True) if is_weight(w) and one.pairs
    ]
    if reduction == "mean":
        pairs = math.fsum(w * number for w, number in counted)
        scales = [1 / pairs if pairs > 0 else 0.0] * len(sums)
    elif reduction == "list_mean":
        filled = math.fsum(w for w, _ in counted)
        scales = [1 / (one.pairs * filled) if one.pairs > 0 and filled > 0 else 0.0 for one in sums]
    elif reduction == "batch_mean":
        scales = [1 / len(sums) for _ in sums]
    else:
        scales = [1.0] * len(sums)
    return [
        math.nan if one.is_poisoned or not is_weight(w) else w * s
        for one, w, s in zip(sums, weights, scales, strict=True)
    ]


@dataclass
class Exact:
    """A batch's loss (``[B]`` for "none") and gradient ``[T]``, and what rounding may do to them.

    ``roundings`` counts the additions that one sum can go through: eight for every item of the
    longest list (a sweep step updates up to three sums, in two directions), one for every list.
    """

    loss: Tensor
    grad: Tensor
    loss_bound: Tensor
    grad_bound: Tensor
    loss_terms: Tensor
    grad_terms: Tensor
    roundings: int
    sums: list[ListSums]


def as_numpy(tensor: Tensor) -> np.ndarray:
    has_numpy = tensor.dtype.itemsize > 2 or not tensor.dtype.is_floating_point
    return (tensor if has_numpy else tensor.double()).cpu().numpy()


def _fastest(one: Batch) -> str:
    if len(one.scores) <= 24:
        return "loops"
    return "rows" if one.weights is not None or len(one.scores) <= 600 else "sorting"


def _list_sums(one: Batch, margin: float, loss: str, engine: str, **options) -> ListSums:
    engine = _fastest(one) if engine == "fastest" else engine
    scores, labels = as_numpy(one.scores.double()), as_numpy(one.labels)
    weights = None if one.weights is None else as_numpy(one.weights.double())
    if engine == "sorting":
        assert weights is None
        return by_sorting(scores, labels, margin, loss, options["boundary_grad"])
    if engine == "rows":
        return by_rows(scores, labels, weights, margin, loss, **options)
    weights = None if weights is None else weights.tolist()
    return by_loops(scores.tolist(), labels.tolist(), weights, margin, loss, **options)


def exact(
    batch: Batch,
    loss: str,
    *,
    margin: float = 1.0,
    reduction: str = "mean",
    weighting: str = "product",
    boundary_grad: float = 1.0,
    grad_output: Tensor | None = None,
    engine: str = "fastest",
) -> Exact:
    """The loss of a batch, and the gradient of ``(grad_output * loss).sum()``."""
    options = {"weighting": weighting, "boundary_grad": boundary_grad}
    sums = [_list_sums(one, margin, loss, engine, **options) for one in batch.lists()]
    return assemble(batch, sums, reduction, grad_output)


def assemble(
    batch: Batch, sums: list[ListSums], reduction: str, grad_output: Tensor | None = None
) -> Exact:
    """The loss of a batch, out of the sums of its lists."""
    weights = None if batch.list_weights is None else batch.list_weights.tolist()
    scales = list_scales(sums, reduction, weights)
    grad_output = torch.ones(()) if grad_output is None else grad_output.double().cpu()
    factors = (grad_output * torch.tensor(scales, dtype=torch.float64)).tolist()

    def spread(name: str) -> Tensor:
        """A value of every item, times the factor of its list."""
        parts = [
            np.broadcast_to(np.asarray(getattr(one, name), dtype=np.float64), np.shape(one.grad))
            for one in sums
        ]
        scaled = [part * factor for part, factor in zip(parts, factors, strict=True)]
        return torch.from_numpy(np.concatenate([np.zeros(0), *scaled]))

    def reduce(name: str) -> Tensor:
        values = [getattr(one, name) * s for one, s in zip(sums, scales, strict=True)]
        whole = values if reduction == "none" else math.fsum(values)
        return torch.tensor(whole, dtype=torch.float64)

    return Exact(
        loss=reduce("total"),
        grad=spread("grad"),
        loss_bound=reduce("total_bound").abs(),
        grad_bound=spread("grad_bound").abs(),
        loss_terms=reduce("total_terms").abs(),
        grad_terms=spread("grad_terms").abs(),
        roundings=8 * max(batch.sizes, default=0) + len(batch.sizes) + 16,
        sums=sums,
    )
