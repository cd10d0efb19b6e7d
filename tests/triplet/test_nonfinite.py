"""Batches that break triplet losses elsewhere: ties, duplicates, NaN, infinities, extreme sizes."""

from __future__ import annotations

import pytest
import torch

from support.batches import same_bits
from support.cases import by_name, generator_for, name_of
from support.embeddings import BATCH_LOSSES, DISTANCES, TRIPLET_CASES, TripletBatch, run_batch
from support.oracle.triplet import exact_batch
from support.triplet_tolerance import check_batch, product_unit

pytestmark = pytest.mark.sanitize

CASES = by_name(TRIPLET_CASES)
every_mining = pytest.mark.parametrize("mining", BATCH_LOSSES)
every_distance = pytest.mark.parametrize("distance", DISTANCES)
every_impl = pytest.mark.parametrize("impl", ["auto", "reference"])


# ---- Labels --------------------------------------------------------------------------------------

LABEL_DTYPES = (
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.uint16,
    torch.int32,
    torch.uint32,
    torch.uint64,
)


@pytest.mark.parametrize("dtype", LABEL_DTYPES, ids=name_of)
@every_mining
@every_impl
def test_label_dtypes(dtype: torch.dtype, mining: str, impl: str, device: str) -> None:
    """Labels are names: each dtype gives the bits of int64, on either side."""
    case = CASES["few_refs"]
    batch = case.batch(torch.float32)
    names = (batch.labels % 2, batch.ref_labels % 2)
    plain = batch._replace(labels=names[0], ref_labels=names[1]).to(device)
    wanted = run_batch(BATCH_LOSSES[mining], plain, impl=impl)
    # uint64 goes with unsigned labels only.
    other = torch.uint8 if dtype == torch.uint64 else torch.int64
    for labels in (plain.labels.to(other), plain.labels.to(dtype)):
        given = plain._replace(labels=labels, ref_labels=plain.ref_labels.to(dtype))
        assert run_batch(BATCH_LOSSES[mining], given, impl=impl).same_bits(wanted)
    assert wanted.loss > 0


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (torch.int64, [-(2**63), 2**63 - 1]),
        (torch.uint64, [0, 2**64 - 1]),
        (torch.int8, [-128, 127]),
        (torch.uint32, [2**31, 2**32 - 1]),
    ],
    ids=["int64", "uint64", "int8", "uint32"],
)
@every_mining
def test_ends_of_label_dtypes(dtype: torch.dtype, values: list, mining: str, device: str) -> None:
    batch = CASES["n64"].batch(torch.float32).to(device)
    binary = batch.labels.tolist()
    labels = torch.tensor([values[bit] for bit in binary], dtype=dtype, device=device)
    got = run_batch(BATCH_LOSSES[mining], batch._replace(labels=labels))
    # Sums go through classes in the labels' order, which for uint64 is that of int64.
    alike = ~batch.labels if dtype == torch.uint64 else batch.labels
    assert got.same_bits(run_batch(BATCH_LOSSES[mining], batch._replace(labels=alike)))


# ---- Layouts -------------------------------------------------------------------------------------


def layouts_of(rows: torch.Tensor) -> dict[str, torch.Tensor]:
    n, dim = rows.shape
    return {
        "transposed": rows.t().contiguous().t(),
        "every_other_column": torch.stack([rows, -rows], 2).reshape(n, 2 * dim)[:, ::2],
        "every_other_row": torch.stack([rows, rows + 1], 1).reshape(2 * n, dim)[::2],
        "offset": torch.cat([rows[:1], rows])[1:],
        "narrow": torch.cat([rows, rows], 1)[:, dim:],
    }


@every_mining
@every_distance
def test_layouts(mining: str, distance: str, device: str) -> None:
    batch = CASES["refs"].batch(torch.float32).to(device)
    wanted = run_batch(BATCH_LOSSES[mining], batch, distance=distance)
    refs = layouts_of(batch.ref_embeddings)
    for name, embeddings in layouts_of(batch.embeddings).items():
        doubled = torch.stack([batch.labels, batch.labels + 1], 1)
        given = TripletBatch(embeddings, doubled[:, 0], refs[name], batch.ref_labels)
        assert run_batch(BATCH_LOSSES[mining], given, distance=distance).same_bits(wanted), name


