"""The kernel of lambda losses over short lists, run on the CPU, against oracle and reference.

A list of up to 128 slots is a warp's, a longer one, up to 1024, a block's. A thread holds every
32nd or 256th cell; few rows are shared by several lanes each.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from host_cases import cases, same_bits, sanitize
from torch import Tensor

import fused_rankloss
from batches import FORMS, Batch, evaluate, flat, one_list, padded_lengths, padded_mask
from cases import MEDIUM, REDUCTIONS, SMALL, Case, generator_for, name_of
from ltr import GRID, PAIR, PAIR_LOSSES, SCHEMES, TRUNCATIONS, graded, hold, weighted
from oracle_ndcg import statistics_of

every_loss = pytest.mark.parametrize("name", PAIR)
every_option = pytest.mark.parametrize("name", GRID)

# Lists of warps and of blocks in one block of eight, and more than one block.
MIXED = (130, 5, 0, 300, 128, 129, 1, 64, 0, 33, 500, 2, 0)
INF, NAN = math.inf, math.nan


# ---- Against oracle and reference ----------------------------------------------------------------


@cases(SMALL)
@every_loss
def test_small(case: Case, name: str, on_lambda_host) -> None:
    hold(PAIR[name], graded(case, torch.float32), "cpu", case=case)


@cases(SMALL, "weighted_boundary")
@every_option
def test_options(case: Case, name: str, on_lambda_host) -> None:
    hold(GRID[name], graded(case, torch.float32), "cpu", case=case)


@every_option
def test_options_of_a_blocks_list(name: str, on_lambda_host) -> None:
    case = Case("n140", (140,), "a block's", scores="quarters", labels="grades", weighted=True)
    hold(GRID[name], case.batch(torch.float32), "cpu", case=case)


@cases(SMALL, "boundary_grades")
@every_option
def test_options_in_double_precision(case: Case, name: str, on_lambda_host) -> None:
    hold(GRID[name], graded(case, torch.float64), "cpu", case=case)


@sanitize
@cases(SMALL, "weighted")
@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=name_of)
def test_dtypes(case: Case, name: str, dtype: torch.dtype, on_lambda_host) -> None:
    hold(PAIR[name], graded(case, dtype), "cpu", case=case)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 96])
@pytest.mark.parametrize("labels", ["grades", "continuous"])
def test_borders_of_a_warp(size: int, labels: str, on_lambda_host) -> None:
    case = Case(f"n{size}", (size,), "a border", scores="quarters", labels=labels)
    for name in ("lambdarank", "ndcg_loss2++"):
        hold(PAIR[name], case.batch(torch.float32), "cpu", case=case)


@sanitize
@pytest.mark.parametrize("size", [127, 128, 129, 159, 161, 255, 256, 257, 513])
@pytest.mark.parametrize("labels", ["grades", "continuous"])
def test_borders_of_a_block(size: int, labels: str, on_lambda_host) -> None:
    case = Case(f"n{size}", (size,), "a border", scores="quarters", labels=labels)
    dtype = torch.float64 if size % 3 else torch.float32
    hold(PAIR["lambdarank"], case.batch(dtype), "cpu", case=case)


@cases(MEDIUM, "n1023", "n1024")
@pytest.mark.parametrize("name", ["lambdarank", "arp"])
def test_longest(case: Case, name: str, on_lambda_host) -> None:
    for dtype in (torch.float32, torch.float64):
        hold(PAIR[name], graded(case, dtype), "cpu", case=case)


@pytest.mark.parametrize("truncation", TRUNCATIONS)
@pytest.mark.parametrize("scheme", ["lambdarank", "ndcg_loss1"])
@pytest.mark.parametrize(
    ("size", "k"),
    [
        *((11, k) for k in (1, 2, 4, 10)),
        *((100, k) for k in (1, 2, 7, 16, 17, 31, 33, 99, 100)),
        *((300, k) for k in (1, 8, 9, 100, 129, 299)),
    ],
)
def test_truncation(size: int, k: int, scheme: str, truncation: str, on_lambda_host) -> None:
    case = Case(f"top {size}", (size,), "", labels="grades", weighted=size == 100)
    ranking = weighted(scheme, k=k, truncation=truncation)
    hold(ranking, case.batch(torch.float32), "cpu", case=case)


@every_loss
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("case", ["no_lists", "only_empty", "pairless_lists", "mixed"])
def test_reductions(case: str, name: str, reduction: str, on_lambda_host) -> None:
    small = {case.name: case for case in SMALL}
    chosen = small.get(case) or Case("mixed", MIXED[1:3] + MIXED[4:10] + (9,) * 20, "")
    hold(PAIR[name], chosen.batch(torch.float32), "cpu", case=chosen, reduction=reduction)


@pytest.mark.parametrize("name", ["lambdarank", "ndcg_loss2++"])
def test_mixed(name: str, on_lambda_host) -> None:
    case = Case("mixed", MIXED + (9,) * 40, "", labels="grades", weighted=True)
    hold(PAIR[name], case.batch(torch.float32), "cpu", case=case, reduction="list_mean")


@sanitize
@cases(SMALL, "ragged", "weighted")
@pytest.mark.parametrize("form", [name for name in FORMS if name != "flat"])
@every_loss
def test_forms(case: Case, form: str, name: str, on_lambda_host) -> None:
    batch = graded(case, torch.float32)
    if form != "nested":
        batch = replace(batch, labels=batch.labels.float())
    filler = {} if form == "nested" else {"filler": NAN}
    got = hold(PAIR[name], batch, "cpu", form=lambda b: FORMS[form](b, **filler))
    assert same_bits(got.padding_grad, torch.zeros_like(got.padding_grad))


@cases(SMALL, "weighted", "weighted_boundary")
@every_loss
def test_preferred_weights(case: Case, name: str, on_lambda_host) -> None:
    hold(PAIR[name], case.batch(torch.float32), "cpu", case=case, weighting="preferred")


@sanitize
@pytest.mark.parametrize("name", ["lambdarank", "lambdarank_hinge", "ndcg_loss1"])
@pytest.mark.parametrize("n", [30, 300])
@pytest.mark.parametrize("rising", [True, False])
@pytest.mark.parametrize("k", [None, 9])
def test_gains_of_items(name: str, n: int, rising: bool, k: int | None, on_lambda_host) -> None:
    generator = generator_for("own_gains")
    labels = torch.randint(0, 5, (n + 7,), generator=generator)
    gains = labels * 2.0 if rising else torch.rand(n + 7, generator=generator)
    scores = torch.randn(n + 7, generator=generator, dtype=torch.float64)
    hold(PAIR[name], Batch(scores, labels, (n, 0, 7)), "cpu", gains=gains, k=k)


@pytest.mark.parametrize("top", [31, 128, 5000])
@pytest.mark.parametrize("name", ["lambdarank", "ndcg_loss1"])
def test_gains_of_large_labels(top: int, name: str, on_lambda_host) -> None:
    generator = generator_for("gains")
    for n in (20, 200):
        labels = torch.randint(0, top + 1, (n,), generator=generator)
        labels[0] = top
        hold(PAIR[name], Batch(torch.randn(n, generator=generator), labels, (n,)), "cpu")


LABEL_DTYPES = [
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
]


@pytest.mark.parametrize("dtype", LABEL_DTYPES, ids=name_of)
@pytest.mark.parametrize("name", ["lambdarank", "arp"])
def test_label_dtypes(name: str, dtype: torch.dtype, on_lambda_host) -> None:
    levels = 2 if dtype == torch.bool else 5
    scores = torch.randn(200, generator=generator_for("labels"))
    labels = torch.arange(200) * 7 % levels
    one = evaluate(PAIR[name], flat(Batch(scores, labels.double(), (20, 0, 180))))
    other = evaluate(PAIR[name], flat(Batch(scores, labels.to(dtype), (20, 0, 180))))
    assert one.same_bits(other)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float64], ids=name_of)
def test_the_greatest_labels_of_all(dtype: torch.dtype, on_lambda_host) -> None:
    """Beside padding, whose key is as great."""
    limits = torch.iinfo(torch.int64)
    labels = torch.tensor([limits.max, limits.min, 0, -1, limits.max, 5]).to(dtype)
    batch = Batch(torch.tensor([0.5, 1.0, -1.0, 0.25, 2.0, 0.0]), labels, (6,))
    hold(PAIR["logistic"], batch, "cpu", form=FORMS["scattered_mask"])


# ---- Numbers that break others -------------------------------------------------------------------


@pytest.mark.parametrize("scores", ["quarters", "equal", "wide", "ascending"])
@pytest.mark.parametrize("pair_loss", PAIR_LOSSES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_ties_and_gaps(scores: str, pair_loss: str, scheme: str, on_lambda_host) -> None:
    case = Case(f"ties {scores}", (40, 133), "", scores=scores, labels="grades")
    hold(weighted(scheme, pair_loss=pair_loss), case.batch(torch.float32), "cpu", case=case)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=name_of)
@pytest.mark.parametrize("sigma", [1e-3, 1.0, 3.3, 1e3])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_logistic_at_any_distance(
    dtype: torch.dtype, sigma: float, size: float, on_lambda_host
) -> None:
    scores = torch.randn(90, generator=generator_for("gaps"), dtype=torch.float64) * size
    labels = torch.randint(0, 4, (90,), generator=generator_for("gap labels"))
    got = hold(weighted("none", sigma=sigma), Batch(scores.to(dtype), labels, (90,)), "cpu")
    assert got.loss.isfinite() and got.grad.isfinite().all()


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5, 3.3])
def test_arithmetic_in_single_precision(sigma: float, lambda_host) -> None:
    """The errors that logistic_float.h states, besides that of the gap, which is exact here."""
    generator = generator_for("single")
    gaps = torch.cat(
        [
            torch.rand(100_000, generator=generator),
            torch.rand(100_000, generator=generator) * 20,
            torch.rand(100_000, generator=generator) * 700 / sigma,
            2.0 ** torch.arange(-149, 8),
        ]
    )
    gaps = torch.cat([gaps, -gaps])
    terms = lambda_host.float_logistic(gaps, torch.zeros_like(gaps), sigma)
    x = gaps.double() * sigma
    value = torch.where(x < 0, -x, 0) + torch.log1p(torch.exp(-x.abs()))
    slope = torch.exp(-torch.clamp(x, min=0)) / (1 + torch.exp(-x.abs()))
    unit, rounding = 2.0**-24, 2.0**-50
    # fp64 rounds x here, which moves exp(-x).
    assert ((terms[:, 0] - value).abs() <= (3.2 * unit + rounding * (1 + x.abs())) * value).all()
    near = x.abs() < 0.7
    units = torch.where(near, 3.8, 4.6)
    error = (terms[:, 1] - slope).abs()
    assert (error <= (units * unit + rounding * (1 + x.abs())) * slope).all()


def test_infinite_gaps_in_single_precision(lambda_host) -> None:
    more = torch.tensor([INF, -INF, 3e38, -3e38, 0.0])
    less = torch.tensor([0.0, 0.0, -3e38, 3e38, 0.0])
    value, slope = lambda_host.float_logistic(more, less, 1.0).unbind(1)
    assert value.tolist() == pytest.approx([0, INF, 0, INF, math.log(2)], rel=1e-6, abs=1e-300)
    assert slope.tolist() == pytest.approx([0, 1, 0, 1, 0.5], abs=1e-300)


# ---- What is no number ---------------------------------------------------------------------------


@sanitize
@pytest.mark.parametrize("what", ["scores", "labels", "weights", "gains"])
@pytest.mark.parametrize("long", [30, 300])
@pytest.mark.parametrize("name", ["lambdarank", "ndcg_loss2++"])
def test_nan_poisons_its_list(what: str, long: int, name: str, on_lambda_host) -> None:
    case = Case("nan", (40, 9, long, 5), "", labels="continuous", weighted=what == "weights")
    batch = case.batch(torch.float32)
    gains = torch.ones_like(batch.scores)
    (gains if what == "gains" else getattr(batch, what))[60] = NAN  # in list 2
    poisoned = torch.zeros(len(batch.scores), dtype=torch.bool)
    poisoned[49 : 49 + long] = True
    options = {"gains": gains} if what == "gains" else {}
    outcome = evaluate(PAIR[name], flat(batch), reduction="none", **options)
    assert torch.equal(outcome.grad.isnan(), poisoned)
    assert outcome.loss.isnan().tolist() == [False, False, True, False]
    if what != "gains":
        padded = evaluate(PAIR[name], padded_lengths(batch, filler=NAN), reduction="none")
        assert padded.same_bits(outcome) and (padded.padding_grad == 0).all()


@sanitize
@pytest.mark.parametrize("more", [0, 150])
@pytest.mark.parametrize("pair_loss", PAIR_LOSSES)
def test_infinite_scores(more: int, pair_loss: str, on_lambda_host) -> None:
    """`more` items without a partner make it a block's list."""
    rows = [
        ([INF, 1.0, 0.0], [1, 0, 0], 0.0),  # relevant at the top: nothing to learn
        ([INF, INF, 0.0], [1, 1, 0], 0.0),  # equal infinities with equal labels
        ([0.0, INF], [1, 0], INF),  # irrelevant at the top
        ([INF, INF], [1, 0], NAN),
        ([INF, 5.0, INF], [1, 2, 0], NAN),
    ]
    for scores, labels, loss in rows:
        batch = Batch.of(scores + [-1e30] * more, labels + [-1] * more, dtype=torch.float32)
        ranking = weighted("none", pair_loss=pair_loss)
        outcome = evaluate(ranking, one_list(batch), reduction="sum")
        wanted = evaluate(ranking, one_list(batch), reduction="sum", impl="reference")
        assert outcome.grad.isnan().tolist() == wanted.grad.isnan().tolist()
        assert outcome.loss.item() == pytest.approx(loss, nan_ok=True, abs=1e-30)


