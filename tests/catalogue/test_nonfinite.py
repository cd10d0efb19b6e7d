"""NaN and infinities: what they reach, and what they leave alone."""

from __future__ import annotations

import pytest
import torch

from support.catalogue import LOSSES, VARIANT_IDS, VARIANTS, Batch, evaluate

pytestmark = pytest.mark.sanitize

INF, NAN = float("inf"), float("nan")


def scores(*rows: list[float]) -> Batch:
    """Scores out of a bias, so that no product meets them; one query a row would share it."""
    (row,) = rows
    bias = torch.tensor(row)
    batch = Batch(torch.zeros(2, 1), torch.zeros(len(row), 1), torch.tensor([[0, 1], [-1, -1]]))
    batch.options["item_bias"] = bias
    return batch


# Items 0 and 1 are positive.
ROWS = {
    "nan_negative": [0.0, 1.0, NAN, 2.0],
    "nan_positive": [NAN, 1.0, 0.0, 2.0],
    "both_infinite": [0.0, INF, INF, 1.0],
    "both_minus_infinite": [-INF, 0.0, -INF, 1.0],
    "masked_negatives": [0.0, 1.0, -INF, 2.0],
    "infinite_positive": [0.0, INF, 1.0, 2.0],
    "lost_positive": [0.0, -INF, 1.0, 2.0],
    "infinite_negative": [0.0, 1.0, INF, 2.0],
}


@pytest.mark.parametrize(("loss", "options"), VARIANTS, ids=VARIANT_IDS)
@pytest.mark.parametrize("name", ROWS)
def test_as_the_reference(loss: str, options: dict, name: str) -> None:
    batch = scores(ROWS[name])
    got, wanted = (
        evaluate(LOSSES[loss], batch, reduction="none", impl=impl, **options).loss
        for impl in ("auto", "reference")
    )
    torch.testing.assert_close(got, wanted, equal_nan=True)
    assert got[1] == 0  # it has no positive


@pytest.mark.parametrize("loss", LOSSES)
def test_what_is_excluded_may_be_nan(loss: str) -> None:
    batch = scores(ROWS["nan_negative"])
    got = evaluate(LOSSES[loss], batch, exclude=torch.tensor([[2], [-1]]))
    assert got.loss.isfinite() and got.grads[2].isfinite().all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weight", [NAN, INF, -1.0])
def test_weights_that_are_none(loss: str, weight: float) -> None:
    batch = scores([0.0, 1.0, 2.0])
    for impl in ("auto", "reference"):
        got = evaluate(LOSSES[loss], batch, list_weights=torch.tensor([weight, 1.0]), impl=impl)
        assert got.loss.isnan() and got.grads[2].isnan().any()


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "warp"])
def test_margins(loss: str) -> None:
    for margin, wanted in ((NAN, NAN), (INF, INF), (-INF, 0.0)):
        for impl in ("auto", "reference"):
            batch = scores([0.0, 1.0, 2.0])
            got = evaluate(LOSSES[loss], batch, margin=torch.tensor(margin), impl=impl)
            torch.testing.assert_close(got.loss, torch.tensor(wanted), equal_nan=True)


@pytest.mark.parametrize("impl", ["auto", "reference"])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_weight_of_0_hides_no_nan(loss: str, impl: str) -> None:
    for values, wanted in (([0.0, 1.0, NAN], NAN), ([INF, 1.0, INF], 0.0), ([0.0, 1.0, 2.0], 0.0)):
        batch = scores(values)
        got = evaluate(LOSSES[loss], batch, list_weights=torch.tensor([0.0, 1.0]), impl=impl)
        torch.testing.assert_close(got.loss, torch.tensor(wanted), equal_nan=True)
        assert got.grads[2].isnan().any() == got.loss.isnan()


@pytest.mark.parametrize("impl", ["auto", "reference"])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_bad_weight_of_an_empty_query(loss: str, impl: str) -> None:
    batch = scores([0.0, 1.0, 2.0])  # the second query has no positive
    got = evaluate(LOSSES[loss], batch, list_weights=torch.tensor([1.0, -1.0]), impl=impl)
    assert got.loss.isnan()
