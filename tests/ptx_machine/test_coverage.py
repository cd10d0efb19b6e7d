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
from support.embeddings import (
    BATCH_LOSSES,
    DISTANCES,
    TRIPLET_CASES,
    TripletCase,
    run_batch,
    run_rows,
)
from support.oracle.triplet import exact_rows
from support.ranking import GRID, RANKING, graded, hold
from support.triplet_tolerance import check_rows

# Kernels that are never run, and why; the key is a part of the name.
NEVER_RUN: dict[str, str] = {
    "detail::EmptyKernel": "asked for its attributes alone",
}

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


# What this process has done of the tour.
MADE: set[str] = set()


@pytest.mark.parametrize("stop", TOUR)
def test_tour(on_ptx: Kernels, stop: str) -> None:
    TOUR[stop]()
    MADE.add(stop)


@pytest.mark.parametrize("refs", [False, True], ids=["self", "refs"])
def test_hopper_search(on_ptx: Kernels, monkeypatch: pytest.MonkeyPatch, refs: bool) -> None:
    """The search with wgmma and TMA picks what the other one picks."""
    case = by_name(TRIPLET_CASES)["n129"]
    batch = TripletCase("hopper", 4100, 64, case.why, "clustered", refs=4100 if refs else None)
    # One number of 16 bits for an element, and two.
    batch = batch.batch(torch.float16 if refs else torch.float32)
    plain = run_batch(BATCH_LOSSES["hard"], batch)
    monkeypatch.setenv("FUSED_RANKLOSS_HOPPER", "1")
    hopper = run_batch(BATCH_LOSSES["hard"], batch)
    assert any("hopper" in kernel.name and kernel.launches for kernel in on_ptx.coverage())
    assert hopper.same_bits(plain)
    MADE.add(f"hopper-{refs}")


def test_every_instruction_is_known(ptx_kernels: Kernels) -> None:
    unknown = ptx_kernels.parse_all()
    assert not unknown, unknown


@pytest.mark.ptx_last
def test_every_kernel_has_run(ptx_kernels: Kernels, request: pytest.FixtureRequest) -> None:
    names = [item.name for item in request.session.items]
    stops = [name for name in names if name.startswith(("test_tour[", "test_hopper_search["))]
    if len(stops) < len(TOUR) + 2 or request.session.testsfailed:
        pytest.skip("only a session with the whole tour, and without failures, can tell")
    assert len(MADE) == len(stops), "the tour is for one process: pytest -n 2 --dist loadfile"
    # Two files may have made the same kernel of a template; the linker keeps one of them.
    kernels = ptx_kernels.coverage()
    idle = {kernel.name for kernel in kernels} - {k.name for k in kernels if k.launches}
    idle = [name for name in sorted(idle) if not any(part in name for part in NEVER_RUN)]
    assert not idle, "never run:\n" + "\n".join(idle)
