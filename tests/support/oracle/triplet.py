"""What the triplet losses are, a pair and a term after the other, in numpy and double precision.

Shares nothing with the package but the definition: which pair is the hardest is decided by
canonical sums (`canonical_sum`, the order of csrc/losses/distance.h), so that even distances which
differ by rounding only have one right order, ties go to the lowest index, and NaN is the hardest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from support.embeddings import TripletBatch

LANES = 32


def canonical_sum(terms: np.ndarray) -> np.ndarray:
    """Sums over the last dimension: 32 lanes take every 32nd term in turn, then meet in a tree."""
    *leading, size = terms.shape
    lanes = np.zeros((*leading, LANES))
    for start in range(0, size, LANES):
        chunk = terms[..., start : start + LANES]
        lanes[..., : chunk.shape[-1]] += chunk
    step = LANES // 2
    while step:
        lanes[..., :step] += lanes[..., step : 2 * step]
        step //= 2
    return lanes[..., 0]


def unit_rows(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of length 1 and 1 / their length; both 0 for a zero row."""
    squares = canonical_sum(x * x)
    inverse = np.where(squares == 0, 0.0, 1 / np.sqrt(np.where(squares == 0, 1.0, squares)))
    inverse = np.where(np.isfinite(squares), inverse, np.nan)
    return x * inverse[..., None], inverse


def keys_between(x: np.ndarray, y: np.ndarray, distance: str) -> np.ndarray:
    """What pairs of rows are ordered by: the distance, but the square of the Euclidean one."""
    if distance != "cosine":
        return canonical_sum((x - y) ** 2)
    (x, x_inverse), (y, y_inverse) = unit_rows(x), unit_rows(y)
    keys = 0.5 * canonical_sum((x - y) ** 2)
    zero = (x_inverse == 0) | (y_inverse == 0)
    return np.where(zero & ~np.isnan(keys), 1.0, keys)


def pair_gradients(x: np.ndarray, y: np.ndarray, distance: str) -> list[tuple]:
    """d distance / d x and / d y of pairs of rows, each with the size of what it is the sum of."""
    keys = keys_between(x, y, distance)[..., None]
    if distance != "cosine":
        scale = 2.0
        if distance == "euclidean":
            scale = np.where(keys == 0, 0.0, 1 / np.sqrt(np.where(keys == 0, 1.0, keys)))
        direction = scale * (x - y)
        return [(direction, np.abs(direction)), (-direction, np.abs(direction))]
    (xh, x_inverse), (yh, y_inverse) = unit_rows(x), unit_rows(y)
    zero = (x_inverse == 0) | (y_inverse == 0)
    sizes = np.abs(xh) + np.abs(yh)
    gradients = []
    for this, other, inverse in ((xh, yh, x_inverse), (yh, xh, y_inverse)):
        scale = np.where(zero, 0.0, inverse)[..., None]
        direction = scale * (this - other - keys * this)
        gradients.append((direction, scale * (sizes + keys * np.abs(this))))
    return gradients


def distance_sizes(d: np.ndarray, distance: str) -> np.ndarray:
    """What rounding errors of distances are relative to: a cosine is that of rounded unit rows."""
    return d + 4 * np.sqrt(d) if distance == "cosine" else d


def terms_and_slopes(
    gaps: np.ndarray, soft: bool, boundary_grad: float
) -> tuple[np.ndarray, np.ndarray]:
    if soft:
        small = np.exp(-np.abs(gaps))
        return np.maximum(gaps, 0) + np.log1p(small), np.where(gaps > 0, 1, small) / (1 + small)
    slopes = np.where(gaps == 0, boundary_grad, gaps > 0)
    return np.maximum(gaps, 0), np.where(np.isnan(gaps), np.nan, slopes)


# ---- Mining --------------------------------------------------------------------------------------


def _hardest(candidates: list[int], key: np.ndarray, sign: int) -> int:
    """The candidate of the greatest ``sign * key``, NaN before all numbers, then the first."""
    best = candidates[0]
    for index in candidates[1:]:
        if math.isnan(key[best]):
            break
        if math.isnan(key[index]) or sign * key[index] > sign * key[best]:
            best = index
    return best


def _semi_hard(positive: int, negatives: list[int], key: np.ndarray) -> int:
    beyond = [n for n in negatives if math.isnan(key[n]) or key[n] > key[positive]]
    return _hardest(beyond, key, -1) if beyond else _hardest(negatives, key, 1)