@every_mining
def test_expanded_rows(mining: str, device: str) -> None:
    """One row that stands for all, stride 0: all points coincide."""
    row = torch.randn(1, 9, generator=generator_for("expanded")).to(device)
    labels = torch.arange(12, device=device) // 3
    got = run_batch(BATCH_LOSSES[mining], TripletBatch(row.expand(12, 9), labels), margin=0.25)
    assert got.loss == 0.25 and not got.grad.count_nonzero()


# ---- Ties ----------------------------------------------------------------------------------------


@every_mining
@pytest.mark.parametrize("n", [40, 600])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=name_of)
def test_all_points_in_one_place(mining: str, n: int, dtype: torch.dtype, device: str) -> None:
    """The first of each kind is picked, the loss is the margin, and nothing pulls anywhere."""
    labels = torch.arange(n) % 2
    embeddings = torch.full((n, 24), 0.3).to(dtype) + 1000
    batch = TripletBatch(embeddings, labels).to(device)
    for distance in DISTANCES:
        got = run_batch(BATCH_LOSSES[mining], batch, distance=distance, margin=0.75)
        assert got.loss == 0.75 and not got.grad.count_nonzero()
        first = torch.where(torch.arange(n) < 2, labels + 2, labels)
        assert torch.equal(got.mined.positive.cpu(), first)
        assert torch.equal(got.mined.negative.cpu(), 1 - labels)
        assert not torch.stack(got.mined[2:]).count_nonzero()


@every_mining
def test_copies_of_rows(mining: str, device: str) -> None:
    """The first copies are picked; that there are later ones, and one's own, makes no odds."""
    once = CASES["d127"].batch(torch.float32)
    alone = run_batch(BATCH_LOSSES[mining], once.to(device))
    again = TripletBatch(
        once.embeddings, once.labels, once.embeddings.repeat(7, 1), once.labels.repeat(7)
    )
    got = run_batch(BATCH_LOSSES[mining], again.to(device))
    assert got.mined.positive.max() < 40 and got.mined.negative.max() < 40
    if mining == "hard":
        assert all(map(same_bits, got.mined, alone.mined))


# ---- Far and near, large and small ---------------------------------------------------------------


@every_mining
@pytest.mark.parametrize("distance", ["euclidean", "sqeuclidean"])
def test_an_offset_changes_nothing(mining: str, distance: str, device: str) -> None:
    """Numbers on a grid that 1024 more does not push out of single precision."""
    batch = CASES["n65"].batch(torch.float64)
    grid = torch.round(batch.embeddings * 256) / 256
    here = batch._replace(embeddings=grid).to(torch.float32)
    there = batch._replace(embeddings=grid + 1024).to(torch.float32)
    assert torch.equal(there.embeddings - 1024, here.embeddings)
    function = BATCH_LOSSES[mining]
    got = run_batch(function, there.to(device), distance=distance)
    assert all(
        map(same_bits, got.mined, run_batch(function, here.to(device), distance=distance).mined)
    )
    unit = product_unit(mining, torch.float32)
    wanted = exact_batch(here, mining, distance=distance, product_unit=unit)
    check_batch(got, wanted, torch.float32)


EXTREMES = [
    (torch.float16, 6e4),
    (torch.float32, 1e30),
    (torch.float32, 1e-30),
    (torch.float32, 1e-42),
    (torch.bfloat16, 1e37),
    (torch.float64, 1e150),
    (torch.float64, 1e-150),
]


