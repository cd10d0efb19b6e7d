"""What every kernel of the hinges makes of numbers at the ends of their range.

Weights that are none, margins that are not finite, scores beside which a margin is lost, weights
whose products leave the range of fp32.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from cuda_host.host_cases import every_loss, forward, sanitize
from support.batches import Batch, evaluate, flat, one_list
from support.cases import LOSSES
from support.oracle.pairwise import exact
from support.tolerance import check, grad_floor, loss_floor

SIZES = (5, 150, 3, 70)
INF, NAN = math.inf, math.nan


@pytest.fixture(params=["tiles", "warps and blocks", "long", "one launch"])
def on_every_kernel(request: pytest.FixtureRequest, on_pairwise_host, pairwise_host):
    """Every list solved by the same kernel."""
    if request.param == "tiles":
        pairwise_host.set("tiles")
    elif request.param == "warps and blocks":
        pairwise_host.set("short")
    else:
        one_launch = -1 if request.param == "one launch" else 0
        pairwise_host.set("tiles", crossover=0, one_launch=one_launch)
    return pairwise_host


def batch_of(weighted: bool = False) -> Batch:
    generator = torch.Generator().manual_seed(5)
    n = sum(SIZES)
    weights = torch.rand(n, generator=generator) + 0.5 if weighted else None
    return Batch(torch.randn(n, generator=generator), torch.arange(n) % 3, SIZES, weights)


def of_list(values: torch.Tensor, index: int) -> torch.Tensor:
    return values.split(SIZES)[index]


# ---- Weights ---------------------------------------------------------------------------------


@sanitize
@pytest.mark.parametrize("weight", [-1e-40, INF, NAN])
@pytest.mark.parametrize("weighting", ["product", "preferred"])
@every_loss
def test_what_is_no_weight(weight: float, weighting: str, loss: str, on_every_kernel) -> None:
    """Its list is NaN, even if the weight is that of an item that no pair prefers."""
    batch = batch_of(weighted=True)
    options = {"weighting": weighting, "reduction": "none"}
    clean = evaluate(LOSSES[loss], flat(batch), **options)
    of_list(batch.weights, 1)[of_list(batch.labels, 1).argmin()] = weight
    got = evaluate(LOSSES[loss], flat(batch), **options)
    assert got.loss.isnan().tolist() == [False, True, False, False]
    for index in (0, 2, 3):
        assert torch.equal(got.loss[index], clean.loss[index])
        assert torch.equal(of_list(got.grad, index), of_list(clean.grad, index))
    assert of_list(got.grad, 1).isnan().all()


@every_loss
def test_what_is_no_weight_without_a_pair(loss: str, on_every_kernel) -> None:
    weights = torch.tensor([1.0, INF, 1.0])
    batch = Batch(torch.zeros(3), torch.zeros(3).long(), (3,), weights)
    got = evaluate(LOSSES[loss], one_list(batch))
    assert got.loss.isnan() and got.grad.isnan().all()


@every_loss
@pytest.mark.parametrize("reduction", ["mean", "list_mean"])
def test_weights_that_sum_to_zero(loss: str, reduction: str, on_every_kernel) -> None:
    batch = batch_of(weighted=True)
    batch.weights.zero_()
    got = evaluate(LOSSES[loss], flat(batch), reduction=reduction)
    assert got.loss == 0 and (got.grad == 0).all()


@every_loss
@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize(("score", "label"), [(INF, 0), (-INF, 1)])
@pytest.mark.parametrize("weightless", [0, 1])
def test_pairs_that_weigh_nothing_at_an_infinite_gap(
    loss: str, reduction: str, score: float, label: int, weightless: int, on_every_kernel
) -> None:
    weights = torch.ones(2)
    weights[weightless] = 0
    batch = Batch(torch.tensor([0.0, score]), torch.tensor([1 - label, label]), (2,), weights)
    got = evaluate(LOSSES[loss], one_list(batch), reduction=reduction)
    assert got.loss == 0 and (got.grad == 0).all()


@sanitize
@every_loss
@pytest.mark.parametrize("weighting", ["product", "preferred"])
@pytest.mark.parametrize("n", [3, 40, 300])
def test_items_that_weigh_nothing_at_infinite_gaps(
    loss: str, weighting: str, n: int, on_every_kernel
) -> None:
    """They are as good as absent. Nothing is rounded: scores are quarters."""
    generator = torch.Generator().manual_seed(6)
    scores = torch.randint(-8, 9, (n,), generator=generator) / 4
    batch = Batch(scores, torch.arange(n) % 3, (n,), torch.ones(n))
    ends = [(INF, 0.0), (-INF, 2.0)] if weighting == "product" else [(-INF, 2.0)]
    items = Batch(*torch.tensor(ends).T, (len(ends),), torch.zeros(len(ends)))
    joined = replace(Batch.join([batch, items]), sizes=(n + len(ends),))
    (absent, grad, slope), (present, longer, same_slope) = (
        with_margins(loss, [1.0], one, reduction="sum", weighting=weighting)
        for one in (batch, joined)
    )
    assert torch.equal(present, absent) and torch.equal(same_slope, slope)
    assert torch.equal(longer[:n], grad) and (longer[n:] == 0).all()


@every_loss
@pytest.mark.parametrize("reduction", ["mean", "list_mean"])
def test_weights_whose_sum_overflows(loss: str, reduction: str, on_every_kernel) -> None:
    scores = torch.tensor([0.5, 0.0, 0.25], dtype=torch.float64)
    weights = torch.full((3,), 1e200, dtype=torch.float64)
    got = evaluate(
        LOSSES[loss], one_list(Batch(scores, torch.arange(3), (3,), weights)), reduction=reduction
    )
    assert got.loss.isnan() and got.grad.isnan().all()


def test_lists_whose_weights_overflow_together(on_every_kernel) -> None:
    """Each list's sum is a number, that of all of them is none: not a mean of 0."""
    weights = torch.full((8,), 1e154, dtype=torch.float64)
    weights *= torch.tensor([1.2], dtype=torch.float64)
    batch = Batch(torch.zeros(8).double(), torch.tensor([0, 1] * 4), (2,) * 4, weights)
    got = evaluate(LOSSES["squared_hinge"], flat(batch))
    assert got.loss.isnan() and got.grad.isnan().all()


