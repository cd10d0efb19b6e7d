"""The triplet kernels run by the host harness, and what their tests share.

The library is built by the first test that asks for it. Expected values: the CPU ops for mined
pairs and their distances, which are canonical on both devices, and the specification in float64
(fused_rankloss.reference) for losses and gradients.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from cuda_host import host_build
from fused_rankloss.reference.triplet import batch_triplet

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
DISTANCES = ["euclidean", "sqeuclidean", "cosine"]
MININGS = ["hard", "semi_hard", "all"]
NEVER = 1 << 40


class TripletOps:
    """The ops of triplet_host.cpp."""

    def __init__(self, library: Path, namespace: str = "fused_rankloss_triplet_host"):
        torch.ops.load_library(str(library))
        self.ops = getattr(torch.ops, namespace)
        self.choose()

    def choose(self, *, seed: int = 0, symmetric: bool = False, chunk: int = 0) -> None:
        """The schedule; whether pairs are met once for both sides; ``chunk`` positives a round."""
        self.ops.set_seed(seed)
        self.ops.set_policy(1 if symmetric else NEVER, chunk)

    def scans(self) -> int:
        """Choices that the last search could not settle."""
        return self.ops.last_scans()


def load(cache: pytest.Cache) -> TripletOps:
    return TripletOps(host_build.library("launchers/triplet_host.cpp", cache))


class Batch(NamedTuple):
    """Embeddings and labels, and references where there are any."""

    embeddings: Tensor
    labels: Tensor
    refs: Tensor | None = None
    ref_labels: Tensor | None = None

    def to(self, dtype: torch.dtype) -> Batch:
        refs = None if self.refs is None else self.refs.to(dtype)
        return self._replace(embeddings=self.embeddings.to(dtype), refs=refs)


def batch_of(
    size: int, dim: int, classes: int, *, refs: int = 0, seed: int = 0, integers: bool = False
) -> Batch:
    """Clusters of labels in random order; small integers, with ties everywhere, on request."""
    generator = torch.Generator().manual_seed(seed + 1000 * size + dim)

    def rows(count: int) -> Tensor:
        if integers:
            return torch.randint(-2, 3, (count, dim), generator=generator).double()
        return torch.randn(count, dim, generator=generator, dtype=torch.float64)

    def labels(count: int) -> Tensor:
        return torch.randint(0, classes, (count,), generator=generator)

    batch = Batch(rows(size), labels(size))
    if refs:
        batch = batch._replace(refs=rows(refs), ref_labels=labels(refs).int() + 1)
    return batch


class Result(NamedTuple):
    """What the ops make of a batch."""

    loss: Tensor
    positive: Tensor
    negative: Tensor
    distances: Tensor
    grad: Tensor
    ref_grad: Tensor
    margin_grad: Tensor


def solve(ops, batch: Batch, mining: str, **options) -> Result:
    """Forward and backward through the ops, with a grad_output of 1.5 (1.5, 0.5, ...)."""
    soft = options.get("margin", 0.5) == "soft"
    margin = 0.0 if soft else options.get("margin", 0.5)
    distance, boundary = options.get("distance", "euclidean"), options.get("boundary", 0.0)
    pairs = (*batch, None, margin, soft, mining, distance, boundary)
    reduction = options.get("reduction", "mean")
    forward = ops.batch_triplet_forward(*pairs, reduction, False, True)
    grad_loss = options.get("grad_output_of", grad_output)(forward[0])
    grads = ops.batch_triplet_backward(grad_loss, *pairs, *forward[1:6])
    slope, anchor_scale = forward[4:6]
    return Result(*forward[:4], *grads, (grad_loss * anchor_scale * slope).sum())


def grad_output(loss: Tensor) -> Tensor:
    return torch.full_like(loss, 1.5) - torch.arange(loss.numel()).view_as(loss) % 3


def specified(batch: Batch, mining: str, **options) -> Result:
    """The same by the specification, in float64."""
    x = batch.embeddings.double().clone().requires_grad_()
    y = None if batch.refs is None else batch.refs.double().clone().requires_grad_()
    margin = options.get("margin", 0.5)
    if margin != "soft":
        margin = torch.tensor(margin, dtype=torch.float64, requires_grad=True)
    loss, positive, negative, distances = batch_triplet(
        x,
        batch.labels,
        y,
        batch.ref_labels,
        margin=margin,
        mining=mining,
        distance=options.get("distance", "euclidean"),
        boundary_grad=options.get("boundary", 0.0),
        reduction=options.get("reduction", "mean"),
    )
    loss.backward(grad_output(loss))
    ref_grad = x.new_zeros(0) if y is None else y.grad
    margin_grad = x.new_zeros(()) if margin == "soft" else margin.grad
    return Result(loss.detach(), positive, negative, distances, x.grad, ref_grad, margin_grad)


# Relative to the largest number of a result. A loss and gradients of picked pairs are computed in
# float64 and rounded once; where all triplets count, distances and sums are those of float32.
ROUNDING = {
    torch.float64: 1e-13,
    torch.float32: 2.0**-24,
    torch.float16: 2.0**-11,
    torch.bfloat16: 2.0**-8,
}


def hold(ops, batch: Batch, mining: str, dtype: torch.dtype, **options) -> None:
    """Picks as specified, the loss and the gradients within the rounding of their types."""
    batch = batch.to(dtype)
    result, wanted = solve(ops, batch, mining, **options), specified(batch, mining, **options)
    assert torch.equal(result.positive, wanted.positive)
    assert torch.equal(result.negative, wanted.negative)
    close("distances", result.distances, wanted.distances, ROUNDING[torch.float64])
    loss_type = torch.float64 if dtype == torch.float64 else torch.float32
    sums = 0 if dtype == torch.float64 or mining != "all" else 64 * ROUNDING[torch.float32]
    close("loss", result.loss, wanted.loss, 2 * ROUNDING[loss_type] + sums)
    close("grad", result.grad, wanted.grad, 2 * ROUNDING[dtype] + sums)
    close("ref_grad", result.ref_grad, wanted.ref_grad, 2 * ROUNDING[dtype] + sums)
    if options.get("margin") != "soft":
        close("margin_grad", result.margin_grad, wanted.margin_grad, ROUNDING[torch.float64] + sums)


def close(what: str, result: Tensor, wanted: Tensor, tolerance: float) -> None:
    result = result.double()
    assert torch.equal(result.isnan(), wanted.isnan()), what
    difference = (result - wanted).nan_to_num().abs()
    most = wanted.nan_to_num().abs().max().item() if wanted.numel() else 0.0
    assert (difference <= tolerance * most).all(), (what, difference.max().item() / (most or 1))