def _pairs_of_anchor(
    mining: str, positives: list[int], negatives: list[int], key: np.ndarray
) -> list[tuple[int, list[int]]]:
    """The terms of an anchor: each positive with its negatives."""
    if mining == "hard":
        return [(_hardest(positives, key, 1), [_hardest(negatives, key, -1)])]
    if mining == "semi_hard":
        return [(p, [_semi_hard(p, negatives, key)]) for p in positives]
    return [(p, negatives) for p in positives]


def _mined(mining: str, pairs, key: np.ndarray, d: np.ndarray) -> tuple[int, int]:
    if mining == "all":
        positives, negatives = [p for p, _ in pairs], pairs[0][1]
        return _hardest(positives, key, 1), _hardest(negatives, key, -1)
    gaps = np.array([d[p] - d[n] for p, (n,) in pairs])
    place = _hardest(list(range(len(pairs))), gaps, 1)
    return pairs[place][0], pairs[place][1][0]


# ---- A batch -------------------------------------------------------------------------------------


@dataclass
class Side:
    """The gradient of one tensor ``[N, D]``, and how far rounding may carry it.

    ``bound`` is the sum of the sizes of all that was added, ``slack`` what inexact distances may
    change.
    """

    grad: Tensor
    bound: Tensor
    slack: Tensor


@dataclass
class ExactBatch:
    loss: Tensor
    loss_bound: Tensor
    loss_slack: Tensor
    embeddings: Side
    refs: Side | None
    margin_grad: float
    positive: Tensor
    negative: Tensor
    distances: Tensor
    distance_bound: Tensor
    terms: int
    active: int
    roundings: int
    # Whether the gradient may be made in the forward pass, before grad_output is known.
    made_at_once: bool


class _Gradients:
    """Sums gradients of distances into the rows of one tensor."""

    def __init__(self, rows: np.ndarray) -> None:
        self.grad, self.bound, self.slack = (np.zeros(rows.shape) for _ in range(3))

    def add(self, where, grad: np.ndarray, bound: np.ndarray, slack: np.ndarray) -> None:
        for total, part in ((self.grad, grad), (self.bound, bound), (self.slack, slack)):
            np.add.at(total, where, part)

    def side(self) -> Side:
        return Side(*(torch.from_numpy(total) for total in (self.grad, self.bound, self.slack)))


