"""Every form of the sets of items gives the same bits; order and repetition do not matter."""

from __future__ import annotations

import pytest
import torch

from support.catalogue import LOSSES, Batch, batch_for, evaluate

every_loss = pytest.mark.parametrize("loss", LOSSES)


def flat(padded: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    sizes = (padded != -1).sum(1)
    return padded[padded != -1], torch.cat([torch.zeros(1, dtype=torch.int64), sizes.cumsum(0)])


def sparse(padded: torch.Tensor, num_items: int) -> torch.Tensor:
    dense = torch.zeros(len(padded), num_items + 1)
    dense.scatter_(1, padded.where(padded >= 0, num_items), 1.0)
    return dense[:, :num_items].to_sparse_csr()


@every_loss
def test_positives_and_exclude(loss: str) -> None:
    batch = batch_for("forms")
    wanted = evaluate(LOSSES[loss], batch)
    own, other = batch.positives, batch.options["exclude"]
    (items, offsets), (others, other_offsets) = flat(own), flat(other)
    number = len(batch.items)
    forms = [
        (items, {"offsets": offsets, "exclude": others, "exclude_offsets": other_offsets}),
        (items.int(), {"offsets": offsets.int(), "exclude": sparse(other, number)}),
        (sparse(own, number), {"exclude": other.int()}),
        (torch.cat([own, own.flip(1)], 1), {"exclude": torch.cat([other.flip(1), own], 1)}),
    ]
    for positives, options in forms:
        same = Batch(batch.queries, batch.items, positives, batch.options)
        assert evaluate(LOSSES[loss], same, **options).same_bits(wanted)


@every_loss
def test_one_positive_each(loss: str) -> None:
    batch = batch_for("one_each", positives=1)
    column = Batch(batch.queries, batch.items, batch.positives[:, 0], batch.options)
    assert evaluate(LOSSES[loss], column).same_bits(evaluate(LOSSES[loss], batch))


@every_loss
def test_ids_exclude_duplicates(loss: str) -> None:
    """Query 0 and 2 are one user, items 1 and 3 one product."""
    x, y = torch.eye(3, 4), torch.arange(20.0).view(5, 4)
    positives = torch.tensor([0, 1, 2])
    ids = {"query_ids": torch.tensor([5, 6, 5]), "item_ids": torch.tensor([9, 8, 7, 8, 6])}
    exclude = torch.tensor([[2, -1], [3, -1], [0, -1]])
    batch = Batch(x, y, positives)
    for given, same in (
        (ids, exclude),
        ({"item_ids": ids["item_ids"]}, torch.tensor([-1, 3, -1])),
        ({"query_ids": ids["query_ids"]}, torch.tensor([2, -1, 0])),
    ):
        got = evaluate(LOSSES[loss], batch, **given)
        assert got.same_bits(evaluate(LOSSES[loss], batch, exclude=same))
        assert not got.same_bits(evaluate(LOSSES[loss], batch))


def test_ids_of_items_reach_those_of_queries() -> None:
    """Query 1 has the id of query 0, whose positive 0 has the id of item 2."""
    x, y = torch.eye(2, 4), torch.arange(16.0).view(4, 4)
    ids = {"query_ids": torch.tensor([1, 1]), "item_ids": torch.tensor([3, 4, 3, 5])}
    batch = Batch(x, y, torch.tensor([0, 1]))
    exclude = torch.tensor([[1, 2], [0, 2]])
    got = evaluate(LOSSES["hinge"], batch, **ids)
    assert got.same_bits(evaluate(LOSSES["hinge"], batch, exclude=exclude))
