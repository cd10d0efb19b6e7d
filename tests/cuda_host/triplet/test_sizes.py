"""Triplet kernels where one turn of a loop over rows, blocks or choices is not enough, and batches
whose sizes are powers of two."""

from __future__ import annotations

import pytest
import torch

from cuda_host.triplet.cases import Batch, batch_of, hold, load, solve
from cuda_host.triplet.test_explicit import hold as hold_rows

pytestmark = pytest.mark.sanitize

# csrc/cuda/triplet/policy.h: rows that the blocks of one launch have in hand at a time, and rows
# whose sums one thread per block adds up.
ROWS_OF_A_SWEEP = 1024 * 8
ROWS_OF_PARTIALS = 256 * 8


@pytest.fixture(scope="module")
def host(pytestconfig: pytest.Config):
    return load(pytestconfig.cache)


@pytest.fixture(autouse=True)
def defaults(host) -> None:
    host.choose()


def corners(size: int, dim: int) -> torch.Tensor:
    """Of a cube, for three tensors of rows."""
    generator = torch.Generator().manual_seed(size)
    return torch.randint(0, 2, (3, size, dim), generator=generator).float()


@pytest.mark.parametrize("distance", ["euclidean", "sqeuclidean"])
def test_swap_shares_ties(distance: str, host) -> None:
    """Where the negative is as far from the positive as from the anchor."""
    rows = corners(60, 3)
    anchor, positive, negative = rows
    tied = (anchor - negative).square().sum(1) == (positive - negative).square().sum(1)
    nearer = (anchor - positive).square().sum(1)
    assert (tied & (nearer > 0)).sum() >= 5
    hold_rows(host, rows.unbind(), torch.float32, distance=distance, swap=True, margin=40.0)


@pytest.mark.parametrize("size", [ROWS_OF_PARTIALS + 9, ROWS_OF_A_SWEEP + 9])
def test_many_rows(size: int, host) -> None:
    """All rows are equal except the last few, which are beyond the loops' first iterations."""
    rows = torch.zeros(3, size, 1)
    rows[0, -9:] = torch.arange(1.0, 10.0)[:, None]
    rows[2, -9:] = rows[0, -9:]
    rows[1, :-9] = 0.5
    hold_rows(host, rows.unbind(), torch.float32, distance="sqeuclidean", reduction="mean_nonzero")


@pytest.mark.parametrize("size", [8, 16, 32, 64, 128])
def test_powers_of_two(size: int, host) -> None:
    batch = batch_of(size, 2, 3)
    hold(host.ops, batch, "hard", torch.float32, margin=-2.5)
    terms = solve(host.ops, batch.to(torch.float32), "hard", margin=-2.5, reduction="none").loss
    assert 0 < (terms > 0).sum() < size, "some anchors have no gradient"


@pytest.mark.parametrize("mining", ["hard", "semi_hard", "all"])
def test_powers_of_two_of_references(mining: str, host) -> None:
    hold(host.ops, batch_of(16, 3, 4, refs=32), mining, torch.float32)


def test_more_open_choices_than_blocks(host) -> None:
    """Two points: what the search cannot settle, blocks look through one after the other."""
    rows = (torch.arange(80) // 2 % 2).double().reshape(80, 1)
    batch = Batch(rows, torch.arange(80) % 2)
    hold(host.ops, batch, "hard", torch.float32)
    assert host.scans() > 80
