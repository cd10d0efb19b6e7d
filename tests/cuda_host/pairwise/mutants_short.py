"""Bugs for the kernels of short lists."""

from __future__ import annotations

from cuda_host.mutant import Mutant

MUTANTS = [
    Mutant(
        "items are read before all are in their cells",
        "pairwise/short_pairs.cuh",
        "place(waiting, order.tail);\n  group.sync();",
        "place(waiting, order.tail);",
    ),
    Mutant(
        "no barrier within the sum of a list",
        "lists/warp_or_block.cuh",
        "store(warp_index(), total);\n    __syncthreads();",
        "store(warp_index(), total);",
    ),
    Mutant(
        "a partner of the row's own label",
        "pairwise/short_pairs.cuh",
        "column < rows[first].lower; ++column",
        "column <= rows[first].lower; ++column",
    ),
    Mutant(
        "partners of the first row only",
        "pairwise/short_pairs.cuh",
        "for (int r = first; r < kRows; ++r) term.add_lower",
        "for (int r = first; r <= first; ++r) term.add_lower",
    ),
    Mutant(
        "no pairs within the tail",
        "pairwise/short_pairs.cuh",
        "rows[r].tail = cell < order.tail ? order.size : order.tail;",
        "rows[r].tail = order.size;",
    ),
    Mutant(
        "rows that are none meet partners",
        "pairwise/short_pairs.cuh",
        "if (cell >= order.size) continue;",
        "if (cell > order.size) continue;",
    ),
    Mutant(
        "the workspace is that of one margin",
        "pairwise/short.cuh",
        "short_lists_end(queue, partials, blocks)",
        "short_lists_end(queue, partials, grid.num_blocks)",
    ),
    Mutant(
        "padding beyond the slots keeps its gradient",
        "pairwise/short_pairs.cuh",
        "slot < args.lists.width; slot +=",
        "slot < own.size; slot +=",
    ),
    Mutant(
        "no block takes its lists",
        "lists/short_batch.cuh",
        "__syncthreads_or(longer) != 0",
        "__syncthreads_or(false) != 0",
        launcher="launchers/lambda_host.cpp",
    ),
    Mutant(
        "sums of lists that were left to others",
        "lists/short_batch.cuh",
        "if (is_own && slots.size() <= longest) {",
        "if (is_own) {",
        launcher="launchers/lambda_host.cpp",
    ),
    Mutant(
        "the boundary is left out of a search",
        "pairwise/short_pairs.cuh",
        ".reach >= row.item.score;",
        ".reach > row.item.score;",
    ),
    Mutant(
        "the boundary is added to a search",
        "pairwise/short_pairs.cuh",
        ".score > row.item.reach;",
        ".score >= row.item.reach;",
    ),
    Mutant(
        "a warp counts itself twice",
        "lists/warp_or_block.cuh",
        "if (warp < warp_index()) selection.before",
        "if (warp <= warp_index()) selection.before",
    ),
    Mutant(
        "one buffer for two exchanges",
        "lists/warp_or_block.cuh",
        "    turn_ = kListWarps - turn_;\n",
        "",
    ),
    Mutant(
        "no barrier within an exchange",
        "lists/warp_or_block.cuh",
        "next);\n    }\n    __syncthreads();",
        "next);\n    }",
    ),
    Mutant(
        "a poisoned short list",
        "lists/results.cuh",
        "args.list_scale[list] = outcome.poisoned ? kNan<double> : stored;",
        "args.list_scale[list] = stored;",
    ),
    Mutant(
        "gradients of means over short lists without list weights",
        "lists/results.cuh",
        "args.list_weight(list),",
        "1,",
    ),
    Mutant(
        "gradients of sums over short lists without list weights",
        "lists/results.cuh",
        "outcome.weight * reduction_scale(",
        "reduction_scale(",
    ),
    Mutant(
        "losses of short lists without list weights",
        "lists/results.cuh",
        "static_cast<Real>(outcome.weight * outcome.value)",
        "static_cast<Real>(outcome.value)",
    ),
    Mutant(
        "broken offsets of short lists",
        "lists/results.cuh",
        "  if (args.lists.offsets && !valid) totals.lists_with_pairs = kNan<double>;\n",
        "",
    ),
    Mutant(
        "scales stay numbers of pairs",
        "lists/results.cuh",
        "args.list_scale[list] = pairs == pairs ? scale : pairs;",
        "args.list_scale[list] = pairs == pairs && list > 0 ? scale : pairs;",
    ),
]
