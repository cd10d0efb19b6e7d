"""What ListNet, ListMLE and ApproxNDCG mean, computed in double precision, a row at a time.

Bounds are those of ``oracle_sums``: what moves with the relative error of an exponential carries
2 + |its argument|, what moves with a rounding carries the sizes of the numbers that are added.
"""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor

from support.batches import Batch
from support.oracle.ndcg import gains_of, max_dcg, normalised
from support.oracle.pairwise import Exact, as_numpy, assemble
from support.oracle.sums import ListSums, is_weight, poisoned

Array = np.ndarray


def log_sum_exp(values: Array) -> float:
    top = values.max()
    return float(top + math.log(math.fsum(np.exp(values - top))))


def listnet(s: Array, y: Array, w: Array) -> ListSums:
    n = len(s)
    if n == 0:
        return nothing(n)
    y = y.astype(np.float64)
    total, label_total = log_sum_exp(s), log_sum_exp(y)
    q, p = np.exp(s - total), np.exp(y - label_total)
    q_reach, p_reach = 2 + abs(s - total), 2 + abs(y - label_total)
    reach = (q * q_reach).sum()  # of the log of the sum
    terms, mass = w * p * (total - s), (w * p).sum()
    size = abs(s) + abs(total) + abs(y) + abs(label_total) + 4
    return ListSums(
        terms.sum(),
        1.0,
        mass * q - w * p,
        0.0,
        (abs(w) * p * size * (1 + abs(total - s))).sum(),
        abs(w * p) * size + (abs(w) * p * size).sum() * q * size,
        (abs(w) * p * (2 * p_reach * abs(total - s) + reach + abs(total - s))).sum(),
        2 * abs(w) * p * p_reach + (abs(w) * p * (2 * p_reach + 1)).sum() * q * (q_reach + reach),
    )


def list_mle(s: Array, y: Array, w: Array, position_weights: Array | str | None) -> ListSums:
    n = len(s)
    if n == 0 or (y == y[0]).all():
        return nothing(n)
    order = sorted(range(n), key=lambda i: Descending(y[i]))  # stable
    v = positions(n, position_weights)
    z, u = s[order], w[order]
    total = total_bound = total_terms = 0.0
    grad, bound, terms = np.zeros((3, n))
    for t in range(n):
        tail = log_sum_exp(z[t:])
        q = np.exp(z[t:] - tail)
        reach = 2 + abs(z[t:] - tail)
        size = abs(z[t:]) + abs(tail) + 4
        mixed, factor = (q * reach).sum(), abs(v[t] * u[t])
        total += v[t] * u[t] * (tail - z[t])
        grad[t:] += v[t] * u[t] * q
        grad[t] -= v[t] * u[t]
        total_bound += factor * size.max()
        total_terms += factor * (mixed + abs(tail - z[t]))
        bound[t:] += factor * q * size * 2
        bound[t] += factor * 4
        terms[t:] += factor * q * (reach + mixed)
        terms[t] += factor * 2
    place = np.empty(n, dtype=np.int64)
    place[order] = np.arange(n)
    return ListSums(
        total, 1.0, grad[place], 0.0, total_bound, bound[place], total_terms, terms[place]
    )


class Descending:
    """Sorts by falling value; equal ones keep their order."""

    def __init__(self, value) -> None:
        self.value = value

    def __lt__(self, other: Descending) -> bool:
        return bool(self.value > other.value)


def positions(n: int, given: Array | str | None) -> Array:
    if given is None:
        return np.ones(n)
    if isinstance(given, str):
        assert given == "exponential"
        raw = [2.0**-t - 2.0**-n for t in range(1, n + 1)]
        return np.array(raw) / max(math.fsum(raw), 1e-300)
    return np.array([given[t] if t < len(given) else 0.0 for t in range(n)])


