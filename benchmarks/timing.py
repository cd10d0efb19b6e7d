"""Interleaved samples: every provider of a case once a round, each in every place equally often.

What drifts (clocks, neighbours, temperature) then meets all alike, and the ratio of two providers
is a median over rounds of paired samples, steadier than the ratio of two medians.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.family import Call, Provider

_SHORTEST_SAMPLE = 1e-3  # seconds; shorter calls are repeated within a sample
_MOST_ROUNDS = 201
_FEWEST_ROUNDS = 5  # 3 where even that takes longer than the time there is
_FLUSH_BYTES = 2**28  # more than four times the L2 cache of an H200

# Gives the loss and its gradient for each of the call's leaves.
Operation = Callable[[], tuple[Tensor, list[Tensor] | None]]


def operations(provider: Provider, call: Call, mode: str, copies: int = 1) -> list[Operation]:
    """The timed call, on several copies of the input that are used in turn.

    ``full`` is what a training step does: the loss, then ``backward()`` into an empty ``.grad``.
    """
    made = []
    for index in range(copies):
        tensors = {name: tensor.detach() for name, tensor in call.tensors.items()}
        if index > 0:
            tensors = {name: tensor.clone() for name, tensor in tensors.items()}
        operation = _operation(call, tensors, mode == "full" and provider.has_loss)
        made.append(_captured(operation) if provider.captured else operation)
    return made


def _operation(call: Call, tensors: dict[str, Tensor], backward: bool) -> Operation:
    leaves = [tensors[name].requires_grad_(backward) for name in call.leaves]

    def forward() -> tuple[Tensor, None]:
        return call(**tensors), None

    def full() -> tuple[Tensor, list[Tensor]]:
        for leaf in leaves:
            leaf.grad = None
        loss = call(**tensors)
        loss.backward()
        return loss, [leaf.grad for leaf in leaves]

    return full if backward else forward


def _captured(operation: Operation) -> Operation:
    """Its kernels as one CUDA graph, launched at once; fails where the operation waits for them."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):  # what is set up at first calls must not be captured
            operation()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = operation()

    def replay() -> tuple[Tensor, list[Tensor] | None]:
        graph.replay()
        return result

    return replay


class CpuClock:
    copies = 1

    def sample(self, calls: Iterator[Operation], repeats: int) -> float:
        """Seconds per call."""
        begin = time.perf_counter()
        for _ in range(repeats):
            next(calls)()
        return (time.perf_counter() - begin) / repeats


class CudaClock:
    """Events around each call, with the L2 cache overwritten before it and the inputs in turn.

    The events lie on the stream around the kernels, so that the time of the overwriting is not in
    them; where the CPU is slower to launch than the GPU to run, they measure the launching.
    """

    copies = 3

    def __init__(self) -> None:
        self._flush = torch.empty(_FLUSH_BYTES, dtype=torch.int8, device="cuda")

    def sample(self, calls: Iterator[Operation], repeats: int) -> float:
        events = []
        for _ in range(repeats):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            self._flush.zero_()
            begin.record()
            next(calls)()
            end.record()
            events.append((begin, end))
        torch.cuda.synchronize()
        return sum(begin.elapsed_time(end) for begin, end in events) / repeats / 1e3


Clock = CpuClock | CudaClock


@dataclass(frozen=True)
class Samples:
    """Seconds per call, one number per round."""

    seconds: list[float]

    def quantile(self, percent: int) -> float:
        ordered = sorted(self.seconds)
        return ordered[round((len(ordered) - 1) * percent / 100)]

    def relative_to(self, other: Samples) -> float:
        pairs = zip(self.seconds, other.seconds, strict=True)
        return statistics.median(mine / others for mine, others in pairs)


def measure(ready: dict[str, list[Operation]], clock: Clock, budget: float) -> dict[str, Samples]:
    """Times all providers of one case together, in about ``budget`` seconds."""
    names = list(ready)
    calls = {name: itertools.cycle(ready[name]) for name in names}
    repeats = {}
    estimate = {}
    for name in names:  # also the warm-up; the correctness check was one before
        once = clock.sample(calls[name], 1)
        once = min(once, clock.sample(calls[name], 1)) if once < budget / 10 else once
        repeats[name] = max(1, round(_SHORTEST_SAMPLE / once))
        estimate[name] = once * repeats[name]
    round_seconds = sum(estimate.values())
    fewest = _FEWEST_ROUNDS if round_seconds < budget else 3
    rounds = max(fewest, min(int(budget / round_seconds), _MOST_ROUNDS))

    seconds: dict[str, list[float]] = {name: [] for name in names}
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for index in range(rounds):
            shift = index // 2 % len(names)
            order = names[shift:] + names[:shift]
            for name in order if index % 2 == 0 else reversed(order):
                seconds[name].append(clock.sample(calls[name], repeats[name]))
    finally:
        if collecting:
            gc.enable()
    return {name: Samples(values) for name, values in seconds.items()}
