"""The kernels of long lists, run on the CPU, against the float64 reference.

The crossover is lowered, so that short lists are sorted, too: a tile has 2048 positions, a thread 8
of them, moments are kept at every 32nd.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

import fused_rankloss
from cuda_host.host_cases import (
    cases,
    every_dtype,
    every_loss,
    forward,
    hold,
    invalid_offsets,
    same_bits,
    sanitize,
)
from support.batches import FORMS, Batch, evaluate, flat, one_list, padded_lengths
from support.cases import LOSSES, MEDIUM, REDUCTIONS, SMALL, WEIGHTINGS, Case, generator_for
from support.oracle.pairwise import exact, list_scales
from support.tolerance import check, grad_floor

# ---- Against the oracle ----------------------------------------------------------------------


@cases(SMALL)
@every_loss
def test_small(case: Case, loss: str, on_long_host) -> None:
    hold(case, loss, torch.float32)


@sanitize
@cases(SMALL, "boundary_grades", "wide", "ragged", "weighted")
@every_loss
@every_dtype
def test_dtypes(case: Case, loss: str, dtype: torch.dtype, on_long_host) -> None:
    hold(case, loss, dtype)


@sanitize
@cases(SMALL, "ragged", "weighted")
@every_loss
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reductions(case: Case, loss: str, reduction: str, on_long_host) -> None:
    hold(case, loss, torch.float32, reduction=reduction)


@cases(MEDIUM, "n513", "n2047", "n2049", "weighted_ties", "weighted_long")
@every_loss
def test_medium(case: Case, loss: str, on_long_host) -> None:
    hold(case, loss, torch.float32)


@pytest.mark.parametrize("size", [2048, 4097])
@pytest.mark.parametrize("labels", ["binary", "thousandths"])
@every_loss
def test_tiles(size: int, labels: str, loss: str, on_long_host) -> None:
    on_long_host.set(blocks=3)
    hold(Case(f"tiles{size}", (size,), "", "quarters", labels), loss, torch.float32)


@sanitize
@pytest.mark.parametrize(("begin", "crossover"), [(1, 8), (31, 100), (2040, 100), (2047, 8)])
@every_loss
def test_lists_across_tiles(begin: int, crossover: int, loss: str, on_long_host) -> None:
    sizes = (begin, 2055 - begin, 33, 0, 2200, 9, 40)
    on_long_host.set(crossover=crossover)
    hold(Case("across", sizes, "", weighted=loss != "hinge"), loss, torch.float32)


@cases(MEDIUM, "one_long", "growing")
@every_loss
@pytest.mark.parametrize("crossover", [63])
def test_long_and_short(case: Case, loss: str, crossover: int, on_long_host) -> None:
    on_long_host.set(crossover=crossover)
    hold(case, loss, torch.float32, reduction="list_mean")


@sanitize
@cases(SMALL, "ragged", "weighted")
@pytest.mark.parametrize("form", [name for name in FORMS if name != "flat"])
@every_loss
def test_forms(case: Case, form: str, loss: str, on_long_host) -> None:
    filler = {} if form == "nested" else {"filler": math.nan}
    on_long_host.set(crossover=8)
    hold(case, loss, torch.float32, form=lambda batch: FORMS[form](batch, **filler))


@pytest.mark.parametrize("filler", [math.nan, math.inf])
def test_wide_padding(filler: float, on_long_host) -> None:
    case = Case("padded", (130, 0, 5, 64), "tiles of padding", labels="grades")
    form = lambda batch: padded_lengths(batch, 2100, filler, torch.int32)  # noqa: E731
    on_long_host.set(crossover=5)
    hold(case, "hinge", torch.float32, form=form)


@every_loss
def test_raw_gradient_of_padding_is_zero(loss: str, long_host) -> None:
    batch = Case("padding", (40, 3, 90), "", labels="grades", weighted=True).batch(torch.float32)
    batch.weights[10] = batch.scores[42] = math.nan
    long_host.set(crossover=8)
    for form in ("lengths", "scattered_mask", "flat_mask"):
        call = FORMS[form](batch, filler=math.nan)
        for options in ({}, {"weights": None}):
            margins = torch.tensor([1.0, 2.0], dtype=torch.float64)
            raw = forward(long_host, call, loss, margins=margins, **options)["raw_grad"]
            assert all((call.padding(raw[k]) == 0).all() for k in range(2))


@cases(SMALL, "weighted", "weighted_boundary")
@pytest.mark.parametrize("weighting", WEIGHTINGS)
@every_loss
def test_weights(case: Case, weighting: str, loss: str, on_long_host) -> None:
    hold(case, loss, torch.float64, weighting=weighting)


@sanitize
@cases(SMALL, "boundary_grades", "weighted_boundary", "wide")
@pytest.mark.parametrize("boundary_grad", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("margin", [-0.25, 0.1, 100.0])
def test_margin_and_boundary(case: Case, margin: float, boundary_grad: float, on_long_host) -> None:
    for dtype in (torch.float16, torch.float64):
        hold(case, "hinge", dtype, margin=margin, boundary_grad=boundary_grad)


def test_boundary_over_several_tiles(on_long_host) -> None:
    """Ties and boundaries on which a tile's window of the searches ends."""
    for scores in ("quarters", "equal", "ascending"):
        case = Case("windows", (2500,), "", scores=scores, labels="rare")
        for boundary_grad in (0.25, 1.0):
            hold(case, "hinge", torch.float32, boundary_grad=boundary_grad)


