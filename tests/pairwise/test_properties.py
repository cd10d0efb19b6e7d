"""Properties that hold for every batch, on batches that hypothesis draws.

Scores are multiples of 1/8 below 64, so that shifts, scalings by powers of two and sums of them are
exact in single precision: what should be equal is then equal bit for bit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from support.batches import FORMS, Batch, evaluate, flat, same_bits
from support.cases import LOSSES, REDUCTIONS, SCORE_DTYPES, WEIGHTINGS
from support.oracle.pairwise import exact
from support.tolerance import check, grad_floor, loss_floor

pytestmark = pytest.mark.sanitize

# Where loops, vectors, warps, direct pairs, sorts and ranges begin and end.
POWERS = [2**k + step for k in range(1, 12) for step in (-1, 0, 1)]
SIZES = st.one_of(
    st.sampled_from([0, 1, 2, 31, 32, 33, 1023, 1024, 1025, *POWERS]), st.integers(0, 70)
)
LABEL_DTYPES = [torch.int8, torch.int32, torch.int64, torch.float16, torch.float32, torch.float64]

every_loss = pytest.mark.parametrize("loss", LOSSES)
seeds = st.integers(0, 2**32 - 1)
margins = st.integers(-16, 32).map(lambda eighths: eighths / 8)
reductions = st.sampled_from(REDUCTIONS)
fillers = st.sampled_from([0.0, float("nan"), float("inf"), -float("inf"), 1e30])


@st.composite
def batches(draw, dtypes=(torch.float32,), weighted=None, max_lists: int = 5) -> Batch:
    """Lists whose items come from a drawn seed: hypothesis shrinks shapes, not every number."""
    sizes = tuple(draw(st.lists(SIZES, max_size=max_lists)))
    numbers = np.random.default_rng(draw(seeds))
    total = sum(sizes)
    spread = draw(st.sampled_from([1, 8, 64, 500]))
    grades = draw(st.sampled_from([1, 2, 3, 5, 100]))
    scores = torch.from_numpy(numbers.integers(-spread, spread + 1, total) / 8)
    labels = torch.from_numpy(numbers.integers(0, grades, total))
    weighted = draw(st.booleans()) if weighted is None else weighted
    weights = torch.from_numpy(numbers.integers(0, 4, total)).float() if weighted else None
    label_dtype = draw(st.sampled_from(LABEL_DTYPES))
    dtype = draw(st.sampled_from(dtypes))
    return Batch(scores.to(dtype), labels.to(label_dtype), sizes, weights)


@every_loss
@given(
    batch=batches(dtypes=SCORE_DTYPES),
    margin=margins,
    reduction=reductions,
    weighting=st.sampled_from(WEIGHTINGS),
    form=st.sampled_from(sorted(FORMS)),
)
def test_oracle(loss, batch, margin, reduction, weighting, form, device) -> None:
    options = {"margin": margin, "reduction": reduction, "weighting": weighting}
    got = evaluate(LOSSES[loss], FORMS[form](batch.to(device)), **options)
    wanted = exact(batch, loss, **options)
    dtype = batch.scores.dtype
    check("loss", got.loss, wanted.loss, loss_floor(wanted, dtype), case=(batch.sizes, options))
    check("grad", got.grad, wanted.grad, grad_floor(wanted, dtype), case=(batch.sizes, options))
    assert not got.padding_grad.count_nonzero()


@given(batch=batches(weighted=False), margin=margins, boundary_grad=st.sampled_from([0, 1]))
def test_counts(batch, margin, boundary_grad, device) -> None:
    """With "sum" the hinge gradient is the number of violated pairs, exactly."""
    options = {"margin": margin, "boundary_grad": float(boundary_grad), "reduction": "sum"}
    got = evaluate(LOSSES["hinge"], flat(batch.to(device)), **options)
    assert torch.equal(got.grad.double().cpu(), exact(batch, "hinge", **options).grad)


@every_loss
@given(batch=batches(), margin=margins, seed=seeds)
def test_permutation(loss, batch, margin, seed, device) -> None:
    """On this grid every sum is exact, so that the order of items cannot show at all."""
    numbers = np.random.default_rng(seed)
    begin, order = 0, []
    for size in batch.sizes:
        order.append(torch.from_numpy(begin + numbers.permutation(size)))
        begin += size
    order = torch.cat([torch.zeros(0, dtype=torch.int64), *order])
    options = {"margin": margin, "reduction": "sum"}
    here = evaluate(LOSSES[loss], flat(batch.to(device)), **options)
    there = evaluate(LOSSES[loss], flat(batch.take(order).to(device)), **options)
    assert torch.equal(here.loss, there.loss)
    assert torch.equal(here.grad[order.to(device)], there.grad)


@every_loss
@given(batch=batches(), margin=margins, shift=st.integers(-(2**17), 2**17))
def test_shift(loss, batch, margin, shift, device) -> None:
    moved = replace(batch, scores=batch.scores + shift / 8)
    here = evaluate(LOSSES[loss], flat(batch.to(device)), margin=margin)
    there = evaluate(LOSSES[loss], flat(moved.to(device)), margin=margin)
    assert torch.equal(here.loss, there.loss)
    assert torch.equal(here.grad, there.grad)


@every_loss
@given(batch=batches(), margin=margins, exponent=st.integers(-20, 20))
def test_scale(loss, batch, margin, exponent, device) -> None:
    factor = 2.0**exponent
    larger = replace(batch, scores=batch.scores * factor)
    here = evaluate(LOSSES[loss], flat(batch.to(device)), margin=margin)
    there = evaluate(LOSSES[loss], flat(larger.to(device)), margin=margin * factor)
    degree = 1 if loss == "hinge" else 2
    assert torch.equal(here.loss * factor**degree, there.loss)
    assert torch.equal(here.grad * factor ** (degree - 1), there.grad)


@every_loss
@given(batch=batches(weighted=False), margin=margins)
def test_mirror(loss, batch, margin, device) -> None:
    """Reversing both orders maps every pair to itself, with its roles exchanged."""
    labels = batch.labels.double()
    mirrored = replace(batch, scores=-batch.scores, labels=-labels)
    here = evaluate(LOSSES[loss], flat(batch.to(device)), margin=margin)
    there = evaluate(LOSSES[loss], flat(mirrored.to(device)), margin=margin)
    assert torch.equal(here.loss, there.loss)
    assert torch.equal(here.grad, -there.grad)


@every_loss
@given(
    batch=batches(),
    form=st.sampled_from(["lengths", "mask", "scattered_mask", "flat_mask"]),
    extra=st.integers(0, 40),
    filler=fillers,
    reduction=reductions,
)
def test_padding(loss, batch, form, extra, filler, reduction, device) -> None:
    batch = replace(batch, labels=batch.labels.float()).to(device)
    plain = evaluate(LOSSES[loss], flat(batch), reduction=reduction)
    padded = evaluate(LOSSES[loss], FORMS[form](batch, extra, filler), reduction=reduction)
    assert padded.same_bits(plain)
    assert same_bits(padded.padding_grad, torch.zeros_like(padded.padding_grad))


@every_loss
@given(batch=batches(dtypes=SCORE_DTYPES), margin=margins)
def test_lists_are_independent(loss, batch, margin, device) -> None:
    batch = batch.to(device)
    options = {"margin": margin, "reduction": "none"}
    together = evaluate(LOSSES[loss], flat(batch), **options)
    grads = batch.split(together.grad)
    for place, one in enumerate(batch.lists()):
        alone = evaluate(LOSSES[loss], flat(one), **options)
        assert same_bits(alone.loss[0], together.loss[place])
        assert same_bits(alone.grad, grads[place])


@every_loss
@given(batch=batches(), margin=margins)
def test_gradients_sum_to_zero(loss, batch, margin, device) -> None:
    """Exactly for counts, also weighted ones; slopes are rounded to single precision once."""
    got = evaluate(LOSSES[loss], flat(batch.to(device)), margin=margin, reduction="sum")
    for rows in batch.split(got.grad.double().cpu()):
        allowed = 0.0 if loss == "hinge" else 2**-23 * float(rows.abs().sum())
        assert abs(float(rows.sum())) <= allowed


@every_loss
@given(batch=batches(weighted=False), margin=margins)
def test_relabelling(loss, batch, margin, device) -> None:
    """Only the order of labels counts: any increasing function of them gives the same bits."""
    batch = batch.to(device)
    labels = batch.labels.double()
    here = evaluate(LOSSES[loss], flat(batch), margin=margin)
    for increasing in (labels**3 - 1000.5, (labels * 2**40).long(), torch.atan(labels)):
        there = evaluate(LOSSES[loss], flat(replace(batch, labels=increasing)), margin=margin)
        assert here.same_bits(there)
