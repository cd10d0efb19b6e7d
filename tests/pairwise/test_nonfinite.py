"""NaN, infinities, padding that holds them, and lists without pairs: each has one documented
result, and none of it reaches another list."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from support.batches import FORMS, Batch, evaluate, flat, one_list, same_bits
from support.cases import (
    LARGE,
    LOSSES,
    MEDIUM,
    REDUCTIONS,
    SCORE_DTYPES,
    SMALL,
    WEIGHTINGS,
    Case,
    by_name,
    generator_for,
    name_of,
)
from support.oracle.pairwise import exact
from support.tolerance import check, grad_floor, loss_floor

pytestmark = pytest.mark.sanitize

every_loss = pytest.mark.parametrize("loss", LOSSES)
every_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)
every_impl = pytest.mark.parametrize("impl", ["auto", "reference"])
CASES = by_name(SMALL + MEDIUM + LARGE)
INF, NAN = float("inf"), float("nan")


def hold_against_oracle(batch: Batch, loss: str, device: str, impl: str, **options) -> None:
    got = evaluate(LOSSES[loss], flat(batch.to(device)), impl=impl, **options)
    wanted = exact(batch, loss, engine="loops" if len(batch.scores) < 200 else "rows", **options)
    dtype = batch.scores.dtype
    check("loss", got.loss, wanted.loss, loss_floor(wanted, dtype), case=batch.scores[:6])
    check("grad", got.grad, wanted.grad, grad_floor(wanted, dtype), case=batch.scores[:6])


# ---- NaN -----------------------------------------------------------------------------------------


def with_nan(batch: Batch, where: str, item: int) -> Batch:
    changed = getattr(batch, where).clone()
    changed[item] = NAN
    return replace(batch, **{where: changed})


def three_lists(sizes: tuple[int, int, int], dtype: torch.dtype) -> Batch:
    case = Case(f"three_{sizes}", sizes, "NaN goes into the second", labels="continuous")
    batch = case.batch(dtype)
    return replace(
        batch, labels=(batch.labels * 4).to(dtype), weights=torch.ones_like(batch.scores)
    )


@every_loss
@every_reduction
@pytest.mark.parametrize("where", ["scores", "labels", "weights"])
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_nan_poisons_its_list_only(
    loss: str, reduction: str, where: str, weighting: str, device: str
) -> None:
    options = {"reduction": reduction, "weighting": weighting}
    for sizes in ((9, 12, 5), (40, 700, 30)):
        clean = three_lists(sizes, torch.float32)
        batch = with_nan(clean, where, sizes[0] + 3).to(device)
        got = evaluate(LOSSES[loss], flat(batch), **options)
        first, second, third = batch.split(got.grad)
        assert second.isnan().all()
        assert first.isfinite().all() and third.isfinite().all()
        poisoned = got.loss.isnan().tolist()
        assert poisoned == ([False, True, False] if reduction == "none" else True)
        # The other lists are what they would be if this one had no pairs.
        pairless = replace(clean, labels=clean.labels.clone())
        pairless.labels[sizes[0] : sizes[0] + sizes[1]] = 1
        others = evaluate(LOSSES[loss], flat(pairless.to(device)), **options)
        assert same_bits(first, batch.split(others.grad)[0])
        assert same_bits(third, batch.split(others.grad)[2])


@every_loss
@every_impl
@pytest.mark.parametrize("where", ["scores", "labels", "weights"])
@pytest.mark.parametrize("dtype", SCORE_DTYPES, ids=name_of)
@pytest.mark.parametrize("n", [1, 2, 33, 600, 3000])
def test_nan_in_one_list(
    loss: str, impl: str, where: str, dtype: torch.dtype, n: int, device: str
) -> None:
    """Also where the list has no pair to begin with."""
    case = Case(f"nan_{n}", (n,), "NaN among its numbers", labels="continuous", weighted=True)
    batch = case.batch(dtype)
    batch = with_nan(replace(batch, labels=batch.labels.to(dtype)), where, n // 2).to(device)
    got = evaluate(LOSSES[loss], one_list(batch), impl=impl)
    assert got.loss.isnan() and got.grad.isnan().all()


@every_loss
@pytest.mark.parametrize("where", ["scores", "labels", "weights"])
@pytest.mark.parametrize("sizes", [(12_000,), (700,) * 40, (1100,) * 40], ids=["one", "40", "long"])
def test_nan_in_lists_that_are_sorted(
    loss: str, where: str, sizes: tuple[int, ...], device: str
) -> None:
    """Lists so long, or so many, that a GPU sorts them."""
    case = Case(
        "nan_sorted", sizes, "one NaN in the first list", labels="continuous", weighted=True
    )
    batch = case.batch(torch.float32)
    for weighted in (True, where == "weights"):
        poisoned = with_nan(batch if weighted else replace(batch, weights=None), where, 77)
        got = evaluate(LOSSES[loss], flat(poisoned.to(device)), reduction="none")
        assert got.loss.isnan().tolist() == [True] + [False] * (len(sizes) - 1)
        assert got.grad[: sizes[0]].isnan().all() and got.grad[sizes[0] :].isfinite().all()


@every_loss
@pytest.mark.parametrize("payload", [0x7FC00000, 0x7F800001, -0x00400000, -1], ids=hex)
def test_every_nan_is_nan(loss: str, payload: int, device: str) -> None:
    """Quiet, signalling and negative NaN."""
    bits = torch.randn(700, generator=generator_for("payload")).view(torch.int32)
    bits[123] = payload
    scores = bits.view(torch.float32)
    assert scores[123].isnan()
    labels = torch.arange(700) % 3
    for n in (200, 700):
        got = evaluate(LOSSES[loss], one_list(Batch(scores[:n], labels[:n], (n,)).to(device)))
        assert got.loss.isnan() and got.grad.isnan().all()
        as_label = Batch(torch.arange(n) / 7.0, scores[:n], (n,)).to(device)
        got = evaluate(LOSSES[loss], one_list(as_label))
        assert got.loss.isnan() and got.grad.isnan().all()


# ---- Infinities ----------------------------------------------------------------------------------

INFINITIES = {
    # name: (scores, labels)
    "positive_above": ([INF, 0.0, 1.0, 0.5], [1, 0, 0, 1]),
    "negative_below": ([0.0, -INF, 1.0, 0.5], [1, 0, 0, 1]),
    "positive_below": ([-INF, 0.0, 1.0, 0.5], [1, 0, 0, 1]),
    "negative_above": ([0.0, INF, 1.0, 0.5], [1, 0, 0, 1]),
    "both_right": ([INF, -INF, 1.0, 0.5], [1, 0, 0, 1]),
    "both_wrong": ([-INF, INF, 1.0, 0.5], [1, 0, 0, 1]),
    "equal_without_pair": ([INF, INF, -INF, 0.5], [1, 1, 0, 1]),
    "equal_with_pair": ([INF, INF, 0.0, 0.5], [1, 0, 0, 1]),
    "equal_negative_with_pair": ([-INF, -INF, 0.0, 0.5], [1, 0, 0, 1]),
    "no_pairs": ([INF, -INF, INF, 0.5], [1, 1, 1, 1]),
}


@pytest.mark.parametrize("name", INFINITIES)
@pytest.mark.parametrize("copies", [1, 40, 200, 1500])
@pytest.mark.parametrize("dtype", SCORE_DTYPES, ids=name_of)
def test_infinities_hinge(name: str, copies: int, dtype: torch.dtype, device: str) -> None:
    """Copies of finite items only, so that the infinities meet longer lists."""
    scores, labels = INFINITIES[name]
    scores, labels = scores + [0.25, -0.5] * copies, labels + [1, 0] * copies
    batch = Batch.of(scores, labels, dtype=dtype)
    hold_against_oracle(batch, "hinge", device, "auto")
    if dtype == torch.float64:
        hold_against_oracle(batch, "hinge", device, "reference")


@pytest.mark.parametrize("name", INFINITIES)
@pytest.mark.parametrize("copies", [1, 40, 200, 1500])
def test_infinities_squared_hinge(name: str, copies: int, device: str) -> None:
    scores, labels = INFINITIES[name]
    scores, labels = scores + [0.25, -0.5] * copies, labels + [1, 0] * copies
    batch = Batch.of(scores, labels, dtype=torch.float32)
    hold_against_oracle(batch, "squared_hinge", device, "auto")


@pytest.mark.parametrize("name", INFINITIES)
@pytest.mark.parametrize("copies", [1, 40, 200, 1500])
@every_loss
def test_infinities_with_weights(name: str, copies: int, loss: str, device: str) -> None:
    scores, labels = INFINITIES[name]
    scores, labels = scores + [0.25, -0.5] * copies, labels + [1, 0] * copies
    weights = [1.5, 1.0] * (len(scores) // 2)
    batch = Batch.of(scores, labels, weights, dtype=torch.float32)
    for weighting in WEIGHTINGS:
        hold_against_oracle(batch, loss, device, "auto", weighting=weighting)


@pytest.mark.parametrize("name", INFINITIES)
@pytest.mark.parametrize("weightless", ["infinite", "finite", "relevant", "irrelevant"])
@pytest.mark.parametrize("copies", [1, 40, 200, 1500])
@every_loss
def test_infinities_with_weights_of_zero(
    name: str, weightless: str, copies: int, loss: str, device: str
) -> None:
    """A pair of weight 0 adds nothing, except equal infinities, which poison their list."""
    scores, labels = INFINITIES[name]
    scores, labels = scores + [0.25, -0.5] * copies, labels + [1, 0] * copies
    weighs = {
        "infinite": lambda score, label: abs(score) < INF,
        "finite": lambda score, label: abs(score) == INF,
        "relevant": lambda score, label: label == 0,
        "irrelevant": lambda score, label: label == 1,
    }[weightless]
    weights = [1.5 * weighs(*item) for item in zip(scores, labels, strict=True)]
    batch = Batch.of(scores, labels, weights, dtype=torch.float32)
    for weighting in WEIGHTINGS:
        hold_against_oracle(batch, loss, device, "auto", weighting=weighting)
        if copies == 1:
            hold_against_oracle(batch, loss, device, "reference", weighting=weighting)


@every_loss
@every_impl
@pytest.mark.parametrize(("score", "dtype"), [(INF, torch.float32), (1e200, torch.float64)])
@pytest.mark.parametrize("n", [2, 40, 700, 5000])
def test_weightless_items_are_as_good_as_absent(
    loss: str, impl: str, score: float, dtype: torch.dtype, n: int, device: str
) -> None:
    """Also where squares of finite gaps overflow. Nothing is rounded: scores are quarters."""
    if impl == "reference" and n > 700:
        pytest.skip("quadratic")
    generator = generator_for("weightless")
    scores = (torch.randint(-8, 9, (n,), generator=generator) / 4).to(dtype)
    labels = (torch.arange(n) % 50 == 0).long()
    batch = Batch(scores, labels, (n,), torch.ones(n, dtype=dtype))
    for value, label in [(score, 0), (-score, 0), (score, 1), (-score, 1)]:
        margin = torch.tensor([1.0, 0.5], dtype=torch.float64, requires_grad=True)
        item = Batch.of([value], [label], [0.0], dtype=dtype)
        joined = replace(Batch.join([batch, item]), sizes=(n + 1,))
        results = []
        for own in (batch, joined):
            own = own.to(device)
            leaf = own.scores.clone().requires_grad_()
            options = {"weights": own.weights, "reduction": "sum", "impl": impl}
            out = LOSSES[loss](leaf, own.labels, margin=margin, **options).sum()
            results.append([out, *torch.autograd.grad(out, [leaf, margin])])
        (absent, grad, slope), (present, longer, same_slope) = results
        assert torch.equal(present, absent) and torch.equal(same_slope, slope)
        assert torch.equal(longer[:n], grad) and longer[n] == 0


def test_infinities_reach_no_other_list(device: str) -> None:
    clean = three_lists((9, 12, 5), torch.float32)
    scores = clean.scores.clone()
    scores[10], scores[11] = INF, INF
    got = evaluate(LOSSES["hinge"], flat(replace(clean, scores=scores).to(device)))
    first, second, third = clean.split(got.grad)
    assert second.isnan().all() and first.isfinite().all() and third.isfinite().all()


# ---- Padding -------------------------------------------------------------------------------------

FILLERS = [0.0, -0.0, NAN, INF, -INF, 3.4e38, -1e30, 1e-45]


@every_loss
@pytest.mark.parametrize("filler", FILLERS)
@pytest.mark.parametrize("form", ["lengths", "mask", "scattered_mask", "flat_mask"])
@pytest.mark.parametrize("name", ["ragged", "weighted", "one_long"])
def test_padding_is_inert(loss: str, filler: float, form: str, name: str, device: str) -> None:
    """Whatever padding holds and however wide it is, in scores, labels and weights alike."""
    batch = CASES[name].batch(torch.float32)
    labels = batch.labels.float()  # so that labels can hold the filler too
    batch = replace(batch, labels=labels).to(device)
    plain = evaluate(LOSSES[loss], flat(batch))
    for extra in (1, 37):
        padded = evaluate(LOSSES[loss], FORMS[form](batch, extra, filler))
        assert padded.same_bits(plain)
        assert same_bits(padded.padding_grad, torch.zeros_like(padded.padding_grad))


@every_loss
@pytest.mark.parametrize("filler", [NAN, INF, -1e30])
@pytest.mark.parametrize("name", ["n200000_ties", "n150000_rare", "n140000_fractions"])
def test_padding_of_a_long_list_is_inert(loss: str, filler: float, name: str, device: str) -> None:
    batch = CASES[name].batch(torch.float32)
    batch = replace(batch, labels=batch.labels.float()).to(device)
    plain = evaluate(LOSSES[loss], one_list(batch))
    padded = evaluate(LOSSES[loss], FORMS["scattered_mask"](batch, 100_000, filler))
    assert padded.same_bits(plain)
    assert same_bits(padded.padding_grad, torch.zeros_like(padded.padding_grad))


@every_loss
@pytest.mark.parametrize("form", ["lengths", "mask", "scattered_mask", "flat_mask"])
def test_padding_has_gradient_zero_even_in_a_poisoned_list(
    loss: str, form: str, device: str
) -> None:
    batch = with_nan(three_lists((9, 12, 5), torch.float32), "scores", 12).to(device)
    got = evaluate(LOSSES[loss], FORMS[form](batch, 5, NAN))
    assert batch.split(got.grad)[1].isnan().all()
    assert same_bits(got.padding_grad, torch.zeros_like(got.padding_grad))


@every_loss
def test_masked_list_of_one_dimension(loss: str, device: str) -> None:
    batch = CASES["n129"].batch(torch.float32).to(device)
    scores = torch.full((400,), NAN, device=device)
    labels = torch.zeros(400, dtype=torch.int64, device=device)
    mask = torch.zeros(400, dtype=torch.bool, device=device)
    scores[200:329], labels[200:329], mask[200:329] = batch.scores, batch.labels, True
    plain = LOSSES[loss](batch.scores, batch.labels)
    assert same_bits(LOSSES[loss](scores, labels, mask=mask), plain)


# ---- Nothing to sum ------------------------------------------------------------------------------


def everything_masked(device: str) -> tuple[Tensor, Tensor, dict]:
    mask = torch.zeros(3, 4, dtype=torch.bool, device=device)
    return (
        torch.randn(3, 4, device=device),
        torch.arange(12, device=device).view(3, 4),
        {"mask": mask},
    )


def no_lists(device: str) -> tuple[Tensor, Tensor, dict]:
    offsets = torch.zeros(1, dtype=torch.int64, device=device)
    return torch.zeros(0, device=device), torch.zeros(0, device=device), {"offsets": offsets}


NOTHING = {
    "empty_list": lambda d: (torch.zeros(0, device=d), torch.zeros(0, device=d), {}),
    "one_item": lambda d: (torch.ones(1, device=d), torch.ones(1, device=d), {}),
    "no_lists": no_lists,
    "no_rows": lambda d: (torch.zeros(0, 5, device=d), torch.zeros(0, 5, device=d), {}),
    "no_columns": lambda d: (torch.zeros(3, 0, device=d), torch.zeros(3, 0, device=d), {}),
    "equal_labels": lambda d: (torch.randn(3, 50, device=d), torch.ones(3, 50, device=d), {}),
    "equal_labels_long": lambda d: (torch.randn(1200, device=d), torch.ones(1200, device=d), {}),
    "everything_masked": everything_masked,
    "zero_lengths": lambda d: (
        torch.randn(2, 3, device=d),
        torch.tensor([[1, 0, 1], [0, 1, 0]], device=d),
        {"lengths": torch.zeros(2, dtype=torch.int64, device=d)},
    ),
    "zero_weights": lambda d: (
        torch.randn(6, device=d),
        torch.tensor([1, 0, 1, 0, 1, 0], device=d),
        {"weights": torch.zeros(6, device=d)},
    ),
}


@every_loss
@every_reduction
@every_impl
@pytest.mark.parametrize("name", NOTHING)
def test_no_pairs_is_zero_with_a_graph(
    loss: str, reduction: str, impl: str, name: str, device: str
) -> None:
    scores, labels, options = NOTHING[name](device)
    scores.requires_grad_()
    value = LOSSES[loss](scores, labels, reduction=reduction, impl=impl, **options)
    assert value.requires_grad
    assert torch.equal(value, torch.zeros_like(value))
    value.sum().backward()
    assert torch.equal(scores.grad, torch.zeros_like(scores))