@sanitize
@pytest.mark.parametrize("truncation", TRUNCATIONS)
def test_infinities_out_of_sight(truncation: str, on_lambda_host) -> None:
    """Two equal ones below the top are no pair; one of them in the top is, but for "both"."""
    batch = Batch.of([3.0, 1.0, -INF, -INF], [0, 1, 2, 0], dtype=torch.float32)
    for k in (1, 2, 3, 4):
        ranking = weighted("none", k=k, truncation=truncation)
        outcome = evaluate(ranking, one_list(batch))
        assert outcome.loss.isnan().item() == (k == 4 or (k == 3 and truncation != "both"))
        assert outcome.grad.isnan().all() == outcome.loss.isnan()


@sanitize
def test_diagonal_of_an_infinite_score(on_lambda_host) -> None:
    batch = Batch.of([1.0, INF, 0.0], [1, 0, 2], dtype=torch.float32)
    assert evaluate(PAIR["ndcg_loss1"], one_list(batch)).loss.isnan()
    assert not evaluate(PAIR["lambdarank"], one_list(batch)).grad.isnan().any()


def arguments(call, **options) -> list:
    """What the op takes."""
    named = {
        **{name: call.options.get(name) for name in ("weights", "gains", "mask", "lengths")},
        **{"offsets": call.options.get("offsets"), "discounts": None},
        **{"scheme": "lambdarank", "pair_loss": "logistic", "sigma": 1.0, "margin": 1.0},
        **{"scale": 1.0, "mu": 10.0, "gain": "exponential", "k": 0, "truncation": "either"},
        **{"score_normalization": False, "list_normalization": False, "weighting": "product"},
        **{"reduction": "none", "needs_grad": True, "needs_statistics": True},
    }
    assert set(options) <= set(named)
    return [call.scores, call.labels, *(named | options).values()]