def approx_ndcg(
    s: Array, y: Array, w: Array, gains: Array | None, gain: str, temperature: float
) -> ListSums:
    n = len(s)
    raw = gains_of(y.tolist(), None if gains is None else gains.tolist(), gain)
    if not max_dcg(raw) > 0:
        return nothing(n)
    g = np.array(normalised(raw))
    # rank[i] = 1 + sum_j sigmoid((s_j - s_i) / T)
    soft_rank, rank_terms, rank_bound = np.zeros((3, n))
    others = np.arange(n)
    for i in range(n):
        j = others[others != i]
        z = (s[j] - s[i]) / temperature
        soft, steep, _ = sigmoid_of(z)
        soft_rank[i] = 1 + math.fsum(soft)
        # An exponential that is off by e (2 + |z|) moves a sigmoid by that times its slope, which
        # is 0 for scores that are far apart.
        rank_terms[i] = (2 * soft + steep * abs(z)).sum()
        # Two scores are subtracted first: however large they are, what rounds is their difference.
        rank_bound[i] = 1 + (4 * soft + steep * 2 * abs(z)).sum()
    log = np.log(1 + soft_rank)
    value = -w * g * math.log(2) / log
    c = w * g * math.log(2) / ((1 + soft_rank) * log**2)
    # c falls as 1 / ((1 + r) log(1 + r)^2), whose logarithm moves by less than 4 times that of r.
    c_terms, c_bound = abs(c) * 4 * rank_terms / soft_rank, abs(c) * (4 + 4 * rank_bound)
    grad, bound, terms = np.zeros((3, n))
    for i in range(n):
        j = others[others != i]
        z = (s[j] - s[i]) / temperature
        soft, steep, reach = sigmoid_of(z)
        soft, steep = soft / temperature, steep / temperature  # sigmoid' may round 1 - sigmoid
        numbers = 4 + 2 * abs(z)
        for sign, targets in ((1, j), (-1, i)):
            parts = [
                sign * c[i] * steep,
                abs(c[i]) * (steep * numbers + soft) + c_bound[i] * steep,
                abs(c[i]) * steep * reach + c_terms[i] * steep,
            ]
            for into, part in zip((grad, bound, terms), parts, strict=True):
                into[targets] += part if sign == 1 else part.sum()
    return ListSums(
        value.sum(),
        1.0,
        grad,
        0.0,
        (4 * abs(value) + abs(c) * rank_bound).sum(),
        bound,
        (2 * abs(value) + abs(c) * rank_terms).sum(),
        terms,
    )


def sigmoid_of(z: Array) -> tuple[Array, Array, Array]:
    """1 / (1 + e^-z), its derivative, and 2 + |z|."""
    u = np.exp(-abs(z))
    return np.where(z > 0, 1, u) / (1 + u), u / (1 + u) ** 2, 2 + abs(z)


def nothing(n: int) -> ListSums:
    """A list that does not count."""
    zeros = [0.0] * n
    return ListSums(0.0, 0.0, zeros, 0.0, 0.0, zeros, 0.0, zeros)


def listwise_exact(
    batch: Batch,
    loss: str,
    *,
    gains: Tensor | None = None,
    gain: str = "exponential",
    temperature: float = 1.0,
    position_weights: Tensor | str | None = None,
    reduction: str = "mean",
    grad_output: Tensor | None = None,
) -> Exact:
    """The loss of a batch and its gradient; ``gains`` ``[T]``, options by their public names."""
    if isinstance(position_weights, Tensor):
        position_weights = as_numpy(position_weights.double())
    sums = []
    for one, own_gains in zip(batch.lists(), batch.split(gains), strict=True):
        s, y = as_numpy(one.scores.double()), as_numpy(one.labels)
        w = np.ones(len(s)) if one.weights is None else as_numpy(one.weights.double())
        own_gains = None if own_gains is None else as_numpy(own_gains.double())
        is_valid = not np.isnan(y.astype(np.float64)).any() and all(map(is_weight, w))
        if loss == "approx_ndcg":
            listed_gains = None if own_gains is None else own_gains.tolist()
            is_valid = is_valid and np.isfinite(gains_of(y.tolist(), listed_gains, gain)).all()
        if not np.isfinite(s).all() or not is_valid:
            sums.append(poisoned(len(s)))
        elif loss == "listnet":
            sums.append(listnet(s, y, w))
        elif loss == "list_mle":
            sums.append(list_mle(s, y, w, position_weights))
        else:
            sums.append(approx_ndcg(s, y, w, own_gains, gain, temperature))
    return assemble(batch, sums, reduction, grad_output)
