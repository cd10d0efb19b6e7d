"""The triplet losses give the same bits whatever happens around the call."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from fused_rankloss import triplet_loss
from support.batches import same_bits
from support.cases import generator_for, name_of
from support.embeddings import BATCH_LOSSES, TripletBatch, TripletCase, run_batch, run_rows

every_mining = pytest.mark.parametrize("mining", BATCH_LOSSES)

CASES = [
    TripletCase("small", 40, 24, "one tile", "clustered"),
    TripletCase("large", 450, 48, "many tiles", "clustered"),
    TripletCase("ties", 400, 3, "ties everywhere", "integers"),
    TripletCase("refs", 200, 17, "references of their own", "clustered", "fours", 500),
]
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def batch_for(case: TripletCase, device: str, dtype: torch.dtype = torch.float32) -> TripletBatch:
    return case.batch(dtype).to(device)


@every_case
@every_mining
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=name_of)
def test_repeats(case: TripletCase, mining: str, dtype: torch.dtype, device: str) -> None:
    batch = batch_for(case, device, dtype)
    first = run_batch(BATCH_LOSSES[mining], batch)
    repeats = 50 if case.n < 100 else 5
    for _ in range(repeats):
        assert run_batch(BATCH_LOSSES[mining], batch).same_bits(first)


@every_case
@every_mining
@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_thread_counts(case: TripletCase, mining: str, distance: str, threads) -> None:
    """Also more threads than there are cores."""
    outcomes = []
    for count in (1, 2, 3):
        threads(count)
        outcomes.append(run_batch(BATCH_LOSSES[mining], batch_for(case, "cpu"), distance=distance))
    assert all(outcome.same_bits(outcomes[0]) for outcome in outcomes)


def test_thread_counts_of_rows(threads) -> None:
    rows = torch.randn(3, 5000, 40, generator=generator_for("rows"))
    outcomes = []
    for count in (1, 2, 3):
        threads(count)
        outcomes.append(run_rows(triplet_loss, rows.unbind()))
    for loss, grads in outcomes:
        assert same_bits(loss, outcomes[0][0]) and all(map(same_bits, grads, outcomes[0][1]))


@every_case
@every_mining
def test_deterministic_algorithms(case: TripletCase, mining: str, device: str) -> None:
    """Nothing to complain about, and memory that torch fills with NaN is never read."""
    batch = batch_for(case, device)
    plain = run_batch(BATCH_LOSSES[mining], batch)
    torch.use_deterministic_algorithms(True)
    try:
        strict = run_batch(BATCH_LOSSES[mining], batch)
    finally:
        torch.use_deterministic_algorithms(False)
    assert strict.same_bits(plain)


@every_mining
def test_two_python_threads_at_once(mining: str, device: str) -> None:
    batches = [batch_for(case, device) for case in CASES]
    alone = [run_batch(BATCH_LOSSES[mining], batch) for batch in batches]

    def work(start: int) -> bool:
        order = [(start + step) % len(batches) for step in range(8)]
        return all(run_batch(BATCH_LOSSES[mining], batches[n]).same_bits(alone[n]) for n in order)

    with ThreadPoolExecutor(2) as pool:
        assert all(pool.map(work, (0, 2)))


@pytest.mark.parametrize("mining", ["hard", "semi_hard"])
def test_order_of_rows(mining: str, device: str) -> None:
    """Picks and their distances move with their rows, where there are no ties."""
    batch = batch_for(CASES[1], device)
    order = torch.randperm(450, generator=generator_for("order")).to(device)
    moved = TripletBatch(batch.embeddings[order], batch.labels[order])
    here, there = (
        run_batch(BATCH_LOSSES[mining], each, reduction="none") for each in (batch, moved)
    )
    assert same_bits(there.loss, here.loss[order])
    for pick in ("positive", "negative"):
        mine, theirs = getattr(here.mined, pick)[order], getattr(there.mined, pick)
        none = mine < 0
        assert torch.equal(none, theirs < 0)
        assert torch.equal(mine[~none], order[theirs[~none]])