@sanitize
def test_invalid_lengths(lambda_host) -> None:
    scores = torch.randn(4, 150, generator=generator_for("lengths"))
    labels = torch.arange(600).view(4, 150) % 3
    call = padded_lengths(Batch(scores.flatten(), labels.flatten(), (150,) * 4), extra=0)
    results = []
    for lengths in ([150, 0, 20, 7], [150, -1, 20, 151]):
        call.options["lengths"] = torch.tensor(lengths)
        results.append(lambda_host.lambda_forward(*arguments(call)))
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
        [0, 2**40, 80, 100],
    ],
)
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_invalid_offsets(offsets: list[int], reduction: str, lambda_host) -> None:
    """Every list is poisoned, and nothing is read or written out of bounds."""
    scores = torch.randn(100, generator=generator_for("offsets"))
    call = one_list(Batch(scores, torch.arange(100) % 4, (100,)))
    call.options["offsets"] = torch.tensor(offsets)
    loss, _, scale, _ = lambda_host.lambda_forward(*arguments(call, reduction=reduction))
    assert loss.isnan().all() and scale.isnan().all()


# ---- Statistics ----------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [None, 1, 5, 60])
@pytest.mark.parametrize("truncation", ["either", "both"])
@pytest.mark.parametrize("form", ["flat", "scattered_mask"])
@pytest.mark.parametrize("scores", ["normal", "quarters"])
def test_statistics(k: int | None, truncation: str, form: str, scores: str, on_lambda_host) -> None:
    case = Case("statistics", (3, 0, 1, 64, 200, 9), "", scores=scores, labels="grades")
    batch = case.batch(torch.float32)
    call = FORMS[form](batch)
    for options in (
        {},
        {"gain": "linear", "scheme": "none"},
        {"discount": torch.tensor([1.0, 0.5]), "scheme": "arp"},
    ):
        _, got = fused_rankloss.lambda_loss(
            call.scores,
            call.labels,
            **call.options,
            **options,
            k=k,
            truncation=truncation,
            return_statistics=True,
        )
        wanted = [
            statistics_of(
                one.scores.tolist(),
                one.labels.tolist(),
                gain=options.get("gain", "exponential"),
                discounts=[1.0, 0.5] if "discount" in options else None,
                k=k,
            )
            for one in batch.lists()
        ]
        shares = [share / pairs if pairs else NAN for pairs, share, _ in wanted]
        assert got.num_pairs.tolist() == [pairs for pairs, _, _ in wanted]
        # fp64 sums of up to 200 terms.
        same = {"rel": 2.0**-44, "nan_ok": True}
        assert got.pair_accuracy.tolist() == pytest.approx(shares, **same)
        assert got.ndcg.tolist() == pytest.approx([ndcg for _, _, ndcg in wanted], **same)