def test_more_than_one_step_of_tiles(long_host) -> None:
    """257 tiles: one more than a block scans at once."""
    case = Case("steps", (2048 * 256 + 5,), "", scores="quarters", labels="rare")
    batch = case.batch(torch.float32)
    long_host.set(blocks=1)
    results = forward(long_host, one_list(batch), "hinge")
    (wanted,) = exact(batch, "hinge").sums
    assert torch.equal(results["raw_grad"][0].double(), torch.from_numpy(wanted.grad))
    assert results["margin_slope"].item() == wanted.margin_slope
    assert results["loss"].item() == pytest.approx(wanted.total, rel=2**-24)


def test_more_lists_than_65535(on_long_host) -> None:
    on_long_host.set(crossover=30)
    case = Case("lists", (0,) * 66_000 + (40, 3, 100), "", labels="grades")
    hold(case, "hinge", torch.float32)


# ---- Margins ---------------------------------------------------------------------------------


@sanitize
@pytest.mark.parametrize("weighted", [False, True])
def test_many_margins(weighted: bool, on_long_host) -> None:
    on_long_host.set(crossover=20)
    sizes = (40, 3, 0, 300) if weighted else (40, 3, 0, 4200)
    case = Case("k", sizes, "K margins, and a tile of one list", weighted=weighted)
    batch = case.batch(torch.float32)
    call = flat(batch)
    values = [0.5, -1.0, math.pi]

    def run(margin):
        leaf = call.scores.clone().requires_grad_()
        loss = fused_rankloss.pairwise_hinge_loss(leaf, call.labels, **call.options, margin=margin)
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
        scales = list_scales(sums, "mean")
        slope = sum(one.margin_slope * s for one, s in zip(sums, scales, strict=True))
        assert by_margin[k].item() == pytest.approx(slope, rel=1e-12)


# ---- What is no number -----------------------------------------------------------------------


@sanitize
@pytest.mark.parametrize("what", ["scores", "labels", "weights"])
@pytest.mark.parametrize("reduction", ["none", "mean"])
@every_loss
def test_nan_poisons_its_list(what: str, reduction: str, loss: str, on_long_host) -> None:
    case = Case("nan", (40, 9, 130, 5), "NaN", labels="continuous", weighted=what == "weights")
    batch = case.batch(torch.float32)
    getattr(batch, what)[60] = math.nan  # in list 2
    poisoned = torch.zeros(len(batch.scores), dtype=torch.bool)
    poisoned[49:179] = True
    on_long_host.set(crossover=8)
    outcome = evaluate(LOSSES[loss], padded_lengths(batch, filler=math.nan), reduction=reduction)
    assert torch.equal(outcome.grad.isnan(), poisoned)
    assert (outcome.padding_grad == 0).all()
    if reduction == "none":
        assert outcome.loss.isnan().tolist() == [False, False, True, False]
    else:
        assert outcome.loss.isnan()
    wanted = exact(batch, loss, reduction=reduction)
    check("grad", outcome.grad, wanted.grad, grad_floor(wanted, torch.float32), case=case)


@pytest.mark.parametrize("payload", [0x7FC00000, 0x7F800001, -0x00400000, -1, 0x7FFFFFFF], ids=hex)
def test_every_nan_is_nan(payload: int, on_long_host) -> None:
    bits = torch.randn(90, generator=generator_for("payload")).view(torch.int32)
    bits[17] = payload
    scores, labels = bits.view(torch.float32), torch.arange(90) % 3
    for batch in (Batch(scores, labels, (90,)), Batch(torch.arange(90) / 7.0, scores, (90,))):
        outcome = evaluate(LOSSES["hinge"], one_list(batch))
        assert outcome.loss.isnan() and outcome.grad.isnan().all()


