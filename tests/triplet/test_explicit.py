"""Explicit triplets: the oracle, torch's own losses, shapes, kinks and coincident points."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fused_rankloss import triplet_loss
from support.batches import same_bits
from support.cases import SCORE_DTYPES, generator_for, name_of
from support.embeddings import DISTANCES, REDUCTIONS, run_rows
from support.oracle.triplet import exact_rows
from support.triplet_tolerance import check_rows

pytestmark = pytest.mark.sanitize

# The norms of torch.nn.TripletMarginLoss.
NORMS = [
    {},
    {"eps": 0.0},
    {"eps": 0.25},
    {"p": 1.0},
    {"p": 1.5},
    {"p": 3.0},
    {"p": 0.75},
    {"p": math.inf},
    {"p": math.inf, "eps": 0.0},
]
every_norm = pytest.mark.parametrize("norm", NORMS, ids=str)
every_swap = pytest.mark.parametrize("swap", [False, True], ids=["plain", "swap"])
every_distance = pytest.mark.parametrize("distance", DISTANCES)


def drawn(name: str, *shape: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    generator = generator_for(name)
    return [torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype) for _ in "apn"]


def whole(name: str, *shape: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Zeros and ones: ties, coincident points and terms at exactly 0, whatever the norm."""
    generator = generator_for(name)
    return [torch.randint(0, 2, shape, generator=generator).to(dtype) for _ in "apn"]


def norm_for(draw, norm: dict) -> dict:
    """Without an eps, that those of whole numbers are exact."""
    return norm if draw is drawn else {**norm, "eps": 0.0}


def move(rows: list[Tensor], device: str) -> list[Tensor]:
    return [tensor.to(device) for tensor in rows]


# ---- The oracle ----------------------------------------------------------------------------------

