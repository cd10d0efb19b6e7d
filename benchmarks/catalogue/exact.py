"""Loss and gradients of a batch in float64, which a provider must give before it is timed.

Some queries at a time, differentiated by autograd; their positives one after the other.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from benchmarks.catalogue.cases import CatalogueCase
from benchmarks.catalogue.data import CatalogueBatch
from benchmarks.family import MARGIN, TOLERANCE, Call, Provider, wrong_gradient, wrong_loss

_CHUNK_ENTRIES = 2**22  # float64 scores held at once, of which there are several copies


@dataclass(frozen=True)
class Exact:
    loss: float
    grads: list[Tensor]  # of queries and items


@functools.lru_cache(maxsize=1)
def _harmonic(items: int) -> Tensor:
    """[items + 1]: sums of 1 / t for t up to a rank."""
    return torch.cat([torch.zeros(1), 1 / torch.arange(1, items + 1, dtype=torch.float64)]).cumsum(
        0
    )


def _terms(loss: str, positive: Tensor, scores: Tensor, negative: Tensor) -> Tensor:
    """Of one positive [b, 1] for each query of scores [b, M]."""
    if loss == "catalogue_softmax":
        return scores.logsumexp(1) - positive[:, 0]
    gap = scores - positive
    if loss == "catalogue_logistic":
        return (softplus(gap) * negative).sum(1)
    violation = (gap + MARGIN).clamp(min=0) * negative
    if loss == "catalogue_squared_hinge":
        return violation.square().sum(1)
    if loss == "catalogue_hinge":
        return violation.sum(1)
    rank = ((gap + MARGIN >= 0) & negative).sum(1)
    return _harmonic(scores.shape[1]).to(scores.device)[rank] / rank.clamp(min=1) * violation.sum(1)


def _number_of_terms(case: CatalogueCase) -> int:
    """Pairs, or positives where each has one term."""
    positives = case.queries * case.positives
    per_positive = case.loss in ("catalogue_softmax", "catalogue_warp")
    return positives if per_positive else positives * (case.items - case.positives)


def exact_loss(batch: CatalogueBatch) -> Exact:
    queries, items = (batch.tensors[name].double() for name in ("queries", "items"))
    queries.requires_grad_()
    items.requires_grad_()
    total, number = 0.0, _number_of_terms(batch.case)
    chunk = max(1, _CHUNK_ENTRIES // batch.case.items)
    for begin in range(0, batch.case.queries, chunk):
        part = slice(begin, begin + chunk)
        positives = batch.tensors["positives"][part]
        scores = queries[part] @ items.T
        negative = torch.ones_like(scores, dtype=torch.bool).scatter_(1, positives, False)
        own = scores.gather(1, positives)
        sums = (_terms(batch.case.loss, one, scores, negative).sum() for one in own.split(1, 1))
        value = sum(sums) / number
        value.backward()
        total += value.item()
    return Exact(total, [queries.grad, items.grad])


def disagreement(
    batch: CatalogueBatch,
    exact: Exact,
    provider: Provider,
    call: Call,
    loss: Tensor,
    grads: list[Tensor] | None,
) -> str | None:
    """What is wrong with a provider's loss and gradients, in words; None if nothing is."""
    tolerance = TOLERANCE[batch.case.dtype]
    wrong = wrong_loss(loss, exact.loss, tolerance)
    for mine, right in zip(grads or [], exact.grads, strict=False):
        wrong = wrong or wrong_gradient(mine, right, tolerance + provider.slack)
    return wrong
