"""The fused batch losses against the oracle: picks exactly, values and gradients by the rule."""

from __future__ import annotations

import pytest
import torch

from support.cases import by_name, generator_for, name_of
from support.embeddings import (
    BATCH_LOSSES,
    DISTANCES,
    LARGE_TRIPLET_CASES,
    REDUCTIONS,
    TRIPLET_CASES,
    TripletCase,
    run_batch,
)
from support.oracle.triplet import exact_batch
from support.triplet_tolerance import check_batch, product_unit

pytestmark = pytest.mark.sanitize

CASES = by_name(TRIPLET_CASES)
every_mining = pytest.mark.parametrize("mining", BATCH_LOSSES)
every_distance = pytest.mark.parametrize("distance", DISTANCES)


def check_case(
    case: TripletCase, mining: str, dtype: torch.dtype, device: str, grad_output=None, **options
) -> None:
    batch = case.batch(dtype)
    function = BATCH_LOSSES[mining]
    got = run_batch(function, batch.to(device), grad_output, **options)
    plain = run_batch(function, batch.to(device), grad_output, impl="reference", **options)
    unit = product_unit(mining, dtype)
    wanted = exact_batch(batch, mining, grad_output=grad_output, product_unit=unit, **options)
    assert got.grad.dtype == dtype
    check_batch(got, wanted, dtype, plain, case=case)


@pytest.mark.parametrize("case", TRIPLET_CASES, ids=lambda case: case.name)
@every_mining
@every_distance
def test_batches(case: TripletCase, mining: str, distance: str, device: str) -> None:
    check_case(case, mining, torch.float32, device, distance=distance)


@pytest.mark.parametrize("case", LARGE_TRIPLET_CASES, ids=lambda case: case.name)
@every_mining
def test_large_batches(case: TripletCase, mining: str, device: str) -> None:
    """Without the reference, whose triplets would not fit."""
    batch = case.batch(torch.float32)
    got = run_batch(BATCH_LOSSES[mining], batch.to(device))
    unit = product_unit(mining, torch.float32)
    check_batch(got, exact_batch(batch, mining, product_unit=unit), torch.float32, case=case)


@pytest.mark.parametrize("name", ["d127", "n65", "integers", "shuffled", "refs"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=name_of)
@every_mining
@every_distance
def test_dtypes(name: str, dtype: torch.dtype, mining: str, distance: str, device: str) -> None:
    check_case(CASES[name], mining, dtype, device, distance=distance)


@pytest.mark.parametrize("name", ["singletons", "refs", "integers"])
@every_mining
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("margin", [-0.5, 0.0, 2.0, "soft"])
def test_options(name: str, mining: str, reduction: str, margin: float | str, device: str) -> None:
    case = CASES[name]
    shape = (case.n,) if reduction == "none" else ()
    grad_output = torch.randn(shape, generator=generator_for(name), dtype=torch.float32)
    options = {"margin": margin, "reduction": reduction, "distance": "sqeuclidean"}
    check_case(case, mining, torch.float32, device, grad_output, boundary_grad=0.25, **options)


@pytest.mark.parametrize("name", ["integers", "integers_fours", "ref_ties"])
@every_mining
@pytest.mark.parametrize("boundary_grad", [0.0, 0.5, 1.0])
def test_boundary(name: str, mining: str, boundary_grad: float, device: str) -> None:
    """Integers stay integers in the search: terms at exactly 0 are told from those beside it."""
    case = CASES[name]
    options = {"distance": "sqeuclidean", "reduction": "sum", "boundary_grad": boundary_grad}
    batch = case.batch(torch.float32)
    got = run_batch(BATCH_LOSSES[mining], batch.to(device), margin=2.0, **options)
    wanted = exact_batch(batch, mining, margin=2.0, **options)
    assert wanted.active > 0
    check_batch(got, wanted, torch.float32, case=case)
