"""Which tests of a session run where not all of them do: a choice by construction, not by hand."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import pytest

# Files whose cases are told in words, one by one: each of them says something of its own.
CONTRACTS = re.compile(
    r"test_(\w+_)?(architecture|errors|errors_ops|forms|hand_computed|modules|nonfinite|samplers)"
)

# How many cases of a function of any other file are in the quick selection, at most.
QUICK_CASES = 3
# In cuda_host/, where a case takes as long as ten others.
QUICK_HOST_CASES = 1


def values_once(items: list[pytest.Item]) -> list[pytest.Item]:
    """Of the cases of one function those with which each value of each parameter occurs.

    In an order that looks random but never changes, so that a failure stays a failure: each case
    that has a value of a parameter which none before it had.
    """
    seen: set[tuple[str, int]] = set()
    chosen = []
    for item in sorted(items, key=lambda item: zlib.crc32(item.nodeid.encode())):
        # Parametrize gives all cases of a function the same objects.
        values = {(name, id(value)) for name, value in item.callspec.params.items()}
        if not values <= seen:
            chosen.append(item)
            seen |= values
    return chosen


def selection(items: list[pytest.Item], *, quick: bool) -> set[pytest.Item]:
    """What runs: each function, with those of its cases that `values_once` names, and of these a
    few if it is to be quick and the file is none of the CONTRACTS. No slow tests."""
    functions: dict[str, list[pytest.Item]] = {}
    for item in items:
        if not item.get_closest_marker("slow"):
            functions.setdefault(item.nodeid.partition("[")[0], []).append(item)
    chosen = set()
    for function, cases in functions.items():
        if hasattr(cases[0], "callspec"):
            cases = values_once(cases)
            file = Path(function.partition("::")[0])
            if quick and not CONTRACTS.fullmatch(file.stem):
                cases = cases[: QUICK_HOST_CASES if "cuda_host" in file.parts else QUICK_CASES]
        chosen.update(cases)
    return chosen