@every_loss
def test_means_of_lists_whose_weights_overflow_together(loss: str, on_every_kernel) -> None:
    """A mean of lists needs no sum of them. Nothing rounds."""
    weights = torch.full((8,), 2.0**511, dtype=torch.float64)
    batch = Batch(torch.zeros(8).double(), torch.tensor([1, 0] * 4), (2,) * 4, weights)
    got = evaluate(LOSSES[loss], flat(batch), reduction="list_mean")
    slope = 1 if loss == "hinge" else 2
    assert got.loss == 1 and got.grad.tolist() == [-slope / 4, slope / 4] * 4


@sanitize
@pytest.mark.parametrize("size", [1e-30, 1e-22, 1e30])
@pytest.mark.parametrize("weighting", ["product", "preferred"])
@pytest.mark.parametrize("reduction", ["mean", "list_mean"])
@every_loss
def test_a_mean_has_no_scale(
    size: float, weighting: str, reduction: str, loss: str, on_every_kernel
) -> None:
    """Powers of two as weights change no bit of it, however small or large."""
    batch = batch_of(weighted=True)
    options = {"weighting": weighting, "reduction": reduction}
    wanted = evaluate(LOSSES[loss], flat(batch), **options)
    batch.weights.mul_(2.0 ** round(math.log2(size)))
    got = evaluate(LOSSES[loss], flat(batch), **options)
    assert torch.equal(got.loss, wanted.loss)
    assert torch.equal(got.grad, wanted.grad)


