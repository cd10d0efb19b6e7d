"""The kernels of lambda losses over long lists, run on the CPU, against the float64 oracle.

The crossover is lowered, so that short lists are sorted, too. Sums come in tiles of 2048 items, a
block has 32 rows and 256 columns at once, and columns of few rows are cut into segments from 4096
on.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from cuda_host.host_cases import cases, every_dtype, sanitize
from support.batches import FORMS, Batch, evaluate, padded_lengths
from support.cases import MEDIUM, REDUCTIONS, SMALL, Case, by_name, generator_for
from support.ranking import GRID, PAIR, SCHEMES, Ranking, hold, logistic, weighted
from support.tolerance import check, grad_floor, loss_floor

pytestmark = pytest.mark.usefixtures("on_lambda_long_host")

WITH_SLOTS = [case for case in SMALL if sum(case.sizes) > 0]
every_loss = pytest.mark.parametrize("name", PAIR)


def graded(case: Case, dtype: torch.dtype = torch.float32) -> Batch:
    """Labels as gains can take them."""
    batch = case.batch(dtype)
    if case.labels in ("binary", "bool", "rare", "common", "grades", "relevant", "irrelevant"):
        return batch
    labels = batch.labels.double()
    return replace(batch, labels=(labels / labels.abs().max().clamp(min=1e-9) * 6).float())


def held(case: Case, ranking: Ranking, dtype: torch.dtype = torch.float32, **options) -> None:
    hold(ranking, graded(case, dtype), "cpu", case=case, **options)


# ---- Against the oracle --------------------------------------------------------------------------


@cases(WITH_SLOTS)
def test_small(case: Case) -> None:
    held(case, PAIR["lambdarank"])


@sanitize
@cases(SMALL, "weighted_boundary")
@pytest.mark.parametrize("name", GRID)
def test_options(case: Case, name: str) -> None:
    held(case, GRID[name])


@cases(SMALL, "boundary_grades")
@pytest.mark.parametrize("name", [name for name in GRID if not name.endswith("-3")])
def test_options_in_double_precision(case: Case, name: str) -> None:
    held(case, GRID[name], torch.float64)


@sanitize
@cases(SMALL, "ragged", "wide")
@every_loss
@every_dtype
def test_dtypes(case: Case, name: str, dtype: torch.dtype) -> None:
    held(case, PAIR[name], dtype)


@cases(SMALL, "weighted", "pairless_lists")
@pytest.mark.parametrize("name", ["lambdarank", "ndcg_loss1"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reductions(case: Case, name: str, reduction: str) -> None:
    shape = (len(case.sizes),) if reduction == "none" else ()
    grad_output = torch.randint(-8, 9, shape, generator=generator_for(case.name)).double() / 4
    held(case, PAIR[name], grad_output=grad_output, reduction=reduction)


@cases(SMALL, "weighted", "weighted_boundary")
@pytest.mark.parametrize("truncation", ["either", "both", "discount"])
@pytest.mark.parametrize("scheme", ["none", "ndcg_loss1", "lambdarank"])
@pytest.mark.parametrize("weighting", ["product", "preferred"])
def test_weights(case: Case, scheme: str, truncation: str, weighting: str) -> None:
    """Also what "mean" divides by: the weights of the pairs that are kept."""
    ranking = weighted(scheme, k=7, truncation=truncation)
    held(case, ranking, torch.float64, weighting=weighting, reduction="list_mean")


@sanitize
@cases(SMALL, "ragged", "weighted")
@pytest.mark.parametrize("form", [name for name in FORMS if name != "flat"])
@pytest.mark.parametrize("scheme", ["lambdarank", "ndcg_loss1"])
def test_forms(case: Case, form: str, scheme: str) -> None:
    filler = {} if form == "nested" else {"filler": math.nan}
    held(case, weighted(scheme, k=4), form=lambda batch: FORMS[form](batch, **filler))


def test_wide_padding() -> None:
    case = Case("padded", (130, 0, 5, 64), "tiles of padding", labels="grades")
    form = lambda batch: padded_lengths(batch, 2100, math.inf, torch.int32)  # noqa: E731
    held(case, weighted("lambdarank"), form=form)


# ---- Tiles, chunks, segments ---------------------------------------------------------------------


@cases(MEDIUM, "n257", "weighted_ties", "levels_257")
@pytest.mark.parametrize("name", ["lambdarank_hinge", "ndcg_loss2++"])
def test_medium(case: Case, name: str) -> None:
    held(case, PAIR[name])


@sanitize
@pytest.mark.parametrize(
    ("sizes", "labels"), [((1, 2054, 33), "thousandths"), ((2040, 0, 2200, 9), "grades")]
)
@pytest.mark.parametrize("truncation", ["either", "both"])
def test_lists_across_tiles(sizes: tuple, labels: str, truncation: str, lambda_long_host) -> None:
    case = Case("across", sizes, "", labels=labels, scores="quarters", weighted=True)
    lambda_long_host.set(crossover=0, scans=False, blocks=3)
    held(case, weighted("lambdarank", k=40, truncation=truncation), weighting="preferred")


@sanitize
@pytest.mark.parametrize(
    ("scheme", "k", "truncation"),
    [
        ("lambdarank", 1, "either"),
        ("ndcg_loss1", 5, "discount"),
        ("ndcg_loss2++", 5, "either"),
        ("lambdarank", 33, "either"),
    ],
)
def test_segments_of_columns(scheme: str, k: int, truncation: str) -> None:
    """Three segments for the rows of the top of one list, one for the other's."""
    case = Case("segments", (8201, 300), "", labels="grades", weighted=k == 33)
    held(case, weighted(scheme, k=k, truncation=truncation), reduction="list_mean")


