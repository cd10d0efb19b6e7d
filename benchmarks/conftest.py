"""Options of `pytest benchmarks`."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--preset",
        choices=("small", "quick", "default", "full"),
        default="small",
        help="benchmarks: the cases to time (default: small lists, every path, in seconds)",
    )