@sanitize
@pytest.mark.parametrize("bad", [NAN, INF])
def test_statistics_of_a_poisoned_list(bad: float, on_lambda_host) -> None:
    scores = torch.randn(200, generator=generator_for("bad"))
    scores[70:72] = bad
    _, got = fused_rankloss.lambda_loss(
        scores,
        torch.arange(200) % 3,
        offsets=torch.tensor([0, 60, 100, 200]),
        return_statistics=True,
    )
    assert got.num_pairs.bool().tolist() == [True, False, True]
    assert got.pair_accuracy.isnan().tolist() == [False, True, False]
    assert got.ndcg.isnan().tolist() == [False, True, False]


# ---- Bits ----------------------------------------------------------------------------------------


def results_of(host, call, **options) -> list[Tensor]:
    return list(host.lambda_forward(*arguments(call, **options)))


OPTIONS = [
    {},
    {"scheme": "ndcg_loss2++", "pair_loss": "hinge", "k": 20},
    {"list_normalization": True, "score_normalization": True, "k": 3},
    {"scheme": "ndcg_loss1", "truncation": "both", "k": 70},
]
every_options = pytest.mark.parametrize("options", OPTIONS, ids=str)


@sanitize
@every_options
@pytest.mark.parametrize("weighted", [False, True])
def test_schedules_agree_bit_for_bit(options: dict, weighted: bool, lambda_host) -> None:
    case = Case("seeds", (70, 3, 0, 400, 12, 200), "", labels="grades", weighted=weighted)
    call = flat(case.batch(torch.float32))
    results = []
    for seed in (1, 2, 3):
        lambda_host.seed(seed)
        results.append(results_of(lambda_host, call, reduction="list_mean", **options))
    for other in results[1:]:
        assert all(same_bits(a, b) for a, b in zip(results[0], other, strict=True))


