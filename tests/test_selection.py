"""The quick selection runs every function, and leaves out no value of a parameter unasked."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from selection import QUICK_CASES, selection, values_once

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


@pytest.mark.parametrize("limit", [QUICK_CASES, None])
def test_every_function_runs(limit: int | None) -> None:
    plain, product_, contract = (
        Item("test_a.py::test_plain"),
        product("test_a.py::test_product"),
        product("test_some_errors.py::test_product"),
    )
    chosen = selection([plain, *product_, *contract], limit)
    assert plain in chosen
    assert len(chosen & set(product_)) == (limit or len(values_once(product_)))
    assert chosen & set(contract) == set(values_once(contract))


def test_slow_tests_are_left_out() -> None:
    slow, quick = Item("test_a.py::test_f", ("slow",)), Item("test_a.py::test_g", ("gpu",))
    assert selection([slow, quick], QUICK_CASES) == {quick}