@pytest.mark.parametrize(("dtype", "size"), EXTREMES, ids=lambda value: str(value))
@every_mining
@pytest.mark.parametrize("distance", ["euclidean", "cosine"])
def test_extreme_norms(
    dtype: torch.dtype, size: float, mining: str, distance: str, device: str
) -> None:
    """Squares leave the range of single precision, where the distances do not."""
    plain = CASES["d3"].batch(torch.float64)
    embeddings = plain.embeddings / plain.embeddings.abs().max() * size
    batch = plain._replace(embeddings=embeddings.to(dtype))
    options = {"distance": distance, "margin": size / 4 if distance == "euclidean" else 0.5}
    got = run_batch(BATCH_LOSSES[mining], batch.to(device), **options)
    unit = product_unit(mining, dtype)
    wanted = exact_batch(batch, mining, product_unit=unit, **options)
    assert wanted.loss > 0
    check_batch(got, wanted, dtype)


# ---- NaN and infinities --------------------------------------------------------------------------


@every_mining
@every_distance
@every_impl
@pytest.mark.parametrize("name", ["d3", "singletons", "one_stranger"])
def test_a_nan_row_surfaces(mining: str, distance: str, impl: str, name: str, device: str) -> None:
    """It is the hardest partner of every anchor that has partners, and nothing to the others."""
    batch = CASES[name].batch(torch.float32)
    batch.embeddings[3, 1] = torch.nan
    options = {"distance": distance, "margin": 20.0}
    function = BATCH_LOSSES[mining]
    wanted = exact_batch(batch, mining, reduction="none", **options)
    got = run_batch(function, batch.to(device), reduction="none", impl=impl, **options)
    is_anchor = wanted.positive >= 0
    assert torch.equal(got.loss.isnan().cpu(), is_anchor)
    assert not got.loss[~is_anchor.to(device)].count_nonzero()
    assert torch.equal(got.mined.positive.cpu(), wanted.positive)
    assert torch.equal(got.mined.negative.cpu(), wanted.negative)
    assert got.grad.cpu()[is_anchor].isnan().all()
    for reduction in ("mean", "mean_nonzero", "sum"):
        got = run_batch(function, batch.to(device), reduction=reduction, impl=impl, **options)
        assert got.loss.isnan() and got.grad.cpu()[is_anchor].isnan().all()


@every_mining
@every_distance
def test_a_nan_anchor_is_alone(mining: str, distance: str, device: str) -> None:
    """With references of their own, anchors do not meet: the others' gradients are theirs."""
    batch = CASES["refs"].batch(torch.float32)
    batch.embeddings[4] = torch.nan
    options = {"distance": distance, "reduction": "sum", "margin": 3.0}
    got = run_batch(BATCH_LOSSES[mining], batch.to(device), **options)
    others = torch.arange(20) != 4
    assert got.loss.isnan() and got.grad[4].isnan().all()
    alone = TripletBatch(batch.embeddings[others], batch.labels[others], *batch[2:])
    wanted = run_batch(BATCH_LOSSES[mining], alone.to(device), **options)
    assert wanted.grad.isfinite().all()
    assert same_bits(got.grad[others.to(device)], wanted.grad)


