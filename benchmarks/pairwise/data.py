"""The tensors of a case."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.family import DTYPES, Batch
from benchmarks.pairwise.cases import DATA, Data, ListCase

_LENGTH_SIGMA = 0.7  # of the logarithm of ragged lengths; the longest of 4096 has 10x the mean


@dataclass(frozen=True)
class ListBatch(Batch):
    """Scores with labels, int64 as torch.randint gives them, and what else describes the lists."""

    case: ListCase
    scores: Tensor  # [N], [B, N], or [T] with offsets
    labels: Tensor  # as scores
    weights: Tensor | None  # as scores
    offsets: Tensor | None  # [B + 1]
    levels: int

    @property
    def num_lists(self) -> int:
        return self.case.num_lists

    @property
    def length(self) -> int:
        return self.case.length

    @property
    def num_scores(self) -> int:
        return self.scores.numel()

    @property
    def device(self) -> torch.device:
        return self.scores.device

    def bounds(self) -> list[int]:
        """Where each list begins in the flat scores, and the end."""
        if self.offsets is not None:
            return self.offsets.tolist()
        return list(range(0, self.scores.numel() + 1, self.scores.shape[-1]))

    def lengths(self) -> list[int]:
        bounds = self.bounds()
        return [end - begin for begin, end in zip(bounds, bounds[1:], strict=False)]

    def num_pairs(self, padded: bool = False) -> int:
        """Entries of the matrices that a quadratic method fills."""
        lengths = self.lengths()
        return len(lengths) * max(lengths) ** 2 if padded else sum(n * n for n in lengths)

    def inputs(self) -> dict[str, Tensor]:
        """The tensors there are, by the names of the losses' arguments."""
        named = {
            "scores": self.scores,
            "labels": self.labels,
            "weights": self.weights,
            "offsets": self.offsets,
        }
        return {name: tensor for name, tensor in named.items() if tensor is not None}

    def padded(self) -> dict[str, Tensor]:
        """The batch as ``[B, N]`` tensors, with a mask of the real items."""
        tensors = self.inputs()
        if tensors.pop("offsets", None) is None:
            tensors = {name: torch.atleast_2d(tensor) for name, tensor in tensors.items()}
            return tensors | {"mask": torch.ones_like(tensors["labels"], dtype=torch.bool)}
        lengths = self.offsets.diff()
        slots = torch.arange(int(lengths.max()), device=self.scores.device)
        mask = slots < lengths[:, None]
        padded = {}
        for name, tensor in tensors.items():
            padded[name] = tensor.new_zeros(mask.shape)
            padded[name][mask] = tensor
        return padded | {"mask": mask}


def make_batch(case: ListCase, seed: int, device: str) -> ListBatch:
    return draw(case, DATA[case.data], seed, device)


def draw(case: ListCase, data: Data, seed: int, device: str) -> ListBatch:
    """Draws a case's data on the CPU, so that every device gets the same numbers."""
    generator = torch.Generator().manual_seed(seed)
    offsets = None
    if case.ragged:
        mu = math.log(case.length) - _LENGTH_SIGMA**2 / 2
        lengths = torch.randn(case.num_lists, generator=generator).mul(_LENGTH_SIGMA).add(mu).exp()
        offsets = torch.zeros(case.num_lists + 1, dtype=torch.int64)
        offsets[1:] = lengths.round().long().clamp(min=1).cumsum(0)
        shape = [int(offsets[-1])]
    else:
        shape = [case.length] if case.num_lists == 1 else [case.num_lists, case.length]

    scores = torch.randn(shape, generator=generator)
    if data.scores == "ties":
        scores = scores.mul_(8).round_().div_(8)
    elif data.scores == "sorted":
        scores = scores.sort().values
    if data.shares is not None:
        steps = torch.tensor(data.shares[:-1]).cumsum(0)
        labels = torch.bucketize(torch.rand(shape, generator=generator), steps, right=True)
    elif data.levels == 2:
        labels = torch.empty(shape).bernoulli_(data.positives, generator=generator).long()
    else:
        labels = torch.randint(data.levels, shape, generator=generator)
    weights = torch.rand(shape, generator=generator).add_(0.5) if data.weighted else None

    def on_device(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.to(device)

    return ListBatch(
        case,
        scores.to(device, DTYPES[case.dtype]),
        labels.to(device),
        on_device(weights),
        on_device(offsets),
        data.levels,
    )
