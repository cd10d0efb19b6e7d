"""Batches of queries and a catalogue, the losses with their options, and how exact they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

import fused_rankloss
from support.cases import generator_for
from support.tolerance import loss_dtype, unit_roundoff

LOSSES: dict[str, Callable[..., Tensor]] = {
    name: getattr(fused_rankloss, f"catalogue_{name}_loss")
    for name in ("hinge", "squared_hinge", "logistic", "warp", "softmax")
}
REDUCTIONS = ("mean", "sum", "none", "list_mean", "batch_mean")
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)

# Every path: (loss, options).
VARIANTS = [
    ("hinge", {"margin": 2.0}),
    ("hinge", {"margin": 1.0, "boundary_grad": 0.0}),
    ("hinge", {"margin": 1.0, "boundary_grad": 0.25}),
    ("squared_hinge", {"margin": 1.5}),
    ("logistic", {}),
    ("logistic", {"sigma": 2.5}),
    ("warp", {}),
    ("warp", {"rank_weights": "uniform", "boundary_grad": 0.0}),
    ("warp", {"rank_weights": torch.tensor([1.0, 0.5, 0.25])}),
    ("softmax", {}),
    ("softmax", {"temperature": 0.5, "denominator": "negatives"}),
]
VARIANT_IDS = [f"{loss}-{number}" for number, (loss, _) in enumerate(VARIANTS)]


@dataclass(frozen=True)
class Batch:
    """Small integers: scores are exact in every dtype, with ties and pairs at the margin."""

    queries: Tensor
    items: Tensor
    positives: Tensor
    options: dict = field(default_factory=dict)

    def to(self, dtype: torch.dtype) -> Batch:
        return replace(self, queries=self.queries.to(dtype), items=self.items.to(dtype))


def batch_for(
    name: str, queries: int = 6, items: int = 1100, positives: int = 5, dim: int = 3
) -> Batch:
    """Item numbers repeat and miss; the third query has none."""
    generator = generator_for(f"catalogue_{name}")
    x = torch.randint(-2, 3, (queries, dim), generator=generator).float()
    y = torch.randint(-2, 3, (items, dim), generator=generator).float()
    own = torch.randint(-1, items, (queries, positives), generator=generator)
    own[2:3] = -1
    exclude = torch.randint(-1, items, (queries, 7), generator=generator)
    bias = torch.randint(-1, 2, (items,), generator=generator).float()
    weights = torch.tensor([1.0, 0.5, 2.0, 0.0, 1.0, 0.25])[torch.arange(queries) % 6]
    return Batch(x, y, own, {"exclude": exclude, "item_bias": bias, "list_weights": weights})


@dataclass(frozen=True)
class Outcome:
    loss: Tensor
    grads: tuple[Tensor, ...]  # of queries, items and, where there is one, the bias

    def same_bits(self, other: Outcome) -> bool:
        mine, theirs = (self.loss, *self.grads), (other.loss, *other.grads)
        return all(
            a.dtype == b.dtype
            and torch.equal(a.nan_to_num(7), b.nan_to_num(7))
            and torch.equal(a.isnan(), b.isnan())
            for a, b in zip(mine, theirs, strict=True)
        )


def evaluate(function: Callable[..., Tensor], batch: Batch, **options) -> Outcome:
    """With none, queries weigh 1, 2, 3, ... in the gradient."""
    options = {**batch.options, **options}
    leaves = [batch.queries.clone().requires_grad_(), batch.items.clone().requires_grad_()]
    if options.get("item_bias") is not None:
        options["item_bias"] = options["item_bias"].clone().requires_grad_()
        leaves.append(options["item_bias"])
    loss = function(leaves[0], leaves[1], batch.positives, **options)
    grad_output = torch.arange(1, loss.numel() + 1, dtype=loss.dtype).view(loss.shape)
    loss.backward(grad_output)
    return Outcome(loss.detach(), tuple(leaf.grad for leaf in leaves))


def assert_close(got: Outcome, exact: Outcome, batch: Batch, dtype: torch.dtype) -> None:
    """Of exact scores. What remains is of three kinds:

    - a gradient of a score is off by e (2 + |x|) of its terms (support/tolerance.py), of a logistic
      slope by 8 roundings more: e (6 + |x|), where |x| is below 64 here;
    - a product sums as many terms as there are items or queries, each rounded once;
    - results are rounded to the dtype of the loss, and gradients again to that of the inputs.

    Terms of the sums are bounded by their largest factors, as sum |g| <= S largest |g|, with S the
    number of items; |q|, |v| <= 2.
    """
    out = loss_dtype(dtype)
    number = batch.items.shape[0] + batch.queries.shape[0]
    relative = (2 * 70 + number) * unit_roundoff(out)
    for what, a, b in zip(
        ("loss", "queries", "items", "bias"),
        (got.loss, *got.grads),
        (exact.loss, *exact.grads),
        strict=False,
    ):
        assert a.shape == b.shape, what
        stored = unit_roundoff(a.dtype) * b.abs() + torch.finfo(a.dtype).tiny
        near = (a.double() - b).abs() <= stored + relative * b.abs().max()
        assert (near | (a == b.to(a.dtype))).all(), what  # or infinite, beyond the dtype
