"""What the package is compared with, written the way people write it in PyTorch.

Half-precision embeddings are widened before a distance matrix, as autocast widens ``cdist``.
Every anchor of the benchmarks has positives and negatives, so nothing is masked for lack of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.family import MARGIN

# Of the distance matrix, held at once by chunked_hard: 16 MiB, 256 MiB.
_CHUNK_ENTRIES = {"cpu": 2**22, "cuda": 2**26}


def widened(embeddings: Tensor) -> Tensor:
    return embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))


def _matrix(
    embeddings: Tensor, labels: Tensor, ref_embeddings: Tensor | None, ref_labels: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Distances ``[N, M]``, and which of them are to positives and to negatives."""
    references = embeddings if ref_embeddings is None else ref_embeddings
    same = labels[:, None] == (labels if ref_labels is None else ref_labels)[None, :]
    negative = ~same
    if ref_embeddings is None:
        same = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return torch.cdist(widened(embeddings), widened(references)), same, negative


def eager_hard(
    embeddings: Tensor,
    labels: Tensor,
    ref_embeddings: Tensor | None = None,
    ref_labels: Tensor | None = None,
) -> Tensor:
    distances, positive, negative = _matrix(embeddings, labels, ref_embeddings, ref_labels)
    hardest_positive = distances.masked_fill(~positive, -torch.inf).max(dim=1).values
    hardest_negative = distances.masked_fill(~negative, torch.inf).min(dim=1).values
    return torch.relu(hardest_positive - hardest_negative + MARGIN).mean()


def eager_semi_hard(embeddings: Tensor, labels: Tensor) -> Tensor:
    """For each positive pair the nearest negative beyond it, from an ``[N, N, N]`` tensor."""
    distances, positive, negative = _matrix(embeddings, labels, None, None)
    beyond = negative[:, None, :] & (distances[:, None, :] > distances[:, :, None])
    nearest = torch.where(beyond, distances[:, None, :], torch.inf).min(dim=2).values
    farthest = distances.masked_fill(~negative, -torch.inf).max(dim=1, keepdim=True).values
    chosen = torch.where(nearest.isfinite(), nearest, farthest)
    return torch.relu(distances - chosen + MARGIN)[positive].mean()


def eager_all(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Every triplet in an ``[N, N, N]`` tensor; the mean over the active ones."""
    distances, positive, negative = _matrix(embeddings, labels, None, None)
    terms = torch.relu(distances[:, :, None] - distances[:, None, :] + MARGIN)
    terms = terms * (positive[:, :, None] & negative[:, None, :])
    return terms.sum() / (terms > 0).sum()


def chunked_hard(
    embeddings: Tensor,
    labels: Tensor,
    ref_embeddings: Tensor | None = None,
    ref_labels: Tensor | None = None,
) -> Tensor:
    """The careful form: searched without gradient in chunks of rows, then two gathers."""
    embeddings = widened(embeddings)
    ref_embeddings = None if ref_embeddings is None else widened(ref_embeddings)
    references = embeddings if ref_embeddings is None else ref_embeddings
    ref_labels = labels if ref_labels is None else ref_labels
    positive, negative = _search(embeddings.detach(), labels, references.detach(), ref_labels)

    def distance_to(index: Tensor) -> Tensor:
        return (embeddings - references.index_select(0, index)).norm(dim=1)

    return torch.relu(distance_to(positive) - distance_to(negative) + MARGIN).mean()


def _search(
    embeddings: Tensor, labels: Tensor, references: Tensor, ref_labels: Tensor
) -> tuple[Tensor, Tensor]:
    squares = references.square().sum(dim=1)
    found = []
    rows = max(1, _CHUNK_ENTRIES[references.device.type] // len(references))
    for part, part_labels in zip(embeddings.split(rows), labels.split(rows), strict=True):
        # Without the row's own square, which changes no order within the row. The anchor itself,
        # at distance 0, is never its own hardest positive.
        keys = torch.addmm(squares, part, references.T, alpha=-2)
        same = part_labels[:, None] == ref_labels
        farthest = keys.masked_fill(~same, -torch.inf).argmax(dim=1)
        found.append((farthest, keys.masked_fill_(same, torch.inf).argmin(dim=1)))
    positive, negative = (torch.cat(indices) for indices in zip(*found, strict=True))
    return positive, negative


def eager_triplets(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    """Given triplets with squared distances, in one line."""
    gap = (anchor - positive).square().sum(dim=1) - (anchor - negative).square().sum(dim=1)
    return torch.relu(gap + MARGIN).mean()