SHAPES = [(0, 5), (1, 1), (7, 0), (40, 3), (33, 32), (20, 127), (3, 4096)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("draw", [drawn, whole], ids=["normal", "integers"])
@every_distance
@every_swap
@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_distances(
    shape: tuple[int, int], draw, distance: str, swap: bool, impl: str, device: str
) -> None:
    rows = draw(str(shape), *shape)
    options = {"distance": distance, "swap": swap}
    if distance == "euclidean":
        options = norm_for(draw, options)
    if draw is whole and distance == "cosine" and swap and shape[1] > 1:
        return  # whether two cosines are equal is a matter of their rounding
    got = run_rows(triplet_loss, move(rows, device), impl=impl, **options)
    check_rows(got, exact_rows(*rows, **options), torch.float64, case=shape)


@pytest.mark.parametrize("dtype", SCORE_DTYPES, ids=name_of)
@every_distance
@every_swap
def test_dtypes(dtype: torch.dtype, distance: str, swap: bool, device: str) -> None:
    rows = drawn("dtypes", 50, 19, dtype=dtype)
    options = {"distance": distance, "swap": swap}
    got = run_rows(triplet_loss, move(rows, device), **options)
    assert got[0].dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert all(grad.dtype == dtype for grad in got[1])
    plain = run_rows(triplet_loss, move(rows, device), impl="reference", **options)
    check_rows(got, exact_rows(*rows, **options), dtype, plain)


@every_distance
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("margin", [-0.5, 0.0, 2.0, "soft"])
@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_options(
    distance: str, reduction: str, margin: float | str, impl: str, device: str
) -> None:
    rows = drawn("options", 30, 7)
    shape = (30,) if reduction == "none" else ()
    grad_output = torch.randn(shape, generator=generator_for(reduction), dtype=torch.float64)
    options = {"distance": distance, "reduction": reduction, "margin": margin}
    got = run_rows(triplet_loss, move(rows, device), grad_output, impl=impl, **options)
    check_rows(got, exact_rows(*rows, grad_output=grad_output, **options), torch.float64)


@every_norm
@every_swap
@pytest.mark.parametrize("impl", ["auto", "reference"])
@pytest.mark.parametrize("draw", [drawn, whole], ids=["normal", "integers"])
def test_norms(norm: dict, swap: bool, impl: str, draw, device: str) -> None:
    rows = draw("norms", 40, 6)
    options = {"distance": "euclidean", "swap": swap, **norm_for(draw, norm)}
    got = run_rows(triplet_loss, move(rows, device), impl=impl, **options)
    check_rows(got, exact_rows(*rows, **options), torch.float64)


@pytest.mark.parametrize("boundary_grad", [None, 0.0, 0.25, 1.0])
@every_distance
def test_boundary(boundary_grad: float | None, distance: str, device: str) -> None:
    """Positives that are negatives too: every gap is the margin."""
    anchor, positive, _ = drawn("boundary", 12, 5)
    rows = [anchor, positive, positive.clone()]
    options = {"distance": distance, "margin": 0.0, "boundary_grad": boundary_grad}
    for impl in ("auto", "reference"):
        got = run_rows(triplet_loss, move(rows, device), impl=impl, **options)
        assert got[0] == 0
        check_rows(got, exact_rows(*rows, **options), torch.float64)
        slope = float(distance == "euclidean") if boundary_grad is None else boundary_grad
        assert bool(got[1][1].count_nonzero()) == (slope > 0)


# ---- torch's losses ------------------------------------------------------------------------------


def torch_loss(anchor: Tensor, positive: Tensor, negative: Tensor, **options) -> Tensor:
    return F.triplet_margin_loss(anchor, positive, negative, **options)


@every_norm
@every_swap
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=name_of)
@pytest.mark.parametrize("draw", [drawn, whole], ids=["normal", "integers"])
def test_triplet_margin_loss(norm: dict, swap: bool, dtype: torch.dtype, draw, device: str) -> None:
    """As good as torch's at its own numbers: ties, kinks and coincident points included."""
    rows = draw("torch", 40, 6, dtype=dtype)
    options = {"swap": swap, **norm_for(draw, norm)}
    wanted = exact_rows(*rows, distance="euclidean", **options)
    theirs = run_rows(torch_loss, move(rows, device), **options)
    if dtype == torch.float64:
        check_rows(theirs, wanted, dtype)
    ours = run_rows(triplet_loss, move(rows, device), distance="euclidean", **options)
    check_rows(ours, wanted, dtype, theirs)


def test_opinfo_samples(device: str) -> None:
    """The calls that torch tests its own loss with."""
    samples = pytest.importorskip(
        "torch.testing._internal.common_methods_invocations",
        reason="torch's own test samples need expecttest",
        exc_type=ImportError,
    )
    (op,) = [op for op in samples.op_db if op.name == "nn.functional.triplet_margin_loss"]
    count = 0
    for sample in op.sample_inputs(device, torch.float64, requires_grad=True):
        rows = [sample.input, *sample.args]
        theirs = run_rows(torch_loss, rows, **sample.kwargs)
        ours = run_rows(triplet_loss, rows, distance="euclidean", **sample.kwargs)
        wanted = exact_rows(*rows, distance="euclidean", **sample.kwargs)
        check_rows(theirs, wanted, torch.float64, case=sample.kwargs)
        check_rows(ours, wanted, torch.float64, case=sample.kwargs)
        count += 1
    assert count >= 7


PAIRS_OF_SHAPES = [
    ((5,), (5,), (5,)),
    ((3, 5), (3, 5), (3, 5)),
    ((2, 3, 5), (2, 3, 5), (2, 3, 5)),
    ((4, 1, 5), (4, 1, 5), (1, 6, 5)),
    ((1, 5), (7, 5), (7, 5)),
    ((2, 3, 1), (2, 3, 5), (1, 1, 5)),
    ((0, 3, 5), (0, 3, 5), (0, 3, 5)),
]


