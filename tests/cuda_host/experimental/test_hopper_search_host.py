"""hopper_search_kernel in the place of hardest_search_kernel: the same picks, bit for bit."""

from __future__ import annotations

import pytest
import torch

from cuda_host import host_build
from cuda_host.triplet.cases import DTYPES, TripletOps, batch_of, hold, solve

sanitize = pytest.mark.sanitize
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: str(d).split(".")[1])


class HopperOps(TripletOps):
    """The ops of hopper_search_host.cpp, with searches counted."""

    def choose(self, *, hopper: bool = True, **options) -> None:
        super().choose(**options)
        self.ops.want_hopper(hopper)
        self.before = self.ops.hopper_searches()

    def searches(self) -> int:
        """Since the last choice."""
        return self.ops.hopper_searches() - self.before


@pytest.fixture(scope="module")
def ops(pytestconfig: pytest.Config) -> HopperOps:
    library = host_build.library("experimental/hopper_search_host.cpp", pytestconfig.cache)
    return HopperOps(library, "fused_rankloss_hopper_host")


@pytest.fixture
def host(ops: HopperOps) -> HopperOps:
    ops.choose()
    return ops


@sanitize
@every_dtype
@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_values_and_gradients(dtype, distance: str, host) -> None:
    hold(host.ops, batch_of(37, 5, 6), "hard", dtype, distance=distance)
    assert host.searches() == 1 and host.scans() == 0


# A tile is 128 rows and 128 columns; a chunk 64 numbers of one piece, or 32 of two, and there are
# five places for the chunks of columns: one tile's are fewer or more than that.
@pytest.mark.parametrize(
    ("size", "dim", "classes"),
    [(127, 1, 30), (129, 33, 20), (257, 64, 40), (2, 48, 1), (260, 256, 3), (150, 224, 3)],
)
def test_borders(size: int, dim: int, classes: int, host) -> None:
    for searches, dtype in enumerate([torch.float32, torch.float16]):
        hold(host.ops, batch_of(size, dim, classes), "hard", dtype)
        assert host.searches() == searches + 1
        # Two near ties may share a slot, and on a line there are many.
        assert host.scans() <= 2 or dim == 1, "the search settles nearly all of it"


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32], ids=["one_piece", "two_pieces"])
@pytest.mark.parametrize(("size", "refs"), [(40, 1100), (300, 90)])
def test_references(size: int, refs: int, dtype, host) -> None:
    """One and three row blocks; nine tiles are for two blocks."""
    hold(host.ops, batch_of(size, 11, 5, refs=refs), "hard", dtype, reduction="none")
    assert host.searches() == 1 and host.scans() == 0


@sanitize
@pytest.mark.parametrize("size", [127, 200, 257, 390, 600])
@pytest.mark.parametrize("classes", [2, 50])
def test_symmetric_schedule(size: int, classes: int, host) -> None:
    """One to five row blocks."""
    host.choose(symmetric=True)
    hold(host.ops, batch_of(size, 6, classes), "hard", torch.float32)
    assert host.searches() == 1 and host.scans() == 0


def test_integers(host) -> None:
    """Ties everywhere."""
    for symmetric in (False, True):
        host.choose(symmetric=symmetric)
        hold(host.ops, batch_of(150, 3, 6, integers=True), "hard", torch.float16)


def test_near_ties(host) -> None:
    """Points of a grid, moved by less than one fp16 tells: low parts of rows and columns decide."""
    batch = batch_of(150, 3, 6, integers=True)
    moved = 1e-3 * torch.randn(150, 3, generator=torch.Generator().manual_seed(0)).double()
    hold(host.ops, batch._replace(embeddings=batch.embeddings + moved), "hard", torch.float32)
    assert host.searches() == 1


def test_rows_that_do_not_fit(host) -> None:
    """Eight chunks of rows stay in shared memory; the kernel for all GPUs takes longer ones."""
    hold(host.ops, batch_of(20, 257, 3), "hard", torch.float32)
    hold(host.ops, batch_of(20, 513, 3), "hard", torch.float16)
    assert host.searches() == 0
    hold(host.ops, batch_of(20, 512, 3), "hard", torch.float16)
    assert host.searches() == 1


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("dim", [9, 200])
def test_same_bits_whatever_the_schedule(dim: int, symmetric: bool, host) -> None:
    """Four row blocks: up to two turns of each warpgroup."""
    batch = batch_of(390, dim, 12).to(torch.float16)
    host.choose(hopper=False, symmetric=symmetric)
    results = [solve(host.ops, batch, "hard")]
    for seed in range(3):
        host.choose(seed=seed, symmetric=symmetric)
        results.append(solve(host.ops, batch, "hard"))
        assert host.searches() == 1
    for result in results[1:]:
        for a, b in zip(results[0], result, strict=True):
            assert a.numpy().tobytes() == b.numpy().tobytes()