@np.errstate(all="ignore")
def exact_batch(
    batch: TripletBatch,
    mining: str,
    *,
    distance: str = "euclidean",
    margin: float | str = 1.0,
    reduction: str = "mean",
    boundary_grad: float = 0.0,
    grad_output: Tensor | None = None,
    product_unit: float = 0.0,
) -> ExactBatch:
    """The loss of a batch, and the gradients of ``(grad_output * loss).sum()``.

    With a ``product_unit`` the slacks allow for distances to negatives that come from matrix
    products in an arithmetic of that unit roundoff.
    """
    x, labels = _numpy(batch.embeddings), batch.labels.tolist()
    itself = batch.ref_embeddings is None
    y, ref_labels = (
        (x, labels) if itself else (_numpy(batch.ref_embeddings), batch.ref_labels.tolist())
    )
    n, m = len(x), len(y)
    soft, shift = margin == "soft", 0.0 if margin == "soft" else margin
    keys = np.stack([keys_between(x[a], y, distance) for a in range(n)]) if n else np.zeros((0, m))
    d = np.sqrt(keys) if distance == "euclidean" else keys
    d_sizes = distance_sizes(d, distance)
    off = np.zeros((n, m))
    if product_unit:
        off, unsure = _of_products(x, y, d, distance, _gamma(product_unit, x.shape[1] + m + 16))

    sums, bounds, slacks, margin_slopes = np.zeros((4, n))
    weights, sizes, doubts = np.zeros((3, n, m))
    picks = np.full((2, n), -1)
    terms = active = 0
    for a in range(n):
        positives = [j for j in range(m) if ref_labels[j] == labels[a] and not (itself and j == a)]
        negatives = [j for j in range(m) if ref_labels[j] != labels[a]]
        if not positives or not negatives:
            continue
        pairs = _pairs_of_anchor(mining, positives, negatives, keys[a])
        picks[:, a] = _mined(mining, pairs, keys[a], d[a])
        for p, partners in pairs:
            gaps = d[a, p] - d[a, partners] + shift
            values, slopes = terms_and_slopes(gaps, soft, boundary_grad)
            terms += len(gaps)
            active += int((values > 0).sum())
            sums[a] += values.sum()
            margin_slopes[a] += slopes.sum()
            reach = abs(shift) + d_sizes[a, p] + d_sizes[a, partners]
            bounds[a] += (np.abs(values) + slopes * reach).sum()
            doubt = off[a, partners]
            slacks[a] += (doubt * (soft or gaps > -doubt)).sum()
            doubt = doubt / 4 if soft else (0 < doubt) & (np.abs(gaps) <= doubt)
            for total, part, sign in (
                (weights, slopes, -1),
                (sizes, slopes, 1),
                (doubts, doubt, 1),
            ):
                total[a, p] += part.sum()
                total[a, partners] += sign * part

    scale = {"mean": 1 / max(terms, 1), "mean_nonzero": 1 / max(active, 1)}.get(reduction, 1.0)
    grad_output = np.ones(()) if grad_output is None else _numpy(grad_output)
    factors = np.broadcast_to(grad_output * scale, (n,))
    for_x = _Gradients(x)
    for_y = for_x if itself else _Gradients(y)
    for a in range(n):
        js = np.flatnonzero((sizes[a] != 0) | (doubts[a] != 0))  # NaN is not 0
        pair = pair_gradients(x[a], y[js], distance)
        w, size, doubt = (part[a, js, None] * factors[a] for part in (weights, sizes, doubts))
        for side, (to, rows) in enumerate(((for_x, np.full(len(js), a)), (for_y, js))):
            grad, grad_size = pair[side]
            slack = np.abs(doubt * grad)
            if product_unit:
                slack = slack + np.abs(size) * unsure(a, js)[side]
            to.add(rows, w * grad, np.abs(size) * grad_size, slack)

    def reduce(values: np.ndarray) -> Tensor:
        whole = values if reduction == "none" else values.sum() * scale
        return torch.tensor(whole, dtype=torch.float64)

    def at_picks(values: np.ndarray) -> Tensor:
        rows = [[values[a, j] if j >= 0 else np.nan for a, j in enumerate(row)] for row in picks]
        return torch.tensor(rows, dtype=torch.float64).reshape(2, n)

    return ExactBatch(
        loss=reduce(sums),
        loss_bound=reduce(bounds),
        loss_slack=reduce(slacks),
        embeddings=for_x.side(),
        refs=None if itself else for_y.side(),
        margin_grad=float((factors * margin_slopes).sum()),
        positive=torch.tensor(picks[0]),
        negative=torch.tensor(picks[1]),
        distances=at_picks(d),
        distance_bound=at_picks(d_sizes),
        terms=terms,
        active=active,
        roundings=2 * max(terms, 1) + x.shape[1] + n + m + 16,
        made_at_once=mining != "hard" and reduction != "none",
    )


def _gamma(unit: float, additions: int) -> float:
    """A sum is off by at most ``additions`` roundings of its size, and by 8 times their square root
    but once in 1e13 times (Higham and Mary, 2019)."""
    return unit * min(additions, 8 * math.sqrt(additions))


