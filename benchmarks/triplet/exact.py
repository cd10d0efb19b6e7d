"""Picks, loss and gradient of a batch in float64, which a provider must give before it is timed.

Row by row of the distance matrix, in chunks on the batch's device: each mining gives the sum of its
terms and their derivatives for every distance of the row; those go on to the embeddings as one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.family import MARGIN, TOLERANCE, Call, Provider, wrong_gradient, wrong_loss
from benchmarks.triplet.data import EmbeddingBatch
from benchmarks.triplet.losses import LOSSES

# Float64 entries of a distance matrix held at once, of which there are several copies.
_CHUNK_ENTRIES = {"cpu": 2**22, "cuda": 2**26}
_TIE = 1e-12  # relative difference of distances that float64 leaves undecided


@dataclass(frozen=True)
class Exact:
    loss: float
    grads: list[Tensor]  # for each of the batch's leaves
    # Squared, [N], of batch-hard: to the hardest positive, to the hardest negative.
    hardest: tuple[Tensor, Tensor] | None = None


def exact_loss(batch: EmbeddingBatch) -> Exact:
    loss = LOSSES[batch.case.loss]
    if loss.mining is None:
        return _given(batch, loss.distance)
    mine = _MINING[loss.mining]
    x, labels = batch.tensors["embeddings"].double(), batch.tensors["labels"]
    references, ref_labels = batch.references.double(), batch.ref_labels
    among_itself = "ref_embeddings" not in batch.tensors
    ref_squares = references.square().sum(1)
    grad = torch.zeros_like(x)
    total = active = valid = 0.0
    hardest = []
    rows = max(1, _CHUNK_ENTRIES[x.device.type] // len(references))
    for begin in range(0, len(x), rows):
        part = slice(begin, begin + rows)
        squared = x[part].square().sum(1, keepdim=True) + ref_squares
        squared = squared.addmm_(x[part], references.T, alpha=-2).clamp_(min=0)
        same = labels[part, None] == ref_labels
        negative = ~same
        if among_itself:
            for matrix in (squared, same):  # the anchor itself: at 0, and no positive
                matrix.diagonal(begin).fill_(0)
        distances = squared.sqrt_()
        found = mine(distances, same, negative)
        total += float(found.total)
        active += float(found.active)
        valid += float(found.valid)
        if found.hardest is not None:
            hardest.append(found.hardest)
        # d distance(x, y) / dx = (x - y) / distance
        weights = torch.where(distances > 0, found.slopes / distances, 0)
        grad[part] += weights.sum(1, keepdim=True) * x[part] - weights @ references
        if among_itself:
            grad += weights.sum(0)[:, None] * x - weights.T @ x[part]
    count = active if loss.reduction == "mean_nonzero" else valid
    picks = tuple(torch.cat(side) for side in zip(*hardest, strict=True)) if hardest else None
    return Exact(total / count, [grad / count], picks)


def disagreement(
    batch: EmbeddingBatch,
    exact: Exact,
    provider: Provider,
    call: Call,
    loss: Tensor,
    grads: list[Tensor] | None,
) -> str | None:
    """What is wrong with a provider's picks, loss and gradient, in words; None if nothing is."""
    tolerance = TOLERANCE[batch.case.dtype]
    wrong = wrong_loss(loss, exact.loss, tolerance)
    if wrong is None and grads is not None:
        mine, right = (torch.cat([grad.flatten() for grad in gs]) for gs in (grads, exact.grads))
        slack = provider.slack + LOSSES[batch.case.loss].slack
        wrong = wrong_gradient(mine, right, tolerance + slack)
    if wrong is None and call.picks is not None and exact.hardest is not None:
        wrong = _wrong_picks(batch, exact.hardest, call.picks())
    return wrong


def _wrong_picks(
    batch: EmbeddingBatch, hardest: tuple[Tensor, Tensor], picks: tuple[Tensor, Tensor]
) -> str | None:
    """A pick is right where its distance is the extreme one; of equal ones either is."""
    x, references = batch.tensors["embeddings"].double(), batch.references.double()
    for side, best, index in zip(("positive", "negative"), hardest, picks, strict=True):
        distances = (x - references[index]).norm(dim=1)
        wrong = int(((distances - best).abs() > _TIE * best).sum())
        if wrong:
            return f"{wrong} of {len(best)} anchors have another hardest {side}"
    return None


def _given(batch: EmbeddingBatch, distance: str) -> Exact:
    """Given triplets, differentiated by autograd; the eps is torch.nn.TripletMarginLoss's."""
    leaves = [batch.tensors[name].double().requires_grad_() for name in batch.leaves]
    anchor, positive, negative = leaves
    if distance == "sqeuclidean":
        gap = (anchor - positive).square().sum(1) - (anchor - negative).square().sum(1)
        loss = (gap + MARGIN).clamp(min=0).mean()
    else:
        loss = torch.nn.functional.triplet_margin_loss(*leaves, margin=MARGIN)
    loss.backward()
    return Exact(loss.item(), [leaf.grad for leaf in leaves])


# --- The minings, on some rows of the distance matrix ---------------------------------------------


@dataclass(frozen=True)
class _Mined:
    total: Tensor  # sum of the rows' terms
    active: Tensor  # how many are > 0
    valid: Tensor  # how many there are
    slopes: Tensor  # [rows, M], d total / d distance
    hardest: tuple[Tensor, Tensor] | None = None


def _hard(distances: Tensor, positive: Tensor, negative: Tensor) -> _Mined:
    farthest, p = torch.where(positive, distances, -torch.inf).max(1)
    nearest, n = torch.where(negative, distances, torch.inf).min(1)
    terms = (farthest - nearest + MARGIN).clamp(min=0)
    active = (terms > 0).double()
    slopes = torch.zeros_like(distances)
    slopes.scatter_add_(1, p[:, None], active[:, None])
    slopes.scatter_add_(1, n[:, None], -active[:, None])
    valid = positive.any(1) & negative.any(1)
    return _Mined(terms.sum(), active.sum(), valid.sum(), slopes, (farthest, nearest))


def _semi_hard(distances: Tensor, positive: Tensor, negative: Tensor) -> _Mined:
    ascending, order = torch.where(negative, distances, torch.inf).sort(1)
    beyond = torch.searchsorted(ascending, distances, right=True)
    # Past the last negative, the last one: the farthest.
    n = order.gather(1, beyond.minimum(negative.sum(1, keepdim=True) - 1))
    terms = (distances - distances.gather(1, n) + MARGIN).clamp(min=0) * positive
    active = (terms > 0).double()
    slopes = active.scatter_add(1, n, -active)
    return _Mined(terms.sum(), active.sum(), positive.sum(), slopes)


def _all(distances: Tensor, positive: Tensor, negative: Tensor) -> _Mined:
    """A distance d of a positive meets the negatives below d + MARGIN, and the other way round."""
    negatives = torch.where(negative, distances, torch.inf).sort(1).values
    positives = torch.where(positive, distances, -torch.inf).sort(1).values
    below = torch.searchsorted(negatives, distances + MARGIN).double() * positive
    above = torch.searchsorted(positives, distances - MARGIN, right=True)
    above = (distances.shape[1] - above).double() * negative
    slopes = below - above
    total = (slopes * distances).sum() + MARGIN * below.sum()
    valid = (positive.sum(1) * negative.sum(1)).sum()
    return _Mined(total, below.sum(), valid, slopes)


_MINING: dict[str, Callable[[Tensor, Tensor, Tensor], _Mined]] = {
    "hard": _hard,
    "semi_hard": _semi_hard,
    "all": _all,
}
