"""Weights: what each convention means, told by lists that carry no weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from support.batches import Batch, evaluate, flat
from support.cases import LOSSES, MEDIUM, REDUCTIONS, SMALL, WEIGHTINGS, by_name, generator_for
from support.oracle.pairwise import exact
from support.tolerance import check, grad_floor, loss_floor

pytestmark = pytest.mark.sanitize

every_loss = pytest.mark.parametrize("loss", LOSSES)
CASES = by_name(SMALL + MEDIUM)
NAMES = ["boundary_grades", "ragged", "n513", "n1025", "pairless_lists"]
every_name = pytest.mark.parametrize("name", NAMES)


def counted(name: str, dtype: torch.dtype = torch.float32) -> Batch:
    """A batch with integer weights 0 to 3."""
    batch = CASES[name].batch(dtype)
    copies = torch.randint(0, 4, batch.scores.shape, generator=generator_for(f"weights_{name}"))
    return replace(batch, weights=copies.to(dtype))


def repeated(batch: Batch) -> Batch:
    """Each item as often as its weight says."""
    copies = batch.weights.long()
    sizes = tuple(int(part.sum()) for part in batch.split(copies))
    return Batch(
        batch.scores.repeat_interleave(copies), batch.labels.repeat_interleave(copies), sizes
    )


@every_name
@every_loss
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_an_integer_weight_is_so_many_copies(
    name: str, loss: str, reduction: str, device: str
) -> None:
    batch = counted(name)
    copies = batch.weights.long()
    weighted = evaluate(LOSSES[loss], flat(batch.to(device)), reduction=reduction)
    plain = evaluate(LOSSES[loss], flat(repeated(batch).to(device)), reduction=reduction)
    wanted = exact(batch, loss, reduction=reduction)
    # Both lie within one budget of the exact result.
    check("loss", weighted.loss, plain.loss.double().cpu(), 2 * loss_floor(wanted, torch.float32))
    owner = torch.arange(len(copies)).repeat_interleave(copies)
    summed = torch.zeros(len(copies), dtype=torch.float64)
    summed.index_add_(0, owner, plain.grad.double().cpu())
    allowed = 2 * grad_floor(wanted, torch.float32) * copies.clamp(min=1)
    check("grad", weighted.grad, summed, allowed, case=name)


@every_name
@every_loss
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weights_of_one_change_nothing(name: str, loss: str, weighting: str, device: str) -> None:
    batch = CASES[name].batch(torch.float32)
    ones = replace(batch, weights=torch.ones_like(batch.scores))
    weighted = evaluate(LOSSES[loss], flat(ones.to(device)), weighting=weighting)
    wanted = exact(batch, loss)
    plain = evaluate(LOSSES[loss], flat(batch.to(device)), weighting=weighting)
    for got in (weighted, plain):
        check("loss", got.loss, wanted.loss, loss_floor(wanted, torch.float32), case=name)
        check("grad", got.grad, wanted.grad, grad_floor(wanted, torch.float32), case=name)


@every_loss
@pytest.mark.parametrize("n", [40, 900])
def test_an_item_of_weight_zero_is_absent(loss: str, n: int, device: str) -> None:
    case = replace(CASES["n1025"], name=f"absent_{n}", sizes=(n,), weighted=True)
    batch = case.batch(torch.float32)
    kept = batch.weights > 0
    assert 0 < kept.sum() < n
    present = Batch(batch.scores[kept], batch.labels[kept], (int(kept.sum()),), batch.weights[kept])
    weighted = evaluate(LOSSES[loss], flat(batch.to(device)))
    without = evaluate(LOSSES[loss], flat(present.to(device)))
    wanted = exact(present, loss)
    for got in (weighted.loss, without.loss):
        check("loss", got, wanted.loss, loss_floor(wanted, torch.float32))
    for got in (weighted.grad.cpu()[kept], without.grad):
        check("grad", got, wanted.grad, grad_floor(wanted, torch.float32))
    assert not weighted.grad.cpu()[~kept].count_nonzero()


@every_loss
def test_preferred_ignores_the_weight_of_the_less_relevant(loss: str, device: str) -> None:
    """Binary labels: only the relevant items' weights count."""
    batch = CASES["n1024"].batch(torch.float32)
    weights = torch.rand(1024, generator=generator_for("preferred")) + 0.5
    relevant = batch.labels > 0
    other = torch.where(relevant, weights, 7.0)
    first, second = (
        evaluate(LOSSES[loss], flat(replace(batch, weights=w).to(device)), weighting="preferred")
        for w in (weights, other)
    )
    assert first.same_bits(second)


