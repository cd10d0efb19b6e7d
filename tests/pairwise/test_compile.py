"""torch.compile without graph breaks, static and dynamic, and autocast."""

from __future__ import annotations

import pytest
import torch

from fused_rankloss import PairwiseHingeLoss
from support.batches import FORMS, Call, evaluate, flat, one_list, padded_mask, same_bits
from support.cases import LOSSES, SMALL, Case, by_name, generator_for

# Raised within torch by its own compiler.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning")

CASES = by_name(SMALL)
every_loss = pytest.mark.parametrize("loss", LOSSES)


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def compiled_function(loss: str, backend: str = "aot_eager", **options):
    def function(scores, labels, **given):
        return LOSSES[loss](scores, labels, **given)

    return torch.compile(function, backend=backend, fullgraph=True, **options)


# A row a graph: (loss, form, case, options).
GRAPHS = [
    ("hinge", "flat", "ragged", {}),
    ("hinge", "mask", "ragged", {"reduction": "none"}),
    ("hinge", "lengths", "ragged", {"reduction": "list_mean", "boundary_grad": 0.5}),
    ("squared_hinge", "flat", "weighted", {"weighting": "preferred"}),
    ("squared_hinge", "scattered_mask", "weighted", {"reduction": "batch_mean"}),
    ("hinge", "flat", "ragged", {"margin": [0.5, 1.0]}),
]


def graph_call(form: str, name: str, options: dict, device: str) -> tuple[Call, dict]:
    call = FORMS[form](CASES[name].batch(torch.float32).to(device))
    options = dict(options)
    if isinstance(options.get("margin"), list):
        options["margin"] = torch.tensor(options["margin"], device=device)
    return call, options


@pytest.mark.parametrize(
    ("loss", "form", "name", "options"),
    GRAPHS,
    ids=[f"{g[0]}-{g[1]}-{n}" for n, g in enumerate(GRAPHS)],
)
@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
def test_compiled_equals_eager(
    loss: str, form: str, name: str, options: dict, dynamic: bool, device: str
) -> None:
    call, options = graph_call(form, name, options, device)
    function = compiled_function(loss, dynamic=dynamic)
    got = evaluate(function, call, **options)
    assert got.same_bits(evaluate(LOSSES[loss], call, **options))


@pytest.mark.parametrize("form", ["flat", "mask", "lengths"])
def test_one_dynamic_graph_serves_every_size(form: str, device: str) -> None:
    function = compiled_function("hinge", dynamic=True)
    for place, sizes in enumerate([(3, 0, 17, 2), (5, 9, 2), (40, 2, 0, 7, 64)]):
        case = Case(f"dynamic_{place}", sizes, "another size", labels="grades")
        call = FORMS[form](case.batch(torch.float32).to(device))
        with torch._dynamo.config.patch(error_on_recompile=place > 0):
            got = evaluate(function, call)
        assert got.same_bits(evaluate(LOSSES["hinge"], call))


@every_loss
def test_one_graph_serves_every_margin_tensor(loss: str, device: str) -> None:
    function = compiled_function(loss)
    call = flat(CASES["ragged"].batch(torch.float32).to(device))
    for place, margin in enumerate([0.5, 1.0, 2.0]):
        with torch._dynamo.config.patch(error_on_recompile=place > 0):
            got = evaluate(function, call, margin=torch.tensor(margin, device=device))
        assert got.same_bits(evaluate(LOSSES[loss], call, margin=margin))


@pytest.mark.slow
def test_inductor(device: str) -> None:
    """The default backend, with work around the loss for it to fuse."""
    call = padded_mask(CASES["ragged"].batch(torch.float32).to(device))

    def objective(scores, labels, mask):
        return LOSSES["hinge"](scores * 2 + 1, labels, mask=mask) * 3

    arguments = (call.labels, call.options["mask"])
    plain, fused = (call.scores.detach().requires_grad_() for _ in range(2))
    expected = objective(plain, *arguments)
    expected.backward()
    got = torch.compile(objective, fullgraph=True)(fused, *arguments)
    got.backward()
    torch.testing.assert_close(got, expected, rtol=2**-22, atol=0.0)
    torch.testing.assert_close(fused.grad, plain.grad, rtol=2**-22, atol=0.0)


def test_compiled_module(device: str) -> None:
    module = PairwiseHingeLoss(0.5, reduction="none").to(device)
    call = flat(CASES["ragged"].batch(torch.float32).to(device))
    function = torch.compile(module, backend="aot_eager", fullgraph=True)
    assert evaluate(function, call).same_bits(evaluate(module, call))


def test_compiled_without_gradients(device: str) -> None:
    call = one_list(CASES["n127"].batch(torch.float32).to(device))
    function = compiled_function("hinge")
    with torch.no_grad():
        got = function(call.scores, call.labels)
    assert same_bits(got, LOSSES["hinge"](call.scores, call.labels))
    assert not got.requires_grad


@every_loss
def test_a_column_of_scores_breaks_no_graph(loss: str, device: str) -> None:
    scores = torch.zeros(4, 1, device=device)
    assert compiled_function(loss)(scores, scores).item() == 0


def test_export(device: str) -> None:
    class Objective(torch.nn.Module):
        def forward(self, scores, labels, mask):
            return LOSSES["hinge"](scores, labels, mask=mask)

    call = padded_mask(CASES["ragged"].batch(torch.float32).to(device))
    arguments = (call.scores, call.labels, call.options["mask"])
    program = torch.export.export(Objective(), arguments)
    assert same_bits(program.module()(*arguments), Objective()(*arguments))


# ---- Autocast ------------------------------------------------------------------------------------


@every_loss
def test_autocast_leaves_the_loss_in_single_precision(loss: str, device: str) -> None:
    call = flat(CASES["ragged"].batch(torch.float32).to(device))
    with torch.autocast(device, torch.bfloat16):
        inside = evaluate(LOSSES[loss], call)
    assert inside.loss.dtype == torch.float32
    assert inside.same_bits(evaluate(LOSSES[loss], call))


@every_loss
def test_autocast_scores_come_from_a_layer(loss: str, device: str) -> None:
    """bf16 scores out of a matrix product; the gradient goes back into fp32 parameters."""
    batch = CASES["ragged"].batch(torch.float32).to(device)
    generator = generator_for("autocast")
    features = torch.randn(len(batch.scores), 8, generator=generator).to(device)
    weight = torch.randn(8, 1, generator=generator).to(device).requires_grad_()
    with torch.autocast(device, torch.bfloat16):
        scores = (features @ weight)[:, 0]
        value = LOSSES[loss](scores, batch.labels, offsets=batch.offsets())
    assert scores.dtype == torch.bfloat16 and value.dtype == torch.float32
    value.backward()
    assert weight.grad.dtype == torch.float32 and weight.grad.count_nonzero()
    call = flat(batch)._replace(scores=scores.detach())
    assert same_bits(value.detach(), evaluate(LOSSES[loss], call).loss)