@every_mining
@every_distance
@every_impl
@pytest.mark.parametrize(("n", "refs"), [(12, None), (150, None), (8, 90)])
@pytest.mark.parametrize("margin", [0.5, "soft"])
def test_nan_slopes_outlive_a_grad_output_of_0(
    mining: str,
    distance: str,
    impl: str,
    n: int,
    refs: int | None,
    margin: float | str,
    device: str,
) -> None:
    """0 times NaN is NaN, and everything else is 0: in all sizes, as autograd has it."""
    generator = generator_for("nan_slopes")
    sides = [torch.randn(size, 5, generator=generator, device="cpu") for size in (n, refs or 0)]
    sides[0][3] = torch.nan
    labels = [torch.arange(len(side), device=device) // 2 % 4 for side in sides]
    results = []
    for factor in (1.0, 0.0):
        rows = [side.to(device, copy=True).requires_grad_() for side in sides]
        bank = (rows[1], labels[1]) if refs else (None, None)
        loss = BATCH_LOSSES[mining](
            *(rows[0], labels[0]),
            **{"ref_embeddings": bank[0], "ref_labels": bank[1], "reduction": "none"},
            **{"margin": margin, "distance": distance, "impl": impl},
        )
        loss.backward(torch.full_like(loss, factor))
        results.append([row.grad for row in rows[: 2 if refs else 1]])
    for ones, zeros in zip(*results, strict=True):
        assert torch.equal(zeros.isnan(), ones.isnan())
        assert not zeros.nan_to_num().count_nonzero()
    assert results[0][0][3].isnan().all()


@every_mining
@every_distance
@every_impl
@pytest.mark.parametrize("labels", ["equal", "distinct"])
def test_nan_in_nothing(mining: str, distance: str, impl: str, labels: str, device: str) -> None:
    """No valid triplet: exactly 0, and gradients of exactly 0, whatever the rows hold."""
    batch = CASES[f"all_{labels}"].batch(torch.float32)
    batch.embeddings[:] = torch.nan
    for reduction in ("mean", "mean_nonzero", "sum", "none"):
        options = {"distance": distance, "reduction": reduction, "impl": impl}
        got = run_batch(BATCH_LOSSES[mining], batch.to(device), **options)
        assert not got.loss.count_nonzero() and not got.grad.count_nonzero()
        assert (got.mined.positive == -1).all() and (got.mined.negative == -1).all()
        assert got.mined.positive_distance.isnan().all()


@every_mining
@pytest.mark.parametrize("distance", ["euclidean", "sqeuclidean"])
def test_infinite_rows(mining: str, distance: str, device: str) -> None:
    """Infinitely far: the hardest positive, the easiest negative, and NaN only from another one."""
    batch = CASES["n65"].batch(torch.float32)
    batch.embeddings[5, 0] = torch.inf
    options = {"distance": distance, "reduction": "none"}
    got = run_batch(BATCH_LOSSES[mining], batch.to(device), **options)
    wanted = exact_batch(batch, mining, **options)
    assert torch.equal(got.mined.positive.cpu(), wanted.positive)
    assert torch.equal(got.mined.negative.cpu(), wanted.negative)
    assert wanted.loss.isinf().any() and wanted.loss.isfinite().any()
    assert torch.equal(got.loss.isinf().cpu(), wanted.loss.isinf())
    assert torch.equal(got.loss.isnan().cpu(), wanted.loss.isnan())


@every_mining
@every_impl
@pytest.mark.parametrize("distance", ["euclidean", "sqeuclidean"])
@pytest.mark.parametrize("margin", [0.5, "soft"])
@pytest.mark.parametrize("refs", [12, 100])
def test_an_infinite_negative(
    mining: str, impl: str, distance: str, margin: float | str, refs: int, device: str
) -> None:
    """Terms with it are 0, and all others what they are without it."""
    generator = generator_for("infinite_negative")
    x = torch.randn(12, 4, generator=generator)
    bank = torch.randn(refs, 4, generator=generator)
    bank[-1, 2] = torch.inf
    batch = TripletBatch(x, torch.arange(12) % 2, bank, torch.arange(refs) % 2)
    batch.ref_labels[-1] = 2
    options = {"distance": distance, "margin": margin, "impl": impl, "reduction": "sum"}
    got = run_batch(BATCH_LOSSES[mining], batch.to(device), **options)
    without = batch._replace(ref_embeddings=bank[:-1], ref_labels=batch.ref_labels[:-1])
    wanted = run_batch(BATCH_LOSSES[mining], without.to(device), **options)
    if mining == "semi_hard":  # where no other negative is beyond p, this one is
        assert got.loss.isfinite() and got.loss <= wanted.loss
        return
    torch.testing.assert_close(got.loss, wanted.loss, rtol=1e-6, atol=0)
    if impl == "auto":  # autograd multiplies 0 by the infinite difference
        assert got.grad.isfinite().all()
        assert not got.grad_refs[-1].count_nonzero()


# ---- Ties ----------------------------------------------------------------------------------------


def twins(n: int, refs: int | None, dtype: torch.dtype) -> TripletBatch:
    """Rows that occur under two labels each, at no round numbers: every positive of an anchor is
    exactly as far as the negative that is equal to it."""
    generator = generator_for(f"twins{n}{refs}")
    half = (refs or n) // 2
    rows = torch.randn(half, 7, generator=generator, dtype=torch.float64).to(dtype) + 0.3
    bank = torch.cat([rows, rows])
    labels = torch.arange(half) // 4
    bank_labels = torch.cat([labels, labels + 1000])
    if refs is None:
        return TripletBatch(bank, bank_labels)
    x = torch.randn(n, 7, generator=generator, dtype=torch.float64).to(dtype) + 0.3
    return TripletBatch(x, torch.arange(n) % 8, bank, bank_labels)


@every_distance
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=name_of)
@pytest.mark.parametrize(("n", "refs"), [(24, None), (200, None), (40, 120)])
def test_equal_rows_of_two_labels_tie(
    distance: str, dtype: torch.dtype, n: int, refs: int | None, device: str
) -> None:
    """With margin 0 a term between two equal rows is exactly 0: it does not count as non-zero, and
    its slope is boundary_grad."""
    batch = twins(n, refs, dtype).to(device)
    function = BATCH_LOSSES["all"]
    options = {"margin": 0.0, "distance": distance, "reduction": "sum"}
    # The pairs that tie, by the definition.
    negative = batch.labels[:, None] != (batch.labels if refs is None else batch.ref_labels)
    bank = batch.embeddings if refs is None else batch.ref_embeddings
    equal = (bank[:, None] == bank[None]).all(-1)
    positive = ~negative
    if refs is None:
        positive.fill_diagonal_(False)
    ties = int((positive[:, :, None] & negative[:, None, :] & equal[None]).sum())
    assert ties >= n
    # Every tie is a slope of its own with respect to the margin, whatever other terms there are.
    slopes = []
    for boundary_grad in (0.0, 1.0):
        margin = torch.zeros((), dtype=torch.float64, device=device, requires_grad=True)
        loss = function(
            batch.embeddings,
            batch.labels,
            **batch.refs,
            **options | {"margin": margin, "boundary_grad": boundary_grad},
        )
        loss.backward()
        slopes.append(margin.grad.item())
    assert slopes[1] - slopes[0] == ties


