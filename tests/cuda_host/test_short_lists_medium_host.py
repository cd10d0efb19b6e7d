"""Lists of more than 1,024 slots, counted by one block (csrc/cuda/medium_lists.cuh).

A block of 256 threads sorts up to 8,192 items with fp32 scores, 6,144 with fp64 scores, by score
and label, and merges labels two by two: the last of five or nine labels has a side of its own.
"""

from __future__ import annotations

import math

import pytest
import torch
from host_cases import forward, hold, many_labels, same_bits, sanitize

from batches import Batch, evaluate, flat, one_list, padded_lengths, padded_mask
from cases import LOSSES, Case, generator_for
from oracle import exact
from tolerance import check, grad_floor

HINGE = LOSSES["hinge"]


@sanitize
@pytest.mark.parametrize(
    ("size", "dtype"),
    [
        (1025, torch.float32),
        (1281, torch.bfloat16),
        (2047, torch.float16),
        (6144, torch.float64),
        (8191, torch.float32),
        (8192, torch.float32),
    ],
)
@pytest.mark.parametrize("labels", ["binary", "distinct"])
def test_borders(size: int, dtype: torch.dtype, labels: str, on_short_host) -> None:
    case = Case(f"n{size}", (size,), "a border", scores="quarters", labels=labels)
    hold(case, "hinge", dtype)


@sanitize
@pytest.mark.parametrize("levels", [1, 2, 3, 4, 5, 8, 9])
@pytest.mark.parametrize("boundary_grad", [0.0, 1.0])
def test_levels(levels: int, boundary_grad: float, on_short_host) -> None:
    """Multiples of 1/4 with many ties, at the boundary, too: every sum is exact."""
    generator = generator_for(f"medium {levels}")
    scores = torch.randint(-12, 13, (1100,), generator=generator).float() / 4
    batch = Batch(scores, torch.randperm(1100, generator=generator) % levels, (1100,))
    options = {"reduction": "sum", "boundary_grad": boundary_grad}
    outcome = evaluate(HINGE, one_list(batch), **options)
    wanted = exact(batch, "hinge", **options)
    check("grad", outcome.grad, wanted.grad, grad_floor(wanted, torch.float32))
    assert outcome.loss.item() == wanted.loss.item()


@sanitize
@pytest.mark.parametrize(
    "label_dtype",
    [torch.bool, torch.uint8, torch.int8, torch.int64, torch.float16, torch.float32, torch.float64],
)
def test_label_types(label_dtype: torch.dtype, on_short_host) -> None:
    generator = generator_for(f"medium {label_dtype}")
    scores = torch.randn(1200, generator=generator)
    labels = many_labels(label_dtype, 1200, generator)
    batch = Batch(scores, labels, (1200,))
    outcome = evaluate(HINGE, one_list(batch), reduction="sum")
    wanted = exact(batch, "hinge", reduction="sum")
    check("grad", outcome.grad, wanted.grad, grad_floor(wanted, torch.float32))


@pytest.mark.parametrize("reduction", ["mean", "list_mean", "none"])
def test_among_others(reduction: str, on_short_host) -> None:
    """Every class of lists in one launch."""
    case = Case("classes", (5, 1500, 300, 0, 1024, 128, 1025, 129), "", labels="grades")
    hold(case, "hinge", torch.float32, reduction=reduction)


@sanitize
@pytest.mark.parametrize("form", ["lengths", "mask"])
def test_padding(form: str, on_short_host) -> None:
    """Behind the list, or anywhere; a list that is medium for its padding alone."""
    case = Case("padded", (1300, 40, 0), "", labels="grades")
    shape = padded_lengths if form == "lengths" else padded_mask
    hold(case, "hinge", torch.float32, form=lambda batch: shape(batch, filler=math.nan))


@sanitize
def test_bits_know_of_nothing_else(short_host) -> None:
    """Not of the batch, the schedule, padding in between, nor of other margins."""
    batch = Case("alone", (40, 1300, 1100), "", labels="grades").batch(torch.float32)
    alone = batch.lists()[1]
    margins = torch.tensor([1.0, -0.5], dtype=torch.float64)
    wanted = forward(short_host, flat(alone), "hinge", reduction="none")
    mask = torch.ones(3000, dtype=torch.bool)
    mask[torch.randperm(3000, generator=generator_for("holes"))[:1700]] = False
    spread = {"scores": torch.full((3000,), math.nan), "labels": torch.zeros(3000).long()}
    spread["scores"][mask] = alone.scores
    spread["labels"][mask] = alone.labels
    for seed in (1, 2):
        short_host.seed(seed)
        options = {"margins": margins, "reduction": "none"}
        together = forward(short_host, flat(batch), "hinge", **options)
        assert same_bits(together["loss"][0, 1], wanted["loss"][0])
        assert same_bits(together["raw_grad"][0, 40:1340], wanted["raw_grad"][0])
    short_host.seed(0)
    holes = short_host.pairwise_forward(
        *(spread["scores"], spread["labels"], None, mask, None, None, None),
        *(1.0, "hinge", "product", 1.0, "none", True),
    )
    assert same_bits(holes[0].flatten()[0], wanted["loss"][0])
    assert torch.equal(holes[1].flatten()[mask], wanted["raw_grad"][0])
    assert (holes[1].flatten()[~mask] == 0).all()


@sanitize
@pytest.mark.parametrize("what", ["scores", "labels"])
def test_nan_poisons_its_list(what: str, on_short_host) -> None:
    case = Case("nan", (9, 1300, 1100), "", labels="continuous")
    batch = case.batch(torch.float32)
    getattr(batch, what)[60] = math.nan  # in list 1
    outcome = evaluate(HINGE, padded_lengths(batch, filler=math.nan), reduction="none")
    assert outcome.loss.isnan().tolist() == [False, True, False]
    poisoned = torch.zeros(len(batch.scores), dtype=torch.bool)
    poisoned[9 : 9 + 1300] = True
    assert torch.equal(outcome.grad.isnan(), poisoned)


@sanitize
@pytest.mark.parametrize("infinity", [math.inf, -math.inf])
def test_infinite_scores(infinity: float, on_short_host) -> None:
    """Of one label they compare with all others; of two, their difference has no value."""
    scores = torch.randn(1100, generator=generator_for("infinite"))
    labels = torch.arange(1100) % 5
    scores[[3, 8]] = infinity  # both have label 3
    wanted = {math.inf: "less", -math.inf: "more"}[infinity]
    outcome = evaluate(HINGE, one_list(Batch(scores, labels, (1100,))), reduction="sum")
    assert outcome.loss == math.inf
    others = int((labels > 3).sum() if wanted == "less" else (labels < 3).sum())
    assert outcome.grad[[3, 8]].abs().tolist() == [others, others]
    scores[4] = infinity
    outcome = evaluate(HINGE, one_list(Batch(scores, labels, (1100,))), reduction="sum")
    assert outcome.loss.isnan() and outcome.grad.isnan().all()


def test_longer_lists_are_left_to_other_kernels(short_host) -> None:
    case = Case("left", (8193, 70, 1100), "", labels="grades")
    batch = case.batch(torch.float32)
    margins = torch.tensor([1.0], dtype=torch.float64)
    sums, raw_grad = short_host.list_sums(flat(batch), "hinge", margins)
    assert sums[0, 0].isnan().all() and (raw_grad[0, :8193] == -1).all()
    alone = forward(short_host, flat(batch.lists()[2]), "hinge", reduction="none")
    assert torch.equal(raw_grad[0, -1100:], alone["raw_grad"][0])
    assert sums[0, 2, :2].sum().float() == alone["loss"][0]
