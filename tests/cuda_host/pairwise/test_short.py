"""The kernel of short lists, run on the CPU, against the float64 reference.

A list of up to 128 slots is a warp's, a longer one a block's: up to 1024 to count, 512 to sum
values. A thread holds every 32nd or 256th item. Eight labels are ordered, others are a tail.
"""

from __future__ import annotations

import math

import pytest
import torch

from cuda_host.host_cases import (
    cases,
    every_loss,
    forward,
    hold,
    invalid_offsets,
    same_bits,
    sanitize,
)
from support.batches import FORMS, Batch, evaluate, flat, one_list, padded_lengths
from support.cases import LOSSES, REDUCTIONS, SMALL, WEIGHTINGS, Case, by_name, generator_for
from support.oracle.pairwise import exact
from support.tolerance import check, grad_floor

LABELS = ("binary", "grades", "below_256", "distinct")
MIXED = (130, 5, 0, 300, 128, 129, 1, 64, 0, 33, 500, 2, 0)


# ---- Against the oracle ----------------------------------------------------------------------


@cases(SMALL)
@every_loss
def test_small(case: Case, loss: str, on_short_host) -> None:
    for dtype in (torch.float16, torch.float32, torch.float64):
        hold(case, loss, dtype)


@sanitize
@cases(SMALL, "no_lists", "only_empty", "boundary_grades", "ragged", "pairless_lists", "weighted")
@every_loss
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reductions(case: Case, loss: str, reduction: str, on_short_host) -> None:
    hold(case, loss, torch.float32, reduction=reduction)


@sanitize
@pytest.mark.parametrize("size", [127, 128, 129, 159, 161, 255, 257, 511, 512, 1023, 1024])
@pytest.mark.parametrize("labels", LABELS)
def test_borders(size: int, labels: str, on_short_host) -> None:
    case = Case(f"n{size}", (size,), "a border", scores="quarters", labels=labels)
    hold(case, "hinge", torch.float64 if size % 3 else torch.float32)
    if size <= 512:
        hold(case, "squared_hinge", torch.float32)


@sanitize
@pytest.mark.parametrize("grades", [7, 8, 9, 10])
@pytest.mark.parametrize("size", [100, 300])
@every_loss
def test_ordered_grades_and_a_tail(size: int, grades: int, loss: str, on_short_host) -> None:
    generator = generator_for(f"{size} {grades}")
    scores = torch.randint(-12, 13, (size,), generator=generator).float() / 4
    batch = Batch(scores, torch.randperm(size, generator=generator) % grades, (size,))
    outcome = evaluate(LOSSES[loss], one_list(batch), reduction="sum")
    wanted = exact(batch, loss, reduction="sum")
    check("grad", outcome.grad, wanted.grad, grad_floor(wanted, torch.float32))
    assert outcome.loss.item() == wanted.loss.item()  # multiples of 1/16, below 2^24 of them


@pytest.mark.parametrize("reduction", ["list_mean", "none"])
@pytest.mark.parametrize("weighted", [False, True])
@every_loss
def test_mixed(loss: str, weighted: bool, reduction: str, on_short_host) -> None:
    """Warps' and blocks' lists in one block of eight, and more than one block."""
    case = Case("mixed", MIXED + (9,) * 40, "", labels="grades", weighted=weighted)
    hold(case, loss, torch.float32, reduction=reduction)


@sanitize
@cases(SMALL, "boundary_grades", "ragged", "weighted")
@pytest.mark.parametrize("form", [name for name in FORMS if name != "flat"])
@every_loss
def test_forms(case: Case, form: str, loss: str, on_short_host) -> None:
    filler = {} if form == "nested" else {"filler": math.nan}
    hold(case, loss, torch.float32, form=lambda batch: FORMS[form](batch, **filler))


@every_loss
def test_raw_gradient_of_padding_is_zero(loss: str, short_host) -> None:
    case = Case("padding", (40, 3, 190, 0), "", labels="grades", weighted=True)
    batch = case.batch(torch.float32)
    for form in ("lengths", "mask", "scattered_mask", "flat_mask"):
        call = FORMS[form](batch, filler=math.nan)
        for options in ({}, {"weights": None}):
            raw = forward(short_host, call, loss, **options)["raw_grad"]
            assert (call.padding(raw[0]) == 0).all()


