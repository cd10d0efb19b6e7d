"""Triplet losses worked out by hand, which every layer must give exactly.

Points on a line at small integers, so that every distance is one too, in any dtype.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from fused_rankloss import triplet_loss
from support.cases import SCORE_DTYPES, name_of
from support.embeddings import BATCH_LOSSES, REDUCTIONS, TripletBatch, run_batch, run_rows
from support.oracle.triplet import exact_batch, exact_rows


@dataclass(frozen=True)
class Hand:
    """A batch and what each anchor's terms come to; gradients are those of the sum of all terms,
    with boundary gradient 0 and 1."""

    name: str
    mining: str
    points: list
    labels: list
    anchor_sums: list
    terms: int
    active: int
    grad_at_0: list
    grad_at_1: list
    positive: list
    negative: list
    distances: list
    distance: str = "euclidean"
    margin: float = 1.0
    refs: list | None = None
    ref_labels: list | None = None
    refs_grad_at_0: list | None = None
    refs_grad_at_1: list | None = None

    def __str__(self) -> str:
        return self.name

    def batch(self, dtype: torch.dtype) -> TripletBatch:
        points, labels = torch.tensor(self.points, dtype=dtype), torch.tensor(self.labels)
        if self.refs is None:
            return TripletBatch(points[:, None], labels)
        refs = torch.tensor(self.refs, dtype=dtype)
        return TripletBatch(points[:, None], labels, refs[:, None], torch.tensor(self.ref_labels))

    def count(self, reduction: str) -> int:
        return {"mean": self.terms, "mean_nonzero": self.active}.get(reduction, 1)


NAN = float("nan")
# Distances 01: 1, 02: 3, 03: 6, 12: 2, 13: 5, 23: 3.
LINE = {"points": [0.0, 1.0, 3.0, 6.0], "labels": [0, 0, 1, 1]}

HANDS = [
    # Gaps 1 - 3 + 1 = -1, 1 - 2 + 1 = 0, 3 - 2 + 1 = 2, 3 - 5 + 1 = -1.
    Hand(
        "hard",
        "hard",
        **LINE,
        anchor_sums=[0, 0, 2, 0],
        terms=4,
        active=1,
        grad_at_0=[0, 1, -2, 1],
        grad_at_1=[-1, 3, -3, 1],
        positive=[1, 0, 3, 2],
        negative=[2, 2, 1, 1],
        distances=[[1, 1, 3, 3], [3, 2, 2, 5]],
    ),
    # As above, but beyond (2, 3) = 3 there is no negative: the farthest is 0, at 3. Gap 1.
    Hand(
        "semi_hard",
        "semi_hard",
        **LINE,
        anchor_sums=[0, 0, 1, 0],
        terms=4,
        active=1,
        grad_at_0=[1, 0, -2, 1],
        grad_at_1=[0, 2, -3, 1],
        positive=[1, 0, 3, 2],
        negative=[2, 2, 0, 1],
        distances=[[1, 1, 3, 3], [3, 2, 3, 5]],
    ),
    # Gaps -1, -4; 0, -3; 1, 2; -2, -1.
    Hand(
        "all",
        "all",
        **LINE,
        anchor_sums=[0, 0, 3, 0],
        terms=8,
        active=2,
        grad_at_0=[1, 1, -4, 2],
        grad_at_1=[0, 3, -5, 2],
        positive=[1, 0, 3, 2],
        negative=[2, 2, 1, 1],
        distances=[[1, 1, 3, 3], [3, 2, 2, 5]],
    ),
    # Squares 1, 9, 36, 4, 25, 9: gaps -7, -2, 6, -15.
    Hand(
        "squared",
        "hard",
        **LINE,
        distance="sqeuclidean",
        anchor_sums=[0, 0, 6, 0],
        terms=4,
        active=1,
        grad_at_0=[0, 4, -10, 6],
        grad_at_1=[0, 4, -10, 6],
        positive=[1, 0, 3, 2],
        negative=[2, 2, 1, 1],
        distances=[[1, 1, 9, 9], [9, 4, 4, 25]],
    ),
    # Point 2 has no positive, and is all others' negative. Gaps 2 - 1 + 1, 2 - 3 + 1: on the
    # boundary, where both distances pull at point 1 from different sides.
    Hand(
        "singleton",
        "hard",
        points=[0.0, 2.0, -1.0],
        labels=[5, 5, 7],
        anchor_sums=[2, 0, 0],
        terms=2,
        active=1,
        grad_at_0=[-2, 1, 1],
        grad_at_1=[-3, 1, 2],
        positive=[1, 0, -1],
        negative=[2, 2, -1],
        distances=[[2, 2, NAN], [1, 3, NAN]],
    ),
    # Anchor 0: positives at 4, 4, 0 and negatives at 2, 2, 3; the first of each two, gap
    # 4 - 2 + 1. So is it for anchor 5, in the same place. Anchors 1 and 3: 8 - 1 + 1, 8 - 2 + 1.
    Hand(
        "ties",
        "hard",
        points=[0.0, 4.0, 2.0, -4.0, -2.0, 0.0, 3.0],
        labels=[0, 0, 1, 0, 2, 0, 3],
        anchor_sums=[3, 8, 0, 7, 0, 3, 0],
        terms=4,
        active=4,
        grad_at_0=[0, 3, -2, -1, -1, 0, 1],
        grad_at_1=[0, 3, -2, -1, -1, 0, 1],
        positive=[1, 3, -1, 1, -1, 1, -1],
        negative=[2, 6, -1, 4, -1, 2, -1],
        distances=[[4, 8, NAN, 8, NAN, 4, NAN], [2, 1, NAN, 2, NAN, 2, NAN]],
    ),
    # An anchor's own copy among the references is a positive at 0. Gaps 0 - 1 + 1 and 3 - 1 + 1.
    Hand(
        "refs",
        "all",
        points=[2.0],
        labels=[1],
        refs=[2.0, 5.0, 1.0],
        ref_labels=[1, 1, 0],
        anchor_sums=[3],
        terms=2,
        active=1,
        grad_at_0=[-2],
        grad_at_1=[-3],
        positive=[1],
        negative=[2],
        distances=[[3], [1]],
        refs_grad_at_0=[0, 1, 1],
        refs_grad_at_1=[0, 1, 2],
    ),
]
every_hand = pytest.mark.parametrize("hand", HANDS, ids=str)


@every_hand
@pytest.mark.parametrize("boundary_grad", [0.0, 1.0])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("layer", ["oracle", "reference", *map(name_of, SCORE_DTYPES)])
def test_batches(hand: Hand, boundary_grad: float, reduction: str, layer: str, device: str) -> None:
    options = {"distance": hand.distance, "margin": hand.margin, "reduction": reduction}
    options["boundary_grad"] = boundary_grad
    if layer == "oracle":
        got = exact_batch(hand.batch(torch.float64), hand.mining, **options)
        grads = [got.embeddings.grad, None if got.refs is None else got.refs.grad]
        picks, distances = (got.positive, got.negative), got.distances
        assert (got.terms, got.active) == (hand.terms, hand.active)
    else:
        impl = "reference" if layer == "reference" else "auto"
        batch = hand.batch(torch.float64 if impl == "reference" else getattr(torch, layer))
        got = run_batch(BATCH_LOSSES[hand.mining], batch.to(device), impl=impl, **options)
        grads, picks = [got.grad, got.grad_refs], got.mined[:2]
        distances = torch.stack(got.mined[2:])

    count = hand.count(reduction)
    sums = torch.tensor(hand.anchor_sums, dtype=torch.float64)
    wanted_loss = sums if reduction == "none" else sums.sum() / count
    assert torch.equal(got.loss.cpu(), wanted_loss.to(got.loss.dtype))
    suffix = f"grad_at_{boundary_grad:.0f}"
    for grad, wanted in zip(
        grads, [getattr(hand, suffix), getattr(hand, f"refs_{suffix}")], strict=True
    ):
        if wanted is None:
            assert grad is None
            continue
        wanted = torch.tensor(wanted, dtype=torch.float64) / count
        assert torch.equal(grad[:, 0].cpu(), wanted.to(grad.dtype))
    assert [pick.tolist() for pick in picks] == [hand.positive, hand.negative]
    wanted_distances = torch.tensor(hand.distances, dtype=distances.dtype)
    torch.testing.assert_close(distances.cpu(), wanted_distances, rtol=0, atol=0, equal_nan=True)


# anchor, positive, negative, options, loss, gradients; on a line, sums over the rows.
ROWS = [
    # (0 - 2)^2 - (0 - 3)^2 + 6 = 1.
    ([0], [2], [3], {"margin": 6.0}, 1, [2], [4], [-6]),
    # 2 - 3 + 1 = 0, on the boundary: clamp's slope is 1; the anchor is pulled and pushed alike.
    ([0], [2], [3], {"distance": "euclidean", "eps": 0.0}, 0, [0], [1], [-1]),
    # 2 - min(7, 5) + 4 = 1: the negative is nearer to the positive.
    (
        [0],
        [2],
        [7],
        {"distance": "euclidean", "eps": 0.0, "swap": True, "margin": 4.0},
        1,
        [-1],
        [2],
        [-1],
    ),
    # 0 - min(4, 4) + 5 = 1: a tie, half of the slope on each side.
    (
        [0],
        [0],
        [4],
        {"distance": "euclidean", "eps": 0.0, "swap": True, "margin": 5.0},
        1,
        [0.5],
        [0.5],
        [-1],
    ),
    # Opposite directions: 1 - cos is 2 for the positive, 0 for the negative; no slope on a line.
    ([3], [-2], [5], {"distance": "cosine"}, 3, [0], [0], [0]),
    # Two rows, one of them far from violating.
    ([0, 0], [1, 1], [2, 9], {"margin": 4.0, "reduction": "sum"}, 1, [2, 0], [2, 0], [-4, 0]),
]


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
@pytest.mark.parametrize("layer", ["oracle", "reference", *map(name_of, SCORE_DTYPES)])
def test_rows(row: tuple, layer: str, device: str) -> None:
    *points, options, loss, grad_a, grad_p, grad_n = row
    is_fused = layer not in ("oracle", "reference")
    dtype = getattr(torch, layer) if is_fused else torch.float64
    rows = [torch.tensor(values, dtype=dtype, device=device)[:, None] for values in points]
    if layer == "oracle":
        exact = exact_rows(*rows, **options)
        got = exact.loss, [side.grad for side in exact.sides]
    else:
        got = run_rows(triplet_loss, rows, impl="auto" if is_fused else "reference", **options)
    assert got[0].item() == loss
    for grad, wanted in zip(got[1], (grad_a, grad_p, grad_n), strict=True):
        assert grad[:, 0].tolist() == wanted
