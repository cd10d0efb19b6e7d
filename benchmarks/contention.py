"""All threads beside other busy processes, as a ratio to one thread beside the same processes.

DDP ranks, data-loader workers and other jobs share a machine with a loss. A call that waits for
threads which have no core then takes many times as long as on one thread. A ratio below 1 is a
gain; beyond 1.5 the threads cost more than they can be worth.
"""

from __future__ import annotations

import csv
import dataclasses
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks.families import family_of
from benchmarks.family import FUSED, Case
from benchmarks.results import Environment
from benchmarks.timing import Operation, operations

_GOAL = 1.5
_ROUNDS = 9
_SHORTEST_SAMPLE = 0.1  # seconds: many slices of the scheduler
_BUSY = "while True: pass"


@dataclasses.dataclass(frozen=True)
class Contended:
    """Milliseconds of a call, medians over rounds, and the median of the rounds' ratios."""

    case: str
    threads: int
    busy_processes: int
    one_thread_ms: float
    all_threads_ms: float
    ratio: float


@contextmanager
def _busy_processes(number: int) -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", _BUSY]) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _milliseconds(operation: Operation) -> float:
    start, calls = time.perf_counter(), 0
    while calls < 3 or time.perf_counter() - start < _SHORTEST_SAMPLE:
        operation()
        calls += 1
    return 1e3 * (time.perf_counter() - start) / calls


def measure(case: Case, threads: int, busy: int, seed: int) -> Contended:
    family = family_of(case.loss)
    provider = next(provider for provider in family.providers if provider.name == FUSED)
    call = provider.prepare(family.make_batch(case, seed, "cpu"))
    [operation] = operations(provider, call, case.mode)
    rounds = []
    try:
        for _ in range(_ROUNDS):
            sample = []
            for count in (1, threads):
                torch.set_num_threads(count)
                sample.append(_milliseconds(operation))
            rounds.append(sample)
    finally:
        torch.set_num_threads(threads)
    one, many = (statistics.median(times) for times in zip(*rounds, strict=True))
    ratio = statistics.median(many / one for one, many in rounds)
    return Contended(case.key, threads, busy, one, many, ratio)


def run(cases: Iterable[Case], environment: Environment, path: Path) -> None:
    """Prints and appends one row per case."""
    threads = busy = os.cpu_count() or 1
    print(f"{threads} threads beside {busy} busy processes; goal: at most {_GOAL} x one thread")
    common = {name: getattr(environment, name) for name in ("utc", "commit", "device")}
    is_new = not path.exists()
    with _busy_processes(busy), path.open("a", newline="") as file:
        fields = [*common, *(field.name for field in dataclasses.fields(Contended))]
        writer = csv.DictWriter(file, fields, lineterminator="\n")
        if is_new:
            writer.writeheader()
        for case in cases:
            row = measure(case, threads, busy, environment.seed)
            print(
                f"{row.case:<56} {row.one_thread_ms:9.3f} ms {row.all_threads_ms:9.3f} ms "
                f"{row.ratio:6.2f}{'  missed' if row.ratio > _GOAL else ''}",
                flush=True,
            )
            numbers = {
                name: f"{value:.4g}" if isinstance(value, float) else value
                for name, value in dataclasses.asdict(row).items()
            }
            writer.writerow(common | numbers)
            file.flush()
