"""The cases of ``python -m benchmarks`` under pytest-benchmark: ``pytest benchmarks``.

For comparing two states of the code (``--benchmark-autosave``, ``--benchmark-compare``). Unlike the
command line it times one provider after the other, and writes no CSV.
"""

from __future__ import annotations

import pytest

pytest.importorskip("pytest_benchmark")

from benchmarks import timing  # noqa: E402
from benchmarks.cases import SMALL_CASES, Case, select  # noqa: E402
from benchmarks.data import make_batch  # noqa: E402
from benchmarks.exact import disagreement, exact_loss  # noqa: E402
from benchmarks.providers import PROVIDERS, Provider, reason_to_skip  # noqa: E402

_SEED = 0
_MAX_PAIRS = 10**8


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    preset = metafunc.config.getoption("--preset")
    cases = SMALL_CASES if preset == "small" else select(preset)
    runs = [
        pytest.param(case, provider, id=f"{case.key}-{provider.name}")
        for case in cases
        for provider in PROVIDERS
        # Compiling takes longer than all the rest.
        if provider.applies(case, "cpu") and "compile" not in provider.name
    ]
    metafunc.parametrize(("case", "provider"), runs)


def test_benchmark(case: Case, provider: Provider, benchmark) -> None:
    batch = make_batch(case, _SEED, "cpu")
    if reason := reason_to_skip(provider, batch, _MAX_PAIRS):
        pytest.skip(reason)
    call = provider.prepare(batch)
    [timed] = timing.operations(provider, call, case.mode)
    if provider.checked:
        loss, grad = timed()
        grad = None if grad is None else call.flat_gradient(grad)
        assert disagreement(batch, exact_loss(batch), loss.detach(), grad) is None
    benchmark.group = case.key
    benchmark.extra_info.update(provider=provider.name, scores=batch.scores.numel())
    benchmark(timed)