@pytest.mark.parametrize("extra", [1, 130, 900])
def test_wide_padding(extra: int, on_short_host) -> None:
    case = Case("padded", (120, 0, 5, 64), "padding beyond a warp's list", labels="grades")
    hold(
        case,
        "hinge",
        torch.float32,
        form=lambda batch: padded_lengths(batch, extra, math.inf, torch.int32),
    )


@cases(SMALL, "weighted", "weighted_boundary")
@pytest.mark.parametrize("weighting", WEIGHTINGS)
@every_loss
def test_weights(case: Case, weighting: str, loss: str, on_short_host) -> None:
    hold(case, loss, torch.float32, weighting=weighting)


@sanitize
@pytest.mark.parametrize("boundary_grad", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("margin", [-0.25, 0.0, 0.1, 100.0])
@pytest.mark.parametrize("size", [48, 200])
def test_margin_and_boundary(size: int, margin: float, boundary_grad: float, on_short_host) -> None:
    case = Case("boundary", (size,), "", scores="quarters", labels="grades")
    for dtype in (torch.float16, torch.float32):
        hold(case, "hinge", dtype, margin=margin, boundary_grad=boundary_grad)


def test_offset_costs_no_digit(short_host) -> None:
    """Scores around 2^20 whose gaps are exact: the counts' loss is the very same."""
    scores, labels = by_name(SMALL)["boundary_grades"].batch().scores, torch.arange(48) % 3
    sums = [
        forward(short_host, one_list(Batch(shifted, labels, (48,))), "hinge")["loss"]
        for shifted in (scores, scores + 2.0**20, (scores + 2.0**20).float())
    ]
    assert sums[0] == sums[1] == sums[2]


@sanitize
@every_loss
def test_many_margins(loss: str, short_host) -> None:
    call = flat(Case("k", (40, 3, 0, 150), "K margins", labels="grades").batch(torch.float32))
    values = [0.5, -1.0, math.pi]
    margins = torch.tensor(values, dtype=torch.float64)
    together = forward(short_host, call, loss, margins=margins, reduction="mean")
    for k, value in enumerate(values):
        single = forward(short_host, call, loss, margin=value, reduction="mean")
        for name in ("loss", "raw_grad", "margin_slope"):
            assert same_bits(together[name][k], single[name].reshape(together[name][k].shape))
        assert same_bits(together["list_scale"], single["list_scale"])


# ---- What is no number -----------------------------------------------------------------------


@sanitize
@pytest.mark.parametrize("what", ["scores", "labels", "weights"])
@pytest.mark.parametrize("long", [30, 300])
@every_loss
def test_nan_poisons_its_list(what: str, long: int, loss: str, on_short_host) -> None:
    case = Case("nan", (40, 9, long, 5), "", labels="continuous", weighted=what == "weights")
    batch = case.batch(torch.float32)
    getattr(batch, what)[60] = math.nan  # in list 2
    poisoned = torch.zeros(len(batch.scores), dtype=torch.bool)
    poisoned[49 : 49 + long] = True
    outcome = evaluate(LOSSES[loss], padded_lengths(batch, filler=math.nan), reduction="none")
    assert torch.equal(outcome.grad.isnan(), poisoned)
    assert (outcome.padding_grad == 0).all()
    assert outcome.loss.isnan().tolist() == [False, False, True, False]


@sanitize
@pytest.mark.parametrize("more", [0, 150])
@every_loss
def test_infinite_scores(more: int, loss: str, on_short_host) -> None:
    """`more` items without a partner make it a block's list."""
    inf = math.inf
    rows = [
        ([inf, 1.0, 0.0], [1, 0, 0], [0, 0, 0]),  # relevant at the top: nothing to learn
        ([1.0, -inf, 0.5], [1, 0, 1], [0, 0, 0]),
        ([inf, inf, 0.0], [1, 1, 0], [0, 0, 0]),  # equal infinities with equal labels
        ([0.0, inf], [1, 0], [-1, 1]),  # irrelevant at the top
        ([-inf, 0.0], [1, 0], [-1, 1]),
        ([inf, inf], [1, 0], None),
        ([-inf, 5.0, -inf], [1, 2, 0], None),
    ]
    for scores, labels, counts in rows:
        if more and -inf in scores:
            continue  # which would have partners among them
        batch = Batch.of(scores + [-1e30] * more, labels + [-1] * more, dtype=torch.float32)
        outcome = evaluate(LOSSES[loss], one_list(batch), reduction="sum")
        if counts is None:
            assert outcome.loss.isnan() and outcome.grad.isnan().all()
        elif any(counts):
            assert outcome.loss == inf
            assert loss != "hinge" or outcome.grad.tolist() == counts + [0] * more
        else:
            assert outcome.loss == 0 and outcome.grad.tolist() == [0.0] * len(batch.scores)


@sanitize
def test_invalid_lengths(short_host) -> None:
    scores = torch.randn(4, 150, generator=generator_for("lengths"))
    labels = torch.arange(600).view(4, 150) % 3
    good, bad = torch.tensor([150, 0, 20, 7]), torch.tensor([150, -1, 20, 151])
    results = [
        short_host.pairwise_forward(
            *(scores, labels, None, None, None, lengths, None, None),
            *(1.0, "hinge", "product", 1.0, "none", True),
        )
        for lengths in (good, bad)
    ]
    assert results[1][0].isnan().tolist() == [False, True, False, True]
    assert results[1][0][[0, 2]].equal(results[0][0][[0, 2]])


@sanitize
@invalid_offsets
@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_invalid_offsets(offsets: list[int], reduction: str, short_host) -> None:
    """Every list is poisoned, and nothing is read or written out of bounds."""
    scores = torch.randn(100, generator=generator_for("offsets"))
    call = one_list(Batch(scores, torch.arange(100) % 4, (100,)))
    call.options["offsets"] = torch.tensor(offsets)
    margins = torch.tensor([1.0, 2.0], dtype=torch.float64)
    results = forward(short_host, call, "hinge", margins=margins, reduction=reduction)
    assert all(results[name].isnan().all() for name in ("loss", "list_scale", "margin_slope"))


# ---- Bits ------------------------------------------------------------------------------------


@sanitize
@pytest.mark.parametrize("weighted", [False, True])
@every_loss
def test_schedules_agree_bit_for_bit(loss: str, weighted: bool, short_host) -> None:
    case = Case("seeds", (70, 3, 0, 400, 200), "", labels="grades", weighted=weighted)
    call = flat(case.batch(torch.float32))
    results = []
    for seed in (1, 2, 3):
        short_host.seed(seed)
        results.append(forward(short_host, call, loss, reduction="list_mean"))
    for other in results[1:]:
        for name, tensor in results[0].items():
            assert same_bits(tensor, other[name]), name


@every_loss
def test_lists_do_not_know_of_each_other(loss: str, short_host) -> None:
    """A list alone has the bits that it has in any batch."""
    case = Case("alone", (70, 3, 0, 400, 200), "", labels="grades", weighted=True)
    batch = case.batch(torch.float32)
    together = forward(short_host, flat(batch), loss, reduction="none")
    grads = batch.split(together["raw_grad"][0])
    for index, alone in enumerate(batch.lists()):
        single = forward(short_host, flat(alone), loss, reduction="none")
        assert same_bits(single["loss"][0], together["loss"][index])
        assert same_bits(single["raw_grad"][0], grads[index])


@sanitize
@cases(SMALL, "ragged", "pairless_lists", "weighted", "trailing_empty")
@pytest.mark.parametrize("reduction", REDUCTIONS)
@every_loss
def test_longer_lists_are_left_to_other_kernels(
    case: Case, reduction: str, loss: str, on_short_host
) -> None:
    """Which also finish the call, whether there are any or none."""
    for crossover in (3, 200):
        on_short_host.set("short", crossover=crossover)
        hold(case, loss, torch.float32, reduction=reduction)
