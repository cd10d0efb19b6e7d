"""The harness' warpgroup products, copies and mbarriers: right ones are right, bugs are named."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable

import pytest

from cuda_host import host_build

pytestmark = pytest.mark.skipif(not host_build.have_compiler(), reason="no C++ compiler")

SOURCE = "experimental/hopper_self_test.cpp"

# What the harness says of each Bug of hopper_self_test.cpp, in their order.
BUGS = {
    "kNotInitialised": "an mbarrier that no thread of this block initialised",
    "kNoBlockBarrier": "(barrier of the block since its init|no thread of this block initialised)",
    "kNotPublished": "a copy to an mbarrier that was not published",
    "kTooManyArrivals": "more arrivals at an mbarrier than it counts",
    "kExpectsTooMuch": r"deadlock: thread \d+ waits in an mbarrier at",
    "kNoWaitForCopy": "a product reads a tile whose copy was not waited for",
    "kWrongParity": "a product reads a tile whose copy was not waited for",
    "kNoBegin": "a product without begin_products",
    "kDivergingProducts": "threads of a warpgroup begin different products",
    "kNoWaitForProduct": r"^[1-9]\d*$",  # numbers that are not there yet
    "kPlaceGivenBackEarly": "a copy onto what a product still reads",
    "kCopyOntoCopy": "a copy onto one that is on its way",
    "kNotAligned": "a tile that is not aligned to its swizzle",
    "kOutsideOfMemory": r"shared address \d+ is not in the block's dynamic shared memory",
    "kUnsyncedGroup": "uses shared cell",
}

# Whether it shows is a matter of the schedule.
LUCKY = {"kPlaceGivenBackEarly"}


@pytest.fixture(scope="module")
def run(pytestconfig: pytest.Config) -> Callable[[int, int], str]:
    folder = pytestconfig.cache.mkdir("cuda_host")
    library = ctypes.CDLL(str(host_build.build(SOURCE, folder, uses_torch=False)))
    library.run.restype = ctypes.c_char_p
    library.run.argtypes = [ctypes.c_int, ctypes.c_uint64]
    return lambda bug, seed: library.run(bug, seed).decode()


@pytest.mark.parametrize("seed", range(8))
def test_right(run, seed: int) -> None:
    """Tiles that lie partly outside of a matrix, one after the other in one place."""
    assert run(0, seed) == "0"


@pytest.mark.parametrize("bug", BUGS)
def test_bugs_are_named(run, bug: str) -> None:
    names = (host_build.HERE / SOURCE).read_text().split("enum Bug {")[1].split("}")[0]
    number = re.findall(r"k\w+", names).index(bug)
    said = {run(number, seed) for seed in range(12)}
    assert any(re.search(BUGS[bug], text) for text in said), said
    assert "0" not in said or bug in LUCKY, "not even under one schedule"
    for text in said:
        assert text.isdigit() or "hopper_self_test.cpp:" in text, text
