"""The kernel of lambda losses over short lists, run on the CPU, against oracle and reference.

A list of up to 128 slots is a warp's, a longer one, up to 1024, a block's. A thread holds every
32nd or 256th cell; few rows are shared by several lanes each.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from cuda_host.host_cases import cases, same_bits, sanitize
from support.batches import FORMS, Batch, evaluate, flat
from support.cases import MEDIUM, REDUCTIONS, SMALL, Case, generator_for, name_of
from support.ranking import GRID, PAIR, PAIR_LOSSES, SCHEMES, TRUNCATIONS, graded, hold, weighted

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


@every_option
def test_options(name: str, on_lambda_host) -> None:
    """In a list of a warp and in one of a block."""
    sizes = (50, 131)
    case = Case("two", sizes, "ties", scores="quarters", labels="grades", weighted=True)
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
    grades = 2 if dtype == torch.bool else 5
    scores = torch.randn(200, generator=generator_for("labels"))
    labels = torch.arange(200) * 7 % grades
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


@pytest.mark.parametrize("scores", ["quarters", "equal"])
@pytest.mark.parametrize("scheme", ["lambdarank", "none"])
def test_score_normalization(scores: str, scheme: str, on_lambda_host) -> None:
    """Of lists whose scores are not all equal."""
    case = Case(f"normalised {scores}", (40, 133), "", scores=scores, labels="grades")
    ranking = weighted(scheme, score_normalization=True)
    hold(ranking, case.batch(torch.float32), "cpu", case=case)


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
