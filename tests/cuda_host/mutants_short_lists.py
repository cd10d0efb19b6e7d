"""Bugs for the kernel of short lists and its numbers of two fp32 parts."""

from __future__ import annotations

from mutant import Mutant

MUTANTS = [
    Mutant(
        "items are read before all are in their cells",
        "list_pairs.cuh",
        "place(waiting, order.tail);\n  team.sync();",
        "place(waiting, order.tail);",
    ),
    Mutant(
        "no barrier within the sum of a list",
        "list_team.cuh",
        "store(warp_index(), total);\n    __syncthreads();",
        "store(warp_index(), total);",
    ),
    Mutant(
        "a partner of the row's own label",
        "list_pairs.cuh",
        "column < rows[first].lower; ++column",
        "column <= rows[first].lower; ++column",
    ),
    Mutant(
        "partners of the first row only",
        "list_pairs.cuh",
        "for (int r = first; r < kRows; ++r) term.add_lower",
        "for (int r = first; r <= first; ++r) term.add_lower",
    ),
    Mutant(
        "no pairs within the tail",
        "list_pairs.cuh",
        "rows[r].tail = cell < order.tail ? order.size : order.tail;",
        "rows[r].tail = order.size;",
    ),
    Mutant(
        "rows that are none meet partners",
        "list_pairs.cuh",
        "if (cell >= order.size) continue;",
        "if (cell > order.size) continue;",
    ),
    Mutant(
        "padding beyond the slots keeps its gradient",
        "list_pairs.cuh",
        "slot < args.lists.width; slot +=",
        "slot < own.size; slot +=",
    ),
    Mutant(
        "nobody takes the blocks' lists",
        "short_batch.cuh",
        "__syncthreads_or(longer) != 0",
        "__syncthreads_or(false) != 0",
        launcher="lambda_short_host.cpp",
    ),
    Mutant(
        "sums of lists that were left to others",
        "short_batch.cuh",
        "if (is_own && slots.size() <= longest) {",
        "if (is_own) {",
        launcher="lambda_short_host.cpp",
    ),
    # Who takes which lists.
    Mutant(
        "lists that were left to others are solved",
        "list_tickets.cuh",
        "return slots.size() <= longest && ",
        "return ",
    ),
    Mutant(
        "the counters of tickets are not zeroed",
        "list_tickets.cuh",
        "kZeroBytes = 3 * ",
        "kZeroBytes = 0 * ",
    ),
    Mutant(
        "a ticket is skipped",
        "list_tickets.cuh",
        "next = num_teams + atomicAdd",
        "next = num_teams + 1 + atomicAdd",
    ),
    Mutant(
        "a ticket is solved twice",
        "list_tickets.cuh",
        "next = num_teams + atomicAdd",
        "next = num_teams - 1 + atomicAdd",
    ),
    Mutant(
        "nobody asks for a second ticket",
        "list_tickets.cuh",
        "if (asks && all > num_teams)",
        "if (asks && all > 4 * num_teams)",
    ),
    Mutant(
        "blocks and warps share a counter",
        "list_tickets.cuh",
        "taken + !is_block",
        "taken",
    ),
    Mutant(
        "warps read the number of a ticket before it is there",
        "list_tickets.cuh",
        "      __syncwarp();\n      ticket = shared.next.load(cell);",
        "      ticket = shared.next.load(cell);",
    ),
    Mutant(
        "no barrier before the next ticket of a block",
        "list_tickets.cuh",
        "      __syncthreads();  // before the next",
        "      // before the next",
    ),
    Mutant(
        "a warp's next list overwrites items that are still read",
        "list_tickets.cuh",
        "      __syncwarp();  // a warp's next",
        "      // a warp's next",
    ),
    Mutant(
        "blocks and warps share records",
        "list_tickets.cuh",
        "own.ticket + (own.is_block ? 0 : teams.blocks.per_margin)",
        "own.ticket",
    ),
    Mutant(
        "the last list of a ticket is forgotten",
        "list_tickets.cuh",
        "lane_index() < (is_block ? teams.blocks : teams.warps).lists;",
        "lane_index() == 0 || lane_index() < (is_block ? teams.blocks : teams.warps).lists - 1;",
    ),
    Mutant(
        "the boundary is left out of a search",
        "list_pairs.cuh",
        ".reach >= row.item.score;",
        ".reach > row.item.score;",
    ),
    Mutant(
        "the boundary is added to a search",
        "list_pairs.cuh",
        ".score > row.item.reach;",
        ".score >= row.item.reach;",
    ),
    Mutant(
        "labels are mixed while sorting",
        "list_sort.cuh",
        "static_cast<uint64_t>(run) << 37 | ",
        "static_cast<uint64_t>(run & 0) << 37 | ",
    ),
    Mutant(
        "ties have one place while sorting",
        "list_sort.cuh",
        "static_cast<unsigned>(lane);",
        "static_cast<unsigned>(lane & 0);",
    ),
    Mutant(
        "ties have one place while merging",
        "list_sort.cuh",
        "keys[r].score + (own_edge > other_edge ? 1 : 0);",
        "keys[r].score;",
    ),
    Mutant(
        "a merge goes beyond its run",
        "list_sort.cuh",
        "edge > end ? end : edge",
        "edge > size ? size : edge",
    ),
    Mutant(
        "no barrier before a merge overwrites its input",
        "list_sort.cuh",
        "(first - other_begin);\n    }\n    __syncthreads();",
        "(first - other_begin);\n    }",
    ),
    Mutant(
        "a warp counts itself twice",
        "list_team.cuh",
        "if (warp < warp_index()) selection.before",
        "if (warp <= warp_index()) selection.before",
    ),
    Mutant(
        "one buffer for two exchanges",
        "list_team.cuh",
        "    turn_ = kListWarps - turn_;\n",
        "",
    ),
    Mutant(
        "no barrier within an exchange",
        "list_team.cuh",
        "next);\n    }\n    __syncthreads();",
        "next);\n    }",
    ),
    Mutant(
        "a poisoned short list",
        "list_results.cuh",
        "const bool poisoned = !valid || sum.pairs != sum.pairs;",
        "const bool poisoned = !valid;",
    ),
    Mutant(
        "broken offsets of short lists",
        "list_results.cuh",
        "  if (args.lists.offsets && !valid) totals.lists_with_pairs = kNan<double>;\n",
        "",
    ),
    Mutant(
        "scales stay numbers of pairs",
        "list_results.cuh",
        "args.list_scale[list] = pairs == pairs ? scale : pairs;",
        "args.list_scale[list] = pairs == pairs && list > 0 ? scale : pairs;",
    ),
    # Pairs of fp32 numbers.
    Mutant(
        "a sum's error is dropped",
        "two_float.cuh",
        "return (a - (sum - seen)) + (b - seen);",
        "return (void)a, (void)b, (void)sum, (void)seen, 0;",
    ),
    Mutant(
        "a product's error is dropped",
        "two_float.cuh",
        "const float error = fmaf(a.high, b.high, -product);",
        "const float error = 0;",
    ),
    Mutant(
        "the low part of a square is dropped",
        "two_float.cuh",
        "fmaf(a.high, b.low, fmaf(a.low, b.high, error))",
        "error",
    ),
    Mutant(
        "NaN reaches an infinite number",
        "two_float.cuh",
        "const float rest = fmaxf(low, -kLargest);",
        "const float rest = low;",
    ),
    Mutant(
        "a small margin is rounded away",
        "two_float.cuh",
        "    if (low == 0 && rest != 0) low = rest > 0 ? kSmallest : -kSmallest;\n",
        "",
    ),
    Mutant(
        "low parts do not decide",
        "two_float.cuh",
        "return a.high == b && a.low == 0;",
        "return a.high == b;",
    ),
]
