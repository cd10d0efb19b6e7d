"""The triplet losses as citizens of autograd: derivatives, what is computed when, refusals."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from fused_rankloss import ops, triplet_loss
from support.batches import same_bits
from support.cases import by_name, generator_for, name_of
from support.embeddings import (
    BATCH_LOSSES,
    DISTANCES,
    REDUCTIONS,
    TRIPLET_CASES,
    TripletBatch,
    run_batch,
)
from support.oracle.triplet import exact_batch, exact_rows

CASES = by_name(TRIPLET_CASES)
every_mining = pytest.mark.parametrize("mining", BATCH_LOSSES)
every_distance = pytest.mark.parametrize("distance", DISTANCES)


def batch_for(name: str, device: str, dtype: torch.dtype = torch.float32) -> TripletBatch:
    return CASES[name].batch(dtype).to(device)


def rows_for(device: str, dtype: torch.dtype = torch.float64, number: int = 8) -> list[Tensor]:
    generator = generator_for("autograd")
    shape = (3, number, 5)
    return list(torch.randn(shape, generator=generator, dtype=torch.float64).to(device, dtype))


def needing(*tensors: Tensor) -> list[Tensor]:
    return [tensor.detach().clone().requires_grad_() for tensor in tensors]


def run(mining: str, batch: TripletBatch, embeddings: Tensor, **options) -> Tensor:
    return BATCH_LOSSES[mining](embeddings, batch.labels, **{**batch.refs, **options})


# ---- Derivatives ---------------------------------------------------------------------------------

# Continuous numbers keep terms away from their kinks, and picks away from ties.
CHECK = {"eps": 1e-7, "atol": 1e-5, "rtol": 1e-5}


@every_mining
@every_distance
@pytest.mark.parametrize("margin", [2.0, "soft"])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradcheck(
    mining: str, distance: str, margin: float | str, reduction: str, device: str
) -> None:
    batch = batch_for("singletons", device, torch.float64)
    options = {"distance": distance, "margin": margin, "reduction": reduction}
    assert torch.autograd.gradcheck(
        lambda x: run(mining, batch, x, **options), needing(batch.embeddings), **CHECK
    )


@every_mining
@every_distance
def test_gradcheck_of_references_and_margin(mining: str, distance: str, device: str) -> None:
    batch = batch_for("few_refs", device, torch.float64)
    margin = torch.tensor(0.7, dtype=torch.float64, device=device)

    def function(x: Tensor, y: Tensor, m: Tensor) -> Tensor:
        return run(mining, batch, x, ref_embeddings=y, margin=m, distance=distance)

    inputs = needing(batch.embeddings, batch.ref_embeddings, margin)
    assert torch.autograd.gradcheck(function, inputs, **CHECK)


@every_distance
@pytest.mark.parametrize("swap", [False, True], ids=["plain", "swap"])
@pytest.mark.parametrize("margin", [3.0, "soft"])
def test_gradcheck_of_rows(distance: str, swap: bool, margin: float | str, device: str) -> None:
    def function(a: Tensor, p: Tensor, n: Tensor) -> Tensor:
        return triplet_loss(a, p, n, distance=distance, swap=swap, margin=margin)

    assert torch.autograd.gradcheck(function, needing(*rows_for(device)), **CHECK)


@pytest.mark.parametrize("p", [1.0, 1.5, 3.0, float("inf")])
def test_gradcheck_of_norms(p: float, device: str) -> None:
    def function(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        return triplet_loss(a, b, c, distance="euclidean", p=p, margin=4.0)

    assert torch.autograd.gradcheck(function, needing(*rows_for(device)), **CHECK)


# ---- Upstream gradients --------------------------------------------------------------------------

GRAD_OUTPUTS = {
    "random": lambda loss: torch.randn_like(loss),
    "zero": torch.zeros_like,
    "expanded": lambda loss: torch.full((), 0.75, dtype=loss.dtype, device=loss.device).expand(
        loss.shape
    ),
    "strided": lambda loss: torch.randn(*loss.shape, 2, dtype=loss.dtype, device=loss.device)[
        ..., 0
    ],
}
every_grad_output = pytest.mark.parametrize("kind", GRAD_OUTPUTS)


@every_mining
@every_grad_output
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_grad_outputs(mining: str, kind: str, reduction: str, device: str) -> None:
    """Of any layout, each anchor's gradient times its number."""
    torch.manual_seed(0)
    batch = batch_for("refs", device)
    x, y = needing(batch.embeddings, batch.ref_embeddings)
    loss = run(mining, batch, x, ref_embeddings=y, margin=3.0, reduction=reduction)
    grad_output = GRAD_OUTPUTS[kind](loss)
    grads = torch.autograd.grad(loss, (x, y), grad_output, retain_graph=True)
    plain = grad_output.clone(memory_format=torch.contiguous_format)
    assert all(map(same_bits, grads, torch.autograd.grad(loss, (x, y), plain)))
    if kind == "zero":
        assert not any(grad.count_nonzero() for grad in grads)
    wanted = exact_batch(
        batch, mining, margin=3.0, reduction=reduction, grad_output=grad_output, product_unit=2**-24
    )
    for grad, side in zip(grads, (wanted.embeddings, wanted.refs), strict=True):
        allowed = 2**-23 * side.grad.abs() + side.slack + wanted.roundings * 2**-53 * side.bound
        assert ((grad.cpu().double() - side.grad).abs() <= allowed).all()


