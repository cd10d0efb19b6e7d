"""Lambda losses over long lists with the scan in the place of direct pairs, as the op runs them.

What the scan adds up is tested by test_lambda_scan_host.py; here, that it gets what it reads and
that what it leaves is finished, in batches of several lists.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from host_cases import cases, every_dtype, sanitize

from cases import SMALL, Case
from ltr import GRID, PAIR, graded, hold

pytestmark = pytest.mark.usefixtures("on_lambda_long_host")


@pytest.fixture(autouse=True)
def pairs_are_scanned(lambda_long_host) -> Iterator[None]:
    lambda_long_host.scan(True)
    yield
    lambda_long_host.scan(False)


@sanitize
@cases(SMALL, "weighted_boundary")
@pytest.mark.parametrize("name", GRID)
def test_options(case: Case, name: str) -> None:
    hold(GRID[name], graded(case), "cpu", case=case)


@every_dtype
@pytest.mark.parametrize("name", PAIR)
def test_dtypes(name: str, dtype: torch.dtype) -> None:
    case = Case("scanned", (130, 0, 2200, 7), "", labels="grades", weighted=True)
    hold(PAIR[name], graded(case, dtype), "cpu", case=case)