@sanitize
@pytest.mark.parametrize("heavy", [1e19, 3e-45, 3e38])
@pytest.mark.parametrize("light", [1e-19, 1e-38, 3e38])
@pytest.mark.parametrize("weighting", ["product", "preferred"])
@pytest.mark.parametrize("reduction", ["mean", "list_mean"])
@every_loss
def test_one_weight_of_another_size(
    heavy: float, light: float, weighting: str, reduction: str, loss: str, on_every_kernel
) -> None:
    """The heaviest item is in pairs with light ones alone, or is preferred in none."""
    label = 2 if weighting == "product" else 0
    batch = batch_of(weighted=True)
    batch.weights.mul_(light / 2)
    for index in range(len(SIZES)):
        grade = torch.nonzero(of_list(batch.labels, index) == label)[0]
        of_list(batch.weights, index)[grade] = heavy
    for one in (batch, *batch.lists()):
        options = {"weighting": weighting, "reduction": reduction}
        got = evaluate(LOSSES[loss], flat(one), **options)
        wanted = exact(one, loss, **options)
        check("loss", got.loss, wanted.loss, loss_floor(wanted, torch.float32))
        check("grad", got.grad, wanted.grad, grad_floor(wanted, torch.float32))


@sanitize
@pytest.mark.parametrize("weighting", ["product", "preferred"])
def test_a_weight_of_negative_zero_is_zero(weighting: str, on_every_kernel) -> None:
    batch = batch_of(weighted=True)
    batch.weights.mul_(2.0**-70)
    results = []
    for zero in (0.0, -0.0):
        of_list(batch.weights, 1)[7] = zero
        results.append(evaluate(LOSSES["squared_hinge"], flat(batch), weighting=weighting))
    wanted, got = results
    assert torch.equal(got.loss, wanted.loss) and wanted.loss.isfinite()
    assert torch.equal(got.grad, wanted.grad) and wanted.grad.isfinite().all()


@every_loss
def test_margin_gradients_have_the_unit_of_their_list(loss: str, on_every_kernel) -> None:
    batch = batch_of(weighted=True)
    batch.weights.mul_(2.0**-60)
    margin = torch.tensor(0.5, requires_grad=True)
    for reduction in ("none", "sum", "mean"):
        margin.grad = None
        call = flat(batch)
        LOSSES[loss](
            call.scores, call.labels, margin=margin, reduction=reduction, **call.options
        ).sum().backward()
        slope = margin.grad.clone()
        margin.grad = None
        LOSSES[loss](
            *(call.scores, call.labels),
            **{"margin": margin, "reduction": reduction, "impl": "reference", **call.options},
        ).sum().backward()
        assert torch.allclose(slope, margin.grad, rtol=1e-5, atol=0)


# ---- Margins ---------------------------------------------------------------------------------


def with_margins(loss: str, margins: list[float], batch: Batch, **options):
    tensor = torch.tensor(margins, dtype=torch.float64, requires_grad=True)
    call = flat(batch)
    scores = call.scores.clone().requires_grad_()
    value = LOSSES[loss](scores, call.labels, margin=tensor, **options, **call.options)
    value.sum().backward()
    return value.detach(), scores.grad, tensor.grad


def pairless_and_not() -> Batch:
    """Two lists, the first without a pair."""
    scores = torch.tensor([0.5, -1.0, 0.25, 2.0, 0.0])
    return Batch(scores, torch.tensor([1, 1, 0, 1, 2]), (2, 3))


@sanitize
@every_loss
def test_nan_margin(loss: str, on_every_kernel) -> None:
    value, grad, slope = with_margins(loss, [NAN], pairless_and_not(), reduction="none")
    assert value[0, 0] == 0 and value[0, 1].isnan()
    assert (grad[:2] == 0).all() and grad[2:].isnan().all() and slope.isnan().all()


@sanitize
@pytest.mark.parametrize("weighted", [False, True])
@every_loss
def test_infinite_margins(loss: str, weighted: bool, on_every_kernel) -> None:
    batch = pairless_and_not()
    if weighted:
        batch = Batch(batch.scores, batch.labels, batch.sizes, torch.ones(5))
    value, grad, slope = with_margins(loss, [INF], batch, reduction="none")
    assert value[0].tolist() == [0, INF]
    if loss == "hinge":
        assert grad.tolist() == [0, 0, 2, 0, -2] and slope.tolist() == [3]
    value, grad, slope = with_margins(loss, [-INF], batch, reduction="none")
    assert value[0].tolist() == [0, 0] and (grad == 0).all() and (slope == 0).all()