@every_grad_output
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_grad_outputs_of_rows(kind: str, reduction: str, device: str) -> None:
    torch.manual_seed(0)
    rows = needing(*rows_for(device, torch.float32))
    loss = triplet_loss(*rows, margin=3.0, reduction=reduction)
    grad_output = GRAD_OUTPUTS[kind](loss)
    grads = torch.autograd.grad(loss, rows, grad_output)
    wanted = exact_rows(*rows, margin=3.0, reduction=reduction, grad_output=grad_output)
    for grad, side in zip(grads, wanted.sides, strict=True):
        allowed = 2**-23 * side.grad.abs() + wanted.roundings * 2**-53 * side.bound
        assert ((grad.cpu().double() - side.grad).abs() <= allowed).all()
    if kind == "zero":
        assert not any(grad.count_nonzero() for grad in grads)


@every_mining
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=name_of)
def test_scaled_half_gradients(mining: str, dtype: torch.dtype, device: str) -> None:
    """As torch.amp.GradScaler does it: the scale enters before the one rounding to half."""
    batch = batch_for("n65", device, dtype)
    scaled = run_batch(BATCH_LOSSES[mining], batch, torch.tensor(2.0**12)).grad.double() / 2**12
    # The same half values, read in single precision.
    wanted = run_batch(BATCH_LOSSES[mining], batch.to(torch.float32)).grad.double()
    u = torch.finfo(dtype).eps / 2
    allowed = (u + 2**-23) * wanted.abs() + torch.finfo(dtype).tiny * u / 2**12
    if mining == "all":
        exact = exact_batch(batch, mining, product_unit=2**-24)
        allowed = allowed + 2 * exact.embeddings.slack.to(device)
    assert ((scaled - wanted).abs() <= allowed).all() and scaled.count_nonzero()


# ---- Margins -------------------------------------------------------------------------------------


@every_mining
@every_distance
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_margin_gradient(mining: str, distance: str, reduction: str, device: str) -> None:
    batch = batch_for("d3", device, torch.float64)
    shape = (len(batch.labels),) if reduction == "none" else ()
    grad_output = torch.randn(shape, generator=generator_for(reduction), dtype=torch.float64)
    (margin,) = needing(torch.tensor(0.6, dtype=torch.float64, device=device))
    options = {"distance": distance, "reduction": reduction}
    loss = run(mining, batch, batch.embeddings, margin=margin, **options)
    (grad,) = torch.autograd.grad(loss, margin, grad_output.to(device))
    wanted = exact_batch(batch, mining, margin=0.6, grad_output=grad_output, **options)
    # Slopes of 0 and 1: the sums of slopes are whole numbers, grad_outputs below 4.
    assert abs(grad.item() - wanted.margin_grad) <= 64 * wanted.roundings * 2**-53
    assert wanted.margin_grad != 0


