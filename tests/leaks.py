"""Pytest plugin of `make sanitize`: a session fails if its tests leave memory behind to which no
pointer leads.

Loaded by `-p leaks`, before conftest.py imports torch, whose one-time allocations are not counted:
only what a test itself allocates can leak. The check comes while the process still runs; at its
exit Python would have let go of what was in use. LeakSanitizer does not follow pointers in memory
that Python maps for its objects itself: it needs PYTHONMALLOC=malloc. Python objects that are never
freed do not count (leaks.supp).
"""

from __future__ import annotations

import ctypes

import pytest

SANITIZER = ctypes.CDLL(None)
SANITIZER.__lsan_disable()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call():
    SANITIZER.__lsan_enable()
    yield
    SANITIZER.__lsan_disable()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if SANITIZER.__lsan_do_recoverable_leak_check():  # which has printed where it was allocated
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
