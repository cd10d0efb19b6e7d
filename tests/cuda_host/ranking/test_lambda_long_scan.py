"""Long lists from the op's arguments to its results with scans in the place of direct pairs, run on
the CPU: that what one phase leaves is what the next one reads."""

from __future__ import annotations

import pytest
import torch

from cuda_host.host_cases import cases, sanitize
from support.batches import FORMS
from support.cases import SMALL, Case
from support.ranking import GRID, PAIR, hold, weighted

FACTORS = {
    name: GRID[name]
    for name in (
        *("none-logistic", "arp-logistic", "lambdarank-logistic", "lambdarank-k-beyond"),
        *("lambdarank-linear", "lambdarank-sigma", "lambdarank-list-normalised"),
        *("none-list-normalised", "logistic-binary"),
    )
}


@pytest.fixture(autouse=True)
def scans(on_lambda_long_host) -> None:
    on_lambda_long_host.set(crossover=0)


@sanitize
@cases(SMALL, "weighted_boundary")
@pytest.mark.parametrize("name", FACTORS)
def test_options(case: Case, name: str) -> None:
    hold(FACTORS[name], case.batch(torch.float32), "cpu", case=case)


@cases(SMALL, "ragged", "weighted")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", ["logistic", "lambdarank"])
def test_dtypes(case: Case, name: str, dtype: torch.dtype) -> None:
    hold(PAIR[name], case.batch(dtype), "cpu", case=case, reduction="list_mean")


@pytest.mark.parametrize("form", ["scattered_mask", "flat_mask"])
@pytest.mark.parametrize("scheme", ["lambdarank", "arp"])
def test_forms(form: str, scheme: str) -> None:
    batch = Case("forms", (30, 0, 45), "", labels="grades", weighted=True).batch(torch.float32)
    filled = lambda batch: FORMS[form](batch, filler=float("nan"))  # noqa: E731
    hold(weighted(scheme), batch, "cpu", form=filled)


@sanitize
@pytest.mark.parametrize("truncation", ["either", "both"])
def test_lists_across_tiles(truncation: str, on_lambda_long_host) -> None:
    on_lambda_long_host.set(crossover=0, blocks=3)
    case = Case("across", (1, 2054, 33), "", labels="grades", scores="quarters", weighted=True)
    ranking = weighted("lambdarank", k=150, truncation=truncation)
    hold(ranking, case.batch(torch.float32), "cpu", case=case)
