"""The learning-to-rank losses, reference and kernels, against the oracle: every regime of list,
every option, dtype and reduction."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

import fused_rankloss
from support.batches import FORMS, Batch, evaluate, flat, one_list, same_bits
from support.cases import (
    MEDIUM,
    REDUCTIONS,
    SCORE_DTYPES,
    SMALL,
    Case,
    by_name,
    generator_for,
    name_of,
)
from support.oracle.ndcg import statistics_of
from support.ranking import (
    GRID,
    LISTWISE_GRID,
    PAIR,
    RANKING,
    SCHEMES,
    graded,
    hold,
    logistic,
    weighted,
)

pytestmark = pytest.mark.sanitize

CASES = by_name(SMALL + MEDIUM)
ALL = GRID | LISTWISE_GRID
every_dtype = pytest.mark.parametrize("dtype", SCORE_DTYPES, ids=name_of)


def cases(*names: str):
    return pytest.mark.parametrize("case", [CASES[n] for n in names], ids=lambda case: case.name)


def grad_output_for(case: Case, reduction: str) -> Tensor:
    """A random d objective / d loss, of numbers that every dtype holds."""
    shape = (len(case.sizes),) if reduction == "none" else ()
    return torch.randint(-8, 9, shape, generator=generator_for(case.name)).double() / 4


@cases(*by_name(SMALL))
@pytest.mark.parametrize("name", RANKING)
def test_small(case: Case, name: str, device: str) -> None:
    hold(RANKING[name], graded(case, torch.float32), device, case=case)


@cases("ragged", "weighted", "n129", "wide")
@pytest.mark.parametrize("name", RANKING)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=name_of)
def test_dtypes(case: Case, name: str, dtype: torch.dtype, device: str) -> None:
    hold(RANKING[name], graded(case, dtype), device, case=case)


@cases("weighted", "pairless_lists")
@pytest.mark.parametrize("name", RANKING)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reductions(case: Case, name: str, reduction: str, device: str) -> None:
    grad_output = grad_output_for(case, reduction)
    batch = graded(case, torch.float32)
    hold(RANKING[name], batch, device, case=case, grad_output=grad_output, reduction=reduction)


@cases("ragged", "weighted_boundary", "n129")
@pytest.mark.parametrize("name", ALL)
def test_options(case: Case, name: str, device: str) -> None:
    hold(ALL[name], graded(case, torch.float32), device, case=case)


@cases("boundary_grades", "n513")
@pytest.mark.parametrize("name", ALL)
def test_options_in_double_precision(case: Case, name: str, device: str) -> None:
    hold(ALL[name], graded(case, torch.float64), device, case=case)


@cases("weighted")
@pytest.mark.parametrize("name", ALL)
def test_reference(case: Case, name: str, device: str) -> None:
    """Alone against the oracle, in double precision."""
    for reduction in ("mean", "none"):
        grad_output = grad_output_for(case, reduction)
        options = {"reduction": reduction, "impl": "reference", "grad_output": grad_output}
        hold(ALL[name], graded(case), device, case=case, **options)


@cases("weighted", "weighted_boundary", "weighted_ties")
@pytest.mark.parametrize("name", PAIR)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=name_of)
def test_preferred_weights(case: Case, name: str, dtype: torch.dtype, device: str) -> None:
    hold(PAIR[name], graded(case, dtype), device, case=case, weighting="preferred")


@cases("n255", "n257", "n511", "n513", "n1025", "growing", "weighted_long")
@pytest.mark.parametrize("name", RANKING)
def test_medium(case: Case, name: str, device: str) -> None:
    hold(RANKING[name], graded(case, torch.float32), device, case=case)


@cases("n2047", "n2049", "few_relevant", "n4096_distinct", "levels_257")
@pytest.mark.parametrize("name", ["logistic", "lambdarank", "lambdarank_hinge"])
def test_long_lists(case: Case, name: str, device: str) -> None:
    hold(RANKING[name], graded(case, torch.float32), device, case=case)


@cases("n1025", "n2049")
@pytest.mark.parametrize("name", ["logistic", "lambdarank", "approx_ndcg"])
def test_long_lists_in_double_precision(case: Case, name: str, device: str) -> None:
    hold(RANKING[name], graded(case, torch.float64), device, case=case)


@cases("n2047", "n513")
@pytest.mark.parametrize("k", [1, 10, 300, 100_000])
@pytest.mark.parametrize("truncation", ["either", "both", "discount"])
@pytest.mark.parametrize("pair_loss", ["logistic", "hinge"])
def test_truncated_long_lists(
    case: Case, k: int, truncation: str, pair_loss: str, device: str
) -> None:
    ranking = weighted("lambdarank", k=k, truncation=truncation, pair_loss=pair_loss)
    hold(ranking, graded(case, torch.float32), device, case=case)


@pytest.mark.parametrize("n", [20, 900])
def test_integer_weights_are_copies(n: int, device: str) -> None:
    generator = generator_for("copies")
    scores, labels = torch.randn(n, generator=generator), torch.arange(n) % 4
    copies = torch.randint(0, 4, (n,), generator=generator)
    one = evaluate(logistic(), one_list(Batch(scores, labels, (n,), copies.float()).to(device)))
    repeated = Batch(
        scores.repeat_interleave(copies),
        labels.repeat_interleave(copies),
        (int(copies.sum()),),
    )
    other = evaluate(logistic(), one_list(repeated.to(device)))
    torch.testing.assert_close(one.loss, other.loss, rtol=2**-21, atol=0)
    item = torch.arange(n).repeat_interleave(copies).to(device)
    summed = torch.zeros(n, device=device).index_add_(0, item, other.grad)
    torch.testing.assert_close(one.grad, summed, rtol=2**-18, atol=1e-9)


# ---- Numbers that break others -------------------------------------------------------------------


@pytest.mark.parametrize("n", [40, 700])
@pytest.mark.parametrize("name", ["logistic", "lambdarank", "list_mle", "listnet", "approx_ndcg"])
@every_dtype
def test_score_gaps_of_1e4(n: int, name: str, dtype: torch.dtype, device: str) -> None:
    """The naive exponential overflows from 89 on; a clamped one loses the gradient from 23 on."""
    generator = generator_for("gaps")
    scores = (torch.rand(n, generator=generator, dtype=torch.float64) - 0.5) * 2e4
    scores[: n // 2] = torch.randn(n // 2, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 5, (n,), generator=generator)
    batch = Batch(scores.to(dtype), labels, (n,))
    outcome = hold(RANKING[name], batch, device)
    assert outcome.loss.isfinite() and outcome.grad.isfinite().all()


@pytest.mark.parametrize("gap", [100.0, 1e4, 1e30])
@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_slope_of_the_worst_pairs(gap: float, impl: str, device: str) -> None:
    """Where others clamp, the gradient of a pair far out of order is sigma, exactly."""
    batch = Batch.of([-gap / 2, gap / 2], [1, 0], dtype=torch.float32).to(device)
    got = evaluate(logistic(sigma=2.0), one_list(batch), impl=impl)
    assert got.loss.item() == pytest.approx(2 * gap, rel=1e-6)
    assert got.grad.tolist() == [-2.0, 2.0]


@pytest.mark.parametrize("offset", [1e3, 1e6])
@pytest.mark.parametrize("name", ["logistic", "lambdarank", "lambdarank_hinge", "list_mle"])
def test_score_offsets(offset: float, name: str, device: str) -> None:
    """Scores on a grid of 1/8 that stay exact when they move: so does the loss, nearly."""
    scores = torch.randint(-64, 65, (900,), generator=generator_for("offset")).double() / 8
    labels = torch.randint(0, 4, (900,), generator=generator_for("offset_labels"))
    for n in (30, 900):
        moved = Batch((scores[:n] + offset).float(), labels[:n], (n,))
        hold(RANKING[name], moved, device)


@pytest.mark.parametrize("top", [31, 127, 128, 1000, 5000])
@pytest.mark.parametrize("name", ["lambdarank", "ndcg_loss1", "ndcg_loss2++", "approx_ndcg"])
def test_exponential_gains_of_large_labels(top: int, name: str, device: str) -> None:
    """2^label overflows fp32 from 128 on, and double precision from 1024 on."""
    generator = generator_for("gains")
    for n in (20, 600):
        labels = torch.randint(0, top + 1, (n,), generator=generator)
        labels[0] = top
        batch = Batch(torch.randn(n, generator=generator), labels, (n,))
        got = hold(RANKING[name], batch, device)
        assert got.loss.isfinite() and got.loss != 0


@pytest.mark.parametrize("name", ["lambdarank", "ndcg_loss1", "approx_ndcg"])
@pytest.mark.parametrize("gain", ["linear", "exponential"])
def test_negative_labels(name: str, gain: str, device: str) -> None:
    """Negative gains are gains; a list whose best DCG is not positive adds exactly 0."""
    batch = Batch.of([0.5, 1.0, -0.5, 0.25, 1.0, 2.0], [3, -1, 0, 2, -2, -3])
    batch = replace(batch, sizes=(4, 2))
    got = hold(RANKING[name], batch, device, gain=gain, reduction="none")
    assert got.loss[0] != 0 and got.loss[1] == 0 and not got.grad[4:].count_nonzero()


@pytest.mark.parametrize("name", ["lambdarank", "lambdarank_hinge", "ndcg_loss1", "approx_ndcg"])
@pytest.mark.parametrize("n", [30, 700])
@pytest.mark.parametrize("rising", [True, False])
@pytest.mark.parametrize("form", ["flat", "scattered_mask", "nested"])
def test_gains_of_items(name: str, n: int, rising: bool, form: str, device: str) -> None:
    """Also gains that do not rise with the labels."""
    generator = generator_for("own_gains")
    labels = torch.randint(0, 5, (n + 7,), generator=generator)
    gains = labels * 2.0 if rising else torch.rand(n + 7, generator=generator)
    batch = Batch(torch.randn(n + 7, generator=generator), labels, (n, 0, 7))
    # The gains travel as labels do, in any form.
    call = FORMS[form](batch.to(device))
    carried = FORMS[form](replace(batch, labels=gains).to(device)).labels
    got = evaluate(RANKING[name], call, gains=carried)
    wanted = RANKING[name].exact(batch, gains=gains)
    assert_close(got, wanted)
    reference = evaluate(RANKING[name], call, gains=carried, impl="reference")
    assert_close(reference, wanted, slack=4)


def assert_close(got, wanted, slack: float = 1) -> None:
    from support.tolerance import check, grad_floor, loss_floor

    loss, grad = loss_floor(wanted, torch.float32), grad_floor(wanted, torch.float32)
    if slack > 1:  # the reference sums in fp32
        loss, grad = loss + 1e-5 * wanted.loss.abs(), grad + 1e-5 * wanted.grad.abs().max()
    check("loss", got.loss, wanted.loss, loss)
    check("grad", got.grad, wanted.grad, grad)


def test_integer_gains_are_exponential_gains(device: str) -> None:
    call = flat(CASES["boundary_grades"].batch(torch.float32).to(device))
    function = fused_rankloss.lambda_loss
    table = torch.tensor([0, 1, 3, 7, 15], device=device)
    one = evaluate(function, call)
    other = evaluate(function, call, gains=table[call.labels])
    torch.testing.assert_close(one.loss, other.loss, rtol=2**-22, atol=0)
    torch.testing.assert_close(one.grad, other.grad, rtol=2**-20, atol=1e-9)


def test_uint64_labels_keep_their_values(device: str) -> None:
    scores = torch.randn(40, generator=generator_for("uint64"))
    labels = torch.arange(40) % 5
    for name in RANKING:
        one = evaluate(RANKING[name], one_list(Batch(scores, labels, (40,)).to(device)))
        wide = Batch(scores, labels.to(torch.uint64), (40,)).to(device)
        assert evaluate(RANKING[name], one_list(wide)).same_bits(one), name


# ---- The tie trap --------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [50, 700, 2100])
@pytest.mark.parametrize("pair_loss", ["logistic", "hinge", "squared_hinge"])
@pytest.mark.parametrize("scores", ["quarters", "equal"])
def test_ties_are_split_by_rank(n: int, pair_loss: str, scores: str, device: str) -> None:
    """Equal scores have different ranks: what is out of order is decided by those."""
    case = Case(f"ties_{n}", (n,), "ties everywhere", scores=scores, labels="grades")
    ranking = weighted("lambdarank", pair_loss=pair_loss)
    hold(ranking, case.batch(torch.float32), device, case=case)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("form", FORMS)
def test_rank_ties_go_by_position(scheme: str, form: str, device: str) -> None:
    """In every form the first of two equal scores ranks above the second."""
    batch = Batch.of([1.0, 1.0, 1.0, -0.0, 0.0], [0, 2, 1, 3, 0], dtype=torch.float32)
    hold(weighted(scheme), batch, device, form=FORMS[form], reduction="sum")


# ---- Nothing to rank -----------------------------------------------------------------------------


@pytest.mark.parametrize("impl", ["auto", "reference"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_lists_that_do_not_count(impl: str, reduction: str, device: str) -> None:
    """Beside a list that does: they add 0, and change no mean but "batch_mean"."""
    scores = torch.tensor([0.5, 1.0, -1.0, 2.0, 0.25, 3.0], device=device)
    labels = torch.tensor([0, 2, 1, 0, 0, 0], device=device)
    offsets = torch.tensor([0, 3, 3, 5, 6], device=device)
    options = {"reduction": reduction, "impl": impl}
    for name, ranking in RANKING.items():
        if name in ("listnet", "ndcg_loss1"):
            continue  # whatever is not empty counts there
        given = scores.clone().requires_grad_()
        value = ranking(given, labels, offsets=offsets, **options)
        alone = ranking(scores[:3], labels[:3], **options)
        wanted = alone / 4 if reduction == "batch_mean" else alone
        if reduction == "none":
            assert value[1:].tolist() == [0.0, 0.0, 0.0]
            value = value[0]
        torch.testing.assert_close(value.detach(), wanted, rtol=2**-22, atol=0)
        value.backward()
        assert same_bits(given.grad[3:], torch.zeros(3, device=device))


def test_listnet_counts_every_item(device: str) -> None:
    """Equal labels are a distribution too: the loss pulls scores together."""
    batch = Batch.of([1.0, 0.0, 5.0], [0, 0, 3])
    batch = replace(batch, sizes=(2, 0, 1))
    got = hold(RANKING["listnet"], batch, device)
    assert got.grad[0] > 0 and got.grad[1] < 0 and got.grad[2] == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=name_of)
@pytest.mark.parametrize(("n", "spread"), [(40, 10.0), (64, 10.0), (700, 5.0), (3000, 10.0)])
def test_approx_ndcg_of_scores_of_all_sizes(
    n: int, spread: float, dtype: torch.dtype, device: str
) -> None:
    """One large score must not cost the others their differences."""
    generator = generator_for(f"sizes_{n}")
    scores = torch.exp(spread * torch.randn(n, generator=generator, dtype=torch.float64))
    labels = torch.randint(0, 5, (n,), generator=generator)
    batch = Batch(scores.to(dtype), labels, (n,))
    hold(RANKING["approx_ndcg"], batch, device, temperature=1.0)


# ---- Statistics ----------------------------------------------------------------------------------


@cases("ragged", "boundary_grades", "no_lists", "pairless_lists", "n513")
@pytest.mark.parametrize("impl", ["auto", "reference"])
@pytest.mark.parametrize("k", [None, 5])
@pytest.mark.parametrize("form", ["flat", "scattered_mask", "nested"])
def test_statistics(case: Case, impl: str, k: int | None, form: str, device: str) -> None:
    batch = graded(case, torch.float32)
    call = FORMS[form](batch.to(device))
    for options in ({}, {"gain": "linear"}, {"discount": torch.tensor([1.0, 0.5], device=device)}):
        value, got = fused_rankloss.lambda_loss(
            call.scores,
            call.labels,
            **call.options,
            **options,
            k=k,
            impl=impl,
            return_statistics=True,
        )
        plain = fused_rankloss.lambda_loss(
            call.scores, call.labels, **call.options, **options, k=k, impl=impl
        )
        assert same_bits(value, plain)
        discounts = [1.0, 0.5] if "discount" in options else None
        wanted = [
            statistics_of(
                one.scores.tolist(),
                one.labels.tolist(),
                gain=options.get("gain", "exponential"),
                discounts=discounts,
                k=k,
            )
            for one in batch.lists()
        ]
        assert got.num_pairs.tolist() == [pairs for pairs, _, _ in wanted]
        shares = [share / pairs if pairs else float("nan") for pairs, share, _ in wanted]
        same = {"rel": 1e-12, "nan_ok": True}
        assert got.pair_accuracy.tolist() == pytest.approx(shares, **same)
        assert got.ndcg.tolist() == pytest.approx([ndcg for _, _, ndcg in wanted], **same)


def test_statistics_of_a_poisoned_list(device: str) -> None:
    batch = CASES["ragged"].batch(torch.float32)
    scores = batch.scores.clone()
    scores[0] = torch.nan
    for impl in ("auto", "reference"):
        _, got = fused_rankloss.pairwise_logistic_loss(
            scores.to(device),
            batch.labels.to(device),
            offsets=batch.offsets().to(device),
            return_statistics=True,
            impl=impl,
        )
        assert got.num_pairs[0] == 0 and got.pair_accuracy[0].isnan() and got.ndcg[0].isnan()
        assert got.ndcg[3].isfinite()


@pytest.mark.parametrize("impl", ["auto", "reference"])
@pytest.mark.parametrize("copies", [0, 300])
def test_statistics_of_equal_infinities(impl: str, copies: int, device: str) -> None:
    """They make the loss NaN, and so what is said of its list; in no pair they are ties."""
    inf = torch.inf
    for labels, pairs in (([1, 0, 0], 0), ([1, 1, 0], 2)):
        scores = torch.tensor([inf, inf, 1.0] + [0.0] * copies, device=device)
        labels = torch.tensor(labels + [0] * copies, device=device)
        loss, got = fused_rankloss.pairwise_logistic_loss(
            scores, labels, return_statistics=True, impl=impl
        )
        assert loss.isnan() == (pairs == 0)
        assert got.num_pairs.tolist() == [pairs and pairs * (copies + 1)]
        wanted = float("nan") if pairs == 0 else 1.0
        assert got.pair_accuracy.tolist() == pytest.approx([wanted], nan_ok=True)
        assert got.ndcg.tolist() == pytest.approx([wanted], nan_ok=True)


LABEL_DTYPES = [
    *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.uint16, torch.uint32, torch.uint64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
]


@pytest.mark.parametrize("name", PAIR)
@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_statistics_of_label_dtypes(name: str, impl: str, device: str) -> None:
    """Labels are gains there, not only an order."""
    scores = torch.randn(40, generator=generator_for("statistics")).to(device)
    labels = (torch.arange(40) % 5).to(device)
    _, wanted = PAIR[name](scores, labels, return_statistics=True, impl=impl)
    assert 0 < wanted.ndcg.item() < 1
    for dtype in LABEL_DTYPES:
        _, got = PAIR[name](scores, labels.to(dtype), return_statistics=True, impl=impl)
        assert all(map(same_bits, got, wanted)), dtype


def test_statistics_of_one_list_are_one_row(device: str) -> None:
    call = one_list(CASES["n33"].batch(torch.float32).to(device))
    loss, got = fused_rankloss.pairwise_logistic_loss(
        call.scores, call.labels, return_statistics=True
    )
    assert loss.shape == () and all(tensor.shape == (1,) for tensor in got)
    assert not any(tensor.requires_grad for tensor in got)
