"""Margins: floats and tensors, several at once, learned, not finite."""

from __future__ import annotations

import pytest
import torch

from support.batches import FORMS, Batch, Outcome, evaluate, flat, same_bits
from support.cases import (
    LOSSES,
    MEDIUM,
    REDUCTIONS,
    SMALL,
    WEIGHTINGS,
    Case,
    by_name,
    generator_for,
)
from support.oracle.pairwise import exact

pytestmark = pytest.mark.sanitize

every_loss = pytest.mark.parametrize("loss", LOSSES)
every_reduction = pytest.mark.parametrize("reduction", REDUCTIONS)
CASES = by_name(SMALL + MEDIUM)
SOME = [CASES[name] for name in ("boundary_grades", "ragged", "weighted", "n1025")]
some_cases = pytest.mark.parametrize("case", SOME, ids=lambda case: case.name)
MARGINS = [0.5, -1.25, 0.0, 3.0, 0.1]
INF = float("inf")


@some_cases
@every_loss
@pytest.mark.parametrize("margin", MARGINS)
def test_a_tensor_is_its_float(case: Case, loss: str, margin: float, device: str) -> None:
    call = flat(case.batch(torch.float32).to(device))
    plain = evaluate(LOSSES[loss], call, margin=margin)
    tensor = torch.tensor(margin, dtype=torch.float64, device=device)
    assert plain.same_bits(evaluate(LOSSES[loss], call, margin=tensor))
    one = evaluate(LOSSES[loss], call, margin=tensor[None])
    assert plain.same_bits(Outcome(one.loss[0], one.grad))


@some_cases
@every_loss
@every_reduction
def test_several_margins_are_each_alone(case: Case, loss: str, reduction: str, device: str) -> None:
    call = flat(case.batch(torch.float32).to(device))
    margins = torch.tensor(MARGINS, dtype=torch.float64, device=device)
    for place, margin in enumerate(MARGINS):
        alone = evaluate(LOSSES[loss], call, margin=margin, reduction=reduction)
        grad_output = torch.zeros((len(MARGINS), *alone.loss.shape))
        grad_output[place] = 1
        together = evaluate(LOSSES[loss], call, grad_output, margin=margins, reduction=reduction)
        assert same_bits(together.loss[place], alone.loss)
        # The other margins' gradients enter times 0, which may turn 0.0 into -0.0.
        assert torch.equal(together.grad, alone.grad)


@every_loss
@pytest.mark.parametrize("form", FORMS)
def test_gradients_of_several_margins_add(loss: str, form: str, device: str) -> None:
    batch = CASES["ragged"].batch(torch.float64)
    margins = torch.tensor(MARGINS, dtype=torch.float64)
    grad_output = torch.randn(len(MARGINS), generator=generator_for("margins"), dtype=torch.float64)
    got = evaluate(
        LOSSES[loss], FORMS[form](batch.to(device)), grad_output, margin=margins.to(device)
    )
    parts = [
        exact(batch, loss, margin=margin, grad_output=factor)
        for margin, factor in zip(MARGINS, grad_output, strict=True)
    ]
    wanted = sum(part.grad for part in parts)
    allowed = sum(part.grad_bound for part in parts) * parts[0].roundings * 2**-53
    assert ((got.grad.cpu() - wanted).abs() <= allowed).all()
    assert not got.padding_grad.count_nonzero()


# ---- Learned margins -----------------------------------------------------------------------------


def margin_gradient(loss: str, call, margin, grad_output, **options) -> torch.Tensor:
    given = margin.clone().requires_grad_()
    value = LOSSES[loss](call.scores, call.labels, margin=given, **call.options, **options)
    (grad,) = torch.autograd.grad(value, given, grad_output.to(value))
    return grad


