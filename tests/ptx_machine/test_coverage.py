"""Every kernel of the build runs at least once a session: a tour of what launchers choose by, with
the error budgets of the other tests, and then a look at what has never been launched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from machine import Kernels
from ptx_cases import hold_batch, hold_pairwise

from fused_rankloss import triplet_loss
from support.batches import Batch, Call, flat
from support.cases import LOSSES, SCORE_DTYPES, Case, by_name, generator_for, name_of
from support.embeddings import BATCH_LOSSES, DISTANCES, TRIPLET_CASES, run_rows
from support.oracle.triplet import exact_rows
from support.ranking import GRID, RANKING, graded, hold
from support.triplet_tolerance import check_rows

# Kernels that are never run, and why; the key is a part of the name.
NEVER_RUN: dict[str, str] = {
    "detail::EmptyKernel": "asked for its attributes alone",
}

# Loads of bytes that nothing has written: the file of csrc, a part of the kernel's name, and why
# what is loaded is not used.
LOADS_OF_NOTHING: tuple[tuple[str, str, str], ...] = (
    (
        "triplet/mined_gradients.cuh",
        "",
        "slopes of terms without a pair, loaded before that is known",
    ),
    ("lists/score_order.cuh", "", "vectors of four; elements behind the end are left alone"),
    (
        "triplet/batch_hard/operands.cuh",
        "convert_kernel",
        "the centre of no references, which nothing meets",
    ),
    (
        "primitives/shared_array.cuh",
        "CountTerm<float",
        "an item of 12 bytes is loaded with its padding",
    ),
)

# Lists of a warp, of a block, of a grid.
LISTS = {"warps": (3, 40, 0, 100), "blocks": (700, 40), "grid": (10_300, 5), "one": (300,)}
# Ranks and pairs of longer lists are several kernels' work.
RANKED_LISTS = {"short": (3, 40, 0, 300), "long": (1500, 20)}


def lists(name: str, sizes: tuple[int, ...], weighted: bool = False) -> Case:
    return Case(f"tour {name}", sizes, "tour", "quarters", "grades", weighted)


def hold_rows(shape: tuple[int, int], dtype: torch.dtype) -> None:
    generator = generator_for("tour rows")
    rows = [torch.randn(shape, generator=generator).to(dtype) for _ in "apn"]
    check_rows(run_rows(triplet_loss, rows), exact_rows(*rows), dtype, case="tour")


def hold_ranking(case: Case, name: str, dtype: torch.dtype) -> None:
    hold((RANKING | GRID)[name], graded(case, dtype), "cpu", case=case)


def narrow_labels(batch: Batch) -> Call:
    """Labels of 32 bits have counting kernels of their own."""
    return flat(replace(batch, labels=batch.labels.int()))


TOUR: dict[str, Callable[[], None]] = {
    **{f"rows-{name_of(dtype)}": partial(hold_rows, (33, 20), dtype) for dtype in SCORE_DTYPES},
    **{
        f"hinge-int32_labels-{name}": partial(
            hold_pairwise, lists(name, LISTS[name]), "hinge", torch.float32, form=narrow_labels
        )
        for name in ("warps", "one")
    },
    # Sorted by a library: one list, and several.
    **{
        f"{loss}-{name_of(dtype)}-{sizes}": partial(
            hold_pairwise, lists("library", sizes), loss, dtype
        )
        for loss, sizes in (("hinge", (200_500,)), ("squared_hinge", (200_500, 3, 500)))
        for dtype in (torch.float32, torch.float64)
    },
    **{
        f"{loss}-{name_of(dtype)}-{name}-{'weighted' if weighted else 'plain'}": partial(
            hold_pairwise, lists(name, sizes, weighted), loss, dtype
        )
        for loss in LOSSES
        for dtype in SCORE_DTYPES
        for name, sizes in LISTS.items()
        for weighted in (False, True)
        if dtype in (torch.float32, torch.float64) or name != "grid"
    },
    **{
        f"{ranking}-{name_of(dtype)}-{name}": partial(
            hold_ranking, lists(name, sizes), ranking, dtype
        )
        for ranking in (*RANKING, "none-hinge", "none-squared_hinge")
        for dtype in (torch.float32, torch.float64)
        for name, sizes in RANKED_LISTS.items()
    },
    **{
        f"{mining}-{name_of(dtype)}-{distance}-{case}": partial(
            hold_batch, by_name(TRIPLET_CASES)[case], mining, dtype, distance=distance
        )
        for mining in BATCH_LOSSES
        for dtype in SCORE_DTYPES
        for distance in DISTANCES
        for case in ("n65", "refs")
    },
}


@pytest.mark.parametrize("stop", TOUR)
def test_tour(on_ptx: Kernels, stop: str) -> None:
    TOUR[stop]()


def test_every_instruction_is_known(ptx_kernels: Kernels) -> None:
    unknown = ptx_kernels.parse_all()
    assert not unknown, unknown


@pytest.mark.ptx_last
def test_every_kernel_has_run(ptx_kernels: Kernels, request: pytest.FixtureRequest) -> None:
    stops = [item for item in request.session.items if item.name.startswith("test_tour[")]
    if len(stops) < len(TOUR) or request.session.testsfailed:
        pytest.skip("only a session with the whole tour, and without failures, can tell")
    # Two files may have made the same kernel of a template; the linker keeps one of them.
    kernels = ptx_kernels.coverage()
    idle = {kernel.name for kernel in kernels} - {k.name for k in kernels if k.launches}
    idle = [name for name in sorted(idle) if not any(part in name for part in NEVER_RUN)]
    assert not idle, "never run:\n" + "\n".join(idle)


@pytest.mark.ptx_last
def test_loads_of_what_nothing_has_written(ptx_kernels: Kernels) -> None:
    found = [
        line
        for line in ptx_kernels.unwritten_loads()
        if not any(
            line.startswith(f"csrc/cuda/{file}:") and kernel in line
            for file, kernel, _ in LOADS_OF_NOTHING
        )
    ]
    assert not found, "\n".join(found)
