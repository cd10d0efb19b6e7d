"""The tensors of a case."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.family import DTYPES, Batch
from benchmarks.triplet.cases import PER_CLASS, EmbeddingCase

# How much farther an embedding's negatives are than its positives, on average: at 1.5, with a
# margin of 1, some triplets are active at any dimension, as in the middle of a training.
_CLASS_GAP = 1.5


@dataclass(frozen=True)
class EmbeddingBatch(Batch):
    """Labelled embeddings with, perhaps, references; or three tensors of given triplets."""

    case: EmbeddingCase
    tensors: dict[str, Tensor]  # by the names of the losses' arguments
    leaves: tuple[str, ...]  # those that get a gradient

    @property
    def num_lists(self) -> int:
        return 1

    @property
    def length(self) -> int:
        return self.case.rows

    @property
    def num_scores(self) -> int:
        return sum(t.numel() for t in self.tensors.values() if t.is_floating_point())

    @property
    def levels(self) -> int:
        labels = self.tensors.get("labels")
        return 0 if labels is None else len(labels.unique())

    @property
    def device(self) -> torch.device:
        return self.tensors[self.leaves[0]].device

    @property
    def references(self) -> Tensor:
        return self.tensors.get("ref_embeddings", self.tensors["embeddings"])

    @property
    def ref_labels(self) -> Tensor:
        return self.tensors.get("ref_labels", self.tensors["labels"])

    def num_pairs(self) -> int:
        return self.case.rows * (self.case.references or self.case.rows)

    def num_positive_pairs(self) -> int:
        counts = self.ref_labels.unique(return_counts=True)[1]
        return int(self.case.rows * counts.double().mean())


def make_batch(case: EmbeddingCase, seed: int, device: str) -> EmbeddingBatch:
    """Draws a case's data on the CPU, so that every device gets the same numbers."""
    generator = torch.Generator().manual_seed(seed)

    def normal(rows: int) -> Tensor:
        return torch.randn(rows, case.dim, generator=generator)

    def on_device(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        dtype = DTYPES[case.dtype]
        return {
            name: tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype)
            for name, tensor in tensors.items()
        }

    # E||x - y|| is about sqrt(2 D) within a class, sqrt(2 D (1 + spread^2)) between classes.
    spread = math.sqrt(2 * _CLASS_GAP / math.sqrt(2 * case.dim))
    if not case.data:
        anchor = normal(case.rows)
        triplets = {"anchor": anchor, "positive": anchor + math.sqrt(2) * normal(case.rows)}
        triplets["negative"] = anchor + math.sqrt(2 + 2 * spread**2) * normal(case.rows)
        return EmbeddingBatch(case, on_device(triplets), tuple(triplets))

    per_class = PER_CLASS[case.data]
    num_classes = 2 if per_class is None else -(-case.rows // per_class)
    centres = spread * normal(num_classes)

    def labelled(rows: int) -> tuple[Tensor, Tensor]:
        labels = torch.arange(rows).remainder_(num_classes)
        labels = labels[torch.randperm(rows, generator=generator)]
        return normal(rows).add_(centres[labels]), labels

    tensors = dict(zip(("embeddings", "labels"), labelled(case.rows), strict=True))
    if case.references:
        bank = labelled(case.references)
        tensors |= dict(zip(("ref_embeddings", "ref_labels"), bank, strict=True))
    return EmbeddingBatch(case, on_device(tensors), ("embeddings",))