def _of_products(x: np.ndarray, y: np.ndarray, d: np.ndarray, distance: str, gamma: float):
    """How far distances and gradients may be off where they come from products of centred rows
    whose sums are off by ``gamma`` of their sizes: |x|^2 - 2 xy + |y|^2, and x sum w - sum w y."""
    raw_x, raw_y = x, y
    if distance == "cosine":
        (x, x_inverse), (y, y_inverse) = unit_rows(x), unit_rows(y)
        x, y = np.abs(x), np.abs(y)
    else:
        # The kernels' centre is the mean rounded to a grid no wider than the spread.
        both = np.concatenate([x, y])
        centre = both.mean(0) if len(both) else 0.0
        spread = (both - centre).std() if both.size else 0.0
        x, y = np.abs(x - centre) + spread, np.abs(y - centre) + spread
    squares = gamma * ((x * x).sum(1)[:, None] + (y * y).sum(1)[None, :])
    off = {"sqeuclidean": squares, "cosine": squares / 2}.get(distance)
    if off is None:
        off = np.where(d > 0, np.minimum(squares / np.where(d > 0, d, 1.0), np.sqrt(squares)), 0.0)

    def unsure(a: int, js: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        coordinates = gamma * (x[a] + y[js])
        if distance == "cosine":
            return tuple(
                inverse * (coordinates + off[a, js, None] * rows)
                for inverse, rows in ((x_inverse[a], x[a]), (y_inverse[js, None], y[js]))
            )
        if distance == "sqeuclidean":
            return 2 * coordinates, 2 * coordinates
        apart = np.where(d[a, js] > 0, d[a, js], np.inf)[:, None]
        relative = off[a, js, None] / apart * np.abs(raw_x[a] - raw_y[js])
        return (coordinates + relative) / apart, (coordinates + relative) / apart

    return off, unsure


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().cpu().numpy()


# ---- Explicit triplets ---------------------------------------------------------------------------


def norm_and_gradient(x: np.ndarray, y: np.ndarray, p: float, eps: float):
    """(sum |x - y + eps|^p)^(1/p) of two rows, and its gradient with respect to x."""
    v = x - y + eps
    if p == math.inf:
        size = np.abs(v).max(initial=0.0)
        hit = (np.abs(v) == size) & (size != 0)
        return size, np.sign(v) * hit / max(hit.sum(), 1)
    size = (np.abs(v) ** p).sum() ** (1 / p)
    if size == 0:
        return size, np.zeros_like(v)
    powers = np.where(v == 0, 0.0, np.abs(np.where(v == 0, 1.0, v)) ** (p - 1))
    return size, np.sign(v) * powers / size ** (p - 1)


@dataclass
class ExactRows:
    loss: Tensor
    loss_bound: Tensor
    sides: tuple[Side, Side, Side]
    margin_grad: float
    roundings: int


@np.errstate(all="ignore")
def exact_rows(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance: str = "sqeuclidean",
    margin: float | str = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
    boundary_grad: float | None = None,
    grad_output: Tensor | None = None,
) -> ExactRows:
    """The loss of triplets ``[R, D]``, and the gradients of ``(grad_output * loss).sum()``."""
    rows = [_numpy(tensor) for tensor in (anchor, positive, negative)]
    number, dim = rows[0].shape
    boundary_grad = float(distance == "euclidean") if boundary_grad is None else boundary_grad
    soft, shift = margin == "soft", 0.0 if margin == "soft" else margin

    def between(x: np.ndarray, y: np.ndarray) -> tuple[float, tuple, tuple]:
        if distance == "euclidean":
            size, grad = norm_and_gradient(x, y, p, eps)
            return size, (grad, np.abs(grad)), (-grad, np.abs(grad))
        return float(keys_between(x, y, distance)), *pair_gradients(x, y, distance)

    values, bounds, slopes = np.zeros((3, number))
    grads, sizes = np.zeros((2, 3, number, dim))
    for r in range(number):
        a, b, c = (tensor[r] for tensor in rows)
        ap, an, pn = between(a, b), between(a, c), between(b, c)
        share = 1.0  # of the distance to the anchor in that of the negative
        if swap:
            share = 0.5 if an[0] == pn[0] else float(not pn[0] < an[0])
        d_an = min(an[0], pn[0]) if swap else an[0]
        if swap and math.isnan(an[0] + pn[0]):
            d_an = math.nan
        gap = ap[0] - d_an + shift
        values[r], slopes[r] = terms_and_slopes(np.float64(gap), soft, boundary_grad)
        reach = distance_sizes(ap[0], distance) + distance_sizes(d_an, distance) + abs(shift)
        bounds[r] = abs(values[r]) + slopes[r] * reach
        for side, (grad, size), weight in (
            (0, ap[1], 1),
            (1, ap[2], 1),
            (0, an[1], -share),
            (2, an[2], -share),
            (1, pn[1], share - 1),
            (2, pn[2], share - 1),
        ):
            if weight:
                grads[side][r] += slopes[r] * weight * grad
                sizes[side][r] += np.abs(slopes[r] * weight) * size

    active = int((values > 0).sum())
    scale = {"mean": 1 / max(number, 1), "mean_nonzero": 1 / max(active, 1)}.get(reduction, 1.0)
    grad_output = np.ones(()) if grad_output is None else _numpy(grad_output).reshape(-1)
    factors = np.broadcast_to(grad_output * scale, (number,))
    whole = [v if reduction == "none" else v.sum() * scale for v in (values, bounds)]
    sides = tuple(
        Side(
            grad=torch.from_numpy(factors[:, None] * grad),
            bound=torch.from_numpy(np.abs(factors)[:, None] * size),
            slack=torch.zeros(number, dim, dtype=torch.float64),
        )
        for grad, size in zip(grads, sizes, strict=True)
    )
    return ExactRows(
        loss=torch.tensor(whole[0], dtype=torch.float64),
        loss_bound=torch.tensor(whole[1], dtype=torch.float64),
        sides=sides,
        margin_grad=float((factors * slopes).sum()),
        roundings=2 * number + 4 * dim + 16,
    )
