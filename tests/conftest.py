"""Devices, the rule for skipped GPU tests, and how many examples hypothesis draws."""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import HealthCheck, settings

import fused_rankloss

GPU_REQUIRED = os.environ.get("FUSED_RANKLOSS_REQUIRE_GPU") == "1"

# derandomize: a failure on one machine is a failure on every machine. No deadline: nothing here is
# about time.
settings.register_profile(
    "default",
    max_examples=100,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def _why_no_cuda() -> str | None:
    if not torch.cuda.is_available():
        return "no CUDA device"
    return fused_rankloss.build_info()["cuda_unavailable_reason"]


WHY_NO_CUDA = _why_no_cuda()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test that takes a ``device`` runs on the CPU and, where there is one, on a GPU."""
    if "device" in metafunc.fixturenames:
        devices = ["cpu"]
        if WHY_NO_CUDA is None or GPU_REQUIRED:
            devices.append(pytest.param("cuda", marks=pytest.mark.gpu))
        metafunc.parametrize("device", devices)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Slow tests run when asked for: ``-m slow``, or ``-m "slow or not slow"`` for everything."""
    if "slow" not in config.option.markexpr:
        slow = [item for item in items if item.get_closest_marker("slow")]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not item.get_closest_marker("slow")]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and WHY_NO_CUDA is not None:
        pytest.skip(WHY_NO_CUDA)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    """With FUSED_RANKLOSS_REQUIRE_GPU=1, what a GPU should have run must have run."""
    outcome = yield
    report = outcome.get_result()
    if GPU_REQUIRED and report.skipped and item.get_closest_marker("gpu"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"FUSED_RANKLOSS_REQUIRE_GPU=1, but this test was skipped: {reason}"


@pytest.fixture
def threads():
    """Sets the number of threads; the test's end restores it."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)
