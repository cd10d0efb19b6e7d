"""The CUDA kernels, run by the host harness, in the place of the real ops."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import host_build
import listwise_cases
import pytest
import torch
from mutants import HOSTS

import fused_rankloss.ops

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

    def slow_double(self, slow: bool) -> None:
        """Chooses the kernels for GPUs with few fp64 units."""
        self._ops.set_slow_double(slow)

    def teams(self, *, blocks: int = 3, tickets: int = 0) -> None:
        """How many blocks of short_lists_kernel run side by side, at most, and what they share out.

        ``tickets``: about so many for each kind of lists, instead of one a list.
        """
        self._ops.set_blocks(blocks)
        self._ops.set_tickets(tickets)

    def pairwise_forward(self, *arguments):
        results = self._ops.pairwise_forward(*arguments)
        atomics, expected = self._ops.last_launch()
        assert atomics == expected, "every block counts itself as finished, once and atomically"
        return results

    def others_finish(self, others: bool) -> None:
        """Leaves the last step of short lists to what the kernels of longer lists end with."""
        self._ops.set_others_finish(others)

    def list_sums(self, call, loss: str, margins: torch.Tensor):
        """Of the short lists alone, as other kernels find them."""
        offsets = call.options["offsets"]
        return self._ops.list_sums(call.scores, call.labels, offsets, margins, loss)

    def lists_backward(self, *arguments):
        return self._ops.lists_backward(*arguments)


def load(
    pytestconfig: pytest.Config, source: str, namespace: str, ops: type[HostOps] = HostOps
) -> HostOps:
    return ops(host_build.library(source, pytestconfig.cache), namespace)


@pytest.fixture(scope="session")
def host(pytestconfig: pytest.Config) -> HostOps:
    return load(pytestconfig, "pairwise_host.cpp", "fused_rankloss_host")


@pytest.fixture(scope="session")
def short_host(pytestconfig: pytest.Config) -> HostOps:
    """short_lists_kernel, whatever the dispatch of the real op would choose."""
    return load(pytestconfig, "short_lists_host.cpp", "fused_rankloss_short_lists_host")


class LongHostOps(HostOps):
    """An op that sorts lists of more than ``crossover`` slots."""

    def set(self, *, crossover: int = 0, blocks: int = 2, seed: int = 0) -> None:
        """``blocks``: how many run side by side, at most."""
        self._ops.set_crossover(crossover)
        self._ops.set_blocks(blocks)
        self._ops.set_seed(seed)

    def pairwise_forward(self, *arguments):
        return self._ops.pairwise_forward(*arguments)


class LongListsHostOps(LongHostOps):
    """The op of long_lists_host.cpp."""

    def set(self, *, one_launch: int = 0, **options: int) -> None:
        """``one_launch``: calls of up to so many slots sort within their kernel."""
        super().set(**options)
        self._ops.set_one_launch(one_launch)


@pytest.fixture(scope="session")
def long_host(pytestconfig: pytest.Config) -> LongListsHostOps:
    namespace = "fused_rankloss_long_lists_host"
    return load(pytestconfig, "long_lists_host.cpp", namespace, LongListsHostOps)


class HalfListHostOps(HostOps):
    """The op of half_list_host.cpp: one list of 16-bit scores, without weights."""

    def set(self, *, blocks: int = 2, seed: int = 0) -> None:
        self._ops.set_blocks(blocks)
        self._ops.set_seed(seed)

    def pairwise_forward(self, *arguments):
        return self._ops.pairwise_forward(*arguments)


@pytest.fixture(scope="session")
def half_list_host(pytestconfig: pytest.Config) -> HalfListHostOps:
    return load(
        pytestconfig, "half_list_host.cpp", "fused_rankloss_half_list_host", HalfListHostOps
    )


class SmallClassHostOps(HalfListHostOps):
    """The op of small_class_host.cpp: one list, without weights."""

    def was_small(self) -> bool:
        """Whether the small class of the last call was sorted alone."""
        return self._ops.was_small()


@pytest.fixture(scope="session")
def small_class_host(pytestconfig: pytest.Config) -> SmallClassHostOps:
    return load(
        pytestconfig, "small_class_host.cpp", "fused_rankloss_small_class_host", SmallClassHostOps
    )


class DispatchHostOps(HostOps):
    """The op of dispatch_host.cpp, which chooses kernels as the real one does."""

    def kernels(self) -> list[int]:
        """Those of the last call: digits of `Kernel` in dispatch_host.cpp."""
        return [int(digit) for digit in str(self._ops.last_kernels())]

    def want_small_class(self, wanted: bool) -> None:
        """Whether long lists are looked at for a small class."""
        self._ops.want_small_class(wanted)

    def shared_memory(self, of_block: int = 64, of_multiprocessor: int = 64) -> None:
        """In KB; unless a test sets it, that of sm_75."""
        self._ops.set_shared_memory(of_block * 1024, of_multiprocessor * 1024)

    def pairwise_forward(self, *arguments):
        return self._ops.pairwise_forward(*arguments)


@pytest.fixture(scope="session")
def dispatch_host(pytestconfig: pytest.Config) -> DispatchHostOps:
    return load(pytestconfig, "dispatch_host.cpp", "fused_rankloss_dispatch_host", DispatchHostOps)


@pytest.fixture
def on_host(host: HostOps, monkeypatch: pytest.MonkeyPatch) -> HostOps:
    """Lets the public functions compute CPU tensors with the CUDA kernels."""
    monkeypatch.setattr(fused_rankloss.ops, "pairwise_forward", host.pairwise_forward)
    monkeypatch.setattr(fused_rankloss.ops, "lists_backward", host.lists_backward)
    host.seed(0)
    return host


@pytest.fixture
def on_short_host(
    on_host: HostOps, short_host: HostOps, monkeypatch: pytest.MonkeyPatch
) -> HostOps:
    """The same with short_lists_kernel in the place of the tile kernel."""
    monkeypatch.setattr(fused_rankloss.ops, "pairwise_forward", short_host.pairwise_forward)
    short_host.seed(0)
    short_host.teams()
    short_host.slow_double(False)
    return short_host


@pytest.fixture
def on_long_host(
    on_host: HostOps, long_host: LongListsHostOps, monkeypatch: pytest.MonkeyPatch
) -> LongListsHostOps:
    """The public functions with every list sorted, until a test sets another crossover."""
    monkeypatch.setattr(fused_rankloss.ops, "pairwise_forward", long_host.pairwise_forward)
    long_host.set()
    return long_host


@pytest.fixture
def on_half_list_host(
    on_host: HostOps, half_list_host: HalfListHostOps, monkeypatch: pytest.MonkeyPatch
) -> HalfListHostOps:
    """The public functions with the kernels of one list of 16-bit scores, whatever its length."""
    monkeypatch.setattr(fused_rankloss.ops, "pairwise_forward", half_list_host.pairwise_forward)
    half_list_host.set()
    return half_list_host


@pytest.fixture
def on_small_class_host(
    on_host: HostOps, small_class_host: SmallClassHostOps, monkeypatch: pytest.MonkeyPatch
) -> SmallClassHostOps:
    """The public functions with the kernels of one list that may have a small class."""
    monkeypatch.setattr(fused_rankloss.ops, "pairwise_forward", small_class_host.pairwise_forward)
    small_class_host.set()
    return small_class_host


@pytest.fixture
def on_dispatch_host(
    on_host: HostOps, dispatch_host: DispatchHostOps, monkeypatch: pytest.MonkeyPatch
) -> DispatchHostOps:
    """The public functions with the kernels that the real op would choose."""
    monkeypatch.setattr(fused_rankloss.ops, "pairwise_forward", dispatch_host.pairwise_forward)
    dispatch_host.seed(0)
    return dispatch_host


class LambdaHostOps(HostOps):
    """The op of lambda_short_host.cpp."""

    def lambda_forward(self, *arguments):
        results = self._ops.lambda_forward(*arguments)
        atomics, blocks = self._ops.last_launch()
        assert atomics == blocks, "every block counts itself as finished, once and atomically"
        return results

    def list_sums(self, *arguments):
        """Value and pairs of the short lists alone, as other kernels find them."""
        return self._ops.list_sums(*arguments)

    def float_logistic(self, *arguments):
        return self._ops.float_logistic(*arguments)


@pytest.fixture(scope="session")
def lambda_host(pytestconfig: pytest.Config) -> LambdaHostOps:
    """lambda_short_kernel, for batches without longer lists."""
    namespace = "fused_rankloss_lambda_short_host"
    return load(pytestconfig, "lambda_short_host.cpp", namespace, LambdaHostOps)


@pytest.fixture
def on_lambda_host(lambda_host: LambdaHostOps, monkeypatch: pytest.MonkeyPatch) -> LambdaHostOps:
    """Lets the public functions compute CPU tensors with it."""
    monkeypatch.setattr(fused_rankloss.ops, "lambda_forward", lambda_host.lambda_forward)
    lambda_host.seed(0)
    return lambda_host


class LambdaLongHostOps(LongHostOps):
    """The op of lambda_long_host.cpp: lists of up to ``crossover`` slots have no pairs."""

    def set(self, *, scans: bool = False, **options: int) -> None:
        """``scans``: in the place of direct pairs, where weights factor."""
        super().set(**options)
        self._ops.set_scans(scans)

    def lambda_forward(self, *arguments):
        return self._ops.lambda_forward(*arguments)


@pytest.fixture(scope="session")
def lambda_long_host(pytestconfig: pytest.Config) -> LambdaLongHostOps:
    namespace = "fused_rankloss_lambda_long_host"
    return load(pytestconfig, "lambda_long_host.cpp", namespace, LambdaLongHostOps)


@pytest.fixture
def on_lambda_long_host(
    lambda_long_host: LambdaLongHostOps, monkeypatch: pytest.MonkeyPatch
) -> LambdaLongHostOps:
    """The public functions with every list long, until a test sets another crossover."""
    monkeypatch.setattr(fused_rankloss.ops, "lambda_forward", lambda_long_host.lambda_forward)
    lambda_long_host.set()
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
    """That of short lists or that of long ones for every list, whatever its length."""
    on_listwise_host.set(crossover=listwise_cases.KERNELS[request.param])
    return request.param
