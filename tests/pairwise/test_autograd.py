"""The losses as citizens of autograd: derivatives, what is computed when, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from fused_rankloss import ops
from support.batches import FORMS, Call, evaluate, flat, one_list, padded_mask, same_bits
from support.cases import LARGE, LOSSES, MEDIUM, REDUCTIONS, SMALL, WEIGHTINGS, by_name, name_of

every_loss = pytest.mark.parametrize("loss", LOSSES)
CASES = by_name(SMALL + MEDIUM + LARGE)


def call_for(name: str, device: str, dtype: torch.dtype = torch.float32, form=flat) -> Call:
    return form(CASES[name].batch(dtype).to(device))


def run(loss: str, call: Call, scores: Tensor, **options) -> Tensor:
    return LOSSES[loss](scores, call.labels, **call.options, **options)


# ---- Derivatives ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["n33", "ragged", "weighted"])
@every_loss
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_gradcheck(name: str, loss: str, reduction: str, weighting: str, device: str) -> None:
    """Continuous scores keep the hinge away from its kinks."""
    call = call_for(name, device, torch.float64)
    scores = call.scores.detach().requires_grad_()
    options = {"reduction": reduction, "weighting": weighting}
    assert torch.autograd.gradcheck(
        lambda s: run(loss, call, s, **options), (scores,), eps=1e-7, atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("name", ["boundary_grades", "score_ties", "weighted_boundary"])
def test_gradcheck_of_squared_hinge_on_its_margin(name: str, device: str) -> None:
    """Its slope is continuous, so finite differences hold on the margin too."""
    call = call_for(name, device, torch.float64)
    scores = call.scores.detach().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda s: run("squared_hinge", call, s), (scores,), eps=1e-6, atol=1e-5, rtol=1e-4
    )


def test_gradcheck_through_a_long_list(device: str) -> None:
    """One direction instead of every element."""
    call = call_for("n1025", device, torch.float64)
    scores = call.scores.detach().requires_grad_()
    for loss in LOSSES:
        assert torch.autograd.gradcheck(
            lambda s, loss=loss: run(loss, call, s),
            (scores,),
            eps=1e-9,
            atol=1e-5,
            rtol=1e-5,
            fast_mode=True,
        )


GRAD_OUTPUTS = {
    "random": lambda loss: torch.randn_like(loss),
    "zero": torch.zeros_like,
    "expanded": lambda loss: torch.full((), 0.75, dtype=loss.dtype, device=loss.device).expand(
        loss.shape
    ),
    "strided": lambda loss: torch.randn(*loss.shape, 2, dtype=loss.dtype, device=loss.device)[
        ..., 0
    ],
    "transposed": lambda loss: torch.randn_like(loss.t().contiguous()).t(),
}


@every_loss
@pytest.mark.parametrize("kind", GRAD_OUTPUTS)
@pytest.mark.parametrize("form", FORMS)
def test_grad_outputs(loss: str, kind: str, form: str, device: str) -> None:
    """``[K, B]`` grad_outputs of any layout equal the same numbers made contiguous."""
    torch.manual_seed(0)
    call = call_for("ragged", device, form=FORMS[form])
    scores = call.scores.detach().requires_grad_()
    margins = torch.tensor([0.5, 1.0, 2.0], device=device)
    value = run(loss, call, scores, margin=margins, reduction="none")
    grad_output = GRAD_OUTPUTS[kind](value)
    (grad,) = torch.autograd.grad(value, scores, grad_output, retain_graph=True)
    (again,) = torch.autograd.grad(
        value, scores, grad_output.clone(memory_format=torch.contiguous_format)
    )
    assert same_bits(call.items(grad), call.items(again))
    if kind == "zero":
        assert not call.items(grad).count_nonzero()
    # Against each margin's and list's own gradient, times its grad_output.
    parts = torch.zeros(len(call.slots), dtype=torch.float64, device=device)
    owner = torch.repeat_interleave(
        torch.arange(len(CASES["ragged"].sizes)), torch.tensor(CASES["ragged"].sizes)
    ).to(device)
    for place, margin in enumerate(margins.tolist()):
        alone = evaluate(LOSSES[loss], call, margin=margin, reduction="none").grad.double()
        parts += alone * grad_output[place].double()[owner]
    torch.testing.assert_close(call.items(grad).double(), parts, rtol=1e-5, atol=1e-5)


def test_nan_grad_output_stays_in_its_list(device: str) -> None:
    batch = CASES["ragged"].batch(torch.float32).to(device)
    grad_output = torch.ones(len(batch.sizes))
    grad_output[3] = torch.nan
    got = evaluate(LOSSES["hinge"], padded_mask(batch), grad_output, reduction="none")
    for number, rows in enumerate(batch.split(got.grad)):
        assert rows.isnan().all() if number == 3 else rows.isfinite().all()
    assert not got.padding_grad.count_nonzero() and got.padding_grad.isfinite().all()


@every_loss
def test_backward_twice(loss: str, device: str) -> None:
    call = call_for("ragged", device)
    scores = call.scores.detach().requires_grad_()
    value = run(loss, call, scores)
    (first,) = torch.autograd.grad(value, scores, retain_graph=True)
    (second,) = torch.autograd.grad(value, scores)
    assert same_bits(first, second)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        torch.autograd.grad(value, scores)


@every_loss
def test_gradients_accumulate(loss: str, device: str) -> None:
    call = call_for("ragged", device)
    scores = call.scores.detach().requires_grad_()
    run(loss, call, scores).backward()
    once = scores.grad.clone()
    run(loss, call, scores).backward()
    assert torch.equal(scores.grad, once * 2)


@every_loss
def test_a_loss_within_a_model(loss: str, device: str) -> None:
    """The chain rule on both sides: scores from a layer, the loss in a weighted sum."""
    call = call_for("ragged", device)
    features = torch.randn(len(call.scores), 4, device=device)
    weight = torch.randn(4, device=device, requires_grad=True)
    (run(loss, call, features @ weight) * 3 + weight.sum()).backward()
    direct = evaluate(LOSSES[loss], call._replace(scores=(features @ weight).detach()))
    torch.testing.assert_close(weight.grad, 3 * (features.T @ direct.grad) + 1)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=name_of)
def test_scaled_half_gradients(loss: str, dtype: torch.dtype, device: str) -> None:
    """As torch.amp.GradScaler does it: a mean over 2.5e9 pairs has gradients that vanish in fp16
    unless the loss is scaled, which must enter before the one rounding to half."""
    call = call_for("n100001", device, dtype)
    scaled = evaluate(LOSSES[loss], call, torch.tensor(2.0**16)).grad.double() / 2**16
    # The same half values, read in single precision.
    wanted = evaluate(LOSSES[loss], call._replace(scores=call.scores.float())).grad.double()
    u = torch.finfo(dtype).eps / 2
    smallest = torch.finfo(dtype).tiny * u / 2**16
    allowed = (u + 2**-23) * wanted.abs() + smallest
    assert ((scaled - wanted).abs() <= allowed).all()
    if dtype == torch.float16 and loss == "hinge":
        unscaled = evaluate(LOSSES[loss], call).grad
        assert unscaled.count_nonzero() < scaled.count_nonzero()


@every_loss
@pytest.mark.parametrize("use_reentrant", [True, False])
def test_checkpointing(loss: str, use_reentrant: bool, device: str) -> None:
    call = call_for("ragged", device)
    scores = call.scores.detach().requires_grad_()
    value = checkpoint(lambda s: run(loss, call, s * 2), scores, use_reentrant=use_reentrant)
    value.backward()
    plain = call.scores.detach().requires_grad_()
    run(loss, call, plain * 2).backward()
    assert same_bits(scores.grad, plain.grad)


# ---- What is computed when -----------------------------------------------------------------------


@pytest.fixture
def raw_gradients(monkeypatch) -> list[int]:
    """The sizes of the raw gradients that forward passes computed."""
    sizes = []
    original = ops.pairwise_forward

    def spy(*arguments):
        outputs = original(*arguments)
        sizes.append(outputs[1].numel())
        return outputs

    monkeypatch.setattr(ops, "pairwise_forward", spy)
    return sizes


@every_loss
def test_no_gradient_unless_needed(loss: str, device: str, raw_gradients: list[int]) -> None:
    call = call_for("ragged", device)
    n = len(call.scores)
    needed = call.scores.detach().requires_grad_()
    values = [run(loss, call, call.scores), run(loss, call, needed)]
    with torch.no_grad():
        values.append(run(loss, call, needed))
    with torch.inference_mode():
        values.append(run(loss, call, needed))
    margin = torch.tensor(1.0, device=device, requires_grad=True)
    values.append(run(loss, call, call.scores, margin=margin))
    assert raw_gradients == [0, n, 0, 0, 0]
    assert all(same_bits(value.detach(), values[0]) for value in values)
    assert [value.requires_grad for value in values] == [False, True, False, False, True]


def test_subset_of_inputs(device: str) -> None:
    """Scores and margin each alone get the same numbers as together."""
    call = call_for("ragged", device, torch.float64)
    margins = torch.tensor([0.5, 2.0], dtype=torch.float64, device=device)

    def gradients(scores_need: bool, margin_needs: bool) -> list[Tensor | None]:
        scores = call.scores.detach().requires_grad_(scores_need)
        margin = margins.clone().requires_grad_(margin_needs)
        run("hinge", call, scores, margin=margin).sum().backward()
        return [scores.grad, margin.grad]

    scores_only, margin_only, both = (
        gradients(True, False),
        gradients(False, True),
        gradients(True, True),
    )
    assert scores_only[1] is None and margin_only[0] is None
    assert same_bits(scores_only[0], both[0]) and same_bits(margin_only[1], both[1])


def test_labels_that_require_grad_get_none(device: str) -> None:
    call = call_for("n127", device, form=one_list)
    labels = call.labels.detach().requires_grad_()
    scores = call.scores.detach().requires_grad_()
    LOSSES["hinge"](scores, labels).backward()
    assert labels.grad is None
    assert same_bits(scores.grad, evaluate(LOSSES["hinge"], call).grad)


def test_unused_loss(device: str) -> None:
    call = call_for("ragged", device)
    scores = call.scores.detach().requires_grad_()
    run("hinge", call, scores)
    scores.sum().backward()
    assert torch.equal(scores.grad, torch.ones_like(scores))