@every_loss
@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("reduction", ["mean", "list_mean"])
@pytest.mark.parametrize("exponent", [6, -76, 60])
@pytest.mark.parametrize("name", ["weighted", "weighted_long"])
def test_means_ignore_the_scale_of_weights(
    loss: str, weighting: str, reduction: str, exponent: int, name: str, device: str
) -> None:
    """Also where the product of two weights leaves the range of fp32."""
    batch = CASES[name].batch(torch.float32)
    # A power of two: scaling by it is exact.
    scaled = replace(batch, weights=batch.weights * 2.0**exponent)
    options = {"weighting": weighting, "reduction": reduction}
    first = evaluate(LOSSES[loss], flat(batch.to(device)), **options)
    second = evaluate(LOSSES[loss], flat(scaled.to(device)), **options)
    assert first.same_bits(second)


@every_loss
@pytest.mark.parametrize("impl", ["auto", "reference"])
@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("bad", [-1.0, float("inf"), -float("inf"), float("nan")])
@pytest.mark.parametrize("n", [1, 3, 40, 600, 3000])
def test_what_is_no_weight_poisons_its_list(
    loss: str, impl: str, weighting: str, bad: float, n: int, device: str
) -> None:
    """Also at the least relevant item, which lends its weight to no pair that is preferred."""
    scores = torch.randn(2 * n + 2, generator=generator_for("no_weight"))
    for labels in (torch.arange(n) % 3, (torch.arange(n) % 50 == 1).long()):
        weights = torch.ones(2 * n + 2)
        weights[0] = bad
        labels = torch.cat([labels, torch.tensor([1, 0]), labels])
        batch = Batch(scores, labels, (n, 2, n), weights).to(device)
        for reduction in ("none", "mean"):
            got = evaluate(
                LOSSES[loss], flat(batch), impl=impl, weighting=weighting, reduction=reduction
            )
            assert got.grad[:n].isnan().all() and got.grad[n:].isfinite().all()
            poisoned = got.loss.isnan().tolist()
            assert poisoned == ([True, False, False] if reduction == "none" else True)


@every_loss
@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_weights_that_overflow_are_nan(loss: str, impl: str, device: str) -> None:
    scores, labels = [0.0, 0.5, 0.25, 0.0], [1, 0, 1, 0]
    batch = Batch.of(scores, labels, [1e200, 1e200, 1.0, 1.0])
    got = evaluate(LOSSES[loss], flat(replace(batch, sizes=(2, 2)).to(device)), impl=impl)
    assert got.grad[:2].isnan().all() and got.grad[2:].isfinite().all()
    # Each list is right, and only their sum leaves the range.
    batch = Batch.of(scores, labels, [1e154] * 4)
    got = evaluate(LOSSES[loss], flat(replace(batch, sizes=(2, 2)).to(device)), impl=impl)
    assert got.loss.isnan() and got.grad.isnan().all()


@every_loss
def test_large_and_small_weights(loss: str, device: str) -> None:
    batch = CASES["n513"].batch(torch.float32)
    exponents = torch.randint(-20, 21, batch.scores.shape, generator=generator_for("large"))
    batch = replace(batch, weights=torch.exp2(exponents.double()).float())
    got = evaluate(LOSSES[loss], flat(batch.to(device)))
    wanted = exact(batch, loss)
    check("loss", got.loss, wanted.loss, loss_floor(wanted, torch.float32))
    check("grad", got.grad, wanted.grad, grad_floor(wanted, torch.float32))


@every_loss
@pytest.mark.parametrize("impl", ["auto", "reference"])
@pytest.mark.parametrize("n", [1, 300, 4000])
def test_means_of_lists_whose_weights_overflow_together(
    loss: str, impl: str, n: int, device: str
) -> None:
    """Each list's weight is a number, and a mean of lists needs no sum of them. Nothing rounds."""
    if impl == "reference" and n > 300:
        pytest.skip("quadratic")
    # One pair of each list weighs 2^1022; the other items are weightless.
    one = Batch.of(
        [0.0] * (n + 1), [1] + [0] * n, [2.0**511] * 2 + [0.0] * (n - 1), dtype=torch.float64
    )
    batch = Batch.join([one] * 4).to(device)
    got = evaluate(LOSSES[loss], flat(batch), reduction="list_mean", impl=impl)
    slope = 1 if loss == "hinge" else 2
    assert got.loss == 1
    for grad in batch.split(got.grad):
        assert grad[:2].tolist() == [-slope / 4, slope / 4] and not grad[2:].count_nonzero()