@some_cases
@every_loss
@every_reduction
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_margin_gradient(
    case: Case, loss: str, reduction: str, weighting: str, device: str
) -> None:
    batch = case.batch(torch.float64)
    options = {"reduction": reduction, "weighting": weighting}
    shape = [len(MARGINS)] + ([len(batch.sizes)] if reduction == "none" else [])
    grad_output = torch.randn(shape, generator=generator_for(case.name), dtype=torch.float64)
    margins = torch.tensor(MARGINS, dtype=torch.float64, device=device)
    call = flat(batch.to(device))
    got = margin_gradient(loss, call, margins, grad_output, **options).cpu()
    for place, margin in enumerate(MARGINS):
        # d loss / d margin is minus the sum of what each pair sends to its more relevant item.
        unit = exact(batch, loss, margin=margin, **options)
        scales = [one.margin_slope for one in unit.sums]
        bounds = [float(torch.as_tensor(one.grad_bound).sum()) for one in unit.sums]
        factors = factors_of(unit, reduction, grad_output[place])
        wanted = sum(f * s for f, s in zip(factors, scales, strict=True))
        bound = sum(abs(f) * b for f, b in zip(factors, bounds, strict=True))
        assert abs(got[place].item() - wanted) <= unit.roundings * 2**-53 * bound


def factors_of(unit, reduction: str, grad_output: torch.Tensor) -> list[float]:
    from support.oracle.pairwise import list_scales

    scales = torch.tensor(list_scales(unit.sums, reduction), dtype=torch.float64)
    return (scales * grad_output).tolist()


@some_cases
@every_loss
def test_margin_gradient_against_the_reference(case: Case, loss: str, device: str) -> None:
    call = flat(case.batch(torch.float64).to(device))
    margins = torch.tensor(MARGINS[:4], dtype=torch.float64, device=device)
    grad_output = torch.tensor([1.0, -0.5, 2.0, 0.25])
    fused = margin_gradient(loss, call, margins, grad_output)
    plain = margin_gradient(loss, call, margins, grad_output, impl="reference")
    # Slopes of one sign: as many roundings as pairs, none of them cancelling.
    torch.testing.assert_close(fused, plain, rtol=1e-12, atol=1e-14)


@every_loss
@pytest.mark.parametrize("shape", [(), (3,)], ids=["scalar", "three"])
def test_margin_gradient_against_finite_differences(
    loss: str, shape: tuple[int, ...], device: str
) -> None:
    """Continuous scores: no kink within the step."""
    call = flat(CASES["n129"].batch(torch.float64).to(device))
    margin = torch.full(shape, 0.7, dtype=torch.float64, device=device, requires_grad=True)
    scores = call.scores.detach().requires_grad_()

    def function(scores, margin):
        return LOSSES[loss](scores, call.labels, margin=margin, **call.options)

    assert torch.autograd.gradcheck(function, (scores, margin), eps=1e-7, atol=1e-6, rtol=1e-6)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int64])
def test_margin_dtypes(loss: str, dtype: torch.dtype, device: str) -> None:
    call = flat(CASES["ragged"].batch(torch.float32).to(device))
    margin = torch.tensor([1, 2], dtype=dtype, device=device)
    got = evaluate(LOSSES[loss], call, margin=margin)
    assert got.loss.dtype == torch.float32
    assert got.same_bits(evaluate(LOSSES[loss], call, margin=margin.double()))
    if dtype.is_floating_point:
        assert margin_gradient(loss, call, margin, torch.ones(2)).dtype == dtype


def test_only_the_margin_requires_grad(device: str) -> None:
    call = flat(CASES["ragged"].batch(torch.float32).to(device))
    margin = torch.tensor(1.0, device=device, requires_grad=True)
    LOSSES["hinge"](call.scores, call.labels, margin=margin, **call.options).backward()
    both = torch.tensor(1.0, device=device, requires_grad=True)
    scores = call.scores.clone().requires_grad_()
    LOSSES["hinge"](scores, call.labels, margin=both, **call.options).backward()
    assert margin.grad.item() != 0
    assert same_bits(margin.grad, both.grad)


# Three lists, of which the second has no pair.
SIZES = [(3, 2, 4), (300, 2, 40), (700, 2, 3000)]
every_impl = pytest.mark.parametrize("impl", ["auto", "reference"])