@every_mining
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64, torch.int64])
def test_margin_dtypes(mining: str, dtype: torch.dtype, device: str) -> None:
    batch = batch_for("d3", device)
    margin = torch.tensor(2, dtype=dtype, device=device)
    got = run_batch(BATCH_LOSSES[mining], batch, margin=margin)
    assert got.same_bits(run_batch(BATCH_LOSSES[mining], batch, margin=2.0))
    if dtype.is_floating_point:
        (margin,) = needing(margin)
        run(mining, batch, batch.embeddings, margin=margin).backward()
        assert margin.grad.dtype == dtype and margin.grad.shape == ()


def test_margin_gradient_of_rows(device: str) -> None:
    rows = rows_for(device)
    for distance in DISTANCES:
        (margin,) = needing(torch.tensor(0.8, dtype=torch.float32, device=device))
        triplet_loss(*rows, distance=distance, margin=margin).backward()
        wanted = exact_rows(*rows, distance=distance, margin=0.8).margin_grad
        assert margin.grad.dtype == torch.float32
        assert abs(margin.grad.item() - wanted) <= 2**-24


@every_mining
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_margin_that_is_not_finite(mining: str, bad: float, device: str) -> None:
    """The value of a tensor is not checked; it reaches only the anchors that have a triplet."""
    batch = batch_for("singletons", device)
    margin = torch.tensor(bad, device=device)
    loss = run(mining, batch, batch.embeddings, margin=margin, reduction="none")
    is_anchor = run_batch(BATCH_LOSSES[mining], batch).mined.positive >= 0
    assert torch.equal(loss.isfinite(), ~is_anchor)


# ---- What is computed when -----------------------------------------------------------------------


@pytest.fixture
def backward_calls(monkeypatch) -> list[str]:
    """The backward ops that were called."""
    calls = []

    def spy_on(name: str) -> None:
        original = getattr(ops, name)

        def spy(*arguments):
            calls.append(name)
            return original(*arguments)

        monkeypatch.setattr(ops, name, spy)

    spy_on("triplet_backward")
    spy_on("batch_triplet_backward")
    return calls


def is_made_at_once(mining: str, device: str) -> bool:
    """Whether the forward pass makes the gradient of a reduced loss."""
    return device == "cpu" and mining != "hard"


@pytest.fixture
def forward_gradients(monkeypatch) -> list[bool]:
    """Whether the forward ops that were called made gradients."""
    made = []
    original = ops.batch_triplet_forward

    def spy(*arguments):
        results = original(*arguments)
        made.append(results[6].dim() == 2)
        return results

    monkeypatch.setattr(ops, "batch_triplet_forward", spy)
    return made


@every_mining
def test_no_gradient_unless_needed(
    mining: str, device: str, backward_calls: list[str], forward_gradients: list[bool]
) -> None:
    batch = batch_for("d3", device)
    (needed,) = needing(batch.embeddings)
    values = [run(mining, batch, batch.embeddings), run(mining, batch, needed)]
    with torch.no_grad():
        values.append(run(mining, batch, needed))
    with torch.inference_mode():
        values.append(run(mining, batch, needed))
    margin = torch.tensor(1.0, device=device, requires_grad=True)
    values.append(run(mining, batch, batch.embeddings, margin=margin))
    values[-1].backward()
    assert backward_calls == []
    assert all(same_bits(value.detach(), values[0]) for value in values)
    assert [value.requires_grad for value in values] == [False, True, False, False, True]
    at_once = is_made_at_once(mining, device)
    assert forward_gradients == [False, at_once, False, False, False]
    values[1].backward()
    assert backward_calls == ([] if at_once else ["batch_triplet_backward"])


@every_mining
def test_each_anchor_by_the_backward_op(
    mining: str, device: str, backward_calls: list[str], forward_gradients: list[bool]
) -> None:
    """Which number is to multiply which gradient is not known in the forward pass."""
    batch = batch_for("d3", device)
    loss = run(mining, batch, *needing(batch.embeddings), reduction="none")
    loss.sum().backward()
    assert forward_gradients == [False] and backward_calls == ["batch_triplet_backward"]


