"""The losses as modules: the functions' values, and what nn.Module promises."""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from torch import nn

import fused_rankloss
from support.batches import FORMS, evaluate, flat, same_bits
from support.cases import LOSSES, SMALL, by_name

CASES = by_name(SMALL)
MODULES = {
    "hinge": fused_rankloss.PairwiseHingeLoss,
    "squared_hinge": fused_rankloss.PairwiseSquaredHingeLoss,
}
every_loss = pytest.mark.parametrize("loss", LOSSES)


@every_loss
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["ragged", "weighted"])
def test_same_as_the_function(loss: str, form: str, name: str, device: str) -> None:
    call = FORMS[form](CASES[name].batch(torch.float32).to(device))
    options = {"margin": 0.5, "weighting": "preferred", "reduction": "none"}
    options |= {"boundary_grad": 0.25} if loss == "hinge" else {}
    module = MODULES[loss](**options)
    assert evaluate(module, call).same_bits(evaluate(LOSSES[loss], call, **options))


@every_loss
@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_defaults_are_the_functions(loss: str, impl: str, device: str) -> None:
    call = flat(CASES["ragged"].batch(torch.float32).to(device))
    module = MODULES[loss](impl=impl)
    assert evaluate(module, call).same_bits(evaluate(LOSSES[loss], call, impl=impl))


def test_repr() -> None:
    assert repr(fused_rankloss.PairwiseHingeLoss(0.5, reduction="sum")) == (
        "PairwiseHingeLoss(margin=0.5, weighting='product', reduction='sum', boundary_grad=1.0, "
        "impl='auto')"
    )
    assert repr(fused_rankloss.PairwiseSquaredHingeLoss(torch.ones(3))) == (
        "PairwiseSquaredHingeLoss(margin=(3,), weighting='product', reduction='mean', impl='auto')"
    )


@every_loss
def test_learned_margin(loss: str, device: str) -> None:
    module = MODULES[loss](nn.Parameter(torch.tensor([0.5, 2.0]))).to(device)
    assert [name for name, _ in module.named_parameters()] == ["margin"]
    assert not list(module.buffers())
    call = flat(CASES["ragged"].batch(torch.float32).to(device))
    module(call.scores, call.labels, **call.options).sum().backward()
    given = module.margin.detach().clone().requires_grad_()
    LOSSES[loss](call.scores, call.labels, margin=given, **call.options).sum().backward()
    assert same_bits(module.margin.grad, given.grad) and given.grad.count_nonzero() == 2
    before = module.margin.detach().clone()
    torch.optim.SGD(module.parameters(), lr=0.1).step()
    torch.testing.assert_close(module.margin.detach(), before - 0.1 * given.grad)


@every_loss
def test_margin_as_buffer(loss: str) -> None:
    module = MODULES[loss](torch.tensor([0.5, 2.0]))
    assert [name for name, _ in module.named_buffers()] == ["margin"]
    assert not list(module.parameters())
    assert module.double().margin.dtype == torch.float64
    assert module.to("meta").margin.device.type == "meta"


@every_loss
def test_margin_as_number(loss: str) -> None:
    module = MODULES[loss](0.5)
    assert module.margin == 0.5 and not module.state_dict()


@every_loss
@pytest.mark.parametrize("wrap", [nn.Parameter, lambda margin: margin], ids=["parameter", "buffer"])
def test_state_dict(loss: str, wrap) -> None:
    module = MODULES[loss](wrap(torch.tensor([0.5, 2.0])))
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    other = MODULES[loss](wrap(torch.zeros(2)))
    other.load_state_dict(torch.load(file, weights_only=True))
    assert same_bits(other.margin.detach(), torch.tensor([0.5, 2.0]))


@every_loss
@pytest.mark.parametrize(
    "margin",
    [0.5, torch.tensor(0.5), nn.Parameter(torch.tensor([0.5, 2.0]))],
    ids=["number", "buffer", "parameter"],
)
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"]
)
def test_copies(loss: str, margin, copied, device: str) -> None:
    module = MODULES[loss](margin, reduction="list_mean").to(device)
    other = copied(module)
    assert repr(other) == repr(module)
    call = flat(CASES["ragged"].batch(torch.float32).to(device))
    assert evaluate(other, call).same_bits(evaluate(module, call))


def test_public_names() -> None:
    assert fused_rankloss.__all__ == sorted(fused_rankloss.__all__)
    for name in fused_rankloss.__all__:
        assert getattr(fused_rankloss, name).__doc__
