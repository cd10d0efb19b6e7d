"""Loss and gradients against the reference in float64, and against the losses over lists."""

from __future__ import annotations

import pytest
import torch

import fused_rankloss
from support.catalogue import (
    DTYPES,
    LOSSES,
    REDUCTIONS,
    VARIANT_IDS,
    VARIANTS,
    Batch,
    assert_close,
    batch_for,
    evaluate,
)

pytestmark = pytest.mark.sanitize

every_variant = pytest.mark.parametrize(("loss", "options"), VARIANTS, ids=VARIANT_IDS)
# Few positives are compared with every score, many are searched for; and one of them alone.
SIZES = {"few": {}, "many": {"positives": 70}, "one": {"positives": 1}, "wide": {"items": 37}}


def small_workspace(batch: Batch, dtype: torch.dtype) -> int:
    """Blocks of two queries."""
    return 2 * len(batch.items) * (8 if dtype == torch.float64 else 4)


@every_variant
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_as_the_reference(loss: str, options: dict, size: str, dtype: torch.dtype) -> None:
    batch = batch_for(size, **SIZES[size])
    for reduction in REDUCTIONS:
        given = {**options, "reduction": reduction}
        workspace = small_workspace(batch, dtype)
        got = evaluate(LOSSES[loss], batch.to(dtype), workspace=workspace, **given)
        exact = evaluate(LOSSES[loss], batch.to(torch.float64), impl="reference", **given)
        assert_close(got, exact, batch, dtype)


@every_variant
@pytest.mark.parametrize("negatives", [1, 5, 10_000])
def test_hardest_negatives(loss: str, options: dict, negatives: int) -> None:
    """Integers are full of ties, of which those of the lowest numbers count."""
    batch = batch_for("hardest")
    given = {**options, "negatives": negatives}
    got = evaluate(LOSSES[loss], batch, **given)
    exact = evaluate(LOSSES[loss], batch.to(torch.float64), impl="reference", **given)
    assert_close(got, exact, batch, torch.float32)
    if negatives < 10_000:
        assert not torch.equal(got.loss, evaluate(LOSSES[loss], batch, **options).loss)


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "logistic"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_as_the_loss_over_lists(loss: str, reduction: str) -> None:
    batch = batch_for("lists")
    del batch.options["list_weights"]
    got = evaluate(LOSSES[loss], batch, reduction=reduction)
    shape = len(batch.queries), len(batch.items)
    labels, mask = torch.zeros(shape), torch.ones(shape, dtype=torch.bool)
    for query, (own, other) in enumerate(
        zip(batch.positives.tolist(), batch.options["exclude"].tolist(), strict=True)
    ):
        mask[query, [item for item in other if item >= 0]] = False
        labels[query, [item for item in own if item >= 0]] = 1
    mask |= labels > 0

    def over_lists(x, y, positives, item_bias, **_):
        function = getattr(fused_rankloss, f"pairwise_{loss}_loss")
        return function(x @ y.T + item_bias, labels, mask=mask, reduction=reduction)

    exact = evaluate(over_lists, batch.to(torch.float64))
    assert_close(got, exact, batch, torch.float32)