def three_lists(sizes: tuple[int, ...], dtype: torch.dtype, device: str):
    generator = generator_for(f"margins_{sizes}")
    scores = torch.randn(sum(sizes), generator=generator).to(dtype)
    labels = torch.arange(sum(sizes)) % 3
    labels[sizes[0] : sizes[0] + sizes[1]] = 1
    return flat(Batch(scores, labels, sizes).to(device))


@every_loss
@every_reduction
@every_impl
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_a_margin_that_is_nan(
    loss: str, reduction: str, impl: str, sizes: tuple, dtype: torch.dtype, device: str
) -> None:
    """Its loss is NaN, the others' are not; no gradient says that all is well."""
    if impl == "reference" and max(sizes) > 300:
        return
    call = three_lists(sizes, dtype, device)
    options = {"reduction": reduction, "impl": impl}
    margins = torch.tensor([1.0, float("nan"), 2.0], device=device, requires_grad=True)
    scores = call.scores.detach().requires_grad_()
    values = LOSSES[loss](scores, call.labels, margin=margins, **call.options, **options)
    has_pair = torch.tensor([True, False, True], device=device)
    wanted = has_pair if reduction == "none" else has_pair.any()
    assert torch.equal(values[1].isnan(), wanted)
    for place in (0, 2):
        alone = LOSSES[loss](
            call.scores, call.labels, margin=margins[place].item(), **call.options, **options
        )
        assert same_bits(values[place].detach(), alone)
    values.nan_to_num().sum().backward()
    first, second, third = scores.grad.split(sizes)
    assert first.isnan().all() and third.isnan().all()
    assert not second.count_nonzero()
    assert margins.grad.isnan().all()


@every_loss
@every_impl
def test_a_margin_that_is_nan_where_there_is_no_pair(loss: str, impl: str, device: str) -> None:
    scores = torch.zeros(5, device=device, requires_grad=True)
    margin = torch.tensor(float("nan"), device=device, requires_grad=True)
    value = LOSSES[loss](scores, torch.ones(5, device=device), margin=margin, impl=impl)
    value.backward()
    assert value.item() == 0 and margin.grad.item() == 0 and not scores.grad.count_nonzero()


@every_loss
@every_impl
@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_a_margin_that_is_infinite(
    loss: str, impl: str, sizes: tuple, dtype: torch.dtype, device: str
) -> None:
    """As the formula has it: every pair violates it, or none does."""
    if impl == "reference" and max(sizes) > 300:
        return
    call = three_lists(sizes, dtype, device)
    options = {"reduction": "sum", "impl": impl}
    none = evaluate(LOSSES[loss], call, margin=torch.tensor(-INF, device=device), **options)
    assert none.loss.item() == 0 and not none.grad.count_nonzero()
    every = evaluate(LOSSES[loss], call, margin=torch.tensor(INF, device=device), **options)
    assert every.loss.item() == INF
    lists = call.labels.cpu().split(sizes)
    counts = [((y[:, None] < y) * 1).sum(1) - ((y[:, None] > y) * 1).sum(1) for y in lists]
    counts = torch.cat(counts).to(call.scores)
    got = every.grad
    if loss == "hinge":
        assert torch.equal(got, counts)
    else:
        # Slopes are infinite: an item between others has both.
        top, bottom = call.labels == 2, call.labels == 0
        assert (got[top] == -INF).all() and (got[bottom] == INF).all()


@every_loss
@every_impl
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_infinite_margins_and_scores(loss: str, impl: str, sizes: tuple, device: str) -> None:
    """Their difference may be NaN: the list is."""
    if impl == "reference" and max(sizes) > 300:
        return
    call = three_lists(sizes, torch.float32, device)
    scores = call.scores.clone()
    scores[2] = INF
    margins = torch.tensor([INF, 1.0], device=device)
    call = call._replace(scores=scores)
    got = evaluate(LOSSES[loss], call, margin=margins, impl=impl, reduction="none")
    assert got.loss[0].isnan().tolist() == [True, False, False]
    assert not got.loss[1].isnan().any()
    assert got.grad[: sizes[0]].isnan().all()
    assert not got.grad[sizes[0] : sizes[0] + 2].count_nonzero()
