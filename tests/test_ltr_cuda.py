"""What only a GPU can show of the losses over ranked lists: graphs, and that nothing waits for the
host."""

from __future__ import annotations

import pytest
import torch

import fused_rankloss
from batches import FORMS, Call, evaluate, flat, same_bits
from cases import MEDIUM, REDUCTIONS, SMALL, by_name
from ltr import PAIR

pytestmark = pytest.mark.gpu

CASES = by_name(SMALL + MEDIUM)
every_loss = pytest.mark.parametrize("name", PAIR)


def cuda_call(case: str, form=flat) -> Call:
    return form(CASES[case].batch(torch.float32).to("cuda"))


@every_loss
@pytest.mark.parametrize("form", FORMS)
def test_nothing_waits_for_the_host(name: str, form: str) -> None:
    calls = [cuda_call(case, FORMS[form]) for case in ("ragged", "weighted", "n257")]
    gains = [call.labels.float() for call in calls]
    discount = torch.tensor([1.0, 0.5, 0.25], device="cuda")
    torch.cuda.set_sync_debug_mode("error")
    try:
        for call in calls:
            for reduction in REDUCTIONS:
                scores = call.scores.detach().requires_grad_()
                PAIR[name](
                    scores, call.labels, **call.options, reduction=reduction
                ).sum().backward()
        for call, own in zip(calls, gains, strict=True):
            fused_rankloss.lambda_loss(
                call.scores,
                call.labels,
                **call.options,
                gains=own,
                discount=discount,
                return_statistics=True,
            )
    finally:
        torch.cuda.set_sync_debug_mode("default")


@every_loss
@pytest.mark.parametrize("form", ["flat", "mask", "lengths"])
def test_graph_replays_with_other_inputs(name: str, form: str) -> None:
    """Also other lengths, offsets and masks: nothing about them is baked into the graph."""
    first, second = (cuda_call("n257", FORMS[form]) for _ in range(2))
    second.scores.copy_(second.scores.flip(-1) * 2)
    for option, tensor in second.options.items():
        if option == "mask":
            tensor[..., :40] = False
        elif option == "lengths":
            tensor -= 40
    scores = first.scores.detach().clone().requires_grad_()

    def step():
        value = PAIR[name](scores, first.labels, **first.options)
        return value, torch.autograd.grad(value, scores)[0]

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        step()  # warm-up, as capture asks for
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        value, grad = step()
    with torch.no_grad():
        scores.copy_(second.scores)
        for option, tensor in first.options.items():
            tensor.copy_(second.options[option])
    graph.replay()
    eager = evaluate(PAIR[name], second)
    assert same_bits(value.detach(), eager.loss)
    assert same_bits(second.items(grad), eager.grad)
