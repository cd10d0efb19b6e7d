"""Numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from support.catalogue import LOSSES, Batch, evaluate

pytestmark = pytest.mark.sanitize

# Scores 0, 1, 2, 3, 4; items 1 and 3 are positive. With margin 1, item 3 is violated by 2 (gap 0)
# and 4 (gap 2), item 1 by 0 (gap 0), 2 (gap 2) and 4 (gap 4).
LINE = Batch(torch.ones(1, 1), torch.arange(5.0)[:, None], torch.tensor([[1, 3]]))

# (loss, options, sum, gradient of the scores).
HAND = [
    ("hinge", {}, 8.0, [1, -3, 2, -2, 2]),
    ("hinge", {"boundary_grad": 0.0}, 8.0, [0, -2, 1, -1, 2]),
    ("hinge", {"boundary_grad": 0.5}, 8.0, [0.5, -2.5, 1.5, -1.5, 2]),
    ("hinge", {"negatives": 1}, 6.0, [0, -1, 0, -1, 2]),
    ("hinge", {"exclude": torch.tensor([[4]])}, 2.0, [1, -2, 2, -1, 0]),
    ("squared_hinge", {}, 24.0, [0, -12, 4, -4, 12]),
    ("warp", {"rank_weights": "uniform"}, 8.0, [1, -3, 2, -2, 2]),
    # Weights (1 + 1/2) / 2 of item 3 and (1 + 1/2 + 1/4) / 3 of item 1.
    (
        "warp",
        {"rank_weights": torch.tensor([1.0, 0.5, 0.25, 9.0])},
        0.75 * 2 + 1.75 / 3 * 6,
        [1.75 / 3, -1.75, 0.75 + 1.75 / 3, -1.5, 0.75 + 1.75 / 3],
    ),
    ("warp", {}, 0.75 * 2 + 11 / 18 * 6, [11 / 18, -11 / 6, 0.75 + 11 / 18, -1.5, 0.75 + 11 / 18]),
]


@pytest.mark.parametrize(("loss", "options", "value", "grad"), HAND)
@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_sums(loss: str, options: dict, value: float, grad: list, impl: str) -> None:
    bias = {"item_bias": torch.zeros(5)}
    got = evaluate(LOSSES[loss], LINE, reduction="sum", impl=impl, **bias, **options)
    torch.testing.assert_close(got.loss, torch.tensor(value), rtol=2**-23, atol=0.0)
    torch.testing.assert_close(got.grads[2], torch.tensor(grad).float(), rtol=2**-22, atol=0.0)


@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_reductions(impl: str) -> None:
    """A second query with one positive, 4, that none violates but 3 at the boundary: 4 pairs."""
    batch = Batch(torch.ones(2, 1), LINE.items, torch.tensor([[1, 3], [4, -1]]))
    wanted = {
        "sum": 8.0,
        "mean": 8 / 10,
        "list_mean": (8 / 6 + 0) / 2,
        "batch_mean": 4.0,
        "none": [8.0, 0.0],
    }
    for reduction, value in wanted.items():
        got = evaluate(LOSSES["hinge"], batch, reduction=reduction, impl=impl)
        torch.testing.assert_close(got.loss, torch.tensor(value))
    got = evaluate(LOSSES["warp"], batch, rank_weights="uniform", impl=impl)
    torch.testing.assert_close(got.loss, torch.tensor(8 / 3))  # over three positives


@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_weights(impl: str) -> None:
    batch = Batch(torch.ones(2, 1), LINE.items, torch.tensor([[1, 3], [1, 3]]))
    batch.options["list_weights"] = torch.tensor([3.0, 1.0])
    for reduction, value in {"sum": 32.0, "mean": 8 / 6, "list_mean": 8 / 6}.items():
        got = evaluate(LOSSES["hinge"], batch, reduction=reduction, impl=impl)
        torch.testing.assert_close(got.loss, torch.tensor(value))


@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_denominators(impl: str) -> None:
    """Scores log 1, log 2, log 4, of which the latter two are positive."""
    items = torch.tensor([1.0, 2.0, 4.0]).log()[:, None]
    batch = Batch(torch.ones(1, 1), items, torch.tensor([[1, 2]]))
    for denominator, terms in (
        ("catalogue", math.log(7 / 2) + math.log(7 / 4)),
        ("negatives", math.log(3 / 2) + math.log(5 / 4)),
    ):
        got = evaluate(LOSSES["softmax"], batch, denominator=denominator, impl=impl)
        torch.testing.assert_close(got.loss, torch.tensor(terms / 2))
