"""What autograd must not do silently: second derivatives, derivatives of raw ops, stale tensors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fused_rankloss import ops
from support.batches import FORMS, Call, evaluate, flat, one_list, same_bits
from support.cases import LOSSES, SMALL, by_name

every_loss = pytest.mark.parametrize("loss", LOSSES)
CASES = by_name(SMALL)


def call_for(name: str, device: str, dtype: torch.dtype = torch.float32, form=flat) -> Call:
    return form(CASES[name].batch(dtype).to(device))


def run(loss: str, call: Call, scores: Tensor, **options) -> Tensor:
    return LOSSES[loss](scores, call.labels, **call.options, **options)


# ---- Second derivatives --------------------------------------------------------------------------


@every_loss
def test_double_backward_is_refused(loss: str, device: str) -> None:
    call = call_for("ragged", device)
    scores = call.scores.detach().requires_grad_()
    (grad,) = torch.autograd.grad(run(loss, call, scores), scores, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives .* not implemented.*ref"):
        grad.sum().backward()


@every_loss
def test_a_gradient_penalty_is_refused(loss: str, device: str) -> None:
    """The usual way to a second derivative; counting it as 0 would be silently wrong."""
    call = call_for("ragged", device)
    scores = call.scores.detach().requires_grad_()
    value = run(loss, call, scores)
    (grad,) = torch.autograd.grad(value, scores, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives .* not implemented"):
        (value + grad.square().sum()).backward()


@every_loss
def test_double_backward_of_the_margin_is_refused(loss: str, device: str) -> None:
    call = call_for("ragged", device)
    scores = call.scores.detach().requires_grad_()
    margin = torch.tensor(1.0, device=device, requires_grad=True)
    value = run(loss, call, scores, margin=margin)
    (grad,) = torch.autograd.grad(value, margin, create_graph=True)
    for source in (scores, margin):
        with pytest.raises(NotImplementedError, match="second derivatives .* not implemented"):
            torch.autograd.grad(grad, source, retain_graph=True)


@every_loss
def test_double_backward_of_grad_output_is_refused(loss: str, device: str) -> None:
    """The graph of a gradient also leads to what scaled the loss."""
    call = call_for("ragged", device)
    scores = call.scores.detach().requires_grad_()
    scale = torch.tensor(2.0, device=device, requires_grad=True)
    value = run(loss, call, scores) * scale
    (grad,) = torch.autograd.grad(value, scores, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivatives .* not implemented"):
        torch.autograd.grad(grad.sum(), scale)


def test_double_backward_through_the_reference(device: str) -> None:
    call = call_for("n33", device, torch.float64, form=one_list)
    scores = call.scores.detach().requires_grad_()
    value = run("squared_hinge", call, scores, impl="reference")
    (grad,) = torch.autograd.grad(value, scores, create_graph=True)
    grad.square().sum().backward()
    assert scores.grad.isfinite().all() and scores.grad.count_nonzero()


def test_the_raw_ops_have_no_derivative(device: str) -> None:
    call = call_for("ragged", device)
    scores = call.scores.detach().requires_grad_()
    offsets = call.options["offsets"]
    arguments = (None, None, None, None, offsets, None, 1.0, "hinge", "product", 1.0, "mean", True)
    value = ops.pairwise_forward(scores, call.labels, *arguments)[0]
    with pytest.raises(NotImplementedError, match="differentiated through the functions"):
        value.backward()


# ---- Changes in place ----------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["mask", "lengths", "flat"])
def test_changes_in_place_are_noticed(form: str, device: str) -> None:
    call = call_for("ragged", device, form=FORMS[form])
    (name,) = call.options
    scores = call.scores.detach().requires_grad_()
    value = run("hinge", call, scores)
    call.options[name].zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_scores_and_labels_may_change_after_the_forward_pass(device: str) -> None:
    """The backward pass needs neither: optimisers update in place, loaders reuse their buffers."""
    call = call_for("ragged", device)
    leaf = call.scores.detach().requires_grad_()
    scores = leaf * 1
    labels = call.labels.clone()
    value = LOSSES["hinge"](scores, labels, **call.options)
    with torch.no_grad():
        scores.zero_()
        labels.zero_()
    value.backward()
    assert same_bits(leaf.grad, evaluate(LOSSES["hinge"], call).grad)
