"""Builds the machine once a session, and lets the public functions compute with it."""

from __future__ import annotations

from collections.abc import Iterator

import machine
import ptx_build
import pytest
from unwritten import unknown_loads


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What looks at the whole session comes last."""
    items.sort(key=lambda item: item.get_closest_marker("ptx_last") is not None)


def _require_build() -> None:
    if reason := ptx_build.why_not():
        pytest.skip(reason)


@pytest.fixture(scope="session")
def ptx_texts(pytestconfig: pytest.Config) -> machine.Machine:
    """The machine alone."""
    _require_build()
    return machine.Machine(ptx_build.machine_alone(pytestconfig.cache.mkdir("ptx_machine")))


@pytest.fixture(scope="session")
def ptx_kernels(pytestconfig: pytest.Config) -> Iterator[machine.Kernels]:
    """The machine with the kernels of csrc/cuda. In the end, what they have loaded is looked at:
    by each process of a session, since each has loads of its own."""
    _require_build()
    kernels = machine.Kernels(ptx_build.library(pytestconfig.cache.mkdir("ptx_machine")))
    yield kernels
    unknown = unknown_loads(kernels)
    assert not unknown, "loads of bytes that nothing has written:\n" + "\n".join(unknown)


@pytest.fixture
def on_ptx(ptx_kernels: machine.Kernels, monkeypatch: pytest.MonkeyPatch) -> machine.Kernels:
    """Lets the public functions compute CPU tensors with it, on the large device."""
    ptx_kernels.replace_ops(monkeypatch)
    ptx_kernels.use("large", "steady")
    return ptx_kernels
