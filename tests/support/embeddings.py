"""Batches of embeddings for the triplet losses: how they are drawn, how a loss is run on one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

import fused_rankloss
from support.batches import same_bits
from support.cases import generator_for

BATCH_LOSSES = {
    "hard": fused_rankloss.batch_hard_triplet_loss,
    "semi_hard": fused_rankloss.batch_semi_hard_triplet_loss,
    "all": fused_rankloss.batch_all_triplet_loss,
}
DISTANCES = ("euclidean", "sqeuclidean", "cosine")
REDUCTIONS = ("mean", "mean_nonzero", "sum", "none")


class TripletBatch(NamedTuple):
    embeddings: Tensor
    labels: Tensor
    ref_embeddings: Tensor | None = None
    ref_labels: Tensor | None = None

    def to(self, target: str | torch.dtype) -> TripletBatch:
        """On another device, or with embeddings of another dtype."""
        if isinstance(target, torch.dtype):
            refs = None if self.ref_embeddings is None else self.ref_embeddings.to(target)
            return self._replace(embeddings=self.embeddings.to(target), ref_embeddings=refs)
        return TripletBatch(*(None if tensor is None else tensor.to(target) for tensor in self))

    @property
    def refs(self) -> dict[str, Tensor]:
        """The references as the losses take them."""
        if self.ref_embeddings is None:
            return {}
        return {"ref_embeddings": self.ref_embeddings, "ref_labels": self.ref_labels}


@dataclass(frozen=True)
class TripletCase:
    """A batch: how many embeddings, of how many numbers, and how both are drawn."""

    name: str
    n: int
    dim: int
    why: str
    embeddings: str = "normal"
    labels: str = "fours"
    refs: int | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.why})"

    def batch(self, dtype: torch.dtype = torch.float64) -> TripletBatch:
        generator = generator_for(self.name)
        total = self.n + (self.refs or 0)
        labels = LABELS[self.labels](total, generator)
        embeddings = EMBEDDINGS[self.embeddings](total, self.dim, labels, generator).to(dtype)
        if self.refs is None:
            return TripletBatch(embeddings, labels)
        n = self.n
        return TripletBatch(embeddings[:n], labels[:n], embeddings[n:], labels[n:])


def normal(n: int, dim: int, labels: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(n, dim, generator=generator, dtype=torch.float64)


def clustered(n: int, dim: int, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Classes that a model has half learned to tell apart."""
    centres = torch.randn(max(n, 1), dim, generator=generator, dtype=torch.float64)
    return centres[labels.long() % max(n, 1)] + normal(n, dim, labels, generator)