@sanitize
@every_loss
@pytest.mark.parametrize("copies", [0, 30])
def test_infinite_scores(loss: str, copies: int, on_long_host) -> None:
    inf = math.inf
    rows = [
        ([inf, 1.0, 0.0, -0.5], [1, 0, 0, 0], False),  # relevant at the top
        ([1.0, -inf, 0.5], [1, 0, 1], False),
        ([inf, inf, 0.0], [1, 1, 0], False),  # equal infinities with equal labels
        ([0.0, inf], [1, 0], False),  # irrelevant at the top
        ([-inf, 0.0], [1, 0], False),
        ([-inf, inf, 0.0, 1.0], [1, 0, 2, 0], False),
        ([inf, inf], [1, 0], True),
        ([-inf, 5.0, -inf, -inf], [1, 2, 1, 0], True),
    ]
    for scores, labels, is_poisoned in rows:
        scores, labels = scores + [0.25, -0.5] * copies, labels + [1, 0] * copies
        batch = Batch.of(scores, labels, dtype=torch.float32)
        outcome = evaluate(LOSSES[loss], one_list(batch), reduction="sum")
        if is_poisoned:
            assert outcome.loss.isnan() and outcome.grad.isnan().all()
            continue
        wanted = exact(batch, loss, reduction="sum")
        assert outcome.loss == wanted.loss.float() or not wanted.loss.isinf()
        if loss == "hinge":
            assert torch.equal(outcome.grad.double(), wanted.grad)


def test_equal_infinities_of_neighbouring_lists(on_long_host) -> None:
    """Neighbours in the order of scores, but no pair."""
    scores = [0.0, math.inf, math.inf, 1.0, -math.inf, -math.inf]
    batch = replace(Batch.of(scores, [0, 1, 0, 1, 0, 1]), sizes=(2, 3, 1))
    assert evaluate(LOSSES["hinge"], flat(batch)).loss.isinf()


# ---- Invalid lengths and offsets --------------------------------------------------------------


@sanitize
@pytest.mark.parametrize("crossover", [0, 25])
def test_invalid_lengths(crossover: int, long_host) -> None:
    long_host.set(crossover=crossover)
    scores = torch.randn(4, 50, generator=generator_for("lengths"))
    labels = torch.arange(200).view(4, 50) % 3
    good, bad = torch.tensor([50, 0, 20, 7]), torch.tensor([50, -1, 20, 51])
    results = [
        long_host.pairwise_forward(
            *(scores, labels, None, None, None, lengths, None, None),
            *(1.0, "hinge", "product", 1.0, "none", True),
        )
        for lengths in (good, bad)
    ]
    assert results[1][0].isnan().tolist() == [False, True, False, True]
    assert results[1][0][[0, 2]].equal(results[0][0][[0, 2]])


@sanitize
@invalid_offsets
@every_loss
def test_invalid_offsets(offsets: list[int], loss: str, long_host) -> None:
    """Every list is poisoned, and nothing is read or written out of bounds."""
    scores = torch.randn(100, generator=generator_for("offsets"))
    call = one_list(Batch(scores, torch.arange(100) % 14, (100,)))
    call.options["offsets"] = torch.tensor(offsets)
    for crossover in (0, 30):
        long_host.set(crossover=crossover)
        results = forward(long_host, call, loss, reduction="none")
        assert results["loss"].isnan().all() and results["list_scale"].isnan().all()


# ---- Bits ------------------------------------------------------------------------------------


@sanitize
@pytest.mark.parametrize("labels", ["grades", "signed"])
@every_loss
def test_schedules_and_grids_agree_bit_for_bit(loss: str, labels: str, long_host) -> None:
    case = Case("seeds", (70, 3, 0, 4300, 200), "", labels=labels, weighted=loss != "hinge")
    call = flat(case.batch(torch.float32))
    results = []
    for blocks, seed in ((1, 1), (3, 2)):
        long_host.set(crossover=50, blocks=blocks, seed=seed)
        results.append(forward(long_host, call, loss, reduction="list_mean"))
    for other in results[1:]:
        for name, tensor in results[0].items():
            assert same_bits(tensor, other[name]), name
