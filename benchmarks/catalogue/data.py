"""The tensors of a case."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.catalogue.cases import CatalogueCase
from benchmarks.family import DTYPES, Batch


@dataclass(frozen=True)
class CatalogueBatch(Batch):
    case: CatalogueCase
    tensors: dict[str, Tensor]  # queries [B, D], items [M, D], positives [B, P]
    levels: int = 2

    @property
    def num_lists(self) -> int:
        return self.case.queries

    @property
    def length(self) -> int:
        return self.case.items

    @property
    def num_scores(self) -> int:
        return (self.case.queries + self.case.items) * self.case.dim

    @property
    def device(self) -> torch.device:
        return self.tensors["queries"].device

    def num_pairs(self) -> int:
        """Of a query and an item."""
        return self.case.queries * self.case.items


def make_batch(case: CatalogueCase, seed: int, device: str) -> CatalogueBatch:
    """Draws a case's data on the CPU, so that every device gets the same numbers.

    Scores have a standard deviation of 1. A query's positives are of different strata of the items.
    """
    generator = torch.Generator().manual_seed(seed)
    queries = torch.randn(case.queries, case.dim, generator=generator) / case.dim**0.5
    items = torch.randn(case.items, case.dim, generator=generator)
    stratum = case.items // case.positives
    positives = torch.randint(stratum, (case.queries, case.positives), generator=generator)
    positives += stratum * torch.arange(case.positives)
    dtype = DTYPES[case.dtype]
    tensors = {
        "queries": queries.to(device, dtype),
        "items": items.to(device, dtype),
        "positives": positives.to(device),
    }
    return CatalogueBatch(case, tensors)