@every_options
def test_lists_do_not_know_of_each_other(options: dict, lambda_host) -> None:
    """A list alone has the bits that it has in any batch."""
    case = Case("alone", (70, 3, 0, 400, 200), "", labels="grades", weighted=True)
    batch = case.batch(torch.float32)
    loss, raw_grad, _, statistics = results_of(lambda_host, flat(batch), **options)
    for index, (alone, grad) in enumerate(
        zip(batch.lists(), batch.split(raw_grad[0]), strict=True)
    ):
        single = results_of(lambda_host, flat(alone), **options)
        assert same_bits(single[0][0], loss[index]) and same_bits(single[1][0], grad)
        assert same_bits(single[3][0], statistics[index])


@sanitize
@every_options
@pytest.mark.parametrize("extra", [1, 150])
def test_padding_does_not_matter(options: dict, extra: int, lambda_host) -> None:
    """Nor, with it, whether a warp or a block solves a list."""
    case = Case("padding", (1, 2, 7, 16, 40, 100, 128, 0, 90), "", scores="quarters")
    batch = replace(case.batch(torch.float64), labels=torch.arange(384) % 5)
    plain = results_of(lambda_host, flat(batch), **options)
    for call in (
        padded_lengths(batch, extra, NAN),
        padded_mask(batch, extra, NAN),
        FORMS["scattered_mask"](batch, extra, INF),
    ):
        other = results_of(lambda_host, call, **options)
        assert all(same_bits(plain[i], other[i]) for i in (0, 2, 3))
        assert same_bits(plain[1][0], other[1].flatten()[call.slots])
        assert not call.padding(other[1]).count_nonzero()


