"""The kernels of batch_triplet_forward and batch_triplet_backward, run on the CPU."""

from __future__ import annotations

import math

import pytest
import torch

from cuda_host.triplet.cases import (
    DISTANCES,
    DTYPES,
    MININGS,
    Batch,
    batch_of,
    close,
    hold,
    load,
    solve,
    specified,
)

every_mining = pytest.mark.parametrize("mining", MININGS)
every_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: str(d).split(".")[1])
sanitize = pytest.mark.sanitize


@pytest.fixture(scope="module")
def host(pytestconfig: pytest.Config):
    return load(pytestconfig.cache)


@pytest.fixture(autouse=True)
def defaults(host) -> None:
    host.choose()


# ---- Against the specification ---------------------------------------------------------------


@sanitize
@every_mining
@every_dtype
@pytest.mark.parametrize("distance", DISTANCES)
def test_values_and_gradients(mining: str, dtype, distance: str, host) -> None:
    hold(host.ops, batch_of(37, 5, 6), mining, dtype, distance=distance)


@every_mining
@every_dtype
def test_references(mining: str, dtype, host) -> None:
    batch = batch_of(29, 11, 5, refs=43)
    hold(host.ops, batch, mining, dtype, margin="soft", reduction="none")
    hold(host.ops, batch, mining, dtype, distance="cosine", reduction="mean_nonzero")


@every_mining
@pytest.mark.parametrize("reduction", ["mean", "mean_nonzero", "sum", "none"])
@pytest.mark.parametrize("margin", [0.0, 0.3, "soft"])
def test_reductions(mining: str, reduction: str, margin, host) -> None:
    batch = batch_of(21, 3, 4)
    hold(host.ops, batch, mining, torch.float32, reduction=reduction, margin=margin)


# A tile is 64 or 128 rows and 64 columns, a slice 16 or 32 elements, three of which are in flight.
@every_mining
@pytest.mark.parametrize(
    ("size", "dim", "classes"),
    [(63, 1, 30), (65, 17, 20), (129, 33, 40), (2, 48, 1), (3, 64, 2), (150, 70, 3)],
)
def test_borders(mining: str, size: int, dim: int, classes: int, host) -> None:
    if mining != "hard":
        size = min(size, 66)
    hold(host.ops, batch_of(size, dim, classes), mining, torch.float32)
    hold(host.ops, batch_of(size, dim, classes), mining, torch.float16)


@every_mining
@pytest.mark.parametrize("chunk", [1, 4])
def test_positives_in_rounds(mining: str, chunk: int, host) -> None:
    host.choose(chunk=chunk)
    hold(host.ops, batch_of(24, 4, 3), mining, torch.float32)
    hold(host.ops, batch_of(12, 4, 2, refs=20), mining, torch.float64, margin="soft")


@sanitize
@pytest.mark.parametrize("size", [40, 127, 129, 257, 390])
@pytest.mark.parametrize("classes", [2, 50])
def test_symmetric_schedule(size: int, classes: int, host) -> None:
    """Two, three, four row blocks of 128: an odd and an even turn."""
    host.choose(symmetric=True)
    batch = batch_of(size, 6, classes)
    hold(host.ops, batch, "hard", torch.float32)
    assert host.scans() == 0, "the search settles all of it"


def test_search_settles_everything_else(host) -> None:
    for dtype in DTYPES:
        hold(host.ops, batch_of(140, 20, 2), "hard", dtype)
        assert host.scans() == 0
        hold(host.ops, batch_of(40, 20, 9, refs=150), "hard", dtype)
        assert host.scans() == 0


# ---- Ties, coincident points, kinks ----------------------------------------------------------


@sanitize
@every_mining
@every_dtype
@pytest.mark.parametrize("distance", ["euclidean", "sqeuclidean"])
@pytest.mark.parametrize("boundary", [0.0, 0.25])
def test_integers(mining: str, dtype, distance: str, boundary: float, host) -> None:
    """Ties everywhere, and hinges that are exactly 0."""
    batch = batch_of(48, 3, 6, integers=True)
    margin = 0.0 if distance == "euclidean" else 1.0
    hold(host.ops, batch, mining, dtype, distance=distance, boundary=boundary, margin=margin)


@every_mining
def test_an_offset_changes_nothing(mining: str, host) -> None:
    batch = batch_of(40, 3, 5, integers=True)
    moved = batch._replace(embeddings=batch.embeddings + 4096)
    host.choose(seed=1)
    there = solve(host.ops, batch.to(torch.float32), mining)
    here = solve(host.ops, moved.to(torch.float32), mining)
    for a, b in zip(there, here, strict=True):
        assert torch.equal(a.nan_to_num(), b.nan_to_num())


