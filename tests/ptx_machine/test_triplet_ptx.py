"""The triplet losses, by their launchers and machine code, mma.sync and cp.async included."""

from __future__ import annotations

import math

import pytest
import torch
from machine import Kernels
from ptx_cases import cases, everywhere, hold_batch

from fused_rankloss import triplet_loss
from support.cases import SCORE_DTYPES, generator_for, name_of
from support.embeddings import (
    BATCH_LOSSES,
    DISTANCES,
    LARGE_TRIPLET_CASES,
    REDUCTIONS,
    TRIPLET_CASES,
    TripletCase,
    run_batch,
    run_rows,
)
from support.oracle.triplet import exact_rows
from support.triplet_tolerance import check_rows

every_mining = pytest.mark.parametrize("mining", BATCH_LOSSES)
every_distance = pytest.mark.parametrize("distance", DISTANCES)
every_dtype = pytest.mark.parametrize("dtype", SCORE_DTYPES, ids=name_of)


@cases(TRIPLET_CASES)
@every_mining
@every_distance
@everywhere
def test_batches(
    on_ptx: Kernels, case: TripletCase, mining: str, distance: str, place: tuple[str, str]
) -> None:
    on_ptx.use(*place)
    hold_batch(case, mining, torch.float32, distance=distance)


@cases(TRIPLET_CASES)
@every_mining
@every_distance
@every_dtype
def test_dtypes(
    on_ptx: Kernels, case: TripletCase, mining: str, distance: str, dtype: torch.dtype
) -> None:
    hold_batch(case, mining, dtype, distance=distance)


@cases(TRIPLET_CASES)
@every_mining
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("margin", [-0.5, 0.0, "soft"])
def test_options(
    on_ptx: Kernels, case: TripletCase, mining: str, reduction: str, margin: float | str
) -> None:
    if reduction != "none":
        hold_batch(case, mining, torch.float32, reduction=reduction, margin=margin)
    else:
        hold_batch(case, mining, torch.float64, reduction=reduction, margin=margin)


@cases(LARGE_TRIPLET_CASES)
@every_mining
def test_large_batches(on_ptx: Kernels, case: TripletCase, mining: str) -> None:
    """Against the CPU kernels, whose picks are canonical as these are."""
    batch = case.batch(torch.float32)
    got = run_batch(BATCH_LOSSES[mining], batch)
    wanted = run_batch(BATCH_LOSSES[mining], batch, impl="reference")
    assert got.loss.item() == pytest.approx(wanted.loss.item(), rel=1e-5)
    for mine, theirs in zip(got.mined, wanted.mined, strict=True):
        assert torch.allclose(mine.double(), theirs.double(), rtol=1e-5, equal_nan=True)


@every_mining
@every_distance
def test_rows_that_take_part_in_nothing(on_ptx: Kernels, mining: str, distance: str) -> None:
    """A row of NaN without a positive or negative has gradient 0."""
    generator = generator_for("nothing")
    embeddings = torch.randn(20, 6, generator=generator)
    embeddings[3] = math.nan
    labels = torch.zeros(20, dtype=torch.long)  # no negatives
    embeddings.requires_grad_()
    value = BATCH_LOSSES[mining](embeddings, labels, distance=distance)
    assert value == 0 and not torch.autograd.grad(value, embeddings)[0].any()


ROWS = [(1, 1), (7, 0), (40, 3), (33, 32), (20, 127), (3, 4096)]


@pytest.mark.parametrize("shape", ROWS, ids=str)
@every_distance
@every_dtype
@pytest.mark.parametrize("swap", [False, True], ids=["plain", "swap"])
def test_explicit(
    on_ptx: Kernels, shape: tuple[int, int], distance: str, dtype: torch.dtype, swap: bool
) -> None:
    generator = generator_for(str(shape))
    rows = [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for _ in "apn"]
    options = {"distance": distance, "swap": swap}
    got = run_rows(triplet_loss, rows, **options)
    check_rows(got, exact_rows(*rows, **options), dtype, case=shape)


@pytest.mark.parametrize("p", [1.0, 1.5, 3.0, math.inf])
def test_norms(on_ptx: Kernels, p: float) -> None:
    generator = generator_for("norms")
    rows = [torch.randn(40, 9, generator=generator, dtype=torch.float64) for _ in "apn"]
    options = {"distance": "euclidean", "p": p}
    got = run_rows(triplet_loss, rows, **options)
    check_rows(got, exact_rows(*rows, **options), torch.float64, case=p)
