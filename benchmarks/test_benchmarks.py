"""The cases of ``python -m benchmarks`` under pytest-benchmark: ``pytest benchmarks``.

For comparing two states of the code (``--benchmark-autosave``, ``--benchmark-compare``). Unlike the
command line it times one provider after the other, and writes no CSV.
"""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("pytest_benchmark")

from benchmarks import timing  # noqa: E402
from benchmarks.families import FAMILIES, family_of, select  # noqa: E402
from benchmarks.family import (  # noqa: E402
    TOLERANCE,
    Case,
    Provider,
    reason_to_skip,
    wrong_gradient,
    wrong_loss,
)
from benchmarks.pairwise.cases import ListCase  # noqa: E402
from benchmarks.ranking import RANKING, one_list  # noqa: E402

_SEED = 0
_MAX_PAIRS = 10**8


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "provider" not in metafunc.fixturenames:
        return
    preset = metafunc.config.getoption("--preset")
    small = [case for family in FAMILIES for case in family.small_cases]
    cases = small if preset == "small" else select(preset)
    runs = [
        pytest.param(case, provider, id=f"{case.key}-{provider.name}")
        for case in cases
        for provider in family_of(case.loss).providers
        # Compiling takes longer than all the rest.
        if provider.applies(case, "cpu") and not provider.compiles
    ]
    metafunc.parametrize(("case", "provider"), runs)


def test_benchmark(case: Case, provider: Provider, benchmark) -> None:
    if not provider.installed:
        pytest.skip(f"{provider.package} is not installed")
    family = family_of(case.loss)
    batch = family.make_batch(case, _SEED, "cpu")
    if reason := reason_to_skip(provider, batch, _MAX_PAIRS):
        pytest.skip(reason)
    call = provider.prepare(batch)
    [timed] = timing.operations(provider, call, case.mode)
    if provider.checked:
        loss, grads = timed()
        exact = family.exact(batch)
        assert family.disagreement(batch, exact, provider, call, loss.detach(), grads) is None
    benchmark.group = case.key
    benchmark.extra_info.update(provider=provider.name, scores=batch.num_scores)
    benchmark(timed)


@pytest.mark.parametrize("loss", ("pairwise_logistic", "lambdarank", "approx_ndcg"))
def test_gap_sums_are_sums_over_pairs(loss: str, monkeypatch) -> None:
    """The exact answer of a long list, from cells of scores, against all its pairs."""
    batch = RANKING.make_batch(ListCase(3000, loss=loss), _SEED, "cpu")
    value, grad = RANKING.exact(batch)
    monkeypatch.setattr(one_list, "_LONGEST_BY_PAIRS", 0)
    from_cells, grad_from_cells = RANKING.exact(batch)
    # Other roundings somewhere: it was another way.
    assert from_cells != value or not torch.equal(grad_from_cells, grad)
    tightest = TOLERANCE["fp64"] / 100
    assert wrong_loss(torch.tensor(from_cells, dtype=torch.float64), value, tightest) is None
    assert wrong_gradient(grad_from_cells, grad, tightest) is None