@every_mining
@pytest.mark.parametrize("name", ["n65", "refs"])
def test_return_mined_changes_nothing(mining: str, name: str, device: str) -> None:
    batch = batch_for(name, device)
    with_picks = run_batch(BATCH_LOSSES[mining], batch)
    inputs = needing(*(batch[::2] if name == "refs" else batch[:1]))
    refs = {"ref_embeddings": inputs[1]} if name == "refs" else {}
    loss = run(mining, batch, inputs[0], **refs)
    grads = torch.autograd.grad(loss, inputs)
    assert same_bits(loss.detach(), with_picks.loss)
    assert same_bits(grads[0], with_picks.grad)
    assert name == "n65" or same_bits(grads[1], with_picks.grad_refs)


@every_mining
def test_subset_of_inputs(mining: str, device: str) -> None:
    """Embeddings, references and margin: each alone gets the numbers that it gets with others."""
    batch = batch_for("few_refs", device)
    margin = torch.tensor(2.0, device=device)

    def gradients(*needs: bool) -> list[Tensor | None]:
        tensors = (batch.embeddings, batch.ref_embeddings, margin)
        x, y, m = (
            tensor.clone().requires_grad_(need) for tensor, need in zip(tensors, needs, strict=True)
        )
        run(mining, batch, x, ref_embeddings=y, margin=m).backward()
        return [x.grad, y.grad, m.grad]

    together = gradients(True, True, True)
    for place in range(3):
        alone = gradients(*(place == other for other in range(3)))
        assert same_bits(alone.pop(place), together[place]) and alone == [None, None]


def test_subset_of_rows(device: str) -> None:
    rows = rows_for(device)
    together = needing(*rows)
    triplet_loss(*together, margin=3.0).backward()
    for place in range(3):
        given = [row.clone().requires_grad_(place == other) for other, row in enumerate(rows)]
        triplet_loss(*given, margin=3.0).backward()
        assert same_bits(given[place].grad, together[place].grad)
        assert sum(row.grad is None for row in given) == 2


def test_one_tensor_in_several_roles(device: str) -> None:
    """Gradients of all roles add: rows of one tensor, and references that are the embeddings."""
    rows = rows_for(device)[0]
    (x,) = needing(rows)
    triplet_loss(x, x.roll(1, 0), x.roll(2, 0), margin=3.0).backward()
    roles = needing(rows, rows.roll(1, 0), rows.roll(2, 0))
    triplet_loss(*roles, margin=3.0).backward()
    total = roles[0].grad + roles[1].grad.roll(-1, 0) + roles[2].grad.roll(-2, 0)
    torch.testing.assert_close(x.grad, total, rtol=1e-14, atol=1e-15)


@every_mining
def test_backward_twice(mining: str, device: str) -> None:
    batch = batch_for("d3", device)
    (x,) = needing(batch.embeddings)
    loss = run(mining, batch, x)
    (first,) = torch.autograd.grad(loss, x, retain_graph=True)
    (second,) = torch.autograd.grad(loss, x)
    assert same_bits(first, second) and first.count_nonzero()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(loss, x)


@every_mining
def test_within_a_model(mining: str, device: str) -> None:
    """The chain rule on both sides: embeddings from a layer, the loss in a weighted sum."""
    batch = batch_for("d3", device, torch.float64)
    weight = torch.randn(3, 4, device=device, dtype=torch.float64, requires_grad=True)
    (run(mining, batch, batch.embeddings @ weight) * 3 + weight.sum()).backward()
    embeddings = (batch.embeddings @ weight).detach()
    direct = run_batch(BATCH_LOSSES[mining], batch._replace(embeddings=embeddings))
    torch.testing.assert_close(weight.grad, 3 * (batch.embeddings.T @ direct.grad) + 1)


