"""The host harness itself: it runs right kernels right, and names the line of wrong ones."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable

import pytest

from cuda_host import host_build

pytestmark = pytest.mark.skipif(not host_build.have_compiler(), reason="no C++ compiler")

SEEDS = range(5)


@pytest.fixture(scope="module")
def run(pytestconfig: pytest.Config) -> Callable[[str, int], str]:
    folder = pytestconfig.cache.mkdir("cuda_host")
    library = ctypes.CDLL(str(host_build.build("harness/self_test.cpp", folder, uses_torch=False)))
    library.run.restype = ctypes.c_char_p
    library.run.argtypes = [ctypes.c_char_p, ctypes.c_uint64]
    return lambda kernel, seed: library.run(kernel.encode(), seed).decode()


def line_of(kernel: str, text: str) -> int:
    """The line of the first ``text`` in a kernel of self_test.cpp."""
    lines = (host_build.HERE / "harness/self_test.cpp").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if f"void {kernel}()" in line)
    return next(i for i in range(start, len(lines)) if text in lines[i]) + 1


@pytest.mark.parametrize(
    "kernel",
    [
        "reverses_through_shared",
        "shares_within_a_warp",
        "asks_the_warp",
        "uses_atomics",
        "fills_dynamic_shared",
        "passes_around_the_grid",
        "orders_shared_memory_of_the_grid",
    ],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_right_kernels(run, kernel: str, seed: int) -> None:
    assert run(kernel, seed) == "0"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("kernel", "culprit", "message"),
    [
        (
            "drops_a_barrier",
            "cells.load",
            r"thread \d+ uses shared cell \d+ that (no thread of this block wrote"
            r"|thread \d+ wrote without a barrier in between)",
        ),
        (
            "overwrites_what_others_read",
            "cells.store(0, 1) or cells.load(0)",
            r"thread 0 uses shared cell 0 that (thread \d+|several threads) used without"
            r"|thread \d+ uses shared cell 0 that thread 0 wrote without",
        ),
        ("writes_one_cell_twice", "cell.store", r"uses shared cell 0 that thread \d+ used without"),
        ("reads_what_nobody_wrote", "cells.load", "uses shared cell 0 that no thread"),
        ("leaves_the_array", "cells.store", "thread 63 uses shared cell 64 of an array of 64"),
        (
            "shares_across_warps_without_barrier",
            "cells.load",
            "that (no thread of this block wrote|thread .* wrote without a barrier)",
        ),
        ("shuffles_half_a_warp", "__shfl_sync", "deadlock|lane .* has left the kernel"),
        ("forgets_itself_in_a_mask", "__shfl_sync", "mask that leaves itself out"),
        ("reads_a_lane_outside_the_mask", "__shfl_sync", "reads lane 20, which its mask leaves"),
        (
            "shares_across_grid_barrier_dropped",
            "cells.load",
            r"thread \d+ uses shared cell \d+ that (no thread of this block wrote"
            r"|thread \d+ wrote without a barrier in between)",
        ),
        ("waits_for_others_alone", "grid_barrier", "a grid barrier in a launch that is not coop"),
    ],
)
def test_wrong_kernels(run, kernel: str, culprit: str, message: str, seed: int) -> None:
    error = run(kernel, seed)
    assert re.search(message, error), error
    named = int(re.search(r"self_test\.cpp:(\d+)", error)[1])
    assert named in [line_of(kernel, text) for text in culprit.split(" or ")], error


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ("diverges_at_a_barrier", "divergent barrier: thread .* waits here, thread .* at"),
        ("leaves_before_a_barrier", "(has|another thread has) left the kernel"),
        ("shuffles_in_two_places", "__shfl_sync here, but thread .* of its mask waits in"),
        ("waits_crosswise", "deadlock: thread 0 waits in __syncwarp at"),
        (
            "diverges_at_a_grid_barrier",
            r"divergent barrier: thread \d+ of block \d waits here, thread \d+ of block \d at",
        ),
        ("leaves_before_a_grid_barrier", "(has|another thread has) left the kernel"),
        ("waits_in_block_and_grid", "deadlock: .* waits in a grid barrier at"),
    ],
)
def test_divergence(run, kernel: str, message: str, seed: int) -> None:
    error = run(kernel, seed)
    assert re.search(message, error), error
    first = line_of(kernel, "{")
    lines = [int(line) for line in re.findall(r"self_test\.cpp:(\d+)", error)]
    assert lines and all(first < line < first + 8 for line in lines), error


def test_seeds_are_schedules(run) -> None:
    results = [run("depends_on_the_schedule", seed) for seed in range(20)]
    assert len(set(results)) > 1
    assert results == [run("depends_on_the_schedule", seed) for seed in range(20)]


def test_warps_run_together_and_far_ahead(run) -> None:
    steps = [int(run("lets_warps_run_ahead", seed)) for seed in range(20)]
    close, far = (sum(map(within, steps)) for within in (lambda n: n < 10, lambda n: n > 15))
    assert close > 4 and far > 4, steps
