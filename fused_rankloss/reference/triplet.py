"""Triplet losses over embeddings: every pair, or every triplet, by direct differences."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from fused_rankloss.reference.pairwise import hinge

# ---- Distances -----------------------------------------------------------------------------------


def root(squares: Tensor) -> Tensor:
    """The square root; at 0 its derivatives are 0."""
    zero = squares == 0
    return torch.where(zero, 0, torch.where(zero, 1, squares).sqrt())


def unit(x: Tensor) -> Tensor:
    """Rows of length 1; zero rows stay as they are, and their derivative is 0."""
    squares = x.square().sum(-1, keepdim=True)
    return torch.where(squares == 0, 0, x * (1 / torch.where(squares == 0, 1, squares).sqrt()))


def pair_keys(x: Tensor, y: Tensor, distance: str) -> Tensor:
    """Numbers that order pairs as their distances do: squared differences, of unit rows for the
    cosine, where a zero row is as far from everything as a right angle."""
    if distance != "cosine":
        return (x - y).square().sum(-1)
    x, y = unit(x), unit(y)
    keys = (x - y).square().sum(-1)
    return torch.where((x == 0).all(-1) | (y == 0).all(-1), 2 + 0 * keys, keys)


def distance_of(keys: Tensor, distance: str) -> Tensor:
    if distance == "euclidean":
        return root(keys)
    return keys if distance == "sqeuclidean" else keys / 2


# ---- Terms ---------------------------------------------------------------------------------------


def triplet_term(
    d_ap: Tensor, d_an: Tensor, margin: Tensor | float | str, boundary_grad: float
) -> Tensor:
    """max(0, gap) with gap = d_ap - d_an + margin, or ln(1 + exp(d_ap - d_an)) for "soft"."""
    gap = d_ap - d_an
    if isinstance(margin, str):
        return torch.logaddexp(gap, torch.zeros_like(gap))
    gap = gap + margin
    poison = torch.where(gap.isnan(), torch.nan, 1.0)  # a NaN has slope NaN
    return hinge(gap * poison, boundary_grad)


def reduce_terms(terms: Tensor, number: Tensor, reduction: str) -> Tensor:
    """Reduces terms ``[R, ...]``, ``number`` of which count; the others are 0."""
    if reduction == "none":
        return terms.flatten(1).sum(1)
    if reduction == "sum":
        return terms.sum()
    # A NaN is not 0: it counts.
    number = number if reduction == "mean" else (~(terms <= 0)).sum()
    return terms.sum() / number.clamp(min=1)


def triplet(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    margin: Tensor | float | str,
    distance: str,
    p: float,
    eps: float,
    swap: bool,
    boundary_grad: float,
    reduction: str,
) -> Tensor:
    """The loss of the triplets ``(anchor[r], positive[r], negative[r])``, each ``[R, D]``."""

    def between(x: Tensor, y: Tensor) -> Tensor:
        if distance != "euclidean":
            return distance_of(pair_keys(x, y, distance), distance)
        difference = x - y + eps
        if p == 2:
            return root(difference.square().sum(-1))
        return torch.linalg.vector_norm(difference, p, dim=-1)

    d_ap, d_an = between(anchor, positive), between(anchor, negative)
    if swap:
        d_an = torch.minimum(d_an, between(positive, negative))
    terms = triplet_term(d_ap, d_an, margin, boundary_grad)
    return reduce_terms(terms[:, None], torch.tensor(terms.numel()), reduction)


# ---- Mining --------------------------------------------------------------------------------------
#
# From the pairs' keys, their distances and who is whose positive and negative, each [N, M]: the
# distances of all terms and which of them count, [N, ...]; the mined positive and negative, [N].


def greatest(values: Tensor, allowed: Tensor) -> Tensor:
    """The lowest index of the greatest allowed value in the last dimension; NaN is the greatest."""
    finite = values.clamp(min=torch.finfo(values.dtype).min)
    return torch.where(allowed, finite, -torch.inf).argmax(-1)


def hard(keys: Tensor, distances: Tensor, positive: Tensor, negative: Tensor):
    p, n = greatest(keys, positive), greatest(-keys, negative)
    is_anchor = positive.any(1) & negative.any(1)
    d_ap, d_an = (distances.gather(1, index[:, None]) for index in (p, n))
    return d_ap, d_an, is_anchor[:, None], p, n


def semi_hard(keys: Tensor, distances: Tensor, positive: Tensor, negative: Tensor):
    """A positive's negative is the nearest beyond it, or the farthest of all where none is."""
    beyond = (keys[:, None, :] > keys[:, :, None]) | keys[:, None, :].isnan()
    beyond &= negative[:, None, :]
    farthest = greatest(keys, negative)[:, None]
    negatives = torch.where(beyond.any(2), greatest(-keys[:, None, :], beyond), farthest)
    d_an, counts = distances.gather(1, negatives), positive & negative.any(1, keepdim=True)
    p = greatest(distances - d_an, counts)
    return distances, d_an, counts, p, negatives.gather(1, p[:, None])[:, 0]


def batch_all(keys: Tensor, distances: Tensor, positive: Tensor, negative: Tensor):
    counts = positive[:, :, None] & negative[:, None, :]
    p, n = greatest(keys, positive), greatest(-keys, negative)
    return distances[:, :, None], distances[:, None, :], counts, p, n


MININGS = {"hard": hard, "semi_hard": semi_hard, "all": batch_all}


def batch_triplet(
    embeddings: Tensor,
    labels: Tensor,
    ref_embeddings: Tensor | None,
    ref_labels: Tensor | None,
    *,
    margin: Tensor | float | str,
    mining: str,
    distance: str,
    boundary_grad: float,
    reduction: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The loss; each anchor's mined positive and negative ``[N]``, and the distances ``[2, N]``."""
    references, reference_labels = embeddings, labels
    if ref_embeddings is not None:
        references, reference_labels = ref_embeddings, ref_labels
    negative = labels[:, None] != reference_labels[None, :]
    positive = ~negative
    if ref_embeddings is None:
        positive &= ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    is_anchor = positive.any(1) & negative.any(1)

    # What takes part in no triplet gets gradient 0 whatever it holds, NaN included.
    anchors = torch.where(is_anchor[:, None], embeddings, 0)
    references = torch.where(is_anchor.any(), references, 0)
    # An additional reference, positive or negative of no anchor, so that an index always exists.
    references, positive = pad(references, (0, 0, 0, 1)), pad(positive, (0, 1))
    negative = pad(negative, (0, 1))

    keys = pair_keys(anchors[:, None, :], references[None, :, :], distance)
    distances = distance_of(keys, distance)
    d_ap, d_an, counts, p, n = MININGS[mining](keys, distances, positive, negative)
    terms = torch.where(counts, triplet_term(d_ap, d_an, margin, boundary_grad), 0)
    mined = torch.stack([distances.gather(1, index[:, None])[:, 0] for index in (p, n)])
    return (
        reduce_terms(terms, counts.sum(), reduction),
        torch.where(is_anchor, p, -1),
        torch.where(is_anchor, n, -1),
        torch.where(is_anchor, mined, torch.nan).detach(),
    )
