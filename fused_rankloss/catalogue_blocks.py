"""The op ``catalogue_forward``: blocks of queries, whose scores of all items fit a workspace.

Scores are made by ``torch.mm``, turned in place into gradients by ``catalogue_block``, and
multiplied back: three products, the floor of any loss over all items, and one pass over each block.

- Whole rows make a block, so that one pass is enough: the gradient of a positive depends on all
  negatives.
- 16-bit inputs are multiplied as fp32: their products are exact then, scores are not rounded to
  16 bits, and a count of a million keeps its digits. It costs a copy of the items in fp32.
- Blocks hold the gradients of queries' sums, so that counts stay integers. The factor of a query's
  sum multiplies its row of the queries. A factor that is known only at the end, as one over
  the number of pairs, is returned beside the gradients.
- With reduction "none" every query has a factor of its own, which only the backward pass knows: it
  does everything again, and the forward pass makes no gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fused_rankloss import ops
from fused_rankloss.item_sets import ItemSets, items_and_offsets, positive_and_excluded
from fused_rankloss.ops import loss_dtype


def query_factors(weights: Tensor, pairs: Tensor, reduction: str) -> Tensor:
    """What the sums of some queries are multiplied by, but for :func:`common_factor`."""
    if reduction == "list_mean":
        return torch.where(pairs > 0, weights / pairs, 0)
    return weights


def unit_of(weights: Tensor) -> Tensor:
    """A power of two near the largest weight, which keeps the others within the range of fp32."""
    largest = weights.max() if len(weights) > 0 else weights.new_ones(())
    exponent = torch.frexp(largest).exponent - 1
    return torch.where((largest > 0) & largest.isfinite(), 2 ** exponent.double(), 1)


def common_factor(weights: Tensor, pairs: Tensor, reduction: str, unit: Tensor) -> Tensor:
    """What every query's is multiplied by, once all are known; the weights are in units."""
    if reduction == "batch_mean":
        return unit / max(len(pairs), 1)
    if reduction in ("mean", "list_mean"):
        counted = torch.where(
            pairs > 0, weights if reduction == "list_mean" else weights * pairs, 0
        )
        total = counted.sum()
        return torch.where(total > 0, 1 / total + (total - total), 0)
    return unit


def rows_of_block(name: str, num_queries: int, row_bytes: int, workspace: int) -> int:
    """Of blocks of about the same size."""
    most = workspace // max(row_bytes, 1)
    if most < 1:
        raise ValueError(
            f"{name}: expected a workspace of at least {row_bytes} bytes, the scores of one query, "
            f"got {workspace}"
        )
    blocks = -(-num_queries // most)
    return max(-(-num_queries // max(blocks, 1)), 1)


@torch.library.impl("fused_rankloss::catalogue_forward", "CPU")
def catalogue_forward(
    queries: Tensor,
    items: Tensor,
    item_bias: Tensor | None,
    positives: Tensor,
    positive_offsets: Tensor | None,
    exclude: Tensor | None,
    exclude_offsets: Tensor | None,
    query_ids: Tensor | None,
    item_ids: Tensor | None,
    list_weights: Tensor | None,
    parameter: Tensor | None,
    rank_sums: Tensor | None,
    grad_output: Tensor | None,
    loss: str,
    margin: float,
    sigma: float,
    temperature: float,
    boundary_grad: float,
    denominator: str,
    negatives: int,
    reduction: str,
    workspace: int,
    needs_grad: bool,
) -> tuple[Tensor, ...]:
    """See csrc/bind/schemas.h."""
    name, dtype = f"catalogue_{loss}_loss", loss_dtype(queries)
    num_queries, num_items = queries.shape[0], items.shape[0]
    sets = positive_and_excluded(
        name,
        ItemSets(positives, positive_offsets),
        None if exclude is None else ItemSets(exclude, exclude_offsets),
        query_ids,
        item_ids,
        num_queries,
        num_items,
    )
    (own, own_offsets), (other, other_offsets) = (
        items_and_offsets(keys, num_queries, num_items) for keys in sets
    )
    rows = rows_of_block(name, num_queries, num_items * dtype.itemsize, workspace)
    x, y = queries.to(dtype), items.to(dtype)
    bias = None if item_bias is None else item_bias.to(dtype)
    block_options = (loss, margin, sigma, temperature, boundary_grad, denominator, negatives)
    weights = torch.ones(num_queries, dtype=torch.float64)
    unit = weights.new_ones(())
    if list_weights is not None:
        list_weights = list_weights.to(torch.float64)
        unit = unit_of(list_weights)
        weights = list_weights / unit

    sums = torch.zeros(3, num_queries, dtype=torch.float64)  # value, pairs, slope
    factors = weights.clone()
    grad_x = grad_y = grad_bias = x.new_empty(0)
    if needs_grad:
        make = torch.empty_like if num_queries > 0 else torch.zeros_like
        grad_x, grad_y = torch.empty_like(x), make(y, memory_format=torch.contiguous_format)
        grad_bias = x.new_empty(0) if bias is None else torch.zeros_like(bias)
    memory = x.new_empty(rows * num_items)
    with torch.autocast("cpu", enabled=False):
        for first in range(0, num_queries, rows):
            block = slice(first, min(first + rows, num_queries))
            size = block.stop - first
            scores = memory[: size * num_items].view(size, num_items)
            torch.mm(x[block], y.T, out=scores)
            begin, end = int(own_offsets[first]), int(own_offsets[block.stop])
            other_begin, other_end = int(other_offsets[first]), int(other_offsets[block.stop])
            sums[:, block] = torch.stack(
                ops.call(
                    ops.catalogue_block,
                    scores,
                    bias,
                    own[begin:end],
                    own_offsets[first : block.stop + 1] - begin,
                    other[other_begin:other_end],
                    other_offsets[first : block.stop + 1] - other_begin,
                    None if list_weights is None else list_weights[block],
                    parameter,
                    rank_sums,
                    *block_options,
                    needs_grad,
                )
            )
            factors[block] = query_factors(weights[block], sums[1, block], reduction)
            if not needs_grad:
                continue
            factor = factors[block] if grad_output is None else factors[block] * grad_output[block]
            factor = factor.to(dtype)[:, None]
            torch.mm(scores, y, out=grad_x[block])
            grad_x[block] *= factor
            torch.addmm(
                grad_y, scores.T, x[block] * factor, beta=0.0 if first == 0 else 1.0, out=grad_y
            )
            if bias is not None:
                grad_bias.addmv_(scores.T, factor[:, 0])
    scale = common_factor(weights, sums[1], reduction, unit)
    value, slope = sums[0] * factors * scale, sums[2] * factors * scale
    if reduction != "none":
        value, slope = value.sum(), slope.sum()
    return value.to(dtype), slope, scale, grad_x, grad_y, grad_bias