@every_mining
@pytest.mark.parametrize("use_reentrant", [True, False])
def test_checkpointing(mining: str, use_reentrant: bool, device: str) -> None:
    batch = batch_for("d3", device)
    x, plain = needing(batch.embeddings, batch.embeddings)
    checkpoint(lambda e: run(mining, batch, e * 2), x, use_reentrant=use_reentrant).backward()
    run(mining, batch, plain * 2).backward()
    assert same_bits(x.grad, plain.grad)


@every_mining
@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_mined_triplets_have_no_graph(mining: str, impl: str, device: str) -> None:
    batch = batch_for("d3", device)
    loss, mined = run(mining, batch, *needing(batch.embeddings), return_mined=True, impl=impl)
    assert loss.requires_grad and not any(tensor.requires_grad for tensor in mined)


# ---- What is refused -----------------------------------------------------------------------------


@every_mining
def test_double_backward_is_refused(mining: str, device: str) -> None:
    batch = batch_for("few_refs", device)
    margin = torch.tensor(2.0, device=device)
    sources = needing(batch.embeddings, batch.ref_embeddings, margin)
    loss = run(mining, batch, sources[0], ref_embeddings=sources[1], margin=sources[2])
    for grad in torch.autograd.grad(loss, sources, create_graph=True):
        for source in sources:
            with pytest.raises(NotImplementedError, match="second derivatives .* not implemented"):
                torch.autograd.grad(grad.sum(), source, retain_graph=True)


def test_double_backward_of_rows_is_refused(device: str) -> None:
    rows = needing(*rows_for(device))
    loss = triplet_loss(*rows, margin=3.0)
    grads = torch.autograd.grad(loss, rows, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives .* not implemented.*ref"):
        (loss + grads[0].square().sum()).backward()


@every_mining
def test_double_backward_of_grad_output_is_refused(mining: str, device: str) -> None:
    batch = batch_for("d3", device)
    (x,) = needing(batch.embeddings)
    scale = torch.tensor(2.0, device=device, requires_grad=True)
    (grad,) = torch.autograd.grad(run(mining, batch, x) * scale, x, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives .* not implemented"):
        torch.autograd.grad(grad.sum(), scale)


@every_mining
@every_distance
def test_second_derivatives_of_the_reference(mining: str, distance: str, device: str) -> None:
    """Pairs of coincident points, an anchor with itself, leave no NaN."""
    (rows, _, _), labels = rows_for(device), torch.tensor([0, 0, 1, 1, 0, 2, 1, 3], device=device)
    batch = TripletBatch(rows[:, :2], labels)
    options = {"distance": distance, "margin": "soft", "impl": "reference"}
    assert torch.autograd.gradgradcheck(
        lambda x: run(mining, batch, x, **options), needing(batch.embeddings)
    )


@every_distance
def test_second_derivatives_of_the_reference_of_rows(distance: str, device: str) -> None:
    def function(a: Tensor, p: Tensor, n: Tensor) -> Tensor:
        return triplet_loss(a, p, n, distance=distance, margin="soft", impl="reference")

    assert torch.autograd.gradgradcheck(function, needing(*rows_for(device, number=3)))


@every_mining
def test_the_raw_ops_have_no_derivative(mining: str, device: str) -> None:
    batch = batch_for("d3", device)
    options = (None, None, None, 1.0, False, mining, "euclidean", 0.0, "mean", False, True)
    loss = ops.batch_triplet_forward(*needing(batch.embeddings), batch.labels, *options)[0]
    with pytest.raises(NotImplementedError, match="differentiated through the functions"):
        loss.backward()


@every_mining
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_changes_in_place(mining: str, reduction: str, device: str) -> None:
    """Noticed where the backward pass reads the embeddings again; else they do not matter."""
    batch = batch_for("d3", device)
    (leaf,) = needing(batch.embeddings)
    embeddings = leaf * 1
    loss = run(mining, batch, embeddings, reduction=reduction).sum()
    with torch.no_grad():
        embeddings.zero_()
    if is_made_at_once(mining, device) and reduction == "mean":
        loss.backward()
        assert same_bits(leaf.grad, run_batch(BATCH_LOSSES[mining], batch).grad)
        return
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
