"""What weighted pair losses (RankNet, LambdaRank, LambdaLoss) mean, computed in double precision.

``lambda_by_loops`` is the definition, pair by pair; ``lambda_by_rows`` the same a row at a time in
numpy, for lists of a few thousand items. ``test_oracle_ltr.py`` ties them to each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from support.batches import Batch
from support.oracle.ndcg import discount, gains_of, normalised, ranks_of
from support.oracle.pairwise import Exact, as_numpy, assemble
from support.oracle.sums import ListSums, is_weight, poisoned


@dataclass(frozen=True)
class Pairs:
    """The options of a weighted pair loss, by their public names."""

    scheme: str = "lambdarank"
    pair_loss: str = "logistic"
    sigma: float = 1.0
    margin: float = 1.0
    mu: float = 10.0
    log: str = "natural"
    gain: str = "exponential"
    discount: list | None = None
    k: int | None = None
    truncation: str = "either"
    score_normalization: bool = False
    list_normalization: bool = False
    weighting: str = "product"

    @property
    def scale(self) -> float:
        return 1 / math.log(2) if self.log == "binary" and self.pair_loss == "logistic" else 1.0

    def can_use(self, labels: list, gains: list | None) -> bool:
        """Whether the gains that the scheme uses, if it does, are finite."""
        if self.scheme == "none":
            return True
        used = labels if self.scheme == "arp" else gains_of(labels, gains, self.gain)
        return all(map(math.isfinite, used))

    def normalised_gains(self, labels: list, gains: list | None) -> list[float]:
        if self.scheme in ("none", "arp"):
            return [0.0] * len(labels)
        return normalised(gains_of(labels, gains, self.gain), self.discount, self.k)

    def keeps(self, rank_i: int, rank_j: int) -> bool:
        if self.k is None:
            return True
        inside = (rank_i <= self.k) + (rank_j <= self.k)
        return inside == 2 if self.truncation == "both" else inside >= 1

    def discount_at(self, rank: int) -> float:
        if self.truncation == "discount" and self.k is not None and rank > self.k:
            return 0.0
        return discount(rank, self.discount)


def logistic(x: float) -> float:
    """log(1 + e^-x)."""
    return math.log1p(math.exp(-x)) if x > 0 else -x + math.log1p(math.exp(x))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


def lambda_by_loops(
    scores: list, labels: list, weights: list | None, gains: list | None, o: Pairs
) -> ListSums:
    n = len(scores)
    if any(value != value for value in [*scores, *labels]):
        return poisoned(n)
    if not all(map(is_weight, weights or [])) or not o.can_use(labels, gains):
        return poisoned(n)
    w = [1.0] * n if weights is None else weights
    g = o.normalised_gains(labels, gains)
    r = ranks_of(scores)
    d = [o.discount_at(rank) for rank in r]
    spread = len(set(scores)) > 1
    sums = ListSums(0.0, 0.0, [0.0] * n, 0.0, 0.0, [0.0] * n, 0.0, [0.0] * n)
    slopes = slope_terms = 0.0
    for i in range(n):
        for j in range(n):
            is_pair = o.scheme == "ndcg_loss1" or labels[i] > labels[j]
            if not is_pair or not o.keeps(r[i], r[j]):
                continue
            gap = scores[i] - scores[j]
            if gap != gap:
                return poisoned(n)
            weight = w[i] * w[j] if o.weighting == "product" else w[i]
            sums.pairs += weight
            # `size` is what floating point may add up on its way to `factor`.
            if o.scheme == "none":
                factor = size = 1.0
            elif o.scheme == "arp":
                factor = labels[i] - labels[j]
                size = abs(labels[i]) + abs(labels[j])
            elif o.scheme == "ndcg_loss1":
                factor = g[i] * d[i]
                size = abs(factor)
            else:
                rank_part = abs(d[i] - d[j])
                rank_size = d[i] + d[j]
                if o.scheme != "lambdarank":
                    t = abs(r[i] - r[j])
                    at, after = discount(t, o.discount), discount(t + 1, o.discount)
                    mu, more = (1, 0) if o.scheme == "ndcg_loss2" else (o.mu, 1)
                    rank_part = mu * abs(at - after) + more * rank_part
                    rank_size = mu * (at + after) + more * rank_size
                factor = abs(g[i] - g[j]) * rank_part
                size = (abs(g[i]) + abs(g[j])) * rank_size
            scale = weight * o.scale
            if o.score_normalization and spread:
                scale /= 0.01 + abs(gap)
            value, slope, reach = pair_term(gap, o)
            numbers = abs(scores[i]) + abs(scores[j])
            numbers *= o.sigma if o.pair_loss == "logistic" else 1
            numbers += 4 if o.pair_loss == "logistic" else abs(o.margin)
            moved = times(scale * factor, slope)
            sums.total += times(scale * factor, value)
            sums.grad[i] -= moved
            sums.grad[j] += moved
            slopes += moved
            bound, term = abs(scale) * size, abs(scale * factor) * reach
            steep = 2.0 if o.pair_loss == "squared_hinge" else 0.0
            sums.total_bound += times(bound, 4 * value + slope * numbers)
            sums.total_terms += times(term, value)
            slope_terms += times(term, slope)
            for item in (i, j):
                sums.grad_bound[item] += times(bound, slope * (4 + numbers) + steep * numbers)
                sums.grad_terms[item] += times(term, slope)
    return normalise(sums, slopes, slope_terms, o)


def times(weight, term):
    """What a term counts: nothing without weight, even if it is infinite. Of numbers or arrays."""
    if np.ndim(weight) == 0:
        return weight * term if weight != 0 else 0.0
    with np.errstate(invalid="ignore"):
        return np.where(weight != 0, weight * term, 0.0)


def pair_term(gap: float, o: Pairs) -> tuple[float, float, float]:
    """The loss of a gap, the size of its slope, and 2 + |x| where there is an exponential."""
    if o.pair_loss == "logistic":
        x = o.sigma * gap
        if math.isinf(x):
            return (math.inf, o.sigma, 2.0) if x < 0 else (0.0, 0.0, 2.0)
        return logistic(x), o.sigma * sigmoid(-x), 2 + abs(x)
    above = max(o.margin - gap, 0.0)
    if o.pair_loss == "hinge":
        return above, float(o.margin >= gap), 0.0
    return above * above, 2 * above, 0.0


def normalise(sums: ListSums, slopes: float, slope_terms: float, o: Pairs) -> ListSums:
    """log2(1 + S) / S, which moves by no more than S does, relatively."""
    if not o.list_normalization or slopes == 0:
        return sums
    factor = math.log2(1 + 2 * slopes) / (2 * slopes)
    moved = slope_terms / abs(slopes)
    grad = np.asarray(sums.grad) * factor
    return ListSums(
        sums.total * factor,
        sums.pairs,
        grad,
        0.0,
        sums.total_bound * factor * 2,
        np.asarray(sums.grad_bound) * factor * 2,
        sums.total_terms * factor + moved * abs(sums.total * factor),
        np.asarray(sums.grad_terms) * factor + moved * np.abs(grad),
    )


def lambda_by_rows(
    scores: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray | None,
    gains: np.ndarray | None,
    o: Pairs,
) -> ListSums:
    n = len(scores)
    if any(np.isnan(a.astype(np.float64)).any() for a in (scores, labels)):
        return poisoned(n)
    listed_gains = None if gains is None else gains.tolist()
    if weights is not None and not all(map(is_weight, weights)):
        return poisoned(n)
    if not o.can_use(labels.tolist(), listed_gains):
        return poisoned(n)
    g = np.array(o.normalised_gains(labels.tolist(), listed_gains))
    r = np.array(ranks_of(scores.tolist()), dtype=np.int64)
    d = np.array([o.discount_at(rank) for rank in r.tolist()])
    true_d = np.array([0.0] + [discount(rank, o.discount) for rank in range(1, n + 2)])
    top = np.ones(n, bool) if o.k is None else r <= o.k
    values = labels.astype(np.float64)
    w = np.ones(n) if weights is None else weights
    spread = n > 0 and scores.min() < scores.max()
    totals, pairs, total_bounds, total_terms, slopes, slope_terms = np.zeros((6, n))
    grad, grad_bound, grad_terms = np.zeros((3, n))
    for i in range(n):
        is_pair = np.ones(n, bool) if o.scheme == "ndcg_loss1" else labels < labels[i]
        kept = top & top[i] if o.truncation == "both" else top | top[i]
        j = np.flatnonzero(is_pair & kept)
        with np.errstate(invalid="ignore"):
            gap = scores[i] - scores[j]
        if np.isnan(gap).any():
            return poisoned(n)
        weight = w[i] * w[j] if o.weighting == "product" else np.full(j.size, w[i])
        pairs[i] = weight.sum()
        if o.scheme == "none":
            factor = size = np.ones(j.size)
        elif o.scheme == "arp":
            factor, size = values[i] - values[j], abs(values[i]) + abs(values[j])
        elif o.scheme == "ndcg_loss1":
            factor = np.full(j.size, g[i] * d[i])
            size = abs(factor)
        else:
            rank_part, rank_size = abs(d[i] - d[j]), d[i] + d[j]
            if o.scheme != "lambdarank":
                at, after = true_d[abs(r[i] - r[j])], true_d[abs(r[i] - r[j]) + 1]
                mu, more = (1, 0) if o.scheme == "ndcg_loss2" else (o.mu, 1)
                rank_part = mu * abs(at - after) + more * rank_part
                rank_size = mu * (at + after) + more * rank_size
            factor, size = abs(g[i] - g[j]) * rank_part, (abs(g[i]) + abs(g[j])) * rank_size
        scale = weight * o.scale
        if o.score_normalization and spread:
            scale = scale / (0.01 + abs(gap))
        value, slope, reach = pair_terms(gap, o)
        numbers = abs(scores[i]) + abs(scores[j])
        numbers = numbers * o.sigma + 4 if o.pair_loss == "logistic" else numbers + abs(o.margin)
        weighted = scale * factor
        bound, term = abs(scale) * size, abs(weighted) * reach
        steep = 2.0 if o.pair_loss == "squared_hinge" else 0.0
        item_bound = times(bound, slope * (4 + numbers) + steep * numbers)
        totals[i], slopes[i] = times(weighted, value).sum(), times(weighted, slope).sum()
        total_bounds[i] = times(bound, 4 * value + slope * numbers).sum()
        total_terms[i], slope_terms[i] = times(term, value).sum(), times(term, slope).sum()
        grad[i] -= slopes[i]
        grad_bound[i] += item_bound.sum()
        grad_terms[i] += slope_terms[i]
        grad[j] += times(weighted, slope)
        grad_bound[j] += item_bound
        grad_terms[j] += times(term, slope)
    sums = ListSums(
        totals.sum(),
        pairs.sum(),
        grad,
        0.0,
        total_bounds.sum(),
        grad_bound,
        total_terms.sum(),
        grad_terms,
    )
    return normalise(sums, slopes.sum(), slope_terms.sum(), o)


def pair_terms(gap: np.ndarray, o: Pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``pair_term`` of an array."""
    if o.pair_loss == "logistic":
        x = o.sigma * gap
        value = np.maximum(-x, 0) + np.log1p(np.exp(-abs(x)))
        slope = o.sigma * np.where(x > 0, np.exp(-abs(x)), 1) / (1 + np.exp(-abs(x)))
        return value, slope, 2 + np.where(np.isinf(x), 0, abs(x))
    above = np.maximum(o.margin - gap, 0)
    if o.pair_loss == "hinge":
        return above, (gap <= o.margin).astype(np.float64), np.zeros(gap.size)
    return above * above, 2 * above, np.zeros(gap.size)


def lambda_exact(
    batch: Batch,
    *,
    gains: Tensor | None = None,
    reduction: str = "mean",
    grad_output: Tensor | None = None,
    engine: str = "rows",
    **options,
) -> Exact:
    """The loss of a batch and its gradient; ``gains`` ``[T]``, options by their public names."""
    if isinstance(options.get("discount"), Tensor):
        options["discount"] = options["discount"].double().tolist()
    o = Pairs(**options)
    sums = []
    for one, own_gains in zip(batch.lists(), batch.split(gains), strict=True):
        arrays = [
            as_numpy(one.scores.double()),
            as_numpy(one.labels),
            None if one.weights is None else as_numpy(one.weights.double()),
            None if own_gains is None else as_numpy(own_gains.double()),
        ]
        if engine == "loops":
            lists = [None if array is None else array.tolist() for array in arrays]
            sums.append(lambda_by_loops(*lists, o))
        else:
            sums.append(lambda_by_rows(*arrays, o))
    return assemble(batch, sums, reduction, grad_output)