def integers(n: int, dim: int, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Small integers: ties everywhere, in every distance, which no rounding can break."""
    return torch.randint(-2, 3, (n, dim), generator=generator).double()


def triples(n: int, dim: int, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Every row three times, wherever its copies may be."""
    rows = normal((n + 2) // 3, dim, labels, generator).repeat(3, 1)[:n]
    return rows[torch.randperm(n, generator=generator)]


def shuffled_coordinates(n: int, dim: int, labels: Tensor, generator: torch.Generator) -> Tensor:
    """One row's numbers in many orders: distances that only rounding tells apart."""
    row = torch.randn(dim, generator=generator, dtype=torch.float64).float().double()
    if n == 0:
        return row[None][:0]
    rows = torch.stack([row[torch.randperm(dim, generator=generator)] for _ in range(n)])
    rows[0] = 0
    return rows


def nudged(n: int, dim: int, labels: Tensor, generator: torch.Generator) -> Tensor:
    """One row far out, every number nudged by at most one step of single precision: an expansion of
    |x - y|^2 yields rounding errors alone."""
    row = normal(1, dim, labels, generator).sign() * 1000
    return row + torch.randint(-1, 2, (n, dim), generator=generator) * 2.0**-14


def with_zero_rows(n: int, dim: int, labels: Tensor, generator: torch.Generator) -> Tensor:
    rows = normal(n, dim, labels, generator)
    rows[::3] = 0
    return rows


EMBEDDINGS = {
    "normal": normal,
    "clustered": clustered,
    "integers": integers,
    "triples": triples,
    "shuffled_coordinates": shuffled_coordinates,
    "nudged": nudged,
    "zero_rows": with_zero_rows,
    "coincident": lambda n, dim, y, g: torch.full((n, dim), 0.3, dtype=torch.float64),
    "offset": lambda n, dim, y, g: clustered(n, dim, y, g) + 1e3,
    "huge": lambda n, dim, y, g: normal(n, dim, y, g) * 1e15,
    "tiny": lambda n, dim, y, g: normal(n, dim, y, g) * 1e-15,
    "sizes": lambda n, dim, y, g: (
        normal(n, dim, y, g) * torch.exp2(torch.arange(n).double() % 24 - 12)[:, None]
    ),
}


def _shuffle(labels: Tensor, generator: torch.Generator) -> Tensor:
    return labels[torch.randperm(len(labels), generator=generator)]


LABELS = {
    "fours": lambda n, g: _shuffle(torch.arange(n) // 4, g),
    "pairs": lambda n, g: _shuffle(torch.arange(n) // 2, g),
    "few": lambda n, g: torch.randint(0, 3, (n,), generator=g),
    "binary": lambda n, g: torch.randint(0, 2, (n,), generator=g).bool(),
    "sorted": lambda n, g: torch.arange(n) // 5,
    "equal": lambda n, g: torch.full((n,), 7),
    "distinct": lambda n, g: torch.randperm(n, generator=g) - n // 2,
    # A class of one beside larger ones.
    "singletons": lambda n, g: _shuffle(
        torch.where(torch.arange(n) < n // 2, torch.arange(n), n), g
    ),
    "one_stranger": lambda n, g: (torch.arange(n) == n // 3).long(),
    "extreme": lambda n, g: torch.tensor([-(2**63), 2**63 - 1, 0])[
        torch.randint(0, 3, (n,), generator=g)
    ],
}

# The sizes around 8, 16, 32 and 64 rows and columns are where vectors, warps and tiles end.
TRIPLET_CASES = [
    TripletCase("none", 0, 5, "a batch of nothing"),
    TripletCase("one", 1, 5, "one embedding has no partner"),
    TripletCase("two_alike", 2, 3, "a positive, no negative", labels="equal"),
    TripletCase("two_strangers", 2, 3, "a negative, no positive", labels="distinct"),
    TripletCase("three", 3, 2, "the smallest batch with a triplet", labels="one_stranger"),
    TripletCase("all_equal", 20, 7, "no negative anywhere", labels="equal"),
    TripletCase("all_distinct", 20, 7, "no positive anywhere", labels="distinct"),
    TripletCase("singletons", 30, 6, "anchors without a positive", labels="singletons"),
    TripletCase("one_stranger", 21, 5, "one negative for all", labels="one_stranger"),
    TripletCase("d0", 12, 0, "rows of no numbers", labels="few"),
    TripletCase("d1", 33, 1, "one number per row", labels="few"),
    TripletCase("d3", 31, 3, "an odd few numbers", labels="few"),
    TripletCase("d32", 32, 32, "as many numbers as lanes", "clustered"),
    TripletCase("d127", 40, 127, "one below 128", "clustered"),
    TripletCase("d4096", 16, 4096, "long rows", "clustered"),
    TripletCase("n64", 64, 16, "a power of two", "clustered", "binary"),
    TripletCase("n65", 65, 17, "one above a power of two", "clustered"),
    TripletCase("n129", 129, 8, "several tiles", "clustered"),
    TripletCase("sorted", 50, 9, "classes side by side", "clustered", "sorted"),
    TripletCase("extreme", 24, 4, "the ends of int64", "clustered", "extreme"),
    TripletCase("integers", 40, 4, "ties everywhere", "integers", "few"),
    TripletCase("integers_fours", 64, 3, "ties and duplicates", "integers"),
    TripletCase("triples", 45, 10, "every row three times", "triples"),
    TripletCase("coincident", 16, 8, "all points in one place", "coincident"),
    TripletCase("shuffled", 26, 24, "ties except for rounding", "shuffled_coordinates", "few"),
    TripletCase("zero_rows", 27, 5, "rows without a direction", "zero_rows"),
    TripletCase("offset", 48, 64, "far from the origin", "offset"),
    TripletCase("nudged", 40, 20, "one point except for the last bits", "nudged"),
    TripletCase("huge", 25, 6, "norms of 1e15", "huge", "few"),
    TripletCase("tiny", 25, 6, "norms of 1e-15", "tiny", "few"),
    TripletCase("sizes", 48, 12, "norms from 2^-12 to 2^12", "sizes", "few"),
    TripletCase("refs", 20, 9, "references of their own", "clustered", "fours", 45),
    TripletCase("few_refs", 37, 16, "more anchors than references", "clustered", "few", 5),
    TripletCase("no_refs", 6, 4, "nothing to refer to", labels="few", refs=0),
    TripletCase("no_anchors", 0, 4, "references without anchors", labels="few", refs=6),
    TripletCase("ref_ties", 30, 3, "ties among references", "integers", "few", 40),
]

# More than a tile on each side, and more ties than any list of candidates holds.
LARGE_TRIPLET_CASES = [
    TripletCase("n420", 420, 64, "many tiles", "clustered"),
    TripletCase("n401_ties", 401, 3, "many tiles of ties", "integers", "pairs"),
    TripletCase("n400_nudged", 400, 24, "many close calls", "nudged", "pairs"),
    TripletCase("d300", 140, 300, "rows deeper than a tile", "clustered"),
    TripletCase("d600", 100, 600, "rows of several depths of a tile", "clustered", refs=130),
    TripletCase("n200_refs", 200, 33, "a wide bank of references", "offset", "fours", 600),
]


@dataclass
class TripletOutcome:
    """A loss, its gradients and what it mined."""

    loss: Tensor
    grad: Tensor
    grad_refs: Tensor | None
    mined: fused_rankloss.MinedTriplets

    def same_bits(self, other: TripletOutcome) -> bool:
        pairs = [
            (self.loss, other.loss),
            (self.grad, other.grad),
            *zip(self.mined, other.mined, strict=True),
        ]
        if self.grad_refs is not None:
            pairs.append((self.grad_refs, other.grad_refs))
        return all(same_bits(mine, theirs) for mine, theirs in pairs)


def run_batch(function, batch: TripletBatch, grad_output: Tensor | None = None, **options):
    """Runs a loss forward and backward, with a ``grad_output`` of ones by default."""
    embeddings = batch.embeddings.detach().requires_grad_()
    inputs, refs = [embeddings], dict(batch.refs)
    if refs:
        refs["ref_embeddings"] = batch.ref_embeddings.detach().requires_grad_()
        inputs.append(refs["ref_embeddings"])
    loss, mined = function(embeddings, batch.labels, **refs, return_mined=True, **options)
    grad_output = torch.ones_like(loss) if grad_output is None else grad_output.to(loss)
    grads = torch.autograd.grad(loss, inputs, grad_output)
    return TripletOutcome(loss.detach(), grads[0], grads[1] if refs else None, mined)


def run_rows(function, rows, grad_output: Tensor | None = None, **options):
    """An explicit triplet loss and the gradients of its three tensors."""
    rows = [tensor.detach().requires_grad_() for tensor in rows]
    loss = function(*rows, **options)
    grad_output = torch.ones_like(loss) if grad_output is None else grad_output.to(loss)
    return loss.detach(), torch.autograd.grad(loss, rows, grad_output)