def test_segments_without_truncation() -> None:
    held(Case("whole", (4100,), "", labels="binary"), logistic())


@pytest.mark.parametrize("truncation", ["either", "both", "discount"])
@pytest.mark.parametrize("k", [1, 32, 33, 257])
def test_truncated(k: int, truncation: str) -> None:
    case = by_name(MEDIUM)["n257"]
    held(case, weighted("lambdarank", k=k, truncation=truncation), torch.float64)


@pytest.mark.parametrize("grades", [1, 8, 9, 10, 300])
def test_grades(grades: int) -> None:
    """Up to 9 grades are collected in a table, others are sorted."""
    labels = torch.arange(360) * 7 % grades - 4
    scores = torch.randint(-20, 20, (360,), generator=generator_for("grades")).double() / 4
    batch = Batch(scores, labels, (50, 310))
    hold(logistic(), batch, "cpu")
    hold(weighted("arp"), batch, "cpu")


# ---- Gains and discounts -------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["lambdarank", "ndcg_loss1", "ndcg_loss2"])
@pytest.mark.parametrize("rising", [True, False])
@pytest.mark.parametrize("form", ["flat", "scattered_mask"])
@pytest.mark.parametrize("k", [None, 9])
def test_gains_of_items(scheme: str, rising: bool, form: str, k: int | None) -> None:
    """Also gains that do not rise with the labels, and lists of no gain at all."""
    generator = generator_for("own_gains")
    sizes = (90, 0, 7, 33)
    labels = torch.randint(0, 5, (130,), generator=generator)
    gains = labels * 2.0 if rising else torch.rand(130, generator=generator) - 0.25
    gains[90:97] = 0
    batch = Batch(torch.randn(130, generator=generator), labels, sizes)
    ranking = weighted(scheme, k=k)
    call = FORMS[form](batch)
    got = evaluate(ranking, call, gains=FORMS[form](replace(batch, labels=gains)).labels)
    wanted = ranking.exact(batch, gains=gains)
    check("loss", got.loss, wanted.loss, loss_floor(wanted, torch.float32))
    check("grad", got.grad, wanted.grad, grad_floor(wanted, torch.float32))


@pytest.mark.parametrize("scheme", ["lambdarank", "ndcg_loss1", "ndcg_loss2++"])
@pytest.mark.parametrize("k", [None, 2, 50])
@pytest.mark.parametrize("truncation", ["either", "both", "discount"])
def test_discounts(scheme: str, k: int | None, truncation: str) -> None:
    case = by_name(SMALL)["weighted"]
    discount = torch.tensor([0.5, 1.0, 0.1, 0.3])
    held(case, weighted(scheme, discount=discount, k=k, truncation=truncation))


@pytest.mark.parametrize("top", [31, 128, 5000])
def test_exponential_gains_of_large_labels(top: int) -> None:
    generator = generator_for("gains")
    labels = torch.randint(0, top + 1, (80,), generator=generator)
    labels[0] = top
    batch = Batch(torch.randn(80, generator=generator), labels, (30, 50))
    got = hold(weighted("lambdarank"), batch, "cpu")
    assert got.loss.isfinite() and got.loss != 0


@pytest.mark.parametrize("gain", ["linear", "exponential"])
@pytest.mark.parametrize("scheme", ["lambdarank", "ndcg_loss1", "arp"])
def test_negative_labels(scheme: str, gain: str) -> None:
    batch = Batch.of([0.5, 1.0, -0.5, 0.25, 1.0, 2.0], [3.5, -1, 0, 2, -2, -3])
    hold(weighted(scheme, gain=gain), replace(batch, sizes=(4, 2)), "cpu", reduction="none")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("form", FORMS)
def test_rank_ties_go_by_position(scheme: str, form: str) -> None:
    batch = Batch.of([1.0, 1.0, 1.0, -0.0, 0.0], [0, 2, 1, 3, 0], dtype=torch.float32)
    hold(weighted(scheme), batch, "cpu", form=FORMS[form], reduction="sum")
