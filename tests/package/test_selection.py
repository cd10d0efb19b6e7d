"""The quick selection runs every function, and leaves out no value of a parameter unasked."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from selection import QUICK_CASES, QUICK_HOST_CASES, selection, values_once

SIZES, LOSSES, DTYPES = range(24), ("hinge", "squared"), ("half", "float", "double")


class Item:
    """What the selection sees of a test."""

    def __init__(self, name: str, marks: tuple[str, ...] = (), **params: object) -> None:
        self.nodeid = name + (f"[{'-'.join(map(str, params.values()))}]" if params else "")
        self.marks = marks
        if params:
            self.callspec = SimpleNamespace(params=params)

    def get_closest_marker(self, name: str) -> bool:
        return name in self.marks


def product(name: str) -> list[Item]:
    return [
        Item(name, size=size, loss=loss, dtype=dtype)
        for size, loss, dtype in itertools.product(SIZES, LOSSES, DTYPES)
    ]


def values(items: list[Item], parameter: str) -> set[object]:
    return {item.callspec.params[parameter] for item in items}


def test_each_value_occurs() -> None:
    chosen = values_once(product("test_a.py::test_f"))
    assert values(chosen, "size") == set(SIZES)
    assert values(chosen, "loss") == set(LOSSES)
    assert values(chosen, "dtype") == set(DTYPES)
    assert len(chosen) < 2 * len(SIZES)


def test_the_order_of_the_cases_decides_nothing() -> None:
    cases = product("test_a.py::test_f")
    assert set(values_once(cases)) == set(values_once(cases[::-1]))


@pytest.mark.parametrize("quick", [True, False])
def test_every_function_runs(quick: bool) -> None:
    plain = Item("tests/test_a.py::test_plain")
    kernels = product("tests/test_a.py::test_product")
    on_host = product("tests/cuda_host/test_a_host.py::test_product")
    errors = product("tests/test_some_errors.py::test_product")
    chosen = selection([plain, *kernels, *on_host, *errors], quick=quick)
    assert plain in chosen
    for cases, count in ((kernels, QUICK_CASES), (on_host, QUICK_HOST_CASES)):
        assert len(chosen & set(cases)) == (count if quick else len(values_once(cases)))
    assert chosen & set(errors) == set(values_once(errors))


def test_slow_tests_are_left_out() -> None:
    slow, quick = Item("test_a.py::test_f", ("slow",)), Item("test_a.py::test_g", ("gpu",))
    assert selection([slow, quick], quick=True) == {quick}
