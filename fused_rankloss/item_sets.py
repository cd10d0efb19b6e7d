"""Sets of items of a catalogue, one a query: the forms they come in, and as sorted keys.

A key is ``query * M + item``, for M items: sorted keys are sorted sets, and sets are joined and
subtracted as keys. Checks of forms read no value; what makes keys does.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from fused_rankloss.lists import (
    INDEX_DTYPES,
    as_tensor_hint,
    check_same_device,
    describe,
    no_tensor,
)


class ItemSets(NamedTuple):
    """Flat ``[P]`` with ``offsets`` ``[B + 1]``, or padded with -1 ``[B, P]``."""

    items: Tensor
    offsets: Tensor | None


def parse_sets(
    name: str, what: str, sets: object, offsets: object, queries: Tensor, num_items: int
) -> ItemSets:
    """Checks one of the forms; ``name`` is the function that errors speak for."""
    its_offsets = "offsets" if what == "positives" else f"{what}_offsets"
    num_queries = queries.shape[0]
    if not isinstance(sets, Tensor):
        raise no_tensor(name, what, sets)
    if sets.layout == torch.sparse_csr:
        if sets.shape != (num_queries, num_items):
            raise ValueError(
                f"{name}: expected sparse {what} of shape [{num_queries}, {num_items}], "
                f"got {list(sets.shape)}"
            )
        if offsets is not None:
            raise ValueError(f"{name}: expected no {its_offsets} with sparse {what}, got one")
        check_same_device(name, what, sets, "queries", queries)
        return ItemSets(sets.col_indices(), sets.crow_indices())
    if sets.layout != torch.strided:
        raise ValueError(f"{name}: expected dense or sparse CSR {what}, got layout {sets.layout}")
    _check_index(name, what, sets, queries)
    if offsets is not None:
        _check_index(name, its_offsets, offsets, queries)
        if sets.dim() != 1:
            raise ValueError(
                f"{name}: expected flat {what} of shape [P] with {its_offsets}, "
                f"got {list(sets.shape)}"
            )
        if offsets.shape != (num_queries + 1,):
            sizes = f"; of sizes, pass F.pad({its_offsets}.cumsum(0), (1, 0))"
            raise ValueError(
                f"{name}: expected {its_offsets} of shape [{num_queries + 1}], "
                f"got {list(offsets.shape)}{sizes if offsets.shape == (num_queries,) else ''}"
            )
        return ItemSets(sets, offsets)
    if sets.dim() not in (1, 2) or sets.shape[0] != num_queries:
        raise ValueError(
            f"{name}: expected {what} of shape [{num_queries}], [{num_queries}, P] or, with "
            f"{its_offsets}, [P], got {list(sets.shape)}"
        )
    return ItemSets(sets if sets.dim() == 2 else sets[:, None], None)


def _check_index(name: str, what: str, tensor: object, queries: Tensor) -> None:
    if not isinstance(tensor, Tensor) or tensor.dtype not in INDEX_DTYPES:
        raise TypeError(
            f"{name}: expected {what} to be a tensor of int32 or int64, got {describe(tensor)}"
            f"{as_tensor_hint(what, tensor)}"
        )
    if tensor.layout != torch.strided:
        raise ValueError(f"{name}: expected dense {what}, got layout {tensor.layout}")
    check_same_device(name, what, tensor, "queries", queries)


# ---- Keys ----------------------------------------------------------------------------------------


def keys_of(name: str, what: str, sets: ItemSets, num_queries: int, num_items: int) -> Tensor:
    """The sorted keys, each once."""
    items = sets.items.to(torch.int64)
    queries = torch.arange(num_queries, device=items.device)
    if sets.offsets is None:
        queries, real = queries[:, None].expand(items.shape), items != -1
        queries, items = queries[real], items[real]
    else:
        offsets = sets.offsets.to(torch.int64)
        sizes = offsets.diff()
        if offsets[0] != 0 or offsets[-1] != len(items) or (sizes < 0).any():
            raise ValueError(
                f"{name}: expected offsets of {what} that start at 0, never fall and end at "
                f"{len(items)}, got {offsets.tolist() if len(offsets) < 10 else 'others'}"
            )
        queries = queries.repeat_interleave(sizes)
    outside = (items < 0) | (items >= num_items)
    if outside.any():
        first = int(outside.nonzero()[0])
        raise ValueError(
            f"{name}: expected {what} in [0, {num_items}) (the number of items), "
            f"got {int(items[first])} for query {int(queries[first])}"
        )
    return (queries * num_items + items).unique()


def with_same_ids(keys: Tensor, query_ids: Tensor | None, item_ids: Tensor | None, num_items: int):
    """The keys, and those of queries and items of the same ids, in no order."""
    if query_ids is not None:
        queries, items = _split(keys, num_items)
        groups = query_ids.unique(return_inverse=True)[1]
        shared = (groups[queries] * num_items + items).unique()
        groups_of, items = _split(shared, num_items)
        source, queries = _members(groups, groups_of)
        keys = queries * num_items + items[source]
    if item_ids is not None:
        queries, items = _split(keys, num_items)
        groups = item_ids.unique(return_inverse=True)[1]
        source, items = _members(groups, groups[items])
        keys = queries[source] * num_items + items
    return keys


def _split(keys: Tensor, num_items: int) -> tuple[Tensor, Tensor]:
    queries = keys.div(max(num_items, 1), rounding_mode="floor")
    return queries, keys - queries * num_items


def _members(groups: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """All members of each wanted group, and in which place of ``wanted`` it stands."""
    order = groups.argsort()
    sizes = groups.bincount()
    begins = sizes.cumsum(0) - sizes
    numbers = sizes[wanted]
    source = torch.arange(len(wanted), device=groups.device).repeat_interleave(numbers)
    rank = torch.arange(len(source), device=groups.device)
    rank = rank - (numbers.cumsum(0) - numbers)[source]
    return source, order[begins[wanted][source] + rank]


def positive_and_excluded(
    name: str,
    positives: ItemSets,
    exclude: ItemSets | None,
    query_ids: Tensor | None,
    item_ids: Tensor | None,
    num_queries: int,
    num_items: int,
) -> tuple[Tensor, Tensor]:
    """The keys of both, which have none in common: what is both is a positive."""
    keys = keys_of(name, "positives", positives, num_queries, num_items)
    excluded = [with_same_ids(keys, query_ids, item_ids, num_items)]
    if exclude is not None:
        excluded.append(keys_of(name, "exclude", exclude, num_queries, num_items))
    others = torch.cat(excluded).unique()
    return keys, others[~torch.isin(others, keys, assume_unique=True)]


def items_and_offsets(keys: Tensor, num_queries: int, num_items: int) -> tuple[Tensor, Tensor]:
    """Flat sets of int64."""
    begins = torch.arange(num_queries + 1, device=keys.device) * num_items
    return _split(keys, num_items)[1], torch.searchsorted(keys, begins)