@every_mining
@pytest.mark.parametrize("distance", DISTANCES)
def test_coincident_and_zero_rows(mining: str, distance: str, host) -> None:
    rows = torch.ones(20, 5).double()
    hold(host.ops, Batch(rows, torch.arange(20) % 4), mining, torch.float32, distance=distance)
    batch = batch_of(33, 4, 5)
    batch.embeddings[::7] = 0
    batch.embeddings[3] = batch.embeddings[8]
    hold(host.ops, batch, mining, torch.float32, distance=distance)


@every_mining
@pytest.mark.parametrize("scale", [1e-30, 1e15])
def test_any_scale(mining: str, scale: float, host) -> None:
    batch = batch_of(30, 4, 5)
    batch = batch._replace(embeddings=batch.embeddings * scale)
    hold(host.ops, batch, mining, torch.float32, margin=0.1 * scale)


@every_mining
def test_a_row_far_from_all_others(mining: str, host) -> None:
    batch = batch_of(40, 4, 5)
    batch.embeddings[11] = 1e7
    hold(host.ops, batch, mining, torch.float64)
    result, wanted = (solve(host.ops, batch.to(torch.float32), mining), specified(batch, mining))
    assert torch.equal(result.positive, wanted.positive)
    assert torch.equal(result.negative, wanted.negative)


def test_rows_that_fp16_rounds(host) -> None:
    """What the search compares is off by more than its sums are; its bounds say so."""
    generator = torch.Generator().manual_seed(4)
    axis = torch.arange(28)
    grid = torch.cartesian_prod(axis, axis, axis)
    # The anchors lie around 0, and all the same refs 545 away but for these small parts, which fp16
    # has no room for beside the refs' mean of 16.
    near = grid[(grid**2).sum(1) == 545]
    anchors = 0.005 * torch.randn(24, 3, generator=generator)
    refs = 17 + 0.8 * torch.randn(72, 3, generator=generator)
    refs[torch.arange(72) % 8 < 3] = near[
        torch.randperm(len(near), generator=generator)[:27]
    ].float()
    labels = torch.full((24,), 71)
    batch = Batch(anchors.double(), labels, refs.double(), torch.arange(72))
    hold(host.ops, batch, "hard", torch.bfloat16)


# ---- Nothing, and NaN ------------------------------------------------------------------------


@every_mining
@pytest.mark.parametrize("reduction", ["mean", "mean_nonzero", "none"])
@pytest.mark.parametrize(
    "labels", [[], [0], [0] * 9, list(range(9))], ids=["empty", "one", "equal", "distinct"]
)
def test_no_triplets(mining: str, reduction: str, labels: list[int], host) -> None:
    rows = torch.randn(len(labels), 4)
    result = solve(
        host.ops, Batch(rows, torch.tensor(labels, dtype=torch.long)), mining, reduction=reduction
    )
    assert (result.loss == 0).all()
    assert (result.positive == -1).all() and (result.negative == -1).all()
    assert result.distances.isnan().all()
    assert torch.equal(result.grad, torch.zeros_like(rows))


@every_mining
def test_nan_and_infinity(mining: str, host) -> None:
    batch = batch_of(30, 4, 5)
    batch.embeddings[7, 2] = math.nan
    batch.embeddings[9, 2] = math.nan
    result = solve(host.ops, batch.to(torch.float32), mining, reduction="none")
    wanted = specified(batch, mining, reduction="none")
    assert torch.equal(result.positive, wanted.positive)
    assert torch.equal(result.negative, wanted.negative)
    close("loss", result.loss, wanted.loss, 1e-5)
    assert result.loss.isnan().all()

    batch = batch_of(30, 4, 5)
    batch.embeddings[7, 2] = math.inf
    result = solve(host.ops, batch.to(torch.float32), mining, reduction="none")
    wanted = specified(batch, mining, reduction="none")
    assert torch.equal(result.positive, wanted.positive)
    assert torch.equal(result.negative, wanted.negative)


@every_mining
@pytest.mark.parametrize("refs", [None, 70])
@pytest.mark.parametrize("margin", [0.5, "soft"])
def test_nan_slopes_outlive_a_grad_output_of_0(
    mining: str, refs: int | None, margin: float | str, host
) -> None:
    batch = batch_of(30, 4, 5, refs=refs).to(torch.float32)
    batch.embeddings[7] = math.nan
    options = {"reduction": "none", "margin": margin}
    ones = solve(host.ops, batch, mining, **options, grad_output_of=torch.ones_like)
    zeros = solve(host.ops, batch, mining, **options, grad_output_of=torch.zeros_like)
    for one, zero in zip(ones[4:], zeros[4:], strict=True):
        assert torch.equal(one.isnan(), zero.isnan())
        assert not zero.nan_to_num().count_nonzero()
    assert zeros[4][7].isnan().all()


def test_a_nan_row_is_the_hardest_negative_of_all(host) -> None:
    """Its distances to all rows are NaN."""
    batch = Batch(torch.randn(6, 3), torch.tensor([0, 0, 1, 1, 2, 2]))
    batch.embeddings[0] = math.nan
    result = solve(host.ops, batch, "hard", reduction="none")
    assert result.loss.isnan().all() and (result.negative[2:] == 0).all()


