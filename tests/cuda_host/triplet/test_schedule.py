"""The tiles that a search's blocks meet: each pair once."""

from __future__ import annotations

import ctypes

import pytest
import torch

from cuda_host import host_build

SOURCE = "launchers/schedule_host.cpp"


@pytest.fixture(scope="module")
def library(pytestconfig: pytest.Config) -> ctypes.CDLL:
    return ctypes.CDLL(str(host_build.library(SOURCE, pytestconfig.cache, uses_torch=False)))


def met(library: ctypes.CDLL, rows: int, columns: int, **options: int) -> torch.Tensor:
    """How often each pair of half blocks counts for its rows."""
    counts = torch.zeros(2 * rows, 2 * columns, dtype=torch.int32)
    library.note_met.restype = ctypes.c_bool
    flags = (options["symmetric"], options["splits"], options["square"])
    assert library.note_met(rows, columns, *flags, ctypes.c_void_p(counts.data_ptr()))
    return counts


@pytest.mark.parametrize("square", [False, True], ids=["narrow", "square"])
@pytest.mark.parametrize("splits", [1, 2, 3])
@pytest.mark.parametrize("row_blocks", range(1, 10))
def test_symmetric_schedules(row_blocks: int, splits: int, square: bool, library) -> None:
    """Odd and even numbers of blocks."""
    options = {"symmetric": True, "splits": splits, "square": square}
    assert (met(library, row_blocks, row_blocks, **options) == 1).all()


@pytest.mark.parametrize("square", [False, True], ids=["narrow", "square"])
@pytest.mark.parametrize("splits", [1, 3])
@pytest.mark.parametrize(("row_blocks", "column_blocks"), [(1, 1), (3, 4), (4, 3), (5, 1)])
def test_all_columns(
    row_blocks: int, column_blocks: int, splits: int, square: bool, library
) -> None:
    options = {"symmetric": False, "splits": splits, "square": square}
    assert (met(library, row_blocks, column_blocks, **options) == 1).all()
