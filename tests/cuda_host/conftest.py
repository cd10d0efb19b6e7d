"""The CUDA kernels, run by the host harness, in the place of the real ops."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import fused_rankloss.ops
from cuda_host import host_build
from cuda_host.mutants import HOSTS
from cuda_host.ranking import listwise_cases

AHEAD = pytest.StashKey[ThreadPoolExecutor]()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Starts to compile what the chosen tests load; those outside this folder run meanwhile."""
    if session.config.option.collectonly or not host_build.have_compiler():
        return
    files = dict.fromkeys(item.path for item in session.items)
    launchers = {
        launcher: None
        for file in files
        for launcher, tests in HOSTS.items()
        if file.is_relative_to(host_build.HERE) and any(map(file.match, tests))
    }
    session.config.stash[AHEAD] = host_build.build_ahead(launchers, session.config.cache)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if AHEAD in session.config.stash:
        session.config.stash[AHEAD].shutdown(wait=False, cancel_futures=True)


class HostOps:
    """The ops of a *_host.cpp. They check after each launch that its blocks were counted."""

    def __init__(self, library: Path, namespace: str):
        torch.ops.load_library(str(library))
        self._ops = getattr(torch.ops, namespace)

    def seed(self, seed: int) -> None:
        """Chooses the schedule of the launches that follow."""
        self._ops.set_seed(seed)


# By the digits of pairwise_host.cpp: an op that returned text would leak it in torch's conversion.
KERNELS = ("", "tiles", "short", "long")


class PairwiseHostOps(HostOps):
    """The ops of pairwise_host.cpp."""

    def set(
        self,
        kernel: str = "",
        *,
        crossover: int = -1,
        one_launch: int = -1,
        blocks: int = 3,
        seed: int = 0,
    ) -> None:
        """Which kernels solve a call; what is left out is as in the real op.

        ``kernel``: ``"tiles"`` or ``"short"``, for lists of up to ``crossover`` slots; longer ones
        are sorted, none if it is left out. ``one_launch``: calls of up to that many slots sort
        within their kernel.
        ``blocks``: the maximal number of concurrent blocks in cooperative launches.
        """
        self._ops.set_route(kernel, crossover, one_launch)
        self._ops.set_blocks(blocks)
        self._ops.set_seed(seed)

    def kernels(self) -> list[str]:
        """Those of the last call: "tiles", "short", "long"."""
        return [KERNELS[int(digit)] for digit in str(self._ops.last_kernels())]

    def pairwise_forward(self, *arguments):
        results = self._ops.pairwise_forward(*arguments)
        if "long" not in self.kernels():
            atomics, blocks = self._ops.last_launch()
            assert atomics == blocks, "every block counts itself as finished, once and atomically"
        return results

    def lists_backward(self, *arguments):
        return self._ops.lists_backward(*arguments)

    def huge_forward(self, slots: int) -> None:
        self._ops.huge_forward(slots)

    def huge_backward(self, slots: int) -> None:
        self._ops.huge_backward(slots)


def load(
    pytestconfig: pytest.Config, source: str, namespace: str, ops: type[HostOps] = HostOps
) -> HostOps:
    return ops(host_build.library(source, pytestconfig.cache), namespace)


@pytest.fixture(scope="session")
def pairwise_host(pytestconfig: pytest.Config) -> PairwiseHostOps:
    return load(pytestconfig, "launchers/pairwise_host.cpp", "fused_rankloss_host", PairwiseHostOps)


@pytest.fixture
def host(pairwise_host: PairwiseHostOps) -> PairwiseHostOps:
    """The tile kernel, whatever the dispatch of the real op would choose."""
    pairwise_host.set("tiles")
    return pairwise_host


@pytest.fixture
def short_host(pairwise_host: PairwiseHostOps) -> PairwiseHostOps:
    """The kernel of short lists, for batches of which none is too long for it."""
    pairwise_host.set("short")
    return pairwise_host


@pytest.fixture
def long_host(pairwise_host: PairwiseHostOps) -> PairwiseHostOps:
    """Every list sorted, by several launches, until a test sets another crossover."""

    def set(*, crossover: int = 0, one_launch: int = 0, blocks: int = 2, seed: int = 0) -> None:
        options = {"one_launch": one_launch, "blocks": blocks, "seed": seed}
        pairwise_host.set("tiles", crossover=crossover, **options)

    set()
    return SimpleNamespace(set=set, pairwise_forward=pairwise_host.pairwise_forward)


