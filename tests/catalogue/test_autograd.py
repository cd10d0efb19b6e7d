"""The catalogue losses as citizens of autograd."""

from __future__ import annotations

import pytest
import torch

from fused_rankloss import ops
from support.cases import generator_for
from support.catalogue import LOSSES, REDUCTIONS, batch_for

every_loss = pytest.mark.parametrize("loss", LOSSES)
PARAMETER = {
    "hinge": "margin",
    "squared_hinge": "margin",
    "warp": "margin",
    "softmax": "temperature",
}


def inputs(loss: str) -> list[torch.Tensor]:
    """Continuous numbers keep pairs away from the margin; WARP's weights are constants."""
    generator = generator_for("catalogue_autograd")
    shapes = ((3, 4), (40, 4), (40,), ())
    tensors = [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
    tensors[3] = tensors[3].abs() + 0.5
    return [tensor.requires_grad_() for tensor in tensors]


def call(loss: str, tensors, **options):
    queries, items, bias, parameter = tensors
    if loss in PARAMETER:
        options[PARAMETER[loss]] = parameter
    positives = torch.tensor([[1, 5, 7], [2, -1, 30], [-1, -1, -1]])
    return LOSSES[loss](queries, items, positives, item_bias=bias, **options)


@every_loss
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradcheck(loss: str, reduction: str) -> None:
    options = {"rank_weights": "uniform"} if loss == "warp" else {}
    tensors = inputs(loss)
    if loss not in PARAMETER:
        tensors[3].requires_grad_(False)
    assert torch.autograd.gradcheck(
        lambda *given: call(loss, given, reduction=reduction, workspace=2 * 40 * 8, **options),
        tensors,
        eps=1e-7,
        atol=1e-5,
        rtol=1e-5,
    )


@every_loss
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_parameters_as_the_reference(loss: str, reduction: str) -> None:
    results = []
    for impl in ("auto", "reference"):
        tensors = inputs(loss)
        call(loss, tensors, reduction=reduction, impl=impl).sum().backward()
        results.append([tensor.grad for tensor in tensors[: 4 if loss in PARAMETER else 3]])
    for got, wanted in zip(*results, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-13)


@every_loss
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_only_what_is_asked_for(loss: str, reduction: str) -> None:
    whole = inputs(loss)
    call(loss, whole, reduction=reduction).sum().backward()
    for place in range(3):
        some = [tensor.detach() for tensor in whole]
        some[place].requires_grad_()
        call(loss, some, reduction=reduction).sum().backward()
        assert torch.equal(some[place].grad, whole[place].grad)
        assert all(tensor.grad is None for at, tensor in enumerate(some) if at != place)


@every_loss
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_no_gradient_no_products(loss: str, reduction: str, monkeypatch) -> None:
    asked, real = [], ops.call

    def spy(op, *arguments):
        if op is ops.catalogue_block:
            asked.append(arguments[-1])
        return real(op, *arguments)

    monkeypatch.setattr(ops, "call", spy)
    tensors = inputs(loss)
    with torch.no_grad():
        value = call(loss, tensors, reduction=reduction)
    assert asked == [False] and not value.requires_grad
    value = call(loss, tensors, reduction=reduction)
    assert asked[1:] == [reduction != "none"]
    value.sum().backward()
    assert asked[2:] == ([True] if reduction == "none" else [])


@every_loss
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_second_derivatives_are_refused(loss: str, reduction: str) -> None:
    tensors = inputs(loss)
    value = call(loss, tensors, reduction=reduction).sum()
    (grad,) = torch.autograd.grad(value, tensors[:1], create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives"):
        grad.sum().backward()


@every_loss
def test_autocast_is_that_of_a_product(loss: str) -> None:
    batch = batch_for("autocast")
    x, y = batch.queries + 0.013, batch.items + 0.007
    with torch.autocast("cpu", torch.bfloat16):
        got = LOSSES[loss](x, y, batch.positives)
    wanted = LOSSES[loss](x.bfloat16(), y.bfloat16(), batch.positives)
    assert got.dtype == torch.float32 and torch.equal(got, wanted)
    assert not torch.equal(got, LOSSES[loss](x, y, batch.positives))


@every_loss
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning")
def test_compiled_equals_eager(loss: str) -> None:
    torch.compiler.reset()
    batch = batch_for("compiled", queries=4, items=50)
    function = torch.compile(LOSSES[loss], backend="aot_eager", fullgraph=True)
    results = []
    for run in (function, LOSSES[loss]):
        x, y = batch.queries.clone().requires_grad_(), batch.items.clone().requires_grad_()
        value = run(x, y, batch.positives, exclude=batch.options["exclude"])
        value.backward()
        results.append((value.detach(), x.grad, y.grad))
    assert all(map(torch.equal, *results))
