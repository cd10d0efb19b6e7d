"""The raw triplet ops: torch's own checks, fakes, what they return; and torch.compile, autocast."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import fused_rankloss
from fused_rankloss import BatchHardTripletLoss, ops, triplet_loss
from support.batches import same_bits
from support.cases import by_name, generator_for, name_of
from support.embeddings import BATCH_LOSSES, TRIPLET_CASES, TripletBatch, run_batch, run_rows
from support.oracle.triplet import exact_batch, exact_rows
from support.tolerance import check
from support.triplet_tolerance import product_unit, side_floor

# Raised within torch by its own compiler.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning")

CASES = by_name(TRIPLET_CASES)
every_mining = pytest.mark.parametrize("mining", BATCH_LOSSES)


def batch_arguments(
    batch: TripletBatch,
    mining: str,
    *,
    margin_tensor: Tensor | None = None,
    margin: float = 1.0,
    soft: bool = False,
    distance: str = "euclidean",
    boundary_grad: float = 0.0,
    reduction: str = "mean",
    needs_grad: bool = False,
    needs_mined: bool = True,
) -> tuple:
    options = (margin_tensor, margin, soft, mining, distance, boundary_grad, reduction)
    return (*batch, *options, needs_grad, needs_mined)


def batch_backward_arguments(arguments: tuple) -> tuple:
    loss, *results = ops.batch_triplet_forward(*arguments)
    return (torch.randn_like(loss), *arguments[:-3], *results[:5])


def rows_arguments(
    rows: list[Tensor],
    *,
    margin_tensor: Tensor | None = None,
    margin: float = 1.0,
    soft: bool = False,
    distance: str = "sqeuclidean",
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    boundary_grad: float = 0.0,
    reduction: str = "mean",
) -> tuple:
    return (*rows, margin_tensor, margin, soft, distance, p, eps, swap, boundary_grad, reduction)


def rows_backward_arguments(arguments: tuple) -> tuple:
    anchor, positive, negative, _, _, _, *norm, _, _ = arguments
    loss, distances, slope = ops.triplet_forward(*arguments)
    return (torch.randn_like(loss), anchor, positive, negative, distances, slope, *norm)


# One row per call: (case, mining, dtype, options).
SAMPLES = [
    ("d3", "hard", torch.float32, {}),
    ("d3", "semi_hard", torch.float16, {"reduction": "none", "distance": "sqeuclidean"}),
    ("d3", "all", torch.bfloat16, {"reduction": "sum", "distance": "cosine"}),
    ("refs", "hard", torch.float64, {"soft": True}),
    ("refs", "semi_hard", torch.float32, {"margin_tensor": 0.5}),
    ("few_refs", "all", torch.float32, {"reduction": "mean_nonzero", "boundary_grad": 0.5}),
    ("none", "hard", torch.float32, {"reduction": "none"}),
    ("no_refs", "all", torch.float32, {}),
    ("all_distinct", "semi_hard", torch.float32, {}),
]
samples = pytest.mark.parametrize(
    ("name", "mining", "dtype", "options"),
    SAMPLES,
    ids=[f"{name}-{mining}-{name_of(dtype)}" for name, mining, dtype, _ in SAMPLES],
)
# One row per call: (shape, dtype, options).
ROW_SAMPLES = [
    ((9, 5), torch.float32, {}),
    ((9, 5), torch.float16, {"distance": "euclidean", "swap": True, "reduction": "none"}),
    ((9, 5), torch.bfloat16, {"distance": "cosine", "soft": True}),
    ((9, 5), torch.float64, {"distance": "euclidean", "p": 1.0, "margin_tensor": 0.5}),
    ((0, 5), torch.float32, {"reduction": "none"}),
    ((3, 0), torch.float32, {"reduction": "mean_nonzero"}),
]
row_samples = pytest.mark.parametrize(("shape", "dtype", "options"), ROW_SAMPLES, ids=str)


def with_margin(options: dict, device: str) -> dict:
    options = dict(options)
    if "margin_tensor" in options:
        margin = torch.tensor(options["margin_tensor"], dtype=torch.float64, device=device)
        options["margin_tensor"] = margin
    return options


def drawn_rows(shape: tuple, dtype: torch.dtype, device: str) -> list[Tensor]:
    generator = generator_for(str(shape))
    return [torch.randn(shape, generator=generator).to(device, dtype) for _ in range(3)]


def sample_batch(name: str, mining: str, dtype: torch.dtype, options: dict, device: str) -> tuple:
    batch = CASES[name].batch(dtype).to(device)
    return batch_arguments(batch, mining, **with_margin(options, device))


def opcheck(op, arguments: tuple) -> None:
    """Without gradients, and with: those the raw ops refuse, which is all that a test of the
    derivative would tell."""
    tests = ("test_schema", "test_faketensor", "test_autograd_registration")
    needing = [
        a.detach().clone().requires_grad_()
        if isinstance(a, Tensor) and a.dtype.is_floating_point
        else a
        for a in arguments
    ]
    torch.library.opcheck(op, needing, test_utils=tests)
    if not any(result.isnan().any() for result in op(*arguments)):
        tests += ("test_aot_dispatch_dynamic",)  # to which a NaN is not equal to itself
    torch.library.opcheck(op, arguments, test_utils=tests)


@samples
def test_opcheck_of_batches(name, mining, dtype, options, device: str) -> None:
    arguments = sample_batch(name, mining, dtype, options, device)
    opcheck(ops.batch_triplet_forward, arguments)
    opcheck(ops.batch_triplet_backward, batch_backward_arguments(arguments))


@pytest.mark.parametrize("reduction", ["mean", "none"])
@every_mining
def test_who_makes_the_gradients(mining: str, reduction: str, device: str) -> None:
    """The forward op where that costs less, else it leaves them to the backward op."""
    batch = CASES["refs"].batch(torch.float32).to(device)
    arguments = batch_arguments(batch, mining, reduction=reduction, needs_grad=True)
    shapes = [grad.shape for grad in ops.batch_triplet_forward(*arguments)[6:]]
    if device == "cpu" and mining != "hard" and reduction != "none":
        assert shapes == [batch.embeddings.shape, batch.ref_embeddings.shape]
    else:
        assert shapes == [(0,), (0,)]
    opcheck(ops.batch_triplet_forward, arguments)


# The same with gradients from the forward op, which only the CPU makes.
AT_ONCE = [
    ("d3", "all", torch.float16, {"reduction": "sum", "needs_mined": False}),
    ("d3", "semi_hard", torch.float32, {"distance": "cosine"}),
    ("few_refs", "all", torch.float64, {"margin_tensor": 0.5}),
    ("refs", "semi_hard", torch.bfloat16, {"needs_mined": False}),
    ("none", "all", torch.float32, {}),
    ("no_refs", "semi_hard", torch.float32, {}),
    ("n65", "all", torch.float32, {"reduction": "mean_nonzero", "distance": "sqeuclidean"}),
    ("refs", "all", torch.float32, {"soft": True}),
]
at_once = pytest.mark.parametrize(
    ("name", "mining", "dtype", "options"),
    AT_ONCE,
    ids=[f"{name}-{mining}-{name_of(dtype)}" for name, mining, dtype, _ in AT_ONCE],
)


@at_once
def test_gradients_at_once(name, mining, dtype, options) -> None:
    arguments = sample_batch(name, mining, dtype, {**options, "needs_grad": True}, "cpu")
    opcheck(ops.batch_triplet_forward, arguments)
    assert_told(ops.batch_triplet_forward, arguments)


@at_once
def test_gradients_at_once_are_those_of_the_backward_op(name, mining, dtype, options) -> None:
    """Both are those of the oracle; and nothing else depends on whether they are made."""
    arguments = sample_batch(name, mining, dtype, {**options, "needs_grad": True}, "cpu")
    *results, grad, grad_refs = ops.batch_triplet_forward(*arguments)
    others = ops.batch_triplet_forward(*arguments[:-2], False, arguments[-1])
    assert all(map(same_bits, results, others)) and others[6].shape == others[7].shape == (0,)
    inputs = (torch.ones_like(results[0]), *arguments[:-3], *results[1:])
    backward = ops.batch_triplet_backward(*inputs)

    batch = CASES[name].batch(dtype)
    soft, margin = options.get("soft"), options.get("margin_tensor", 1.0)
    exact = exact_batch(
        batch,
        mining,
        margin="soft" if soft else margin,
        distance=options.get("distance", "euclidean"),
        reduction=options.get("reduction", "mean"),
        product_unit=product_unit(mining, dtype),
    )
    for side, *made in (
        (exact.embeddings, grad, backward[0]),
        (exact.refs, grad_refs, backward[1]),
    ):
        if side is None:
            assert all(tensor.shape == (0,) for tensor in made)
            continue
        assert made[0].dtype == results[0].dtype and made[1].dtype == dtype
        for tensor in made:
            floor = side_floor(side, exact.roundings, tensor.dtype)
            check("gradient", tensor, side.grad, floor, case=CASES[name])


@every_mining
def test_picks_nobody_asks_for(mining: str, device: str) -> None:
    """They change nothing else."""
    batch = CASES["n65"].batch(torch.float32).to(device)
    with_picks, without = (
        ops.batch_triplet_forward(*batch_arguments(batch, mining, needs_mined=needed))
        for needed in (True, False)
    )
    for place in (0, 4, 5):
        assert same_bits(with_picks[place], without[place])


@row_samples
def test_opcheck_of_rows(shape, dtype, options, device: str) -> None:
    rows = drawn_rows(shape, dtype, device)
    arguments = rows_arguments(rows, **with_margin(options, device))
    opcheck(ops.triplet_forward, arguments)
    opcheck(ops.triplet_backward, rows_backward_arguments(arguments))


def assert_told(op, arguments: tuple) -> None:
    """Shape, dtype and strides of a fake run are those of the real one."""
    meta = [a.to("meta") if isinstance(a, Tensor) else a for a in arguments]
    for got, told in zip(op(*arguments), op(*meta), strict=True):
        assert (got.shape, got.dtype, got.stride()) == (told.shape, told.dtype, told.stride())
        assert told.device.type == "meta"


@samples
def test_fakes_of_batches(name, mining, dtype, options, device: str) -> None:
    arguments = sample_batch(name, mining, dtype, options, device)
    assert_told(ops.batch_triplet_forward, arguments)
    assert_told(ops.batch_triplet_backward, batch_backward_arguments(arguments))


@row_samples
def test_fakes_of_rows(shape, dtype, options, device: str) -> None:
    rows = drawn_rows(shape, dtype, device)
    arguments = rows_arguments(rows, **with_margin(options, device))
    assert_told(ops.triplet_forward, arguments)
    assert_told(ops.triplet_backward, rows_backward_arguments(arguments))


@every_mining
def test_meta_tensors_through_the_functions(mining: str) -> None:
    batch = CASES["refs"].batch(torch.float16).to("meta")
    got = run_batch(BATCH_LOSSES[mining], batch, reduction="none")
    assert got.loss.shape == (20,) and got.loss.dtype == torch.float32
    assert got.grad.shape == (20, 9) and got.grad_refs.shape == (45, 9)
    assert got.grad.dtype == torch.float16
    assert [tensor.dtype for tensor in got.mined] == [torch.int64] * 2 + [torch.float32] * 2
    rows = [tensor.to("meta") for tensor in drawn_rows((4, 3, 5), torch.float32, "cpu")]
    loss, grads = run_rows(triplet_loss, rows, reduction="none")
    assert loss.shape == (4, 3) and all(grad.shape == (4, 3, 5) for grad in grads)


# ---- What the outputs hold -----------------------------------------------------------------------


@every_mining
@pytest.mark.parametrize("reduction", ["mean", "mean_nonzero", "sum", "none"])
def test_slopes_and_scale(mining: str, reduction: str, device: str) -> None:
    """The slope counts active terms; one scale serves all anchors."""
    batch = CASES["singletons"].batch(torch.float32)
    arguments = batch_arguments(batch.to(device), mining, reduction=reduction)
    _, positive, _, distances, slope, scale, *_ = ops.batch_triplet_forward(*arguments)
    wanted = exact_batch(batch, mining, reduction=reduction)
    number = {"mean": wanted.terms, "mean_nonzero": wanted.active}.get(reduction, 1)
    assert scale.item() == 1 / number
    assert slope.sum().item() == wanted.active
    assert torch.equal(slope[positive < 0], torch.zeros_like(slope[positive < 0]))
    assert distances.dtype == slope.dtype == scale.dtype == torch.float64
    # In fp64: the canonical distance to the last bit.
    torch.testing.assert_close(distances.cpu(), wanted.distances, rtol=0, atol=0, equal_nan=True)


def test_slopes_of_rows(device: str) -> None:
    """The scale of the reduction is in the slope; distances are exact to the last bit."""
    rows = drawn_rows((12, 40), torch.float32, device)
    for swap in (False, True):
        _, distances, slope = ops.triplet_forward(*rows_arguments(rows, swap=swap, margin=20.0))
        assert distances.shape == (3 if swap else 2, 12)
        wanted = exact_rows(*rows, swap=swap, margin=20.0)
        assert abs(slope.sum().item() - wanted.margin_grad) <= 12 * 2**-53
        assert slope.count_nonzero() > 0


# ---- torch.compile -------------------------------------------------------------------------------


@pytest.fixture
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def compiled(function, **options):
    def call(*tensors, **given):
        return function(*tensors, **given)

    return torch.compile(call, backend="aot_eager", fullgraph=True, **options)


GRAPHS = [
    ("hard", "d3", {}),
    ("semi_hard", "refs", {"reduction": "none", "distance": "cosine"}),
    ("all", "few_refs", {"reduction": "mean_nonzero", "distance": "sqeuclidean"}),
    ("hard", "refs", {"margin": "soft"}),
    ("all", "d3", {"margin": torch.tensor(0.5)}),
]


@pytest.mark.parametrize(("mining", "name", "options"), GRAPHS, ids=range(len(GRAPHS)))
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_compiled_equals_eager(
    mining: str, name: str, options: dict, dynamic: bool, device: str, fresh_compiler
) -> None:
    batch = CASES[name].batch(torch.float32).to(device)
    if isinstance(options.get("margin"), Tensor):
        options = {**options, "margin": options["margin"].to(device)}
    function = compiled(BATCH_LOSSES[mining], dynamic=dynamic)
    got = run_batch(function, batch, **options)
    assert got.same_bits(run_batch(BATCH_LOSSES[mining], batch, **options))


ROW_GRAPHS = [
    {},
    {"distance": "euclidean", "swap": True, "reduction": "none"},
    {"distance": "cosine", "margin": "soft"},
]


@pytest.mark.parametrize("options", ROW_GRAPHS, ids=str)
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_compiled_rows_equal_eager(options, dynamic: bool, device: str, fresh_compiler) -> None:
    rows = drawn_rows((4, 6, 5), torch.float32, device)
    rows[1] = rows[1][:1]
    got = run_rows(compiled(triplet_loss, dynamic=dynamic), rows, **options)
    wanted = run_rows(triplet_loss, rows, **options)
    assert same_bits(got[0], wanted[0])
    torch.testing.assert_close(got[1], wanted[1], rtol=2**-22, atol=0)


@every_mining
def test_one_dynamic_graph_serves_every_size(mining: str, device: str, fresh_compiler) -> None:
    function = compiled(BATCH_LOSSES[mining], dynamic=True)
    for place, name in enumerate(["d3", "d127", "n65"]):
        batch = CASES[name].batch(torch.float32).to(device)
        with torch._dynamo.config.patch(error_on_recompile=place > 0):
            got = run_batch(function, batch)
        assert got.same_bits(run_batch(BATCH_LOSSES[mining], batch))


@pytest.mark.slow
def test_inductor(device: str, fresh_compiler) -> None:
    """The default backend, with work around the loss for it to fuse."""
    batch = CASES["n65"].batch(torch.float32).to(device)

    def objective(embeddings: Tensor, labels: Tensor) -> Tensor:
        return fused_rankloss.batch_hard_triplet_loss(embeddings * 2 + 1, labels) * 3

    plain, fused = (batch.embeddings.detach().clone().requires_grad_() for _ in range(2))
    expected = objective(plain, batch.labels)
    expected.backward()
    got = torch.compile(objective, fullgraph=True)(fused, batch.labels)
    got.backward()
    torch.testing.assert_close(got, expected, rtol=2**-20, atol=0.0)
    torch.testing.assert_close(fused.grad, plain.grad, rtol=2**-18, atol=2**-24)


def test_compiled_module(device: str, fresh_compiler) -> None:
    batch = CASES["d3"].batch(torch.float32).to(device)
    module = BatchHardTripletLoss(0.5, return_mined=True).to(device)
    loss, mined = torch.compile(module, backend="aot_eager", fullgraph=True)(*batch[:2])
    wanted, wanted_mined = module(*batch[:2])
    assert same_bits(loss, wanted) and all(map(same_bits, mined, wanted_mined))
    assert isinstance(mined, fused_rankloss.MinedTriplets)


@every_mining
def test_export(mining: str, device: str) -> None:
    class Objective(torch.nn.Module):
        def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
            return BATCH_LOSSES[mining](embeddings, labels)

    batch = CASES["d3"].batch(torch.float32).to(device)
    program = torch.export.export(Objective(), batch[:2])
    assert same_bits(program.module()(*batch[:2]), Objective()(*batch[:2]))


# ---- Autocast ------------------------------------------------------------------------------------


@every_mining
def test_autocast_leaves_the_loss_as_it_is(mining: str, device: str) -> None:
    batch = CASES["n65"].batch(torch.float32).to(device)
    with torch.autocast(device, torch.bfloat16):
        inside = run_batch(BATCH_LOSSES[mining], batch)
    assert inside.same_bits(run_batch(BATCH_LOSSES[mining], batch))


@every_mining
def test_autocast_embeddings_come_from_a_layer(mining: str, device: str) -> None:
    """bf16 embeddings out of a matrix product: single precision inside, fp32 loss out."""
    batch = CASES["n65"].batch(torch.float32).to(device)
    weight = torch.randn(17, 8, generator=generator_for("autocast")).to(device).requires_grad_()
    with torch.autocast(device, torch.bfloat16):
        embeddings = batch.embeddings @ weight
        loss = BATCH_LOSSES[mining](embeddings, batch.labels)
    assert embeddings.dtype == torch.bfloat16 and loss.dtype == torch.float32
    loss.backward()
    assert weight.grad.dtype == torch.float32 and weight.grad.count_nonzero()
    outside = BATCH_LOSSES[mining](embeddings.detach(), batch.labels)
    assert same_bits(loss.detach(), outside)
