"""The learning-to-rank losses as modules: the functions' values, and what nn.Module promises."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest
import torch

import fused_rankloss
from support.batches import FORMS, evaluate, flat, same_bits
from support.cases import SMALL, by_name

CASES = by_name(SMALL)
# Function, module, and options other than the defaults.
MODULES = {
    "logistic": (
        fused_rankloss.pairwise_logistic_loss,
        fused_rankloss.PairwiseLogisticLoss,
        {"sigma": 2.0, "log": "binary", "weighting": "preferred", "reduction": "none"},
    ),
    "lambda": (
        fused_rankloss.lambda_loss,
        fused_rankloss.LambdaLoss,
        {
            "scheme": "ndcg_loss2++",
            "pair_loss": "squared_hinge",
            "margin": 0.5,
            "mu": 2.0,
            "gain": "linear",
            "discount": torch.tensor([1.0, 0.5]),
            "k": 3,
            "truncation": "discount",
            "score_normalization": True,
            "list_normalization": True,
            "weighting": "preferred",
            "reduction": "none",
        },
    ),
    "listnet": (
        fused_rankloss.listnet_loss,
        fused_rankloss.ListNetLoss,
        {"reduction": "none"},
    ),
    "list_mle": (
        fused_rankloss.list_mle_loss,
        fused_rankloss.ListMLELoss,
        {"position_weights": torch.tensor([1.0, 0.5]), "reduction": "sum"},
    ),
    "approx_ndcg": (
        fused_rankloss.approx_ndcg_loss,
        fused_rankloss.ApproxNDCGLoss,
        {"temperature": 0.5, "gain": "linear", "reduction": "none"},
    ),
}
every_module = pytest.mark.parametrize("name", MODULES)


@every_module
@pytest.mark.parametrize("form", FORMS)
def test_same_as_the_function(name: str, form: str, device: str) -> None:
    function, module, options = MODULES[name]
    call = FORMS[form](CASES["weighted"].batch(torch.float32).to(device))
    moved = {
        key: value.to(device) if isinstance(value, torch.Tensor) else value
        for key, value in options.items()
    }
    made = module(**options).to(device)
    assert evaluate(made, call).same_bits(evaluate(function, call, **moved))


@every_module
def test_the_same_options_with_the_same_defaults(name: str) -> None:
    function, module, _ = MODULES[name]
    batch = {"scores", "labels", "mask", "lengths", "offsets", "weights", "list_weights", "gains"}

    def defaults(of, without: set) -> dict:
        parameters = inspect.signature(of).parameters
        return {key: p.default for key, p in parameters.items() if key not in without}

    assert defaults(module, set()) == defaults(function, batch)
    forward = set(inspect.signature(module.forward).parameters) - {"self"}
    assert forward == batch & set(inspect.signature(function).parameters)


@pytest.mark.parametrize("name", ["lambda", "approx_ndcg"])
def test_gains_go_with_the_batch(name: str, device: str) -> None:
    function, module, _ = MODULES[name]
    call = flat(CASES["ragged"].batch(torch.float32).to(device))
    gains = torch.rand(len(call.scores), device=device)
    one = evaluate(module(), call, gains=gains)
    assert one.same_bits(evaluate(function, call, gains=gains))


def test_statistics(device: str) -> None:
    call = flat(CASES["ragged"].batch(torch.float32).to(device))
    module = fused_rankloss.LambdaLoss(k=5, return_statistics=True)
    loss, statistics = module(call.scores, call.labels, **call.options)
    assert isinstance(statistics, fused_rankloss.ListStatistics)
    assert same_bits(loss, fused_rankloss.LambdaLoss(k=5)(call.scores, call.labels, **call.options))


@every_module
def test_tensors_are_buffers(name: str) -> None:
    _, module, options = MODULES[name]
    made = module(**options)
    tensors = [key for key, value in options.items() if isinstance(value, torch.Tensor)]
    assert [key for key, _ in made.named_buffers()] == tensors
    assert not list(made.parameters())
    assert all(buffer.device.type == "meta" for buffer in made.to("meta").buffers())


@every_module
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"]
)
def test_copies(name: str, copied, device: str) -> None:
    _, module, options = MODULES[name]
    made = module(**options).to(device)
    other = copied(made)
    assert repr(other) == repr(made)
    call = flat(CASES["ragged"].batch(torch.float32).to(device))
    assert evaluate(other, call).same_bits(evaluate(made, call))


def test_repr() -> None:
    assert repr(fused_rankloss.PairwiseLogisticLoss(2.0)) == (
        "PairwiseLogisticLoss(sigma=2.0, log='natural', weighting='product', reduction='mean', "
        "return_statistics=False, impl='auto')"
    )
    assert repr(fused_rankloss.ListMLELoss(torch.ones(3))) == (
        "ListMLELoss(position_weights=(3,), reduction='mean', impl='auto')"
    )
