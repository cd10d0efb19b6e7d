"""Runs cases: draw the data, check every provider, time those that agree, measure memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks import memory, results, timing
from benchmarks.cases import Case
from benchmarks.data import Batch, make_batch
from benchmarks.exact import disagreement, exact_loss
from benchmarks.providers import FUSED, PROVIDERS, Provider, reason_to_skip
from benchmarks.results import Environment, Row
from benchmarks.timing import Clock, CpuClock, CudaClock, Operation, Samples

_MEASURABLE_SCORES = 10_000  # of smaller cases the CPU's peak memory is noise


@dataclass(frozen=True)
class Options:
    device: str
    seed: int
    seconds: float  # timing budget of a case
    max_pairs: int  # largest pair matrices of the quadratic baselines
    providers: frozenset[str]
    memory: str  # whose peak memory is measured: "all", "fused" or "none"
    path: Path  # the CSV


class Runner:
    """Runs cases one after the other; what it could not do is said, and ``failed`` lists it."""

    def __init__(self, options: Options, environment: Environment) -> None:
        self.options = options
        self.environment = environment
        self.failed: list[str] = []
        self.clock: Clock = CudaClock() if options.device == "cuda" else CpuClock()

    def run(self, cases: list[Case]) -> list[Row]:
        rows: list[Row] = []
        with tqdm(cases, unit="case", dynamic_ncols=True, disable=None) as progress:
            for case in progress:
                progress.set_description(case.key)
                rows += self._run_case(case)
        return rows

    def check(self, cases: list[Case]) -> int:
        """Only the correctness check. Returns how many providers passed it."""
        passed = 0
        for case in tqdm(cases, unit="case", dynamic_ncols=True, disable=None):
            batch = make_batch(case, self.options.seed, self.options.device)
            agreeing = [p.name for p, _ in self._ready(batch) if p.checked]
            passed += len(agreeing)
            _say(f"{case.key:<44} exact: {', '.join(agreeing)}")
        return passed

    def _run_case(self, case: Case) -> list[Row]:
        batch = make_batch(case, self.options.seed, self.options.device)
        ready = {provider.name: made for provider, made in self._ready(batch)}
        if not ready:
            return []
        samples = timing.measure(ready, self.clock, self.options.seconds)
        rows = []
        for provider in PROVIDERS:
            if provider.name in samples:
                ready.pop(provider.name)  # frees copies of the inputs
                found = self._memory(batch, provider)
                rows.append(self._row(batch, provider, samples, found))
                _say(_line(rows[-1]))
        results.append(self.options.path, rows)
        return rows

    def _ready(self, batch: Batch) -> Iterator[tuple[Provider, list[Operation]]]:
        """The providers of a case that run and give the exact loss and gradient."""
        case = batch.case
        exact = exact_loss(batch)
        for provider in PROVIDERS:
            if provider.name not in self.options.providers:
                continue
            if not provider.applies(case, self.options.device):
                continue
            reason = reason_to_skip(provider, batch, self.options.max_pairs)
            if reason is not None:
                _say(f"{case.key:<44} {provider.name:<14} left out: {reason}")
                continue
            wrong, made = _prepare(batch, provider, exact, self.clock.copies)
            if wrong is None:
                yield provider, made
            else:
                self.failed.append(f"{case.key} {provider.name}: {wrong}")
                _say(f"{case.key:<44} {provider.name:<14} not timed: {wrong}")

    def _memory(self, batch: Batch, provider: Provider) -> memory.Memory | None:
        """Of the package everywhere; of the baselines on plain data, which the figures show."""
        wanted = self.options.memory
        if provider.name != FUSED and (batch.case.data or not provider.checked or wanted != "all"):
            return None
        if wanted == "none":
            return None
        if self.options.device == "cuda":
            return memory.measure_cuda(batch, provider)
        if batch.scores.numel() < _MEASURABLE_SCORES or batch.case.mode != "full":
            return None
        found = memory.measure(batch.case, provider, self.options.seed, self.environment.threads)
        if isinstance(found, str):
            _say(f"{batch.case.key:<44} {provider.name:<14} no memory figure: {found}")
            return None
        return found

    def _row(
        self,
        batch: Batch,
        provider: Provider,
        samples: dict[str, Samples],
        found: memory.Memory | None,
    ) -> Row:
        case, mine = batch.case, samples[provider.name]
        num_scores = batch.scores.numel()
        relative = mine.relative_to(samples[FUSED]) if FUSED in samples else None
        return Row(
            **dataclasses.asdict(self.environment),
            loss=case.loss,
            case=case.name,
            provider=provider.name,
            mode=case.mode,
            dtype=case.dtype,
            num_lists=case.num_lists,
            length=case.length,
            num_scores=num_scores,
            levels=batch.levels,
            p20_ms=mine.quantile(20) * 1e3,
            p50_ms=mine.quantile(50) * 1e3,
            p80_ms=mine.quantile(80) * 1e3,
            relative_to_fused=relative,
            samples=len(mine.seconds),
            peak_extra_bytes=found and found.peak_extra_bytes,
            bytes_per_score=found and found.peak_extra_bytes / num_scores,
            process_peak_bytes=found and found.process_peak_bytes,
        )


def _prepare(
    batch: Batch, provider: Provider, exact: tuple[float, torch.Tensor], copies: int
) -> tuple[str | None, list[Operation]]:
    """A provider's operations, and what is wrong with them."""
    try:
        call = provider.prepare(batch)
        made = timing.operations(provider, call, batch.case.mode, copies)
        loss, grad = made[0]()
    except Exception as error:  # a baseline that cannot run must not stop the others
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}", []
    if not provider.checked:
        return None, made
    grad = None if grad is None else call.flat_gradient(grad)
    return disagreement(batch, exact, loss.detach(), grad), made


def _line(row: Row) -> str:
    """As ``pairwise_hinge/1e6/fp32/full  sort_cumsum  310 ms  [302, 322]  9.8x fused``."""
    text = f"{row.key:<44} {row.provider:<14} {_ms(row.p50_ms):>10}"
    text += f"  [{_ms(row.p20_ms)}, {_ms(row.p80_ms)}]".ljust(26)
    if row.relative_to_fused is not None and row.provider != FUSED:
        text += f"{row.relative_to_fused:10.2f}x fused"
    else:
        text += " " * 17
    if row.bytes_per_score is not None:
        text += f"{row.bytes_per_score:10.1f} B/score"
    return text.rstrip()


def _ms(ms: float) -> str:
    return f"{ms * 1e3:.3g} us" if ms < 1 else f"{ms:.4g} ms" if ms < 1e4 else f"{ms / 1e3:.4g} s"


_say: Callable[[str], None] = tqdm.write
