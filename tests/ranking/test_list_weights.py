"""Weights of lists: what each reduction makes of them, in every loss over lists."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

import fused_rankloss
from support import list_weights
from support.batches import FORMS, Batch, evaluate, flat
from support.cases import LOSSES, MEDIUM, REDUCTIONS, SMALL, by_name
from support.list_weights import INF, NO_WEIGHTS, sevens, weighed, with_weights
from support.oracle.pairwise import exact
from support.ranking import LIST, PAIR, RANKING, graded, hold
from support.tolerance import check, grad_floor, loss_floor

pytestmark = pytest.mark.sanitize

CASES = by_name(SMALL + MEDIUM)
ALL = LOSSES | RANKING
MODULES = {
    "PairwiseHingeLoss": "pairwise_hinge_loss",
    "PairwiseSquaredHingeLoss": "pairwise_squared_hinge_loss",
    "PairwiseLogisticLoss": "pairwise_logistic_loss",
    "LambdaLoss": "lambda_loss",
    "ListNetLoss": "listnet_loss",
    "ListMLELoss": "list_mle_loss",
    "ApproxNDCGLoss": "approx_ndcg_loss",
}
# Those in which no item is paired with itself.
WITHOUT_SELVES = [name for name in LOSSES | PAIR if name != "ndcg_loss1"]
every_loss = pytest.mark.parametrize("name", ALL)
every_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)
every_impl = pytest.mark.parametrize("impl", ["auto", "reference"])


# ---- Against the oracle --------------------------------------------------------------------------


@every_loss
@every_reduction
@every_impl
@pytest.mark.parametrize("case", ["ragged", "weighted", "pairless_lists", "no_lists"])
def test_against_the_oracle(name: str, reduction: str, impl: str, case: str, device: str) -> None:
    batch = weighed(graded(CASES[case], torch.float64))
    if name in RANKING:
        hold(RANKING[name], batch, device, impl=impl, case=case, reduction=reduction)
        return
    got = evaluate(LOSSES[name], flat(batch.to(device)), impl=impl, reduction=reduction)
    wanted = exact(batch, name, reduction=reduction)
    check("loss", got.loss, wanted.loss, loss_floor(wanted, torch.float64), case=case)
    check("grad", got.grad, wanted.grad, grad_floor(wanted, torch.float64), case=case)


@every_loss
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64, torch.bool], ids=str)
def test_forms(name: str, form: str, dtype: torch.dtype, device: str) -> None:
    batch = weighed(graded(CASES["ragged"], torch.float32)).to(device)
    batch = replace(batch, list_weights=batch.list_weights.to(dtype))
    got = evaluate(ALL[name], FORMS[form](batch))
    assert got.same_bits(evaluate(ALL[name], flat(batch)))


@every_loss
def test_ones_are_no_weights(name: str, device: str) -> None:
    batch = graded(CASES["ragged"], torch.float32).to(device)
    ones = replace(batch, list_weights=torch.ones(len(batch.sizes), device=device))
    assert evaluate(ALL[name], flat(ones)).same_bits(evaluate(ALL[name], flat(batch)))


# ---- By hand -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reduction", "wanted"),
    [
        ("sum", 2 * 1.5 + 0.5 * 4.0),
        ("none", [2 * 1.5, 0.5 * 4.0]),
        ("mean", (2 * 1.5 + 0.5 * 4.0) / (2 * 1 + 0.5 * 2)),
        ("list_mean", (2 * 1.5 / 1 + 0.5 * 4.0 / 2) / (2 + 0.5)),
        ("batch_mean", (2 * 1.5 + 0.5 * 4.0) / 2),
    ],
)
@every_impl
def test_by_hand(reduction: str, wanted: float, impl: str, device: str) -> None:
    """A list with a pair that costs 1.5, one with two pairs that cost 1 and 3."""
    scores = torch.tensor([0.0, 0.5, 1.0, 1.0, 3.0], device=device)
    labels = torch.tensor([1, 0, 1, 0, 0], device=device)
    loss = fused_rankloss.pairwise_hinge_loss(
        scores,
        labels,
        offsets=torch.tensor([0, 2, 5], device=device),
        list_weights=torch.tensor([2.0, 0.5], device=device),
        reduction=reduction,
        impl=impl,
    )
    torch.testing.assert_close(loss.cpu(), torch.tensor(wanted))


@pytest.mark.parametrize("name", LOSSES | PAIR)
def test_in_the_mean_they_are_weights_of_pairs(name: str, device: str) -> None:
    """With pairs that weigh what their more relevant item does."""
    batch = weighed(graded(CASES["ragged"], torch.float64)).to(device)
    sizes = torch.tensor(batch.sizes, device=device)
    of_items = batch.list_weights.double().repeat_interleave(sizes)
    by_item = replace(batch, list_weights=None, weights=of_items)
    wanted = evaluate(ALL[name], flat(by_item), weighting="preferred")
    got = evaluate(ALL[name], flat(batch))
    torch.testing.assert_close((got.loss, got.grad), (wanted.loss, wanted.grad))


@pytest.mark.parametrize("name", LIST)
def test_in_the_mean_they_are_weights_of_lists(name: str, device: str) -> None:
    batch = sevens(device)
    each = evaluate(ALL[name], flat(batch), reduction="none").loss
    got = evaluate(ALL[name], flat(with_weights(batch, 1, 2, 0, 5))).loss
    torch.testing.assert_close(got, (each[0] + 2 * each[1] + 5 * each[3]) / 8)


@every_loss
def test_one_list(name: str, device: str) -> None:
    batch = sevens(device).lists()[0]
    plain = ALL[name](batch.scores, batch.labels, reduction="sum")
    for weight in (torch.tensor(2.0, device=device), torch.tensor([2.0], device=device)):
        got = ALL[name](batch.scores, batch.labels, list_weights=weight, reduction="sum")
        assert got.shape == () and got == 2 * plain


# ---- What weighs nothing, and what is no weight --------------------------------------------------


@every_loss
@every_reduction
@every_impl
def test_a_weight_of_0_leaves_a_list_out(name: str, reduction: str, impl: str, device: str) -> None:
    loss = partial(ALL[name], impl=impl)
    list_weights.hold_zero_leaves_out(loss, sevens(device), reduction)
    list_weights.hold_all_zero(loss, sevens(device), reduction)


@every_loss
@every_reduction
@every_impl
def test_nan_stays(name: str, reduction: str, impl: str, device: str) -> None:
    list_weights.hold_nan_stays(partial(ALL[name], impl=impl), sevens(device), reduction)


@every_loss
@every_reduction
@every_impl
@pytest.mark.parametrize("bad", NO_WEIGHTS)
def test_what_is_no_weight(name: str, reduction: str, impl: str, bad: float, device: str) -> None:
    loss = partial(ALL[name], impl=impl)
    list_weights.hold_what_is_no_weight(loss, sevens(device), bad, reduction)


@every_loss
@every_impl
def test_an_empty_list(name: str, impl: str, device: str) -> None:
    """Its weight counts in no mean; what is no weight makes it NaN all the same."""
    lists = sevens(device).lists()
    empty = Batch(lists[0].scores[:0], lists[0].labels[:0], (0,))
    three, two = Batch.join([lists[0], empty, lists[1]]), Batch.join(lists[:2])
    loss = partial(ALL[name], impl=impl)
    for reduction in ("mean", "sum", "list_mean"):
        got = evaluate(loss, flat(with_weights(three, 1, 100, 2)), reduction=reduction)
        wanted = evaluate(loss, flat(with_weights(two, 1, 2)), reduction=reduction)
        torch.testing.assert_close((got.loss, got.grad), (wanted.loss, wanted.grad))
    each = evaluate(loss, flat(with_weights(three, 1, -1, 2)), reduction="none")
    assert each.loss.isnan().tolist() == [False, True, False] and each.grad.isfinite().all()


@pytest.mark.parametrize("name", WITHOUT_SELVES)
@every_reduction
@every_impl
@pytest.mark.parametrize("n", [7, 400])
def test_a_weight_of_0_at_an_infinite_gap(
    name: str, reduction: str, impl: str, n: int, device: str
) -> None:
    batch = sevens(device, n)
    batch.scores[n + 3] = INF
    list_weights.hold_zero_leaves_out(partial(ALL[name], impl=impl), batch, reduction, n)


@every_impl
@pytest.mark.parametrize("name", LOSSES)
def test_margins(name: str, impl: str, device: str) -> None:
    """Of a list without weight a margin has no gradient, not even one that is NaN."""
    batch = sevens(device)
    batch.scores[3] = INF
    margins = torch.tensor([0.5, INF], device=device, requires_grad=True)
    call = flat(with_weights(batch, 0, 1, 0, 0))
    alone = batch.lists()[1]
    got = LOSSES[name](call.scores, call.labels, margin=margins, impl=impl, **call.options)
    wanted = LOSSES[name](alone.scores, alone.labels, margin=margins, impl=impl)
    torch.testing.assert_close(got, wanted, rtol=0, atol=0, equal_nan=True)
    (slopes,) = torch.autograd.grad(got[0], margins)
    (expected,) = torch.autograd.grad(wanted[0], margins)
    torch.testing.assert_close(slopes, expected, rtol=0, atol=0, equal_nan=True)


# ---- Around them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in PAIR if name != "ndcg_loss1"])
def test_statistics_do_not_depend_on_them(name: str, device: str) -> None:
    call = flat(with_weights(sevens(device), 1, 0, 2, 0.5))
    plain = flat(sevens(device))
    got = PAIR[name](call.scores, call.labels, return_statistics=True, **call.options)[1]
    wanted = PAIR[name](plain.scores, plain.labels, return_statistics=True, **plain.options)[1]
    assert all(torch.equal(a, b) for a, b in zip(got, wanted, strict=True))


@every_loss
def test_compiled(name: str, device: str) -> None:
    call = flat(with_weights(sevens(device), 1, 0, 2, 0.5))
    torch._dynamo.reset()
    compiled = torch.compile(ALL[name], fullgraph=True, backend="aot_eager")
    assert evaluate(compiled, call).same_bits(evaluate(ALL[name], call))


@pytest.mark.parametrize("module", MODULES)
def test_modules_take_them(module: str, device: str) -> None:
    call = flat(with_weights(sevens(device), 1, 0, 2, 0.5))
    got = getattr(fused_rankloss, module)()(call.scores, call.labels, **call.options)
    wanted = getattr(fused_rankloss, MODULES[module])(call.scores, call.labels, **call.options)
    assert torch.equal(got, wanted)


@every_loss
def test_what_is_refused(name: str) -> None:
    batch = sevens("cpu")
    scores, labels = batch.scores.view(4, 7), batch.labels.view(4, 7)

    def refused(error: type[Exception], text: str, weights: object, *shape: int) -> None:
        with pytest.raises(error, match=text):
            ALL[name](scores.reshape(shape), labels.reshape(shape), list_weights=weights)

    shape = r"_loss: expected list_weights of shape \[4\] \(one for each list\), got "
    refused(ValueError, shape + r"\[28\]", torch.ones(28), 4, 7)
    refused(ValueError, shape + r"\[\]", torch.tensor(1.0), 4, 7)
    refused(ValueError, shape + r"\[4, 1\]", torch.ones(4, 1), 4, 7)
    refused(
        ValueError, r"list_weights of shape \[1\] \(one for each list\), got", torch.ones(2), 28
    )
    refused(
        ValueError, "list_weights that require no grad", torch.ones(4, requires_grad=True), 4, 7
    )
    refused(ValueError, "list_weights on cpu", torch.ones(4, device="meta"), 4, 7)
    refused(TypeError, "real list_weights", torch.ones(4, dtype=torch.complex64), 4, 7)
    refused(TypeError, r"got list; pass torch.as_tensor\(list_weights\)", [1.0] * 4, 4, 7)
