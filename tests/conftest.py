"""Which tests run by default, devices, the rule for skipped GPU tests, progress, and how many
examples hypothesis draws."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

import fused_rankloss
from selection import selection

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
settings.register_profile("quick", settings.get_profile("default"), max_examples=20)
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


# ---- Which tests run -----------------------------------------------------------------------------

# How many tests were selected, and of how many.
SELECTED = pytest.StashKey[tuple[int, int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("selection")
    group.addoption("--all", action="store_true", help="run every test, not a quick selection")
    group.addoption(
        "--every-value",
        action="store_true",
        help="of a product of parameters, run cases that have each value of each parameter once",
    )
    group.addoption("--progress", action="store_true", help="print one line of progress every 20 s")


def named(config: pytest.Config) -> bool:
    """Whether the command says itself which tests to run: by files, names, marks or failures."""
    by_option = ("keyword", "markexpr", "lf", "failedfirst")
    return any(config.getoption(name, None) for name in by_option) or not all(
        Path(argument).is_dir() for argument in config.args
    )


@pytest.hookimpl(trylast=True)  # after -m and -k
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Kernels of cuda_host/ come last: they are compiled while the others run.
    items.sort(key=lambda item: "cuda_host" in item.path.parts)
    every_value = config.option.every_value
    if config.option.all or (named(config) and not every_value):
        return
    chosen = selection(items, quick=not every_value)
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    config.stash[SELECTED] = (len(chosen), len(items))
    items[:] = [item for item in items if item in chosen]


def pytest_report_collectionfinish(config: pytest.Config) -> str | None:
    if SELECTED not in config.stash:
        return None
    chosen, of = config.stash[SELECTED]
    kind = "every value of every parameter" if config.option.every_value else "quick selection"
    return f"{kind}: {chosen:,} of {of:,} tests; --all runs everything"


# ---- Progress ------------------------------------------------------------------------------------


class Progress:
    """For logs, where nothing moves: at most every 20 seconds, how many tests have ended."""

    def __init__(self) -> None:
        self.start = self.shown = time.monotonic()
        self.ended = 0

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self.session = session

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "teardown":
            return
        self.ended += 1
        now = time.monotonic()
        if now - self.shown >= 20:
            self.shown = now
            terminal = self.session.config.pluginmanager.get_plugin("terminalreporter")
            terminal.ensure_newline()
            terminal.write_line(
                f"[{now - self.start:.0f} s] {self.ended:,} of {self.session.testscollected:,} "
                f"tests, last one of {report.location[0]}"
            )


def pytest_configure(config: pytest.Config) -> None:
    if not (config.option.all or named(config) or "HYPOTHESIS_PROFILE" in os.environ):
        settings.load_profile("quick")
    if config.option.progress and not hasattr(config, "workerinput"):  # that of pytest-xdist
        config.pluginmanager.register(Progress())


# ---- Devices -------------------------------------------------------------------------------------


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
