"""The triplet losses as modules: the functions' values, and what nn.Module promises."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn

import fused_rankloss
from support.batches import same_bits
from support.cases import by_name, generator_for
from support.embeddings import BATCH_LOSSES, TRIPLET_CASES, run_batch, run_rows

CASES = by_name(TRIPLET_CASES)
MODULES = {
    "hard": fused_rankloss.BatchHardTripletLoss,
    "semi_hard": fused_rankloss.BatchSemiHardTripletLoss,
    "all": fused_rankloss.BatchAllTripletLoss,
}
every_mining = pytest.mark.parametrize("mining", BATCH_LOSSES)
OPTIONS = {"distance": "cosine", "reduction": "sum", "boundary_grad": 0.25}


def returning_mined(mining: str, margin=1.0, **options) -> nn.Module:
    """As `run_batch` wants it."""
    module = MODULES[mining](margin, return_mined=True, **options)

    def call(embeddings, labels, return_mined, **refs):
        return module(embeddings, labels, **refs)

    return call


@every_mining
@pytest.mark.parametrize("name", ["d3", "refs"])
@pytest.mark.parametrize("impl", ["auto", "reference"])
def test_same_as_the_function(mining: str, name: str, impl: str, device: str) -> None:
    batch = CASES[name].batch(torch.float32).to(device)
    got = run_batch(returning_mined(mining, 0.5, impl=impl, **OPTIONS), batch)
    wanted = run_batch(BATCH_LOSSES[mining], batch, margin=0.5, impl=impl, **OPTIONS)
    assert got.same_bits(wanted)


@every_mining
def test_boundary_grad(mining: str, device: str) -> None:
    """Of small integers terms are at exactly 0, where nothing but that option is the slope."""
    batch = CASES["integers"].batch(torch.float32).to(device)
    options = {"distance": "sqeuclidean", "reduction": "sum"}
    grads = []
    for boundary_grad in (0.0, 0.5):
        module = returning_mined(mining, -8.0, boundary_grad=boundary_grad, **options)
        function = BATCH_LOSSES[mining]
        wanted = run_batch(function, batch, margin=-8.0, boundary_grad=boundary_grad, **options)
        assert run_batch(module, batch).same_bits(wanted)
        grads.append(wanted.grad)
    assert not torch.equal(*grads)


def test_boundary_grad_of_rows(device: str) -> None:
    rows = torch.randint(-2, 3, (3, 40, 4), generator=generator_for("boundary")).float()
    rows = rows.to(device).unbind()
    grads = []
    for boundary_grad in (0.0, 0.5):
        module = fused_rankloss.TripletLoss(2.0, boundary_grad=boundary_grad)
        got = run_rows(module, rows)
        options = {"margin": 2.0, "boundary_grad": boundary_grad}
        wanted = run_rows(fused_rankloss.triplet_loss, rows, **options)
        assert all(map(same_bits, got[1], wanted[1]))
        grads.append(wanted[1][0])
    assert not torch.equal(*grads)


@every_mining
def test_defaults_are_the_functions(mining: str, device: str) -> None:
    batch = CASES["d3"].batch(torch.float32).to(device)
    got = run_batch(returning_mined(mining), batch)
    assert got.same_bits(run_batch(BATCH_LOSSES[mining], batch))
    loss = MODULES[mining]()(*batch[:2])
    assert isinstance(loss, torch.Tensor) and same_bits(loss, got.loss)


@pytest.mark.parametrize(
    "options",
    [{}, {"distance": "euclidean", "p": 1.0, "eps": 0.5, "swap": True}, {"margin": "soft"}],
    ids=str,
)
def test_triplet_loss(options: dict, device: str) -> None:
    rows = torch.randn(3, 2, 7, 5, generator=generator_for("modules")).to(device).unbind()
    module = fused_rankloss.TripletLoss(reduction="none", **options)
    got = run_rows(module, rows)
    wanted = run_rows(fused_rankloss.triplet_loss, rows, reduction="none", **options)
    assert same_bits(got[0], wanted[0]) and all(map(same_bits, got[1], wanted[1]))


def test_repr() -> None:
    assert repr(fused_rankloss.TripletLoss(0.5, swap=True)) == (
        "TripletLoss(margin=0.5, distance='sqeuclidean', p=2.0, eps=1e-06, swap=True, "
        "reduction='mean', boundary_grad=None, impl='auto')"
    )
    assert repr(fused_rankloss.BatchHardTripletLoss("soft")) == (
        "BatchHardTripletLoss(margin='soft', distance='euclidean', reduction='mean', "
        "boundary_grad=0.0, return_mined=False, impl='auto')"
    )


@every_mining
def test_learned_margin(mining: str, device: str) -> None:
    module = MODULES[mining](nn.Parameter(torch.tensor(0.5))).to(device)
    assert [name for name, _ in module.named_parameters()] == ["margin"]
    batch = CASES["d3"].batch(torch.float32).to(device)
    module(*batch[:2]).backward()
    given = module.margin.detach().clone().requires_grad_()
    BATCH_LOSSES[mining](*batch[:2], margin=given).backward()
    assert same_bits(module.margin.grad, given.grad) and given.grad > 0


@every_mining
def test_margin_as_buffer(mining: str) -> None:
    module = MODULES[mining](torch.tensor(0.5))
    assert [name for name, _ in module.named_buffers()] == ["margin"]
    assert module.double().margin.dtype == torch.float64
    assert not MODULES[mining](0.5).state_dict()


@every_mining
@pytest.mark.parametrize(
    "margin",
    [0.5, "soft", torch.tensor(0.5), nn.Parameter(torch.tensor(0.5))],
    ids=["number", "soft", "buffer", "parameter"],
)
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"]
)
def test_copies(mining: str, margin, copied, device: str) -> None:
    module = MODULES[mining](margin, **OPTIONS).to(device)
    other = copied(module)
    assert repr(other) == repr(module)
    batch = CASES["d3"].batch(torch.float32).to(device)
    assert same_bits(other(*batch[:2]).detach(), module(*batch[:2]).detach())