@every_distance
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=name_of)
def test_nothing_but_ties(distance: str, dtype: torch.dtype, device: str) -> None:
    """Two labels with the same rows, whose embeddings all lie equally far from the anchors' one."""
    generator = generator_for("nothing_but_ties")
    row = torch.randn(1, 9, generator=generator, dtype=torch.float64).to(dtype)
    anchors = torch.randn(40, 9, generator=generator, dtype=torch.float64).to(dtype)
    batch = TripletBatch(
        anchors, torch.arange(40) % 2, row.expand(60, 9).contiguous(), torch.arange(60) % 2
    )
    options = {"margin": 0.0, "distance": distance, "reduction": "mean_nonzero"}
    got = run_batch(BATCH_LOSSES["all"], batch.to(device), **options)
    assert got.loss == 0 and not got.grad.count_nonzero() and not got.grad_refs.count_nonzero()
    got = run_batch(BATCH_LOSSES["all"], batch.to(device), **options, boundary_grad=1.0)
    assert got.loss == 0
    soft = run_batch(BATCH_LOSSES["all"], batch.to(device), **options | {"margin": "soft"})
    torch.testing.assert_close(soft.loss, torch.full_like(soft.loss, 2).log(), rtol=1e-6, atol=0)


@every_mining
def test_nan_terms_count_as_non_zero(mining: str, device: str) -> None:
    """One NaN anchor among others, with references of their own: kernels and reference agree on
    what the others' gradients are divided by."""
    batch = CASES["refs"].batch(torch.float64)
    batch.embeddings[4] = torch.nan
    options = {"reduction": "mean_nonzero", "margin": 0.5}
    got = run_batch(BATCH_LOSSES[mining], batch.to(device), **options)
    wanted = run_batch(BATCH_LOSSES[mining], batch.to(device), impl="reference", **options)
    assert got.loss.isnan() and wanted.loss.isnan()
    others = torch.arange(20) != 4
    assert got.grad[4].isnan().all()
    torch.testing.assert_close(got.grad[others], wanted.grad[others], rtol=1e-11, atol=1e-13)
