"""What only a GPU can show: streams, graphs, devices, and that nothing waits for the host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from support.batches import FORMS, Call, evaluate, flat, padded_lengths, same_bits
from support.cases import LOSSES, MEDIUM, REDUCTIONS, SMALL, by_name
from support.ranking import RANKING

pytestmark = pytest.mark.gpu

CASES = by_name(SMALL + MEDIUM)
every_loss = pytest.mark.parametrize("loss", LOSSES)


def cuda_call(name: str, form=flat, device: str = "cuda") -> Call:
    return form(CASES[name].batch(torch.float32).to(device))


@every_loss
@pytest.mark.parametrize("form", FORMS)
def test_nothing_waits_for_the_host(loss: str, form: str) -> None:
    calls = [cuda_call(name, FORMS[form]) for name in ("ragged", "weighted", "one_long")]
    margins = torch.tensor([0.5, 1.0], device="cuda", requires_grad=True)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for call in calls:
            for reduction in REDUCTIONS:
                scores = call.scores.detach().requires_grad_()
                options = {**call.options, "reduction": reduction, "margin": margins}
                LOSSES[loss](scores, call.labels, **options).sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("loss", [*LOSSES.values(), *RANKING.values()], ids=[*LOSSES, *RANKING])
@pytest.mark.parametrize("form", ["flat", "mask", "lengths"])
def test_graph_replays_with_other_inputs(loss: Callable, form: str) -> None:
    """Also other lengths, offsets and masks: nothing about them is baked into the graph."""
    first, second = (cuda_call("n257", FORMS[form]) for _ in range(2))
    second.scores.copy_(second.scores.flip(-1) * 2)
    for name, tensor in second.options.items():
        if name == "mask":
            tensor[..., :40] = False
        elif name == "lengths":
            tensor -= 40
    scores = first.scores.detach().clone().requires_grad_()

    def step():
        value = loss(scores, first.labels, **first.options)
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
        for name, tensor in first.options.items():
            tensor.copy_(second.options[name])
    graph.replay()
    eager = evaluate(loss, second)
    assert same_bits(value.detach(), eager.loss)
    assert same_bits(second.items(grad), eager.grad)


@every_loss
def test_side_stream(loss: str) -> None:
    """Inputs that are still being written on the stream of the call."""
    call = cuda_call("n1025")
    expected = evaluate(LOSSES[loss], call)
    late = torch.full_like(call.scores, torch.nan)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        late.copy_(call.scores)
        got = evaluate(LOSSES[loss], call._replace(scores=late))
    torch.cuda.current_stream().wait_stream(stream)
    assert got.same_bits(expected)


@every_loss
def test_every_device(loss: str) -> None:
    """The tensors' device counts, not the current one."""
    expected = evaluate(LOSSES[loss], cuda_call("one_long"))
    for index in range(torch.cuda.device_count()):
        with torch.cuda.device(0):
            got = evaluate(LOSSES[loss], cuda_call("one_long", device=f"cuda:{index}"))
            assert torch.cuda.current_device() == 0
        assert got.loss.device.index == got.grad.device.index == index
        assert same_bits(got.loss.cpu(), expected.loss.cpu())
        assert same_bits(got.grad.cpu(), expected.grad.cpu())


@every_loss
@pytest.mark.parametrize("lists", [1, 1000])
def test_peak_memory(loss: str, lists: int) -> None:
    """Forward and backward allocate at most 40 bytes a score."""
    for items in (64_000, 256_000):
        scores = torch.randn(lists, items // lists, device="cuda", requires_grad=True)
        labels = torch.randint(0, 5, scores.shape, dtype=torch.int8, device="cuda")
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        LOSSES[loss](scores, labels).backward()
        # Small allocations are rounded up to 512 bytes and served from blocks of 2 MiB.
        assert torch.cuda.max_memory_allocated() - before <= 40 * items + (1 << 20)


@pytest.mark.slow
@every_loss
def test_more_slots_than_an_int32_counts(loss: str) -> None:
    """One list at the very end of 2^31 slots, behind empty ones."""
    batch = CASES["n513"].batch(torch.float16)
    batch = replace(batch, labels=(batch.labels % 256).to(torch.uint8)).to("cuda")
    last = padded_lengths(batch, extra=512)
    rows, width = 2**21, 1025
    scores = torch.zeros(rows, width, dtype=torch.float16, device="cuda")
    labels = torch.zeros(rows, width, dtype=torch.uint8, device="cuda")
    lengths = torch.zeros(rows, dtype=torch.int64, device="cuda")
    scores[-1], labels[-1], lengths[-1] = last.scores[0], last.labels[0], 513
    call = Call(scores, labels, {"lengths": lengths}, last.slots + (rows - 1) * width)
    got = evaluate(LOSSES[loss], call)
    assert got.same_bits(evaluate(LOSSES[loss], last))
    assert not got.padding_grad.count_nonzero()
