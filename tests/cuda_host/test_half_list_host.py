"""The kernels of one list of 16-bit scores, run on the CPU, against the float64 reference.

Any length will do: the kernels do not ask. Up to eight levels of labels (and the lowest label that
there can be) are counted; more are sorted.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from host_cases import forward, hold, hold_counts, many_labels, same_bits, sanitize

import fused_rankloss
from batches import FORMS, Batch, evaluate, flat, one_list, padded_lengths
from cases import LOSSES, REDUCTIONS, Case, generator_for, name_of
from oracle import exact
from tolerance import check, loss_floor

HINGE = LOSSES["hinge"]
halves = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=name_of)


def list_of(n: int, levels: int, dtype: torch.dtype, scores: str = "normal") -> Batch:
    batch = Case(f"{scores}{n}", (n,), "", scores=scores).batch(dtype)
    labels = torch.randint(0, levels, (n,), generator=generator_for(f"labels{n}"))
    labels[: min(n, levels)] = torch.arange(levels)[:n]
    return replace(batch, labels=labels)


# ---- Against the oracle ----------------------------------------------------------------------


@sanitize
@halves
@pytest.mark.parametrize("levels", [2, 8, 9, 40])
def test_levels(levels: int, dtype: torch.dtype, half_list_host) -> None:
    batch = list_of(2500, levels, dtype)
    half_list_host.set(blocks=3)
    for boundary_grad in (0.0, 1.0):
        results = forward(half_list_host, one_list(batch), "hinge", boundary_grad=boundary_grad)
        hold_counts(results, batch, boundary_grad=boundary_grad)


@halves
@pytest.mark.parametrize(("scores", "margin"), [("quarters", -0.25), ("wide", 0.1), ("equal", 0.0)])
def test_margin_and_boundary(scores: str, margin: float, dtype: torch.dtype, half_list_host):
    half_list_host.set()
    batch = list_of(300, 3, dtype, scores)
    for boundary_grad in (0.0, 1.0):
        options = {"margin": margin, "boundary_grad": boundary_grad}
        results = forward(half_list_host, one_list(batch), "hinge", **options)
        hold_counts(results, batch, **options)


def test_offset_scores(half_list_host) -> None:
    """The terms of the loss are four million times as large as what remains of them."""
    half_list_host.set()
    scores = torch.randint(0, 2, (3000,), generator=generator_for("far")) * 0.5 + 1000
    for margin in (2.0**-12, 0.5 + 2.0**-40):
        batch = Batch(scores.half(), torch.arange(3000) % 2, (3000,))
        hold_counts(
            forward(half_list_host, one_list(batch), "hinge", margin=margin), batch, margin=margin
        )


@pytest.mark.parametrize(
    ("size", "reduction"), [(0, "mean"), (1, "none"), *((70, one) for one in REDUCTIONS)]
)
def test_reductions(reduction: str, size: int, on_half_list_host) -> None:
    case = Case(f"reduction{size}", (size,), "", labels="bool")
    hold(case, "hinge", torch.bfloat16, reduction=reduction)


def test_more_cells_than_a_block_keeps(half_list_host) -> None:
    """Every number of its type, several times: each block counts with and without the grid."""
    half_list_host.set(blocks=1, seed=3)
    bits = torch.arange(-(2**15), 2**15, 5).repeat(2).to(torch.int16)
    scores = bits.view(torch.bfloat16)
    scores = scores[scores.isfinite()]
    batch = Batch(scores, torch.arange(len(scores)) % 7 % 2 == 0, (len(scores),))
    hold_counts(forward(half_list_host, one_list(batch), "hinge"), batch)


@sanitize
@pytest.mark.parametrize(
    "label_dtype",
    [torch.bool, torch.int8, torch.int64, torch.float16, torch.float64],
    ids=name_of,
)
@pytest.mark.parametrize("few", [True, False])
def test_label_types(label_dtype: torch.dtype, few: bool, half_list_host) -> None:
    generator = generator_for(f"{label_dtype}")
    labels = many_labels(label_dtype, 300, generator)
    if few:  # 8 of them, and the lowest there is
        labels = labels[torch.randint(0, 8, (300,), generator=generator)]
        if label_dtype in (torch.int8, torch.int64):
            labels[40:50] = torch.iinfo(label_dtype).min
    scores = torch.randn(300, generator=generator).bfloat16()
    half_list_host.set()
    batch = Batch(scores, labels, (300,))
    hold_counts(forward(half_list_host, one_list(batch), "hinge"), batch)


# ---- Margins and padding ---------------------------------------------------------------------


@sanitize
@pytest.mark.parametrize("levels", [2, 12])
def test_many_margins(levels: int, half_list_host) -> None:
    half_list_host.set(blocks=3)
    batch = list_of(2100, levels, torch.float16)
    margins = [0.5, -1.0, math.pi, 0.0]
    together = forward(
        half_list_host,
        one_list(batch),
        "hinge",
        margins=torch.tensor(margins, dtype=torch.float64),
    )
    for k, margin in enumerate(margins):
        single = forward(half_list_host, one_list(batch), "hinge", margin=margin)
        for name in ("loss", "raw_grad", "margin_slope"):
            assert same_bits(together[name][k], single[name].reshape(together[name][k].shape))


@pytest.mark.parametrize("levels", [5, 12])
def test_margin_that_is_not_finite(levels: int, half_list_host) -> None:
    half_list_host.set()
    call = one_list(list_of(50, levels, torch.bfloat16))
    margins = torch.tensor([1.0, math.nan, math.inf], dtype=torch.float64)
    results = forward(half_list_host, call, "hinge", margins=margins, reduction="mean")
    assert results["loss"].isfinite().tolist() == [True, False, False]
    assert results["loss"].isnan().tolist() == [False, True, True]
    assert results["list_scale"].isfinite().all()


@sanitize
@pytest.mark.parametrize("form", ["flat", "lengths", "scattered_mask", "flat_mask"])
@pytest.mark.parametrize("levels", [5, 12])
def test_padding(form: str, levels: int, half_list_host) -> None:
    half_list_host.set()
    batch = list_of(90, levels, torch.float16)
    call = FORMS[form](batch) if form == "flat" else FORMS[form](batch, 2000, filler=math.nan)
    margins = torch.tensor([1.0, 2.0], dtype=torch.float64)
    alone = forward(half_list_host, one_list(batch), "hinge", margins=margins)
    padded = forward(half_list_host, call, "hinge", margins=margins)
    for k in range(2):
        assert torch.equal(call.items(padded["raw_grad"][k]), alone["raw_grad"][k])
        assert (call.padding(padded["raw_grad"][k]) == 0).all()
    for name in ("loss", "list_scale", "margin_slope"):
        assert torch.equal(padded[name], alone[name])


def test_public_function(on_half_list_host) -> None:
    batch = list_of(200, 5, torch.bfloat16)
    leaf = batch.scores.clone().requires_grad_()
    fused_rankloss.pairwise_hinge_loss(leaf, batch.labels).backward()
    with torch.no_grad():
        loss = fused_rankloss.pairwise_hinge_loss(batch.scores, batch.labels)
    wanted = exact(batch, "hinge")
    check("loss", loss, wanted.loss, loss_floor(wanted, torch.bfloat16))


# ---- What is no number -----------------------------------------------------------------------


@sanitize
@pytest.mark.parametrize(
    ("payload", "levels"), [(0x7FFF, 5), (-1, 5), (0x7F81, 5), (-0x7F, 5), (-1, 12), (0x7F81, 12)]
)
def test_nan_scores(payload: int, levels: int, on_half_list_host) -> None:
    batch = list_of(60, levels, torch.bfloat16)
    batch.scores.view(torch.int16)[17] = payload
    assert batch.scores[17].isnan()
    outcome = evaluate(HINGE, padded_lengths(batch, filler=math.nan))
    assert outcome.loss.isnan() and outcome.grad.isnan().all()
    assert (outcome.padding_grad == 0).all()


@pytest.mark.parametrize("levels", [5, 12])
def test_nan_labels(levels: int, on_half_list_host) -> None:
    batch = list_of(60, levels, torch.float16)
    labels = batch.labels.float()
    labels[20] = math.nan
    outcome = evaluate(HINGE, one_list(replace(batch, labels=labels)))
    assert outcome.loss.isnan() and outcome.grad.isnan().all()


@sanitize
@halves
@pytest.mark.parametrize("extra_levels", [0, 9])
def test_infinite_scores(extra_levels: int, dtype: torch.dtype, on_half_list_host) -> None:
    inf = math.inf
    rows = [
        ([inf, 1.0, 0.0, -0.5], [1, 0, 0, 0], False),  # relevant at the top
        ([inf, inf, 0.0], [1, 1, 0], False),  # equal infinities with equal labels
        ([0.0, inf], [1, 0], False),  # irrelevant at the top
        ([-inf, inf, 0.0, 1.0], [1, 0, 2, 0], False),
        ([inf, inf, 1.0], [1, 0, 0], True),
        ([-inf, 5.0, -inf, -inf], [1, 2, 1, 0], True),
    ]
    for scores, labels, is_poisoned in rows:
        scores = scores + [0.25] * extra_levels
        labels = labels + list(range(3, 3 + extra_levels))
        batch = Batch.of(scores, labels, dtype=dtype)
        outcome = evaluate(HINGE, one_list(batch), reduction="sum")
        if is_poisoned:
            assert outcome.loss.isnan() and outcome.grad.isnan().all()
            continue
        wanted = exact(batch, "hinge", reduction="sum")
        assert outcome.loss == wanted.loss.float()
        assert torch.equal(outcome.grad.double(), wanted.grad)


@sanitize
@pytest.mark.parametrize(
    ("offsets", "levels"),
    [([0, 99], 3), ([1, 100], 3), ([0, 101], 12), ([0, -5], 3), ([80, 20], 12), ([1, 100], 12)],
)
def test_invalid_offsets(offsets: list[int], levels: int, half_list_host) -> None:
    """The list is poisoned, and nothing is read or written out of bounds."""
    half_list_host.set()
    call = one_list(list_of(100, levels, torch.float16))
    call.options["offsets"] = torch.tensor(offsets)
    results = forward(half_list_host, call, "hinge", reduction="none")
    assert results["loss"].isnan().all() and results["list_scale"].isnan().all()


@pytest.mark.parametrize("length", [-1, 51])
def test_invalid_lengths(length: int, half_list_host) -> None:
    half_list_host.set()
    call = padded_lengths(list_of(50, 3, torch.float16), extra=0)
    call.options["lengths"] = torch.tensor([length])
    assert forward(half_list_host, call, "hinge")["loss"].isnan().all()


# ---- Bits ------------------------------------------------------------------------------------


@sanitize
@pytest.mark.parametrize("levels", [5, 12])
def test_schedules_and_grids_agree_bit_for_bit(levels: int, half_list_host) -> None:
    call = flat(list_of(4300, levels, torch.float16))
    margins = torch.tensor([0.3, 1.0, 0.0], dtype=torch.float64)
    results = []
    for blocks, seed in ((1, 1), (3, 2)):
        half_list_host.set(blocks=blocks, seed=seed)
        results.append(forward(half_list_host, call, "hinge", margins=margins))
    for other in results[1:]:
        for name, tensor in results[0].items():
            assert same_bits(tensor, other[name]), name