@pytest.fixture
def dispatch_host(pairwise_host: PairwiseHostOps) -> PairwiseHostOps:
    """The kernels that the real op would choose."""
    pairwise_host.set()
    return pairwise_host


@pytest.fixture
def on_pairwise_host(pairwise_host: PairwiseHostOps, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the public functions compute CPU tensors with the CUDA kernels."""
    for op in ("pairwise_forward", "lists_backward"):
        monkeypatch.setattr(fused_rankloss.ops, op, getattr(pairwise_host, op))


@pytest.fixture
def on_host(on_pairwise_host: None, host: PairwiseHostOps) -> PairwiseHostOps:
    return host


@pytest.fixture
def on_short_host(on_pairwise_host: None, short_host: PairwiseHostOps) -> PairwiseHostOps:
    return short_host


@pytest.fixture
def on_long_host(on_pairwise_host: None, long_host):
    return long_host


@pytest.fixture
def on_dispatch_host(on_pairwise_host: None, dispatch_host: PairwiseHostOps) -> PairwiseHostOps:
    return dispatch_host


class LambdaHostOps(HostOps):
    """The op of lambda_host.cpp: kernels as they ship, except for the paths that a test chooses."""

    def set(
        self, *, crossover: int | None = None, scans: bool = True, blocks: int = 2, seed: int = 0
    ) -> None:
        """Lists of more than ``crossover`` slots are long; ``scans``: where weights factor;
        ``blocks``: how many run side by side, at most."""
        self._ops.set_crossover(crossover)
        self._ops.set_scans(scans)
        self._ops.set_blocks(blocks)
        self._ops.set_seed(seed)

    def lambda_forward(self, *arguments):
        results = self._ops.lambda_forward(*arguments)
        atomics, blocks = self._ops.last_launch()
        assert atomics == blocks, "every block counts itself as finished, once and atomically"
        return results

    def float_logistic(self, *arguments):
        return self._ops.float_logistic(*arguments)


@pytest.fixture(scope="session")
def lambda_library(pytestconfig: pytest.Config) -> LambdaHostOps:
    return load(
        pytestconfig, "launchers/lambda_host.cpp", "fused_rankloss_lambda_host", LambdaHostOps
    )


@pytest.fixture
def lambda_host(lambda_library: LambdaHostOps) -> LambdaHostOps:
    """As it ships."""
    lambda_library.set()
    return lambda_library


@pytest.fixture
def on_lambda_host(lambda_host: LambdaHostOps, monkeypatch: pytest.MonkeyPatch) -> LambdaHostOps:
    """Lets the public functions compute CPU tensors with it."""
    monkeypatch.setattr(fused_rankloss.ops, "lambda_forward", lambda_host.lambda_forward)
    return lambda_host


@pytest.fixture
def lambda_long_host(lambda_host: LambdaHostOps) -> LambdaHostOps:
    """With every list long whose pairs are compared, until a test sets otherwise."""
    lambda_host.set(crossover=0, scans=False)
    return lambda_host


@pytest.fixture
def on_lambda_long_host(
    lambda_long_host: LambdaHostOps, monkeypatch: pytest.MonkeyPatch
) -> LambdaHostOps:
    monkeypatch.setattr(fused_rankloss.ops, "lambda_forward", lambda_long_host.lambda_forward)
    return lambda_long_host


@pytest.fixture(scope="session")
def listwise_host(pytestconfig: pytest.Config) -> listwise_cases.ListwiseHost:
    return listwise_cases.load(pytestconfig.cache)


@pytest.fixture
def on_listwise_host(
    listwise_host: listwise_cases.ListwiseHost, monkeypatch: pytest.MonkeyPatch
) -> listwise_cases.ListwiseHost:
    """Lets the listwise losses compute CPU tensors with the CUDA kernels."""
    monkeypatch.setattr(fused_rankloss.ops, "listwise_forward", listwise_host.listwise_forward)
    listwise_host.set()
    return listwise_host


@pytest.fixture(params=listwise_cases.KERNELS)
def listwise_kernel(
    request: pytest.FixtureRequest, on_listwise_host: listwise_cases.ListwiseHost
) -> str:
    """The kernel of short lists, or that of long ones, for lists of any length."""
    on_listwise_host.set(crossover=listwise_cases.KERNELS[request.param])
    return request.param
