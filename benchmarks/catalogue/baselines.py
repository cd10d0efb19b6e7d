"""What people write today, and the three matrix products, which every exact loss needs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, logsigmoid

import fused_rankloss

SAMPLED = 500  # negatives per query and step


def products(queries: Tensor, items: Tensor) -> Tensor:
    """The scores, and what the gradients of queries and items take: 6 B M D operations."""
    scores = torch.mm(queries, items.T)
    torch.mm(scores, items)
    return torch.mm(scores.T, queries)


def dense_softmax(queries: Tensor, items: Tensor, positives: Tensor) -> Tensor:
    """Full cross entropy on materialised scores; the mean over the positives of each query."""
    scores = torch.mm(queries, items.T)
    if positives.shape[1] == 1:
        return cross_entropy(scores, positives[:, 0])
    return -scores.log_softmax(1).gather(1, positives).mean()


_LIST_LOSSES = {
    "catalogue_hinge": fused_rankloss.pairwise_hinge_loss,
    "catalogue_squared_hinge": fused_rankloss.pairwise_squared_hinge_loss,
    "catalogue_logistic": fused_rankloss.pairwise_logistic_loss,
}


def on_lists(loss: str, queries: Tensor, items: Tensor, positives: Tensor) -> Tensor:
    """This package's loss over lists, on materialised scores and labels."""
    scores = torch.mm(queries, items.T)
    labels = torch.zeros_like(scores, dtype=torch.bool).scatter_(1, positives, True)
    return _LIST_LOSSES[loss](scores, labels)


def has_list_loss(loss: str) -> bool:
    return loss in _LIST_LOSSES


def sampled_bpr(queries: Tensor, items: Tensor, positives: Tensor) -> Tensor:
    """Another loss: all positives against the same few items, drawn anew for each query."""
    drawn = torch.randint(len(items), (len(queries), SAMPLED), device=queries.device)
    own = torch.einsum("bd,bpd->bp", queries, items[positives])
    others = torch.einsum("bd,bnd->bn", queries, items[drawn])
    return -logsigmoid(own[:, :, None] - others[:, None, :]).mean()