def test_softmax_is_cross_entropy() -> None:
    batch = batch_for("cross_entropy", positives=1)
    target = batch.positives[:, 0].clamp(min=0)
    batch = Batch(batch.queries, batch.items, target)
    got = evaluate(LOSSES["softmax"], batch)

    def cross_entropy(x, y, positives):
        return torch.nn.functional.cross_entropy(x @ y.T, positives)

    assert_close(got, evaluate(cross_entropy, batch.to(torch.float64)), batch, torch.float32)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_wide_scores(offset: float) -> None:
    """Positives too far apart for one group of exponentials, and an offset of all scores."""
    items = torch.tensor([[-300.0], [300.0], [0.0], [40.0], [-1.0], [7.0], [299.0]])
    batch = Batch(torch.ones(1, 1), items + offset, torch.tensor([[0, 1, 2, 3]]))
    for loss, options in VARIANTS:
        got = evaluate(LOSSES[loss], batch, **options)
        exact = evaluate(LOSSES[loss], batch.to(torch.float64), impl="reference", **options)
        torch.testing.assert_close(got.loss.double(), exact.loss, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("loss", LOSSES)
def test_batches_without_terms(loss: str) -> None:
    for queries, items in ((0, 5), (3, 5), (0, 0)):
        x, y = torch.ones(queries, 2), torch.ones(items, 2)
        empty = Batch(x, y, torch.full((queries, 2), -1))
        for reduction in REDUCTIONS:
            got = evaluate(LOSSES[loss], empty, reduction=reduction)
            assert got.loss.shape == ((queries,) if reduction == "none" else ())
            assert not got.loss.any() and not any(grad.any() for grad in got.grads)


@pytest.mark.parametrize("loss", LOSSES)
def test_every_item_is_positive(loss: str) -> None:
    batch = Batch(torch.ones(1, 1), torch.arange(4.0)[:, None], torch.arange(4)[None])
    got = evaluate(LOSSES[loss], batch)
    exact = evaluate(LOSSES[loss], batch.to(torch.float64), impl="reference")
    assert_close(got, exact, batch, torch.float32)


POSITIVE = torch.tensor([0])


@pytest.mark.parametrize("offset", [1e6, 1e12, 1e17])
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "warp"])
def test_a_large_offset_of_all_scores(loss: str, offset: float) -> None:
    """Equal scores: the margin is the gap of each pair, however large they are."""
    for dtype in (torch.float32, torch.float64):
        batch = Batch(torch.ones(1, 1, dtype=dtype), torch.zeros(3, 1, dtype=dtype), POSITIVE)
        batch.options["item_bias"] = torch.full((3,), offset, dtype=dtype)
        got = evaluate(LOSSES[loss], batch, margin=0.5, reduction="sum")
        terms, slope = (0.5, 2.0) if loss == "squared_hinge" else (1.0, 2.0)
        terms, slope = (0.75, 1.5) if loss == "warp" else (terms, slope)  # (1 + 1/2) / 2 of it
        assert got.loss.item() == terms
        assert got.grads[2].tolist() == [-slope, slope / 2, slope / 2]


@pytest.mark.parametrize("reduction", ["mean", "list_mean"])
@pytest.mark.parametrize("weight", [1e-300, 1e-50, 1e-40, 1e39, 1e200, 1e300])
def test_equal_weights_change_no_mean(weight: float, reduction: str) -> None:
    batch = Batch(torch.ones(2, 1), torch.tensor([[1.0], [2.0], [4.0]]), torch.tensor([0, 1]))
    plain = evaluate(LOSSES["hinge"], batch, reduction=reduction)
    weights = torch.full((2,), weight, dtype=torch.float64)
    weighted = evaluate(LOSSES["hinge"], batch, reduction=reduction, list_weights=weights)
    torch.testing.assert_close(weighted.loss, plain.loss)
    torch.testing.assert_close(weighted.grads, plain.grads)


@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_autocast_of_towers_of_different_dtypes(impl: str) -> None:
    queries, items = torch.randn(4, 8).bfloat16(), torch.randn(10, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = LOSSES["softmax"](queries, items, torch.arange(4), impl=impl)
    wanted = LOSSES["softmax"](queries, items.bfloat16(), torch.arange(4), impl=impl)
    assert got.dtype == torch.float32
    assert torch.equal(got, wanted)


@pytest.mark.parametrize("impl", ["auto", "reference"])
@pytest.mark.parametrize("bad", [-1.0, float("inf"), float("nan")])
def test_rank_weights_that_are_none(bad: float, impl: str) -> None:
    batch = Batch(torch.ones(1, 1), torch.zeros(3, 1), POSITIVE)
    weights = torch.tensor([bad, 0.5])
    got = evaluate(LOSSES["warp"], batch, rank_weights=weights, impl=impl)
    assert got.loss.isnan() and got.grads[1].isnan().any()
