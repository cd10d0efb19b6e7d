"""Random small batches against the reference."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from support.catalogue import LOSSES, VARIANTS, Batch, assert_close, evaluate


@given(st.data())
def test_as_the_reference(data: st.DataObject) -> None:
    queries, items = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 40))
    width = data.draw(st.integers(1, 40))
    numbers = st.integers(-3, 3)
    item = st.integers(-1, items - 1)

    def rows(values, number: int, size: int) -> list:
        row = st.lists(values, min_size=size, max_size=size)
        return data.draw(st.lists(row, min_size=number, max_size=number))

    batch = Batch(
        torch.tensor(rows(numbers, queries, 2)).float(),
        torch.tensor(rows(numbers, items, 2)).float(),
        torch.tensor(rows(item, queries, width)),
        {"exclude": torch.tensor(rows(item, queries, 3))},
    )
    loss, options = data.draw(st.sampled_from(VARIANTS))
    options = {**options, "negatives": data.draw(st.sampled_from(["all", 1, 3, 50]))}
    dtype = data.draw(st.sampled_from([torch.float32, torch.float64]))
    got = evaluate(LOSSES[loss], batch.to(dtype), **options)
    exact = evaluate(LOSSES[loss], batch.to(torch.float64), impl="reference", **options)
    assert_close(got, exact, batch, dtype)