@pytest.mark.parametrize("shapes", PAIRS_OF_SHAPES, ids=str)
@pytest.mark.parametrize("reduction", ["none", "sum"])
def test_shapes(shapes, reduction: str, device: str) -> None:
    """Those of torch's loss: the last dimension is that of the numbers, the others broadcast."""
    generator = generator_for("shapes")
    rows = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    theirs = run_rows(torch_loss, move(rows, device), reduction=reduction)
    ours = run_rows(triplet_loss, move(rows, device), distance="euclidean", reduction=reduction)
    assert ours[0].shape == theirs[0].shape
    # Both in double precision, off by a few roundings of sums of less than a hundred terms.
    torch.testing.assert_close(ours[0], theirs[0], rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(ours[1], theirs[1], rtol=1e-13, atol=1e-13)


def test_more_dimensions_than_the_anchor(device: str) -> None:
    """A single anchor or positive, which torch asks to be repeated."""
    anchor, positive, negative = move(drawn("dims", 6, 4), device)
    got = triplet_loss(anchor[0], positive, negative, reduction="none")
    repeated = triplet_loss(anchor[:1].expand(6, 4), positive, negative, reduction="none")
    assert same_bits(got, repeated)


def test_squared_distances_are_the_five_words(device: str) -> None:
    rows = drawn("line", 60, 20)

    def line(a: Tensor, p: Tensor, n: Tensor) -> Tensor:
        return torch.relu((a - p).square().sum(1) - (a - n).square().sum(1) + 1.0).mean()

    wanted = exact_rows(*rows)
    check_rows(run_rows(line, move(rows, device)), wanted, torch.float64)
    check_rows(run_rows(triplet_loss, move(rows, device)), wanted, torch.float64)


def test_cosine_is_one_minus_cosine_similarity(device: str) -> None:
    rows = drawn("cosine", 60, 20)

    def line(a: Tensor, p: Tensor, n: Tensor) -> Tensor:
        return torch.relu(F.cosine_similarity(a, n) - F.cosine_similarity(a, p) + 1.0).mean()

    wanted = exact_rows(*rows, distance="cosine")
    check_rows(run_rows(line, move(rows, device)), wanted, torch.float64)
    got = run_rows(triplet_loss, move(rows, device), distance="cosine")
    check_rows(got, wanted, torch.float64)


# ---- Edges ---------------------------------------------------------------------------------------


@every_distance
@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_nothing(distance: str, impl: str, device: str) -> None:
    """No triplet: exactly 0 with a graph, where torch's mean is NaN."""
    rows = move(drawn("nothing", 0, 5), device)
    for reduction in ("mean", "mean_nonzero", "sum"):
        loss, grads = run_rows(
            triplet_loss, rows, distance=distance, reduction=reduction, impl=impl
        )
        assert loss.shape == () and loss == 0
        assert all(grad.shape == (0, 5) for grad in grads)
    assert triplet_loss(*rows, reduction="none", impl=impl).shape == (0,)


@every_distance
@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_coincident_points(distance: str, impl: str, device: str) -> None:
    """All three in one place: the loss is the margin, without a slope; but for eps, as in torch."""
    point = torch.full((4, 6), 0.3, dtype=torch.float64)
    rows = move([point, point.clone(), point.clone()], device)
    loss, grads = run_rows(triplet_loss, rows, distance=distance, margin=0.5, impl=impl)
    assert loss == 0.5
    for place, grad in enumerate(grads):
        if distance == "euclidean" and place > 0:
            slope = (1, -1)[place - 1] * -(6**-0.5) / 4
            torch.testing.assert_close(grad, torch.full_like(grad, slope), rtol=1e-9, atol=0)
        else:
            assert not grad.count_nonzero()
    _, grads = run_rows(triplet_loss, rows, distance="euclidean", eps=0.0, impl=impl)
    assert not any(grad.count_nonzero() for grad in grads)


@every_distance
@every_swap
@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_nan_stays_in_its_triplet(
    distance: str, swap: bool, place: int, impl: str, device: str
) -> None:
    rows = drawn("nan", 9, 5, dtype=torch.float32)
    rows[place][4, 2] = torch.nan
    options = {"distance": distance, "swap": swap, "margin": 50.0, "impl": impl}
    losses, _ = run_rows(triplet_loss, move(rows, device), reduction="none", **options)
    bad = torch.arange(9) == 4
    assert torch.equal(losses.isnan().cpu(), bad)
    for reduction in ("mean", "mean_nonzero", "sum"):
        loss, grads = run_rows(triplet_loss, move(rows, device), reduction=reduction, **options)
        assert loss.isnan()
        for grad in grads:
            assert torch.equal(grad.isnan().any(1).cpu(), bad)
        assert grads[place][4].isnan().all()


@pytest.mark.parametrize("p", [0.5, 1.0, 3.0, torch.inf])
@every_swap
@pytest.mark.parametrize("at", [0, 2, 4])
@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_nan_stays_in_its_norm(p: float, swap: bool, at: int, impl: str, device: str) -> None:
    """Under every norm, wherever the NaN stands among larger and smaller elements."""
    rows = drawn("nan_norm", 9, 5, dtype=torch.float32)
    rows[2][4, at] = torch.nan
    options = {"distance": "euclidean", "p": p, "swap": swap, "margin": 50.0, "impl": impl}
    losses, grads = run_rows(triplet_loss, move(rows, device), reduction="none", **options)
    bad = torch.arange(9) == 4
    assert torch.equal(losses.isnan().cpu(), bad)
    for grad in grads:
        assert torch.equal(grad.isnan().any(1).cpu(), bad)
    loss, _ = run_rows(triplet_loss, move(rows, device), reduction="mean_nonzero", **options)
    assert loss.isnan()


def test_mean_over_nonzero_counts_nan(device: str) -> None:
    rows = drawn("nan_count", 12, 5, dtype=torch.float64)
    rows[0][4] = torch.nan
    options = {"reduction": "mean_nonzero", "margin": 0.0}
    _, grads = run_rows(triplet_loss, move(rows, device), **options)
    _, wanted = run_rows(triplet_loss, move(rows, device), impl="reference", **options)
    others = torch.arange(12) != 4
    for grad, expected in zip(grads, wanted, strict=True):
        torch.testing.assert_close(grad[others], expected[others], rtol=1e-12, atol=0)


@every_distance
def test_layouts(distance: str, device: str) -> None:
    """Transposed, strided, expanded and offset inputs give the bits of contiguous ones."""
    generator = generator_for("layouts")
    base = torch.randn(3, 11, 24, generator=generator).to(device)
    layouts = {
        "transposed": base[0].t(),
        "strided": base[1, :, ::2].repeat(3, 1)[:24, :11].contiguous()[:, :11],
        "columns": base[2].t()[:, ::1],
        "expanded": base[0, :1, :11].expand(24, 11),
        "every_other_row": base.reshape(-1, 24)[::1][:24, 2:24:2],
    }
    plain = base[1].t().contiguous()
    for name, rows in layouts.items():
        assert rows.shape == (24, 11), name
        got = run_rows(triplet_loss, [plain, rows, plain.flip(0)], distance=distance)
        wanted = run_rows(
            triplet_loss, [plain, rows.contiguous(), plain.flip(0)], distance=distance
        )
        assert same_bits(got[0], wanted[0]), name
        assert all(map(same_bits, got[1], wanted[1])), name


def test_half_overflow(device: str) -> None:
    """Squared distances beyond 65504, from fp16 rows that torch's own fp16 loss cannot do."""
    rows = [tensor.half() * 200 for tensor in drawn("overflow", 10, 64, dtype=torch.float32)]
    wanted = exact_rows(*rows)
    got = run_rows(triplet_loss, move(rows, device))
    assert got[0].isfinite() and wanted.loss > 65504
    check_rows(got, wanted, torch.float16)
