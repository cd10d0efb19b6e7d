"""The same lists give the same bits whichever way they are handed over: input forms, index dtypes,
label dtypes, memory layouts; and the dtypes of scores."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from support.batches import FORMS, Batch, Outcome, evaluate, flat, nested, one_list, padded_lengths
from support.cases import (
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
from support.oracle.pairwise import exact
from support.tolerance import check, grad_floor, loss_floor

pytestmark = pytest.mark.sanitize

every_loss = pytest.mark.parametrize("loss", LOSSES)
CASES = by_name(SMALL + MEDIUM)
RAGGED = [
    CASES[name] for name in ("ragged", "pairless_lists", "weighted", "one_long", "weighted_long")
]


# ---- Forms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", RAGGED, ids=lambda case: case.name)
@every_loss
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_forms(case: Case, loss: str, form: str, reduction: str, device: str) -> None:
    batch = case.batch(torch.float32).to(device)
    one = evaluate(LOSSES[loss], flat(batch), reduction=reduction)
    other = evaluate(LOSSES[loss], FORMS[form](batch), reduction=reduction)
    assert one.same_bits(other)
    assert not other.padding_grad.count_nonzero()


@pytest.mark.parametrize("case", RAGGED, ids=lambda case: case.name)
@every_loss
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_a_batch_is_its_lists(case: Case, loss: str, weighting: str, device: str) -> None:
    """Calls for each list alone give the rows of "none", bit for bit."""
    batch = case.batch(torch.float32).to(device)
    options = {"reduction": "none", "weighting": weighting}
    together = evaluate(LOSSES[loss], flat(batch), **options)
    for one, value, grad in zip(
        batch.lists(), together.loss, batch.split(together.grad), strict=True
    ):
        alone = evaluate(LOSSES[loss], one_list(one), **options)
        assert alone.same_bits(Outcome(value, grad))


@pytest.mark.parametrize("form", [flat, padded_lengths], ids=["offsets", "lengths"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_index_dtypes(form, reduction: str, device: str) -> None:
    batch = CASES["ragged"].batch(torch.float32).to(device)
    outcomes = [
        evaluate(LOSSES["hinge"], form(batch, index_dtype=dtype), reduction=reduction)
        for dtype in (torch.int32, torch.int64)
    ]
    assert outcomes[0].same_bits(outcomes[1])


def test_shapes_of_results(device: str) -> None:
    hinge = LOSSES["hinge"]
    batch = CASES["ragged"].batch(torch.float32).to(device)
    margins = torch.tensor([0.5, 1.0, 2.0], device=device)
    lists = len(batch.sizes)
    for form in FORMS.values():
        call = form(batch)
        for reduction in REDUCTIONS:
            options = {**call.options, "reduction": reduction}
            rest = [lists] if reduction == "none" else []
            for margin, lead in ((1.0, []), (margins[0], []), (margins[:1], [1]), (margins, [3])):
                loss = hinge(call.scores, call.labels, margin=margin, **options)
                assert list(loss.shape) == lead + rest
    for reduction in REDUCTIONS:
        for margin, lead in ((1.0, []), (margins[0], []), (margins, [3])):
            loss = hinge(batch.scores, batch.labels, margin=margin, reduction=reduction)
            assert list(loss.shape) == lead


def test_nested_gradient_is_nested(device: str) -> None:
    call = nested(CASES["ragged"].batch(torch.float32).to(device))
    scores = call.scores.detach().requires_grad_()
    LOSSES["hinge"](scores, call.labels).backward()
    assert scores.grad.is_nested and scores.grad.layout == torch.jagged
    assert scores.grad.shape == scores.shape


# ---- Dtypes --------------------------------------------------------------------------------------

SIX = 6  # labels 0 .. 5 exist in every dtype but bool

LABEL_DTYPES = [
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.uint16,
    torch.uint32,
    torch.uint64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
]


@every_loss
@pytest.mark.parametrize("dtype", LABEL_DTYPES, ids=name_of)
@pytest.mark.parametrize("form", FORMS)
def test_label_dtypes(loss: str, dtype: torch.dtype, form: str, device: str) -> None:
    batch = Batch(
        torch.randn(50, generator=generator_for("label_dtypes")),
        torch.arange(50) * 7 % SIX,
        (20, 0, 30),
    ).to(device)
    one = evaluate(LOSSES[loss], flat(batch))
    other = evaluate(LOSSES[loss], FORMS[form](replace(batch, labels=batch.labels.to(dtype))))
    assert one.same_bits(other)


@every_loss
@pytest.mark.parametrize("dtype", [torch.bool, *LABEL_DTYPES], ids=name_of)
def test_binary_label_dtypes(loss: str, dtype: torch.dtype, device: str) -> None:
    """Long enough to be sorted."""
    labels = torch.randint(0, 2, (1300,), generator=generator_for("binary"))
    batch = Batch(torch.randn(1300, generator=generator_for("scores")), labels, (1300,)).to(device)
    one = evaluate(LOSSES[loss], one_list(batch))
    other = evaluate(LOSSES[loss], one_list(replace(batch, labels=batch.labels.to(dtype))))
    assert one.same_bits(other)


TOP = 2**62
EXACT_LABELS = {
    # Labels that are equal in a narrower type than their own.
    "int64": ([TOP, TOP + 1, TOP + 2, -TOP, -TOP - 1, TOP + 1], torch.int64),
    "int64_ends": ([2**63 - 1, -(2**63), 2**63 - 2, 0, -(2**63) + 1, -(2**63)], torch.int64),
    "uint64": ([2**64 - 1, 2**64 - 2, 2**63, 2**63 - 1, 0, 1], torch.uint64),
    "uint32": ([2**32 - 1, 2**31, 2**31 - 1, 0, 1, 2**32 - 2], torch.uint32),
    "uint16": ([65535, 32768, 32767, 0, 1, 65534], torch.uint16),
    "uint8": ([255, 128, 127, 0, 1, 254], torch.uint8),
    "int8": ([-128, 127, -1, 0, 1, -127], torch.int8),
    "float64": ([1.0, 1.0 + 2**-52, 1.0 - 2**-53, 1e300, -1e300, 1.0], torch.float64),
    "float32": ([1.0, 1.0 + 2**-23, 1.0 - 2**-24, 3e38, -3e38, 1.0], torch.float32),
    "subnormal": ([5e-324, 0.0, -5e-324, 1e-323, -0.0, 5e-324], torch.float64),
    "integers": ([2**24, 2**24 + 1, 2**24 - 1, -(2**24), 2**53, 0], torch.float64),
    "infinite": ([torch.inf, -torch.inf, 3e38, -3e38, torch.inf, 0.0], torch.float32),
    "half": ([0.25, 65504.0, -65504.0, 6e-8, 0.0, -0.0], torch.float16),
    "bfloat16": ([0.25, 3e38, -3e38, 1e-40, 0.0, -0.0], torch.bfloat16),
    "float8": ([0.25, 448.0, -448.0, 0.001953125, 0.0, -0.0], torch.float8_e4m3fn),
}


@every_loss
@pytest.mark.parametrize("copies", [1, 50, 200])
@pytest.mark.parametrize("name", EXACT_LABELS)
def test_labels_are_never_rounded(loss: str, copies: int, name: str, device: str) -> None:
    values, dtype = EXACT_LABELS[name]
    labels = torch.tensor(values, dtype=dtype).view(torch.uint8).repeat(copies).view(dtype)
    n = len(values) * copies
    scores = torch.randn(n, generator=generator_for(name))
    # Dense ranks, which every dtype holds: -0.0 and 0.0 are one label.
    held = labels.double().tolist() if dtype.is_floating_point else labels.tolist()
    ranks = {value: rank for rank, value in enumerate(sorted(set(held)))}
    ranked = torch.tensor([ranks[value] for value in held])
    one = evaluate(LOSSES[loss], one_list(Batch(scores, ranked, (n,)).to(device)))
    other = evaluate(LOSSES[loss], one_list(Batch(scores, labels, (n,)).to(device)))
    assert one.same_bits(other)


@every_loss
@pytest.mark.parametrize("dtype", SCORE_DTYPES, ids=name_of)
@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_dtypes_of_results(loss: str, dtype: torch.dtype, impl: str, device: str) -> None:
    batch = CASES["ragged"].batch(dtype).to(device)
    outcome = evaluate(LOSSES[loss], flat(batch), impl=impl)
    assert outcome.loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert outcome.grad.dtype == dtype


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=name_of)
def test_half_scores_are_their_float_values(loss: str, dtype: torch.dtype, device: str) -> None:
    """All 65,536 bit patterns that are finite, in one list."""
    bits = torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype)
    scores = bits[bits.isfinite()]
    labels = torch.randint(0, 3, scores.shape, generator=generator_for("half"))
    halves = Batch(scores, labels, (len(scores),)).to(device)
    one = evaluate(LOSSES[loss], one_list(halves))
    other = evaluate(LOSSES[loss], one_list(halves.to(torch.float32)))
    assert torch.equal(one.loss, other.loss)
    assert torch.equal(one.grad, other.grad.to(dtype))


WEIGHT_DTYPES = [torch.bool, torch.uint8, torch.int32, torch.int64, *SCORE_DTYPES]


@every_loss
@pytest.mark.parametrize("dtype", WEIGHT_DTYPES, ids=name_of)
@pytest.mark.parametrize("score_dtype", SCORE_DTYPES, ids=name_of)
def test_weight_dtypes(
    loss: str, dtype: torch.dtype, score_dtype: torch.dtype, device: str
) -> None:
    batch = CASES["ragged"].batch(score_dtype)
    weights = torch.arange(len(batch.scores)) % (2 if dtype == torch.bool else 4)
    weighted = replace(batch, weights=weights.to(dtype))
    fused = evaluate(LOSSES[loss], flat(weighted.to(device)))
    wanted = exact(weighted, loss)
    check("loss", fused.loss, wanted.loss, loss_floor(wanted, score_dtype), case=dtype)
    check("grad", fused.grad, wanted.grad, grad_floor(wanted, score_dtype), case=dtype)


# ---- Layouts -------------------------------------------------------------------------------------

LAYOUTS = {
    "transposed": lambda t: t.t().contiguous().t(),
    "strided": lambda t: torch.stack([t, t], -1).flatten(-2)[..., ::2],
    "offset": lambda t: torch.cat([t.flatten()[:1], t.flatten()])[1:].view(t.shape),
    "flipped_twice": lambda t: t.flip(-1).flip(-1),
    "of_a_wider_tensor": lambda t: torch.cat([t, t], -1)[..., : t.shape[-1]],
}


@every_loss
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=name_of)
def test_layouts(loss: str, layout: str, dtype: torch.dtype, device: str) -> None:
    call = FORMS["mask"](CASES["weighted"].batch(dtype).to(device))
    change = LAYOUTS[layout]
    changed = call._replace(
        scores=change(call.scores),
        labels=change(call.labels),
        options={name: change(tensor) for name, tensor in call.options.items()},
    )
    assert evaluate(LOSSES[loss], call).same_bits(evaluate(LOSSES[loss], changed))


def test_expanded_tensors(device: str) -> None:
    """Stride 0: the same scores for every query."""
    scores = torch.randn(30, generator=generator_for("expanded"), device="cpu").to(device)
    labels = (torch.arange(90, device=device) % 4).view(3, 30)
    given = scores.clone().requires_grad_()
    LOSSES["hinge"](given.expand(3, 30), labels).backward()
    dense = scores.clone().requires_grad_()
    LOSSES["hinge"](dense.repeat(3, 1), labels).backward()
    torch.testing.assert_close(given.grad, dense.grad, rtol=0, atol=0)


def test_offsets_and_lengths_of_any_stride(device: str) -> None:
    batch = CASES["ragged"].batch(torch.float32).to(device)
    for call, name in ((flat(batch), "offsets"), (padded_lengths(batch), "lengths")):
        index = call.options[name]
        strided = torch.stack([index, index + 1000], -1)[:, 0]
        assert not strided.is_contiguous()
        changed = call._replace(options={name: strided})
        hinge = LOSSES["hinge"]
        assert evaluate(hinge, call).same_bits(evaluate(hinge, changed))


def test_one_tensor_for_everything(device: str) -> None:
    """Scores, labels and weights that share memory."""
    values = torch.rand(100, generator=generator_for("shared")).to(device)
    shared = evaluate(LOSSES["hinge"], one_list(Batch(values, values, (100,), values)))
    apart = Batch(values.clone(), values.clone(), (100,), values.clone())
    assert shared.same_bits(evaluate(LOSSES["hinge"], one_list(apart)))