@sanitize
@every_loss
def test_infinite_margin_beside_an_infinite_score(loss: str, on_every_kernel) -> None:
    batch = pairless_and_not()
    batch.scores[0] = batch.scores[3] = INF
    value, grad, slope = with_margins(loss, [INF], batch, reduction="none")
    assert value[0, 0] == 0 and value[0, 1].isnan()
    assert (grad[:2] == 0).all() and grad[2:].isnan().all() and slope.isnan().all()


@sanitize
@pytest.mark.parametrize("reduction", ["mean", "none"])
@every_loss
def test_one_bad_margin_among_several(loss: str, reduction: str, on_every_kernel) -> None:
    """The others' losses are what they are; the gradient of the scores is a sum over all."""
    batch = pairless_and_not()
    value, grad, _ = with_margins(loss, [0.5, NAN, 1.0], batch, reduction=reduction)
    wanted, _, _ = with_margins(loss, [0.5, 1.0], batch, reduction=reduction)
    assert torch.equal(value[[0, 2]], wanted)
    assert value[1].isnan().any() and (grad[:2] == 0).all() and grad[2:].isnan().all()


# ---- Scores beside which a margin is lost ------------------------------------------------------


@sanitize
@pytest.mark.parametrize("boundary_grad", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("n", [2, 300])
@every_loss
def test_margin_beside_huge_scores(
    n: int, dtype: torch.dtype, loss: str, boundary_grad: float, on_every_kernel
) -> None:
    """All scores are 1e17: all gaps are the margin, and every pair is a violation."""
    batch = Batch(torch.full((n,), 1e17, dtype=dtype), torch.arange(n) % 2, (n,))
    options = {"boundary_grad": boundary_grad} if loss == "hinge" else {}
    got = evaluate(LOSSES[loss], one_list(batch), **options)
    assert got.loss == 1
    slope = (1 if loss == "hinge" else 2) / (n / 2)
    wanted = torch.where(batch.labels == 1, -slope, slope).to(dtype)
    assert torch.allclose(got.grad, wanted, rtol=1e-6, atol=0)


@every_loss
def test_small_margin_beside_large_scores(loss: str, on_every_kernel) -> None:
    """fp32 scores of 1e14 are 8e6 apart, fp64 numbers there 1/64: no sum holds a margin of 0.1."""
    batch = Batch(torch.full((4,), 1e14), torch.tensor([0, 1, 0, 1]), (4,), torch.ones(4))
    got = evaluate(LOSSES[loss], one_list(batch), margin=0.1)
    assert got.loss == torch.tensor(0.1 if loss == "hinge" else 0.1**2)


# ---- Workspaces ------------------------------------------------------------------------------


@sanitize
@pytest.mark.parametrize("shape", [(32, 1025), (40, 200)])
@pytest.mark.parametrize("form", ["padded", "lengths", "flat"])
@every_loss
def test_workspaces_hold_what_kernels_write(
    shape: tuple[int, int], form: str, loss: str, dispatch_host
) -> None:
    """The host's queue sees what is written behind an allocation. 32 lists are a batch."""
    generator = torch.Generator().manual_seed(1)
    scores, labels = torch.randn(shape, generator=generator), torch.arange(shape[1]) % 2
    labels = labels.expand(shape).contiguous()
    call = one_list(Batch(scores, labels, (shape[1],)))
    if form == "lengths":
        call.options["lengths"] = torch.full(shape[:1], shape[1] - 1)
    elif form == "flat":
        offsets = torch.arange(shape[0] + 1) * shape[1]
        call = call._replace(scores=scores.flatten(), labels=labels.flatten())
        call.options["offsets"] = offsets
    margins = torch.tensor([1.0, 0.0, 0.5], dtype=torch.float64)
    results = forward(dispatch_host, call, loss, margins=margins)
    assert results["loss"].isfinite().all()
