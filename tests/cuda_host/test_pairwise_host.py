"""The tile kernel and lists_backward, run on the CPU, against the float64 reference.

Mostly through the public functions, with the kernels in the place of the ops. Integer gradients
must be exact; everything else keeps to the floor of tolerance.py, without the help of the
reference's own error: the kernels compute in double precision and round once.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import fused_rankloss
from batches import FORMS, Batch, evaluate, flat, one_list, padded_lengths
from cases import (
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
from oracle import exact, list_scales
from tolerance import check, grad_floor, loss_floor

SEEDS = (1, 2, 3)
LABEL_DTYPES = (
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
)

every_loss = pytest.mark.parametrize("loss", LOSSES)
every_dtype = pytest.mark.parametrize("dtype", SCORE_DTYPES, ids=name_of)
sanitize = pytest.mark.sanitize


def cases(table: list[Case], *names: str):
    """All cases of a table, or those named."""
    chosen = [by_name(table)[name] for name in names] if names else table
    return pytest.mark.parametrize("case", chosen, ids=lambda case: case.name)


def hold(case: Case, loss: str, dtype: torch.dtype, *, form=flat, **options) -> None:
    """The error budget, for the loss and every gradient; padding gets gradient 0."""
    batch = case.batch(dtype)
    reduction = options.get("reduction", "mean")
    shape = (len(case.sizes),) if reduction == "none" else ()
    upstream = torch.randint(-8, 9, shape, generator=generator_for(case.name)).double() / 4
    fused = evaluate(LOSSES[loss], form(batch), upstream, **options)
    wanted = exact(batch, loss, upstream=upstream, **options)
    check("loss", fused.loss, wanted.loss, loss_floor(wanted, dtype), case=case)
    check("grad", fused.grad, wanted.grad, grad_floor(wanted, dtype), case=case)
    assert (fused.padding_grad == 0).all()


def forward(host, call, loss: str, **options) -> dict[str, Tensor]:
    """The four results of the op itself."""
    arguments = {
        **{name: None for name in ("weights", "mask", "lengths", "offsets", "margins")},
        **{"margin": 1.0, "weighting": "product", "boundary_grad": 1.0, "reduction": "sum"},
        **call.options,
        **options,
    }
    results = host.pairwise_forward(
        call.scores,
        call.labels,
        *(arguments[name] for name in ("weights", "mask", "lengths", "offsets", "margins")),
        arguments["margin"],
        loss,
        *(arguments[name] for name in ("weighting", "boundary_grad", "reduction")),
        True,
    )
    return dict(zip(("loss", "raw_grad", "list_scale", "margin_slope"), results, strict=True))


def same_bits(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.numpy().tobytes() == b.numpy().tobytes()


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


# ---- Integers --------------------------------------------------------------------------------


@sanitize
@every_dtype
@pytest.mark.parametrize("label_dtype", LABEL_DTYPES, ids=name_of)
def test_counts_are_exact(dtype: torch.dtype, label_dtype: torch.dtype, host) -> None:
    generator = generator_for(f"{dtype} {label_dtype}")
    n = 300
    scores = torch.randint(-12, 13, (n,), generator=generator).to(dtype) / 4
    low, high = {torch.bool: (0, 2), torch.uint8: (0, 256)}.get(label_dtype, (-128, 128))
    labels = torch.randint(low, high, (n,), generator=generator).to(label_dtype)
    if not label_dtype.is_floating_point and label_dtype.itemsize > 2:
        labels[:2] = torch.tensor([torch.iinfo(label_dtype).min, torch.iinfo(label_dtype).max])
    if label_dtype == torch.int64:
        labels[2:4] = torch.tensor([2**53, 2**53 + 1])  # equal as doubles
    if label_dtype.is_floating_point:
        labels[:3] = torch.tensor([-math.inf, math.inf, -0.0])
    for inclusive in (0.0, 1.0):
        results = forward(
            host, one_list(Batch(scores, labels, (n,))), "hinge", boundary_grad=inclusive
        )
        s, reach = scores.double()[:, None], scores.double()[None, :] + 1
        pairs = labels[:, None] > labels[None, :]
        violating = pairs & ((s <= reach) if inclusive else (s < reach))
        assert results["raw_grad"].dtype == torch.int32
        assert torch.equal(results["raw_grad"][0].long(), violating.sum(0) - violating.sum(1))
        assert results["margin_slope"].item() == violating.sum()
        mean = forward(host, one_list(Batch(scores, labels, (n,))), "hinge", reduction="mean")
        assert mean["list_scale"].item() == 1 / pairs.sum().item()


def test_boundary_is_decided_in_double_precision(host) -> None:
    """0.1 has no fp32: s + 0.1 lies between neighbours, and no s_i sits on the boundary."""
    s = torch.rand(200, generator=generator_for("boundary"))
    scores = torch.cat([s, (s.double() + 0.1).float(), (s - 0.1)])
    labels = torch.arange(600) % 7
    results = forward(host, one_list(Batch(scores, labels, (600,))), "hinge", margin=0.1)
    violating = (labels[:, None] > labels[None, :]) & (
        scores.double()[:, None] <= scores.double()[None, :] + 0.1
    )
    assert torch.equal(results["raw_grad"][0].long(), violating.sum(0) - violating.sum(1))


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


def test_margin_that_is_not_finite(host) -> None:
    call = flat(Case("m", (20, 4), "").batch(torch.float32))
    margins = torch.tensor([1.0, math.nan, math.inf], dtype=torch.float64)
    results = forward(host, call, "hinge", margins=margins, reduction="mean")
    assert results["loss"].isfinite().tolist() == [True, False, False]
    assert results["loss"].isnan().tolist() == [False, True, True]
    assert results["list_scale"].isfinite().all()


# ---- NaN, infinities, and what nobody could check --------------------------------------------


@sanitize
@pytest.mark.parametrize("what", ["scores", "labels", "weights"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@every_loss
def test_nan_poisons_its_list(what: str, reduction: str, loss: str, on_host) -> None:
    case = Case("nan", (40, 9, 130, 5), "NaN", labels="continuous", weighted=what == "weights")
    batch = case.batch(torch.float32)
    getattr(batch, what)[60] = math.nan  # in list 2
    call = padded_lengths(batch, filler=math.nan)
    poisoned = torch.zeros(len(batch.scores), dtype=torch.bool)
    poisoned[49:179] = True
    outcome = evaluate(LOSSES[loss], call, reduction=reduction)
    assert torch.equal(outcome.grad.isnan(), poisoned)
    assert (outcome.padding_grad == 0).all()
    if reduction == "none":
        assert outcome.loss.isnan().tolist() == [False, False, True, False]
    else:
        assert outcome.loss.isnan()
    wanted = exact(batch, loss, reduction=reduction)
    check("grad", outcome.grad, wanted.grad, grad_floor(wanted, torch.float32), case=case)


@sanitize
@every_loss
def test_infinite_scores(loss: str, on_host) -> None:
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
        batch = Batch.of(scores, labels, dtype=torch.float32)
        outcome = evaluate(LOSSES[loss], one_list(batch), reduction="sum")
        if counts is None:
            assert outcome.loss.isnan() and outcome.grad.isnan().all()
        elif any(counts):
            assert outcome.loss == inf
            assert loss != "hinge" or outcome.grad.tolist() == counts
        else:
            assert outcome.loss == 0 and outcome.grad.tolist() == [0.0] * len(scores)


@sanitize
@pytest.mark.parametrize("index_dtype", [torch.int32, torch.int64], ids=name_of)
def test_invalid_lengths(index_dtype: torch.dtype, host) -> None:
    scores = torch.randn(4, 50, generator=generator_for("lengths"))
    labels = torch.arange(200).view(4, 50) % 3
    good, bad = torch.tensor([50, 0, 20, 7]), torch.tensor([50, -1, 20, 51])
    results = [
        host.pairwise_forward(
            *(scores, labels, None, None, lengths.to(index_dtype), None, None),
            *(1.0, "hinge", "product", 1.0, "none", True),
        )
        for lengths in (good, bad)
    ]
    assert results[1][0].isnan().tolist() == [False, True, False, True]
    assert results[1][0][[0, 2]].equal(results[0][0][[0, 2]])


@sanitize
@pytest.mark.parametrize(
    "offsets",
    [
        [0, 50, 30, 100],  # falls
        [0, 40, 80, 101],  # beyond the end
        [0, 40, 80, 99],  # short of it
        [1, 40, 80, 100],  # not from 0
        [0, -5, 80, 100],
        [0, 2**40, 80, 100],
        [100, 100, 0, 0],
    ],
)
def test_invalid_offsets(offsets: list[int], host) -> None:
    """Every list is poisoned, and nothing is read or written out of bounds."""
    scores = torch.randn(100, generator=generator_for("offsets"))
    call = one_list(Batch(scores, torch.arange(100) % 4, (100,)))
    call.options["offsets"] = torch.tensor(offsets)
    results = forward(host, call, "hinge", reduction="none")
    assert results["loss"].isnan().all() and results["list_scale"].isnan().all()
    ones = torch.ones(3)
    grad = host.lists_backward(
        *(ones, results["raw_grad"], results["list_scale"]),
        *(None, None, call.options["offsets"], torch.float32),
    )
    assert (grad.isnan() | (grad == 0)).all()


# ---- Schedules -------------------------------------------------------------------------------


@sanitize
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["sum", "list_mean"])
@every_loss
def test_schedules_agree_bit_for_bit(loss: str, reduction: str, weighted: bool, host) -> None:
    case = Case("seeds", (70, 3, 0, 1100, 200), "", labels="grades", weighted=weighted)
    call = flat(case.batch(torch.float32))
    results = []
    for seed in SEEDS:
        host.seed(seed)
        results.append(forward(host, call, loss, reduction=reduction))
    for other in results[1:]:
        for name, tensor in results[0].items():
            assert same_bits(tensor, other[name]), name


# ---- lists_backward --------------------------------------------------------------------------


@sanitize
@every_dtype
@pytest.mark.parametrize(
    "raw_dtype", [torch.int32, torch.int64, torch.float32, torch.float64], ids=name_of
)
@pytest.mark.parametrize("per_list", [False, True])
def test_lists_backward(dtype: torch.dtype, raw_dtype: torch.dtype, per_list: bool, host) -> None:
    generator = generator_for(f"{dtype} {raw_dtype}")
    sizes, num_margins = [5, 0, 300, 1], 3
    total, num_lists = sum(sizes), len(sizes)
    raw = torch.randint(-1000, 1000, (num_margins, total), generator=generator).to(raw_dtype)
    scale = torch.rand(num_lists, generator=generator, dtype=torch.float64)
    scale[3] = math.nan
    shape = (num_margins, num_lists) if per_list else (num_margins,)
    upstream = torch.randn(shape, generator=generator)
    mask = torch.rand(total, generator=generator) < 0.8
    mask[-1] = True
    offsets = torch.tensor([0, *sizes]).cumsum(0)
    fused = host.lists_backward(upstream, raw, scale, mask, None, offsets, dtype)

    lists = torch.repeat_interleave(torch.arange(num_lists), torch.tensor(sizes))
    by_list = upstream.double() if per_list else upstream.double()[:, None].expand(-1, num_lists)
    wanted = (by_list[:, lists] * raw.double()).sum(0) * scale[lists]
    wanted = torch.where(mask, wanted, 0.0)
    assert fused.dtype == dtype and fused[-1].isnan()
    assert (fused[~mask] == 0).all()
    # fp64 sums in another order, then one rounding (by way of fp32 for 16 bits).
    unit = torch.finfo(dtype).eps / 2 + (2.0**-24 if dtype.itemsize == 2 else 0)
    error = (fused.double() - wanted).abs()[:-1]
    size = (by_list[:, lists] * raw.double()).abs().sum(0) * scale[lists]
    assert (error <= unit * wanted.abs()[:-1] + 2.0**-51 * size[:-1]).all()
