"""Numbers worked out by hand, which every layer must give exactly.

All scores and margins are multiples of 1/4, so that each dtype holds them and nothing rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from support.batches import Batch, evaluate, flat, one_list
from support.cases import LOSSES, REDUCTIONS, SCORE_DTYPES, name_of
from support.oracle.pairwise import by_loops, by_rows
from support.oracle.sorting import by_sorting


@dataclass(frozen=True)
class Hand:
    """One list with its sums over pairs; ``*_at_0`` and ``*_at_1`` name the boundary gradient."""

    name: str
    scores: list
    labels: list
    pairs: float
    hinge: float
    hinge_grad_at_0: list
    hinge_grad_at_1: list
    squared: float
    squared_grad: list
    margin: float = 1.0
    weights: list | None = None
    weighting: str = "product"

    def __str__(self) -> str:
        return self.name

    def grad(self, loss: str, boundary_grad: float) -> list:
        if loss == "squared_hinge":
            return self.squared_grad
        at_0, at_1 = self.hinge_grad_at_0, self.hinge_grad_at_1
        mix = zip(at_0, at_1, strict=True)
        return [(1 - boundary_grad) * zero + boundary_grad * one for zero, one in mix]

    def total(self, loss: str) -> float:
        return self.hinge if loss == "hinge" else self.squared


HANDS = [
    # Gaps (0,1) 1.5, (0,3) 1.25, (2,1) 2.25, (2,3) 2: all violate.
    Hand(
        "binary",
        scores=[0.5, 1.0, -0.25, 0.75],
        labels=[1, 0, 1, 0],
        pairs=4,
        hinge=7.0,
        hinge_grad_at_0=[-2, 2, -2, 2],
        hinge_grad_at_1=[-2, 2, -2, 2],
        squared=2.25 + 1.5625 + 5.0625 + 4.0,
        squared_grad=[-5.5, 7.5, -8.5, 6.5],
    ),
    # Gaps (0,1) 1.5, (0,2) 0: on the boundary, (1,2) -1.
    Hand(
        "grades_boundary",
        scores=[1.0, 2.0, 0.5],
        labels=[2, 1, 0],
        margin=0.5,
        pairs=3,
        hinge=1.5,
        hinge_grad_at_0=[-1, 1, 0],
        hinge_grad_at_1=[-2, 1, 1],
        squared=2.25,
        squared_grad=[-3, 3, 0],
    ),
    # The same gaps; pair weights 6, 2, 3.
    Hand(
        "weights_product",
        scores=[1.0, 2.0, 0.5],
        labels=[2, 1, 0],
        margin=0.5,
        weights=[2.0, 3.0, 1.0],
        pairs=11,
        hinge=9.0,
        hinge_grad_at_0=[-6, 6, 0],
        hinge_grad_at_1=[-8, 6, 2],
        squared=13.5,
        squared_grad=[-18, 18, 0],
    ),
    # The same gaps; pair weights 2, 2, 3, those of the more relevant item.
    Hand(
        "weights_preferred",
        scores=[1.0, 2.0, 0.5],
        labels=[2, 1, 0],
        margin=0.5,
        weights=[2.0, 3.0, 1.0],
        weighting="preferred",
        pairs=7,
        hinge=3.0,
        hinge_grad_at_0=[-2, 2, 0],
        hinge_grad_at_1=[-4, 2, 2],
        squared=4.5,
        squared_grad=[-6, 6, 0],
    ),
    # Gap -1 - (0 - 2) = 1.
    Hand(
        "negative_margin",
        scores=[0.0, 2.0],
        labels=[1, 0],
        margin=-1.0,
        pairs=1,
        hinge=1.0,
        hinge_grad_at_0=[-1, 1],
        hinge_grad_at_1=[-1, 1],
        squared=1.0,
        squared_grad=[-2, 2],
    ),
    # Gap 0, whatever the sign of a zero.
    Hand(
        "zero_margin_zeros",
        scores=[-0.0, 0.0],
        labels=[1, 0],
        margin=0.0,
        pairs=1,
        hinge=0.0,
        hinge_grad_at_0=[0, 0],
        hinge_grad_at_1=[-1, 1],
        squared=0.0,
        squared_grad=[0, 0],
    ),
    # Gaps (0,1) 2, (0,2) 0, (2,1) 3: an item in the middle gets both signs.
    Hand(
        "negative_labels",
        scores=[0.0, 1.0, -1.0],
        labels=[-1, -3, -2],
        pairs=3,
        hinge=5.0,
        hinge_grad_at_0=[-1, 2, -1],
        hinge_grad_at_1=[-2, 2, 0],
        squared=13.0,
        squared_grad=[-4, 10, -6],
    ),
    Hand(
        "no_pairs",
        scores=[3.0, 1.0],
        labels=[1, 1],
        pairs=0,
        hinge=0.0,
        hinge_grad_at_0=[0, 0],
        hinge_grad_at_1=[0, 0],
        squared=0.0,
        squared_grad=[0, 0],
    ),
]
BOUNDARY_GRADS = (0.0, 0.5, 1.0)

every_hand = pytest.mark.parametrize("hand", HANDS, ids=str)
every_loss = pytest.mark.parametrize("loss", LOSSES)
every_boundary = pytest.mark.parametrize("boundary_grad", BOUNDARY_GRADS)


def _options(loss: str, hand: Hand, boundary_grad: float) -> dict:
    options = {"margin": hand.margin, "weighting": hand.weighting}
    return options | ({"boundary_grad": boundary_grad} if loss == "hinge" else {})


@every_hand
@every_loss
@every_boundary
def test_oracles(hand: Hand, loss: str, boundary_grad: float) -> None:
    arguments = (hand.margin, loss, hand.weighting, boundary_grad)
    scores, labels = np.array(hand.scores), np.array(hand.labels)
    weights = None if hand.weights is None else np.array(hand.weights)
    oracles = [
        by_loops(hand.scores, hand.labels, hand.weights, *arguments),
        by_loops(hand.scores, hand.labels, hand.weights, *arguments, number=Fraction),
        by_rows(scores, labels, weights, *arguments),
    ]
    if weights is None:
        oracles.append(by_sorting(scores, labels, hand.margin, loss, boundary_grad))
    for sums in oracles:
        assert sums.pairs == hand.pairs
        assert sums.total == hand.total(loss)
        assert list(sums.grad) == hand.grad(loss, boundary_grad)


@every_hand
@every_loss
@every_boundary
@pytest.mark.parametrize("dtype", SCORE_DTYPES, ids=name_of)
@pytest.mark.parametrize("impl", ["reference", "auto"])
def test_losses(
    hand: Hand, loss: str, boundary_grad: float, dtype: torch.dtype, impl: str, device: str
) -> None:
    batch = Batch.of(hand.scores, hand.labels, hand.weights, dtype).to(device)
    options = _options(loss, hand, boundary_grad)
    outcome = evaluate(LOSSES[loss], one_list(batch), reduction="sum", impl=impl, **options)
    assert outcome.loss.item() == hand.total(loss)
    assert outcome.grad.tolist() == hand.grad(loss, boundary_grad)
    mean = evaluate(LOSSES[loss], one_list(batch), impl=impl, **options).loss
    # Two roundings at most: of the scale, in double precision, and of the product.
    expected = hand.total(loss) / max(hand.pairs, 1)
    assert mean.item() == pytest.approx(expected, rel=torch.finfo(mean.dtype).eps, abs=0)


# Three lists: "binary" above with sum 7 over 4 pairs; one pair of gap 2; an item without a pair.
THREE = Batch(
    torch.tensor([0.5, 1.0, -0.25, 0.75, 0.0, 1.0, 5.0]),
    torch.tensor([1, 0, 1, 0, 1, 0, 1]),
    (4, 2, 1),
)
REDUCED = {
    "mean": 9 / 5,
    "sum": 9.0,
    "none": [7.0, 2.0, 0.0],
    "list_mean": (7 / 4 + 2 / 1) / 2,
    "batch_mean": 9 / 3,
}
# What one pair's slope counts in each list.
PAIR_SCALES = {
    "mean": [1 / 5, 1 / 5],
    "sum": [1.0, 1.0],
    "none": [1.0, 1.0],
    "list_mean": [1 / (4 * 2), 1 / (1 * 2)],
    "batch_mean": [1 / 3, 1 / 3],
}


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("impl", ["reference", "auto"])
def test_reductions(reduction: str, impl: str, device: str) -> None:
    outcome = evaluate(LOSSES["hinge"], flat(THREE.to(device)), reduction=reduction, impl=impl)
    first, second = PAIR_SCALES[reduction]
    slopes = torch.tensor([-2 * first, 2 * first, -2 * first, 2 * first, -second, second, 0.0])
    assert_same(outcome.loss, torch.tensor(REDUCED[reduction]))
    assert_same(outcome.grad, slopes)


def assert_same(actual: Tensor, expected: Tensor) -> None:
    # One rounding in each: of the scale in double precision, of the result in single.
    torch.testing.assert_close(actual.cpu(), expected, rtol=2**-23, atol=0.0)
