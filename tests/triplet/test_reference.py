"""``impl="reference"`` of the triplet losses against the oracle's loops, in double precision."""

from __future__ import annotations

import pytest
import torch

from support.cases import by_name, generator_for
from support.embeddings import (
    BATCH_LOSSES,
    DISTANCES,
    REDUCTIONS,
    TRIPLET_CASES,
    TripletCase,
    run_batch,
)
from support.oracle.triplet import exact_batch
from support.triplet_tolerance import check_batch

every_mining = pytest.mark.parametrize("mining", BATCH_LOSSES)
every_distance = pytest.mark.parametrize("distance", DISTANCES)
CASES = by_name(TRIPLET_CASES)


def is_decided(case: TripletCase, distance: str) -> bool:
    """Whether more than rounding tells distances apart: the reference does not sum in the canonical
    order, by which the oracle breaks such ties."""
    if distance == "cosine" and case.embeddings in ("integers", "nudged"):
        return False
    return case.embeddings != "shuffled_coordinates"


@pytest.mark.parametrize("case", TRIPLET_CASES, ids=lambda case: case.name)
@every_mining
@every_distance
def test_batches(case: TripletCase, mining: str, distance: str, device: str) -> None:
    if not is_decided(case, distance):
        return
    batch = case.batch()
    got = run_batch(BATCH_LOSSES[mining], batch.to(device), distance=distance, impl="reference")
    wanted = exact_batch(batch, mining, distance=distance)
    check_batch(got, wanted, torch.float64, case=case)


@pytest.mark.parametrize("name", ["singletons", "refs"])
@every_mining
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("margin", [-0.5, 0.0, 2.0, "soft"])
def test_options(name: str, mining: str, reduction: str, margin: float | str, device: str) -> None:
    batch = CASES[name].batch()
    options = {"reduction": reduction, "margin": margin, "boundary_grad": 0.25}
    options["distance"] = "sqeuclidean"
    shape = (len(batch.labels),) if reduction == "none" else ()
    grad_output = torch.randn(shape, generator=generator_for(name), dtype=torch.float64)
    function = BATCH_LOSSES[mining]
    got = run_batch(function, batch.to(device), grad_output, impl="reference", **options)
    wanted = exact_batch(batch, mining, grad_output=grad_output, **options)
    check_batch(got, wanted, torch.float64, case=name)
