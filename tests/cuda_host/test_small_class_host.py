"""The kernels of one list with a small class, run on the CPU, against the float64 reference.

Any length will do: the kernels do not ask. A small class has up to a 32nd of the slots; lists
without one are sorted after all.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from host_cases import forward, hold_counts, same_bits, sanitize

import fused_rankloss
from batches import FORMS, Batch, evaluate, flat, one_list, padded_lengths
from cases import LOSSES, REDUCTIONS, Case, generator_for, name_of
from oracle import exact
from tolerance import check, loss_floor

HINGE = LOSSES["hinge"]
SHARE = 32
wide_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=name_of)
either_class = pytest.mark.parametrize("relevant", [True, False], ids=["positives", "negatives"])


def list_of(
    n: int, small: int, relevant: bool = True, dtype=torch.float32, scores: str = "normal"
) -> Batch:
    """``small`` items of one class, the more relevant one or the other, in any places."""
    batch = Case(f"{scores}{n}", (n,), "", scores=scores).batch(dtype)
    labels = torch.full((n,), not relevant)
    order = torch.randperm(n, generator=generator_for(f"places{n}"))
    labels[order[:small]] = relevant
    return replace(batch, labels=labels.int())


# ---- Against the oracle ----------------------------------------------------------------------


@sanitize
@wide_dtypes
@either_class
@pytest.mark.parametrize(("n", "small"), [(SHARE, 1), (300, 7), (5000, 150)])
def test_sizes(n: int, small: int, relevant: bool, dtype: torch.dtype, small_class_host) -> None:
    batch = list_of(n, small, relevant, dtype)
    small_class_host.set(blocks=3)
    for boundary_grad in (0.0, 1.0):
        options = {"boundary_grad": boundary_grad}
        results = forward(small_class_host, one_list(batch), "hinge", **options)
        assert small_class_host.was_small()
        hold_counts(results, batch, **options)


@wide_dtypes
@either_class
@pytest.mark.parametrize(
    ("scores", "margin"), [("quarters", -0.25), ("quarters", 0.5), ("wide", 0.1), ("equal", 0.0)]
)
def test_margin_and_boundary(
    scores: str, margin: float, relevant: bool, dtype: torch.dtype, small_class_host
) -> None:
    small_class_host.set()
    batch = list_of(700, 20, relevant, dtype, scores)
    for boundary_grad in (0.0, 1.0):
        options = {"margin": margin, "boundary_grad": boundary_grad}
        results = forward(small_class_host, one_list(batch), "hinge", **options)
        assert small_class_host.was_small()
        hold_counts(results, batch, **options)


@sanitize
@either_class
def test_more_scores_than_a_block_keeps(relevant: bool, small_class_host) -> None:
    """A search goes on outside shared memory, and the last group of scores is a shorter one."""
    small = 4160
    batch = list_of(small * SHARE, small, relevant)
    small_class_host.set(blocks=3)
    results = forward(small_class_host, one_list(batch), "hinge", margin=0.01)
    assert small_class_host.was_small()
    hold_counts(results, batch, margin=0.01)


@either_class
def test_all_pairs_violate_or_none(relevant: bool, small_class_host) -> None:
    """One counter for all items of the big class, of every block."""
    small_class_host.set(blocks=3)
    batch = list_of(7000, 200, relevant)
    for margin in (-100.0, 100.0):
        results = forward(small_class_host, one_list(batch), "hinge", margin=margin)
        hold_counts(results, batch, margin=margin)
        pairs = 200 * 6800 if margin > 0 else 0
        assert results["margin_slope"].item() == pairs


def test_offset_scores(small_class_host) -> None:
    """The terms of the loss are a million times as large as what remains of them."""
    small_class_host.set()
    batch = list_of(3000, 90)
    far = torch.randint(0, 2, (3000,), generator=generator_for("far")) * 0.5 + 2.0**20
    batch = replace(batch, scores=far)
    for margin in (2.0**-12, 0.5 + 2.0**-30):
        call = one_list(batch)
        hold_counts(forward(small_class_host, call, "hinge", margin=margin), batch, margin=margin)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reductions(reduction: str, on_small_class_host) -> None:
    batch = list_of(500, 15)
    upstream = torch.tensor([1.5] if reduction == "none" else 1.5, dtype=torch.float64)
    outcome = evaluate(HINGE, flat(batch), upstream, reduction=reduction)
    wanted = exact(batch, "hinge", upstream=upstream, reduction=reduction)
    assert on_small_class_host.was_small()
    check("loss", outcome.loss, wanted.loss, loss_floor(wanted, torch.float32))
    check("grad", outcome.grad, wanted.grad, torch.zeros(()))


@sanitize
@pytest.mark.parametrize(
    "label_dtype",
    [torch.bool, torch.int8, torch.int64, torch.float16, torch.float64],
    ids=name_of,
)
@either_class
def test_label_types(label_dtype: torch.dtype, relevant: bool, small_class_host) -> None:
    """Among them the lowest label that there is, which has no entry in the table of levels."""
    small_class_host.set()
    batch = list_of(400, 12, relevant)
    labels = batch.labels.to(label_dtype)
    batches = [replace(batch, labels=labels)]
    if label_dtype in (torch.int8, torch.int64):
        labels = labels.clone()
        labels[labels == 0] = torch.iinfo(label_dtype).min
        batches.append(replace(batch, labels=labels))
    for batch in batches:
        hold_counts(forward(small_class_host, one_list(batch), "hinge"), batch)
        assert small_class_host.was_small()


# ---- Lists without a small class -------------------------------------------------------------


@sanitize
@wide_dtypes
@pytest.mark.parametrize(
    ("n", "small", "levels"),
    [(1, 0, 1), (500, 0, 1), (500, 16, 2), (500, 250, 2), (500, 12, 3), (500, 12, 40)],
)
def test_sorted_after_all(
    n: int, small: int, levels: int, dtype: torch.dtype, small_class_host
) -> None:
    batch = list_of(n, small, True, dtype)
    if levels > 2:
        batch.labels[:levels] = torch.arange(levels)
    small_class_host.set(blocks=3)
    results = forward(small_class_host, one_list(batch), "hinge")
    assert not small_class_host.was_small()
    hold_counts(results, batch)


@sanitize
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("of_small", [True, False])
def test_scores_that_are_not_finite(value: float, of_small: bool, on_small_class_host) -> None:
    batch = list_of(500, 15)
    batch.scores[(batch.labels == of_small).nonzero()[7]] = value
    outcome = evaluate(HINGE, padded_lengths(batch, filler=math.nan), reduction="sum")
    assert not on_small_class_host.was_small()
    assert (outcome.padding_grad == 0).all()
    if math.isnan(value):
        assert outcome.loss.isnan() and outcome.grad.isnan().all()
    else:
        wanted = exact(batch, "hinge", reduction="sum")
        assert outcome.loss.double() == wanted.loss.float()
        assert torch.equal(outcome.grad.double(), wanted.grad)


def test_nan_labels(on_small_class_host) -> None:
    batch = list_of(500, 15)
    labels = batch.labels.float()
    labels[batch.labels == 1] = math.nan
    outcome = evaluate(HINGE, one_list(replace(batch, labels=labels)))
    assert not on_small_class_host.was_small()
    assert outcome.loss.isnan() and outcome.grad.isnan().all()


@sanitize
@pytest.mark.parametrize("offsets", [[0, 999], [1, 1000], [0, 1001], [0, -5], [800, 20]])
def test_invalid_offsets(offsets: list[int], small_class_host) -> None:
    """The list is poisoned, and nothing is read or written out of bounds."""
    small_class_host.set()
    call = one_list(list_of(1000, 20))
    call.options["offsets"] = torch.tensor(offsets)
    results = forward(small_class_host, call, "hinge", reduction="none")
    assert results["loss"].isnan().all() and results["list_scale"].isnan().all()


# ---- Margins and padding ---------------------------------------------------------------------


@sanitize
@either_class
def test_many_margins(relevant: bool, small_class_host) -> None:
    small_class_host.set(blocks=3)
    call = one_list(list_of(2100, 60, relevant))
    margins = torch.tensor([0.5, -1.0, math.pi, 0.0], dtype=torch.float64)
    together = forward(small_class_host, call, "hinge", margins=margins)
    assert small_class_host.was_small()
    for k, margin in enumerate(margins.tolist()):
        single = forward(small_class_host, call, "hinge", margin=margin)
        for name in ("loss", "raw_grad", "margin_slope"):
            assert same_bits(together[name][k], single[name].reshape(together[name][k].shape))


@either_class
def test_margin_that_is_not_finite(relevant: bool, small_class_host) -> None:
    """Without a gradient at NaN, where no pair can be told to violate it; with one at infinity."""
    small_class_host.set()
    call = one_list(list_of(500, 15, relevant))
    margins = torch.tensor([1.0, math.nan, math.inf, -math.inf], dtype=torch.float64)
    for boundary_grad in (0.0, 1.0):
        results = forward(
            small_class_host, call, "hinge", margins=margins, boundary_grad=boundary_grad
        )
        assert small_class_host.was_small()
        assert results["loss"].isfinite().tolist() == [True, False, False, False]
        assert results["margin_slope"].flatten().tolist()[1:] == [0, 15 * 485, 0]
        assert (results["raw_grad"][[1, 3]] == 0).all() and (results["raw_grad"][2] != 0).all()


@sanitize
@pytest.mark.parametrize("form", ["flat", "lengths", "scattered_mask", "flat_mask"])
def test_padding(form: str, small_class_host) -> None:
    small_class_host.set()
    batch = list_of(900, 20)
    call = FORMS[form](batch) if form == "flat" else FORMS[form](batch, 2000, filler=math.nan)
    margins = torch.tensor([1.0, 2.0], dtype=torch.float64)
    alone = forward(small_class_host, one_list(batch), "hinge", margins=margins)
    padded = forward(small_class_host, call, "hinge", margins=margins)
    assert small_class_host.was_small()
    for k in range(2):
        assert torch.equal(call.items(padded["raw_grad"][k]), alone["raw_grad"][k])
        assert (call.padding(padded["raw_grad"][k]) == 0).all()
    for name in ("list_scale", "margin_slope"):
        assert torch.equal(padded[name], alone[name])
    hold_counts({name: tensor[:1] for name, tensor in alone.items()}, batch)


@pytest.mark.parametrize("length", [-1, 1001])
def test_invalid_lengths(length: int, small_class_host) -> None:
    small_class_host.set()
    call = padded_lengths(list_of(1000, 20), extra=0)
    call.options["lengths"] = torch.tensor([length])
    assert forward(small_class_host, call, "hinge")["loss"].isnan().all()


def test_public_function(on_small_class_host) -> None:
    batch = list_of(400, 10)
    leaf = batch.scores.clone().requires_grad_()
    fused_rankloss.pairwise_hinge_loss(leaf, batch.labels).backward()
    with torch.no_grad():
        loss = fused_rankloss.pairwise_hinge_loss(batch.scores, batch.labels)
    wanted = exact(batch, "hinge")
    check("loss", loss, wanted.loss, loss_floor(wanted, torch.float32))
    check("grad", leaf.grad, wanted.grad, torch.zeros(()))


# ---- Bits ------------------------------------------------------------------------------------


@sanitize
@either_class
def test_schedules_and_grids_agree_bit_for_bit(relevant: bool, small_class_host) -> None:
    """With equal scores in the small class, which come in the order of a race."""
    batch = list_of(9000, 280, relevant, scores="quarters")
    margins = torch.tensor([0.3, 1.0, 0.0], dtype=torch.float64)
    results = []
    for blocks, seed in ((1, 1), (3, 2), (2, 3)):
        small_class_host.set(blocks=blocks, seed=seed)
        results.append(forward(small_class_host, flat(batch), "hinge", margins=margins))
        assert small_class_host.was_small()
    for other in results[1:]:
        for name, tensor in results[0].items():
            assert same_bits(tensor, other[name]), name
