"""Runs cases: draw the data, check every provider, time those that agree, measure memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks import memory, results, timing
from benchmarks.families import family_of
from benchmarks.family import FUSED, Batch, Case, Family, Provider, reason_to_skip
from benchmarks.results import Environment, Row
from benchmarks.timing import Clock, CpuClock, CudaClock, Operation, Samples


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
            family = family_of(case.loss)
            batch = family.make_batch(case, self.options.seed, self.options.device)
            agreeing = [p.name for p, _ in self._ready(family, batch) if p.checked]
            passed += len(agreeing)
            _say(f"{case.key:<52} exact: {', '.join(agreeing)}")
        return passed

    def _run_case(self, case: Case) -> list[Row]:
        family = family_of(case.loss)
        batch = family.make_batch(case, self.options.seed, self.options.device)
        ready = {provider.name: made for provider, made in self._ready(family, batch)}
        if not ready:
            return []
        samples = timing.measure(ready, self.clock, self.options.seconds)
        rows = []
        for provider in family.providers:
            if provider.name in samples:
                ready.pop(provider.name)  # frees copies of the inputs
                found = self._memory(family, batch, provider)
                rows.append(self._row(batch, provider, samples, found))
                _say(_line(rows[-1]))
        results.append(self.options.path, rows)
        return rows

    def _ready(self, family: Family, batch: Batch) -> Iterator[tuple[Provider, list[Operation]]]:
        """The providers of a case that run and give the exact loss and gradient."""
        case = batch.case
        exact = family.exact(batch)
        for provider in family.providers:
            if provider.name not in self.options.providers:
                continue
            if not (provider.installed and provider.applies(case, self.options.device)):
                continue
            reason = reason_to_skip(provider, batch, self.options.max_pairs)
            if reason is not None:
                _say(f"{case.key:<52} {provider.name:<21} left out: {reason}")
                continue
            wrong, made = _prepare(family, batch, provider, exact, self.clock.copies)
            if wrong is None:
                yield provider, made
            else:
                self.failed.append(f"{case.key} {provider.name}: {wrong}")
                _say(f"{case.key:<52} {provider.name:<21} not timed: {wrong}")

    def _memory(self, family: Family, batch: Batch, provider: Provider) -> memory.Memory | None:
        """Of the package everywhere; of the baselines where the family says so."""
        wanted = self.options.memory
        compared = provider.checked and family.compares_memory(batch.case)
        if provider.name != FUSED and (not compared or wanted != "all"):
            return None
        if wanted == "none" or provider.captured:  # a graph's memory is set aside before the call
            return None
        if self.options.device == "cuda":
            return memory.measure_cuda(batch, provider)
        if batch.num_scores < family.measurable_scores or batch.case.mode != "full":
            return None
        found = memory.measure(batch.case, provider, self.options.seed, self.environment.threads)
        if isinstance(found, str):
            _say(f"{batch.case.key:<52} {provider.name:<21} no memory figure: {found}")
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
        relative = mine.relative_to(samples[FUSED]) if FUSED in samples else None
        return Row(
            **dataclasses.asdict(self.environment),
            loss=case.loss,
            case=case.name,
            provider=provider.name,
            mode=case.mode,
            dtype=case.dtype,
            num_lists=batch.num_lists,
            length=batch.length,
            num_scores=batch.num_scores,
            levels=batch.levels,
            p20_ms=mine.quantile(20) * 1e3,
            p50_ms=mine.quantile(50) * 1e3,
            p80_ms=mine.quantile(80) * 1e3,
            relative_to_fused=relative,
            samples=len(mine.seconds),
            peak_extra_bytes=found and found.peak_extra_bytes,
            bytes_per_score=found and found.peak_extra_bytes / batch.num_scores,
            process_peak_bytes=found and found.process_peak_bytes,
        )


def _prepare(
    family: Family, batch: Batch, provider: Provider, exact: Any, copies: int
) -> tuple[str | None, list[Operation]]:
    """A provider's operations, and what is wrong with them."""
    try:
        call = provider.prepare(batch)
        made = timing.operations(provider, call, batch.case.mode, copies)
        loss, grads = made[0]()
    except Exception as error:  # a baseline that cannot run must not stop the others
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}", []
    if not provider.checked:
        return None, made
    return family.disagreement(batch, exact, provider, call, loss.detach(), grads), made


def _line(row: Row) -> str:
    """As ``pairwise_hinge/1e6/fp32/full  sort_cumsum  310 ms  [302, 322]  9.8x fused``."""
    text = f"{row.key:<52} {row.provider:<21} {_ms(row.p50_ms):>10}"
    text += f"  [{_ms(row.p20_ms)}, {_ms(row.p80_ms)}]".ljust(26)
    if row.relative_to_fused is not None and row.provider != FUSED:
        text += f"{row.relative_to_fused:10.2f}x fused"
    else:
        text += " " * 17
    if row.bytes_per_score is not None:
        text += f"{row.peak_extra_bytes / 2**20:10.1f} MiB{row.bytes_per_score:10.1f} B/score"
    return text.rstrip()


def _ms(ms: float) -> str:
    return f"{ms * 1e3:.3g} us" if ms < 1 else f"{ms:.4g} ms" if ms < 1e4 else f"{ms / 1e3:.4g} s"


_say: Callable[[str], None] = tqdm.write
