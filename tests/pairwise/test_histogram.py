"""Long lists of 16-bit scores, which have few different values: the CPU counts them by score
instead of sorting them, as long as gradients are counts and there are few grades of labels.

The same scores in fp32 are sorted. Both decide exactly which pairs violate the margin, so that
gradients, slopes and numbers of pairs are the same to the bit.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fused_rankloss import ops
from support.batches import FORMS, Batch, evaluate, flat, one_list, padded_lengths, same_bits
from support.cases import LOSSES, Case, generator_for, name_of
from support.oracle.pairwise import exact
from support.tolerance import check, loss_floor

pytestmark = pytest.mark.sanitize

N = 40_000  # counted on the CPU
LOSS, RAW_GRAD, LIST_SCALE, MARGIN_SLOPE = range(4)

halves = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=name_of)
boundaries = pytest.mark.parametrize("boundary_grad", [0.0, 1.0])


def labels_of(grades: int, name: str = "labels") -> Tensor:
    return torch.randint(0, grades, (N,), generator=generator_for(name))


def long_list(dtype: torch.dtype, scores: str = "normal", grades: int = 2) -> Batch:
    batch = Case(f"{scores}_{grades}", (N,), "", scores=scores).batch(dtype)
    return replace(batch, labels=labels_of(grades))


def forward(
    call, margins: tuple[float, ...] = (1.0,), boundary_grad: float = 1.0
) -> tuple[Tensor, ...]:
    options = {name: None for name in ("mask", "lengths", "offsets")} | call.options
    return ops.pairwise_forward(
        call.scores,
        call.labels,
        None,
        None,
        *(options[name] for name in ("mask", "lengths", "offsets")),
        torch.tensor(margins, dtype=torch.float64),
        *(1.0, "hinge", "product", boundary_grad, "sum", True),
    )


def hold_against_fp32(call, case: object = "", **options) -> tuple[Tensor, ...]:
    """Returns the results of the scores as they are."""
    counted = forward(call, **options)
    sorted_ = forward(call._replace(scores=call.scores.float()), **options)
    for index in (RAW_GRAD, LIST_SCALE, MARGIN_SLOPE):
        assert same_bits(counted[index], sorted_[index]), case
    return counted


@halves
@boundaries
@pytest.mark.parametrize("grades", [1, 2, 8, 9])
@pytest.mark.parametrize("scores", ["normal", "quarters"])
def test_against_fp32(
    dtype: torch.dtype, boundary_grad: float, grades: int, scores: str, device: str
) -> None:
    call = one_list(long_list(dtype, scores, grades).to(device))
    hold_against_fp32(call, boundary_grad=boundary_grad, margins=(1.0, -0.3, 0.0, 1e3))


@halves
@pytest.mark.parametrize("grades", [2, 5])
@pytest.mark.parametrize("scores", ["normal", "quarters", "wide"])
@pytest.mark.parametrize("margin", [1.0, 0.1, -0.3])
def test_against_the_oracle(
    dtype: torch.dtype, grades: int, scores: str, margin: float, device: str
) -> None:
    batch = long_list(dtype, scores, grades)
    wanted = exact(batch, "hinge", margin=margin, reduction="sum")
    results = forward(one_list(batch.to(device)), (margin,))
    check("loss", results[LOSS][0], wanted.loss, loss_floor(wanted, dtype))
    assert torch.equal(results[RAW_GRAD][0].cpu(), wanted.grad.to(torch.int32))


@halves
def test_every_score_there_is(dtype: torch.dtype, device: str) -> None:
    """Subnormal numbers, both zeros and the largest ones; infinities of one label each."""
    bits = torch.arange(-(2**15), 2**15).to(torch.int16)
    scores = bits.view(dtype)
    scores = scores[~scores.isnan()]
    labels = (torch.arange(len(scores)) * 7 // 3) % 4
    labels[scores == math.inf] = 3
    labels[scores == -math.inf] = 0
    batch = Batch(scores, labels, (len(scores),)).to(device)
    tiny = torch.finfo(dtype).smallest_normal
    hold_against_fp32(one_list(batch), margins=(0.0, 1.0, tiny / 2, -tiny))


@halves
@boundaries
def test_offset_scores(dtype: torch.dtype, boundary_grad: float, device: str) -> None:
    """Far from zero a step between two scores is as wide as the margin."""
    offset = 512.0 if dtype == torch.float16 else 64.0
    generator = generator_for("offset")
    scores = (torch.randn(N, generator=generator, dtype=torch.float64) + offset).to(dtype)
    batch = Batch(scores, labels_of(3), (N,))
    for margin in (1.0, 0.5, 0.7):
        wanted = exact(batch, "hinge", margin=margin, reduction="sum", boundary_grad=boundary_grad)
        results = hold_against_fp32(
            one_list(batch.to(device)), margins=(margin,), boundary_grad=boundary_grad
        )
        check("loss", results[LOSS][0], wanted.loss, loss_floor(wanted, dtype), case=margin)


@halves
@pytest.mark.parametrize("where", ["top", "bottom"])
def test_infinite_scores(dtype: torch.dtype, where: str, device: str) -> None:
    infinity = math.inf if where == "top" else -math.inf
    batch = long_list(dtype, grades=3)
    for label, is_infinite in ((0, where == "top"), (2, where == "bottom")):
        scores, labels = batch.scores.clone(), batch.labels.clone()
        scores[5:90:3] = infinity
        labels[5:90:3] = label
        call = one_list(Batch(scores, labels, (N,)).to(device))
        loss = hold_against_fp32(call, boundary_grad=0.0)[LOSS]
        assert loss.isinf().all() if is_infinite else loss.isfinite().all()
        labels[8] = 1 - label // 2
        poisoned = forward(one_list(Batch(scores, labels, (N,)).to(device)))
        assert poisoned[LOSS].isnan().all() and poisoned[LIST_SCALE].isnan().all()


@halves
@pytest.mark.parametrize("payload", [0x7FFF, -1, 0x7FC1])
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_nan_poisons_its_list_only(
    dtype: torch.dtype, payload: int, reduction: str, device: str
) -> None:
    batch = long_list(dtype, grades=5)
    both = Batch.join([batch, Case("short", (30,), "", labels="grades").batch(dtype)])
    both.scores.view(torch.int16)[N // 2] = payload
    assert both.scores[N // 2].isnan()
    for lists, poisoned in ((both, [True, False]), (both.lists()[0], [True])):
        got = evaluate(LOSSES["hinge"], flat(lists.to(device)), reduction=reduction)
        assert got.loss.isnan().tolist() == (poisoned if reduction == "none" else True)
        assert got.grad[:N].isnan().all() and got.grad[N:].isfinite().all()


@halves
@pytest.mark.parametrize(
    ("margin", "wanted"), [(math.inf, math.inf), (-math.inf, 0.0), (math.nan, math.nan)]
)
def test_margin_that_is_not_finite(
    dtype: torch.dtype, margin: float, wanted: float, device: str
) -> None:
    loss = forward(one_list(long_list(dtype).to(device)), (1.0, margin))[LOSS]
    assert loss[0] > 0 and loss[0].isfinite()
    assert loss[1].item() == pytest.approx(wanted, nan_ok=True)


@halves
@pytest.mark.parametrize("form", [name for name in FORMS if name not in ("flat", "nested")])
def test_padding_takes_part_in_nothing(dtype: torch.dtype, form: str, device: str) -> None:
    batch = long_list(dtype, grades=5).to(device)
    alone = forward(one_list(batch))
    call = FORMS[form](batch, extra=700, filler=math.nan)
    padded = hold_against_fp32(call)
    assert torch.equal(call.items(padded[RAW_GRAD][0]), alone[RAW_GRAD][0])
    assert (call.padding(padded[RAW_GRAD][0]) == 0).all()
    for index in (LOSS, LIST_SCALE, MARGIN_SLOPE):
        assert same_bits(padded[index], alone[index])


@halves
def test_a_list_is_the_same_in_a_batch(dtype: torch.dtype, device: str) -> None:
    batch = long_list(dtype, grades=5)
    others = Case("others", (90, N // 2), "", labels="signed").batch(dtype)
    together = Batch.join([others, batch]).to(device)
    options = {"reduction": "none"}
    alone = evaluate(LOSSES["hinge"], one_list(batch.to(device)), **options)
    for call in (flat(together), padded_lengths(together)):
        got = evaluate(LOSSES["hinge"], call, **options)
        assert same_bits(got.loss[2], alone.loss)
        assert same_bits(together.split(got.grad)[2], alone.grad)


@halves
@pytest.mark.parametrize(
    "label_dtype",
    [torch.bool, torch.uint8, torch.int8, torch.int64, torch.bfloat16, torch.float32],
    ids=name_of,
)
def test_labels_of_any_type(dtype: torch.dtype, label_dtype: torch.dtype, device: str) -> None:
    labels = labels_of(2) - (0 if label_dtype in (torch.bool, torch.uint8) else 1)
    batch = replace(long_list(dtype), labels=labels.to(label_dtype))
    wanted = forward(one_list(replace(batch, labels=labels).to(device)))
    results = hold_against_fp32(one_list(batch.to(device)))
    assert all(same_bits(a, b) for a, b in zip(results, wanted, strict=True))


@halves
def test_extreme_labels(dtype: torch.dtype, device: str) -> None:
    values = torch.tensor([-(2**63), 2**53, 2**53 + 1, 2**63 - 1])
    batch = replace(long_list(dtype), labels=values[labels_of(4)])
    wanted = forward(one_list(replace(batch, labels=labels_of(4)).to(device)))
    results = hold_against_fp32(one_list(batch.to(device)))
    assert all(same_bits(a, b) for a, b in zip(results, wanted, strict=True))


@halves
def test_without_gradient(dtype: torch.dtype, device: str) -> None:
    batch = long_list(dtype, grades=5).to(device)
    loss = LOSSES["hinge"](batch.scores.clone().requires_grad_(), batch.labels)
    assert same_bits(LOSSES["hinge"](batch.scores, batch.labels), loss.detach())


@halves
def test_threads_agree_bit_for_bit(dtype: torch.dtype) -> None:
    """Long enough that each thread has a table of its own."""
    scores = torch.randn(400_000, generator=generator_for("threads")).to(dtype)
    labels = torch.arange(len(scores)) * 7 // 3 % 2
    call = one_list(Batch(scores, labels, (len(scores),)))
    threads = torch.get_num_threads()
    results = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        results.append(forward(call))
    torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(same_bits(a, b) for a, b in zip(results[0], other, strict=True))