# ---- What only some ask for ------------------------------------------------------------------


@every_mining
def test_mined_pairs_on_request(mining: str, host) -> None:
    """Where they would cost a search of their own, there are none; the loss is the same."""
    batch = batch_of(40, 5, 4).to(torch.float32)
    pairs = (*batch, None, 0.5, False, mining, "euclidean", 0.0, "mean", False)
    asked, unasked = (host.ops.batch_triplet_forward(*pairs, asks) for asks in (True, False))
    for place in (0, 4, 5):
        assert torch.equal(asked[place], unasked[place])
    if mining == "all":
        assert (unasked[1] == -1).all() and (unasked[2] == -1).all() and unasked[3].isnan().all()
        grads = [
            host.ops.batch_triplet_backward(torch.ones(()), *pairs[:10], *results[1:6])[0]
            for results in (asked, unasked)
        ]
        assert torch.equal(*grads)
    else:
        assert torch.equal(asked[1], unasked[1])


# ---- Ties and infinity where all triplets count ----------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("references", [False, True])
@pytest.mark.parametrize("distance", DISTANCES)
def test_equal_rows_of_two_labels_tie(distance: str, references: bool, dtype, host) -> None:
    """Each row is there under either label: every triplet but those with itself has its tie."""
    generator = torch.Generator().manual_seed(7)
    rows = torch.randn(40, 9, generator=generator).to(dtype).double()
    doubled, labels = torch.cat([rows, rows]), torch.arange(80) // 40
    batch = Batch(doubled, labels)
    if references:
        batch = Batch(rows[:17], torch.zeros(17, dtype=torch.long), doubled, labels)
    options = {"margin": 0.0, "distance": distance, "boundary": 0.5}
    for reduction in ("mean_nonzero", "none"):
        hold(host.ops, batch, "all", dtype, reduction=reduction, **options)
    batch = batch.to(dtype)
    slopes = [
        host.ops.batch_triplet_forward(
            *batch, None, 0.0, False, "all", distance, b, "sum", False, False
        )[4]
        for b in (0.0, 1.0)
    ]
    ties = slopes[1] - slopes[0]
    assert (ties >= (40 if references else 39)).all(), "those of two equal rows at least"


@every_mining
def test_an_infinite_negative_is_worth_nothing(mining: str, host) -> None:
    batch = batch_of(30, 4, 5)
    batch.embeddings[7, 2] = math.inf
    batch.labels[7] = 99  # no row's positive
    wanted = specified(batch, mining, reduction="none")
    result = solve(host.ops, batch.to(torch.float32), mining, reduction="none")
    close("loss", result.loss, wanted.loss, 1e-5)
    assert result.loss.isfinite().all() and (result.loss > 0).any()
    assert result.grad[torch.arange(30) != 7].isfinite().all()


@every_mining
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("labels", [[0] * 9, list(range(9))], ids=["equal", "distinct"])
def test_nan_in_nothing(mining: str, distance: str, labels: list[int], host) -> None:
    """Rows without a triplet have gradient 0, whatever they hold."""
    rows = torch.randn(9, 4)
    rows[3] = math.nan
    batch = Batch(rows, torch.tensor(labels))
    result = solve(host.ops, batch, mining, distance=distance)
    assert result.loss == 0 and torch.equal(result.grad, torch.zeros_like(rows))


# ---- Labels ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
)
def test_label_dtypes(dtype, host) -> None:
    batch = batch_of(30, 4, 2 if dtype == torch.bool else 5)
    labels = batch.labels - (2 if dtype.is_signed and dtype != torch.bool else 0)
    result = solve(host.ops, batch._replace(labels=labels.to(dtype)).to(torch.float32), "hard")
    wanted = specified(batch, "hard")
    assert torch.equal(result.positive, wanted.positive)
    assert torch.equal(result.negative, wanted.negative)


def test_large_labels(host) -> None:
    batch = batch_of(30, 4, 3)
    values = torch.tensor([-(2**63), 2**63 - 1, 2**40])
    result = solve(host.ops, batch._replace(labels=values[batch.labels]).to(torch.float32), "hard")
    assert torch.equal(result.positive, specified(batch, "hard").positive)


# ---- Schedules -------------------------------------------------------------------------------


@every_mining
@pytest.mark.parametrize("symmetric", [False, True])
def test_same_bits_whatever_the_schedule(mining: str, symmetric: bool, host) -> None:
    batch = batch_of(140 if mining == "hard" else 70, 9, 12).to(torch.float32)
    results = []
    for seed in range(3):
        host.choose(seed=seed, symmetric=symmetric)
        results.append(solve(host.ops, batch, mining))
    for result in results[1:]:
        for a, b in zip(results[0], result, strict=True):
            assert a.numpy().tobytes() == b.numpy().tobytes()
