"""The tile kernel and lists_backward, run on the CPU, against the float64 reference.

Mostly through the public functions, with the kernels in the place of the ops. Integer gradients
must be exact; everything else keeps to the floor of tolerance.py, without the help of the
reference's own error: the kernels compute in double precision and round once.
"""

from __future__ import annotations

import math

import pytest
import torch

import fused_rankloss
from cuda_host.host_cases import cases, every_dtype, every_loss, forward, hold, same_bits, sanitize
from support.batches import FORMS, Batch, flat, one_list, padded_lengths
from support.cases import (
    MEDIUM,
    REDUCTIONS,
    SMALL,
    WEIGHTINGS,
    Case,
    by_name,
)
from support.oracle.pairwise import exact, list_scales

# ---- Against the oracle ----------------------------------------------------------------------


@cases(SMALL)
@every_loss
@every_dtype
def test_small(case: Case, loss: str, dtype: torch.dtype, on_host) -> None:
    hold(case, loss, dtype)


@sanitize
@cases(SMALL, "no_lists", "only_empty", "boundary_grades", "ragged", "pairless_lists", "weighted")
@every_loss
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reductions(case: Case, loss: str, reduction: str, on_host) -> None:
    hold(case, loss, torch.float32, reduction=reduction)


# Borders: a warp is 32, a block has 64 or 128 rows, a tile 409, 512 or 1024 columns, and from 32
# chunks on (1024 slots) a warp sums a list together.
@sanitize
@pytest.mark.parametrize("size", [63, 64, 65, 255, 257, 408, 409, 410, 511, 512, 513, 1023, 1025])
@every_loss
def test_borders(size: int, loss: str, on_host) -> None:
    for dtype, labels in ((torch.float32, "grades"), (torch.float64, "continuous")):
        case = Case(f"n{size}", (size,), "a border", scores="quarters", labels=labels)
        hold(case, loss, dtype)


@pytest.mark.parametrize("begin", [1, 31, 64, 100])
@every_loss
def test_borders_in_the_middle(begin: int, loss: str, on_host) -> None:
    sizes = (begin, 128 - begin, 32, 33, 0, 1100, 95, 1, 31)
    hold(Case("middle", sizes, "lists across blocks", labels="grades"), loss, torch.float32)


@cases(MEDIUM, "many_short", "growing", "weighted_ties")
@every_loss
def test_medium(case: Case, loss: str, on_host) -> None:
    hold(case, loss, torch.float32, reduction="list_mean")


@sanitize
@cases(SMALL, "boundary_grades", "ragged", "weighted")
@pytest.mark.parametrize("form", [name for name in FORMS if name != "flat"])
@every_loss
def test_forms(case: Case, form: str, loss: str, on_host) -> None:
    filler = {} if form == "nested" else {"filler": math.nan}
    for dtype in (torch.float32, torch.float64):
        hold(case, loss, dtype, form=lambda batch: FORMS[form](batch, **filler))


@every_loss
def test_raw_gradient_of_padding_is_zero(loss: str, host) -> None:
    """Even where NaN weights and scores stand beside it, in the list and in the padding."""
    batch = Case("padding", (40, 3, 90), "", labels="grades", weighted=True).batch(torch.float32)
    batch.weights[10] = batch.scores[42] = math.nan
    for form in ("lengths", "mask", "scattered_mask", "flat_mask"):
        call = FORMS[form](batch, filler=math.nan)
        for options in ({}, {"weights": None}):
            raw = forward(host, call, loss, **options)["raw_grad"]
            assert (call.padding(raw[0]) == 0).all()


@pytest.mark.parametrize("extra", [1, 33, 200])
def test_wide_padding(extra: int, on_host) -> None:
    case = Case("padded", (130, 0, 5, 64), "blocks of padding only", labels="grades")
    for filler in (math.nan, math.inf):
        hold(
            case,
            "hinge",
            torch.float32,
            form=lambda batch, filler=filler: padded_lengths(batch, extra, filler, torch.int32),
        )


@cases(SMALL, "weighted", "weighted_boundary")
@pytest.mark.parametrize("weighting", WEIGHTINGS)
@every_loss
@every_dtype
def test_weights(case: Case, weighting: str, loss: str, dtype: torch.dtype, on_host) -> None:
    hold(case, loss, dtype, weighting=weighting)


@sanitize
@cases(SMALL, "boundary", "boundary_grades", "weighted_boundary", "ragged")
@pytest.mark.parametrize("boundary_grad", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("margin", [-0.25, 0.0, 0.1, 1.0, 100.0])
def test_margin_and_boundary(case: Case, margin: float, boundary_grad: float, on_host) -> None:
    for dtype in (torch.float16, torch.float32, torch.float64):
        hold(case, "hinge", dtype, margin=margin, boundary_grad=boundary_grad)


def test_offset_costs_no_digit(host) -> None:
    """Scores around 2^20 whose gaps are exact: the counts' loss is the very same."""
    scores, labels = by_name(SMALL)["boundary_grades"].batch().scores, torch.arange(48) % 3
    sums = [
        forward(host, one_list(Batch(shifted, labels, (48,))), "hinge")["loss"]
        for shifted in (scores, scores + 2.0**20, (scores + 2.0**20).float())
    ]
    assert sums[0] == sums[1] == sums[2]


def test_large_and_small_scores_in_one_list(host) -> None:
    """1e30 swamps 1 in any plain sum: these pairs' gaps are 1 and 1.5."""
    batch = Batch.of([1e30, 1e30, 0.5, 1.0], [3, 2, 0, 1], dtype=torch.float32)
    assert forward(host, one_list(batch), "hinge")["loss"] == 1.0 + 0.5


# ---- Margins ---------------------------------------------------------------------------------


@sanitize
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "none", "list_mean"])
def test_many_margins(weighted: bool, reduction: str, on_host) -> None:
    case = Case("k", (40, 3, 0, 150), "K margins", labels="grades", weighted=weighted)
    batch = case.batch(torch.float32)
    call = flat(batch)
    values = [0.5, -1.0, 1.0, math.pi, 3.0]

    def run(margin):
        leaf = call.scores.clone().requires_grad_()
        loss = fused_rankloss.pairwise_hinge_loss(
            leaf, call.labels, **call.options, margin=margin, reduction=reduction
        )
        (grad,) = torch.autograd.grad(loss.sum(), leaf, retain_graph=loss.requires_grad)
        return loss, grad

    margins = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    together, grad = run(margins)
    singly = [run(value) for value in values]
    assert same_bits(together.detach(), torch.stack([loss.detach() for loss, _ in singly]))
    summed = torch.stack([part for _, part in singly]).double().sum(0)
    torch.testing.assert_close(grad.double(), summed, rtol=1e-5, atol=1e-7)

    (by_margin,) = torch.autograd.grad(together.sum(), margins)
    for k, value in enumerate(values):
        sums = exact(batch, "hinge", margin=value).sums
        scales = list_scales(sums, reduction)
        slope = sum(one.margin_slope * s for one, s in zip(sums, scales, strict=True))
        assert by_margin[k].item() == pytest.approx(slope, rel=1e-12)