@pytest.mark.parametrize("name", ["lambdarank", "ndcg_loss2++"])
def test_values_without_gradients(name: str, on_lambda_host) -> None:
    batch = Case("plain", (40, 200), "", labels="grades").batch(torch.float32)
    wanted = evaluate(PAIR[name], flat(batch))
    value = PAIR[name](batch.scores, batch.labels, offsets=batch.offsets())
    assert same_bits(value, wanted.loss)


# ---- Beside other kernels ------------------------------------------------------------------------


def test_longer_lists_are_left_to_other_kernels(lambda_host) -> None:
    """With a place for the sums of lists, nothing else is written."""
    case = Case("left", (70, 1025, 0, 150, 1024), "", labels="rare")
    batch = case.batch(torch.float32)
    sums, raw_grad = lambda_host.list_sums(batch.scores, batch.labels, batch.offsets())
    for index, (alone, grad) in enumerate(
        zip(batch.lists(), batch.split(raw_grad[0]), strict=True)
    ):
        if case.sizes[index] > 1024:
            assert sums[index].isnan().all() and grad.isnan().all()
            continue
        single = results_of(lambda_host, flat(alone), needs_statistics=False)
        assert same_bits(sums[index, 0].float(), single[0][0]) and same_bits(grad, single[1][0])
        mean = results_of(lambda_host, flat(alone), reduction="mean")[2].item()
        pairs = sums[index, 1].item()
        assert mean == (1 / pairs if pairs else 0)


@pytest.fixture
def finished_by_others(lambda_host):
    lambda_host.others_finish(True)
    yield
    lambda_host.others_finish(False)


@sanitize
@cases(SMALL, "only_empty", "ragged", "weighted", "trailing_empty")
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_finished_by_others(case: Case, reduction: str, finished_by_others, on_lambda_host) -> None:
    hold(PAIR["lambdarank"], graded(case, torch.float32), "cpu", reduction=reduction)
