"""Bugs for the tile kernel, the reduction over lists and the backward pass."""

from __future__ import annotations

from cuda_host.mutant import Mutant

MUTANTS = [
    # Barriers and warps.
    Mutant(
        "no barrier after the rows are loaded",
        "pairwise/tiled.cuh",
        "const bool any_real = __syncthreads_or(real) != 0;",
        "const bool any_real = true;",
    ),
    Mutant(
        "no barrier after a tile is loaded",
        "pairwise/tiled.cuh",
        "    __syncthreads();\n    if (one_list)",
        "    if (one_list)",
    ),
    Mutant(
        "no barrier before the next tile",
        "pairwise/tiled.cuh",
        "__syncthreads();  // before the next tile overwrites this one, and the sums are read",
        "",
    ),
    Mutant(
        "no barrier between two block sums",
        "lists/reduce.cuh",
        "  __syncthreads();  // all threads have read `warp_totals` of an earlier call\n",
        "",
    ),
    Mutant(
        "no barrier within a block sum",
        "lists/reduce.cuh",
        "warp_totals.store(warp_index(), totals);\n  __syncthreads();",
        "warp_totals.store(warp_index(), totals);",
    ),
    Mutant(
        "divergent barrier",
        "lists/reduce.cuh",
        "const bool broken = offsets_are_broken(lists);",
        "const bool broken = threadIdx.x < num_lists + 1 && offsets_are_broken(lists);",
    ),
    Mutant(
        "shuffle by part of a warp",
        "lists/partials.cuh",
        "= __shfl_down_sync(kAllLanes, list, 1);",
        "= lane < 31 ? __shfl_down_sync(kAllLanes, list, 1) : list;",
    ),
    Mutant(
        "wrong lane in the segmented scan",
        "lists/partials.cuh",
        "if (lane >= distance && earlier_list == list)",
        "if (lane > distance && earlier_list == list)",
    ),
    Mutant(
        "segments run into each other",
        "lists/partials.cuh",
        "if (lane >= distance && earlier_list == list)",
        "if (lane >= distance)",
    ),
    Mutant(
        "last lane's list is not stored",
        "lists/partials.cuh",
        "lane == kWarpSize - 1 || next_list != list",
        "next_list != list",
    ),
    Mutant(
        "every list is the first of its warp",
        "lists/partials.cuh",
        "first_list + owner)",
        "first_list)",
    ),
    Mutant(
        "a long list's chunks overlap",
        "lists/partials.cuh",
        "for (int64_t i = lane; i < owner_chunks; i += kWarpSize)",
        "for (int64_t i = lane; i < owner_chunks; i += kWarpSize - 1)",
    ),
    Mutant(
        "the sum comes from the wrong lane",
        "lists/partials.cuh",
        "return __shfl_sync(kAllLanes, value, 0); }",
        "return __shfl_sync(kAllLanes, value, 1); }",
    ),
    Mutant(
        "blocks are counted without an atomic",
        "primitives/last_block.cuh",
        "atomicAdd(finished, 1u)",
        "(*finished)++",
    ),
    Mutant(
        "the last block but one sums up",
        "primitives/last_block.cuh",
        "== gridDim.x - 1",
        "== gridDim.x - (gridDim.x > 1 ? 2 : 1)",
    ),
    # Indices and masks.
    Mutant(
        "columns end one too early",
        "pairwise/tiled.cuh",
        "for (int index = first; index < end; index += kWarps)",
        "for (int index = first; index < end - 1; index += kWarps)",
    ),
    Mutant(
        "warps overlap",
        "pairwise/tiled.cuh",
        "- begin % kWarps) % kWarps",
        "- begin % kWarps) % kRows",
    ),
    Mutant(
        "rows see the columns of other lists",
        "pairwise/tiled.cuh",
        "one_list = first_list == last_list;",
        "one_list = true;",
    ),
    Mutant(
        "columns of the first list only",
        "pairwise/tiled.cuh",
        "lists.num_slots} : lists.slots(last_list);",
        "lists.num_slots} : lists.slots(first_list);",
    ),
    Mutant(
        "masked columns count",
        "pairwise/tiled.cuh",
        "lists.is_real(slot) ? term.load(slot)",
        "true ? term.load(slot)",
    ),
    Mutant(
        "masked rows count",
        "lists/lists.cuh",
        "slot < range.end && lists.is_real(slot);",
        "slot < range.end;",
    ),
    Mutant("slots belong to the list before", "lists/lists.cuh", "<= slot) {", "< slot) {"),
    Mutant(
        "margins share one gradient",
        "pairwise/tiled.cuh",
        "term.store_gradient(k * lists.num_slots + slot, totals, real",
        "term.store_gradient(slot, totals, real",
    ),
    Mutant(
        "all rows write one chunk",
        "pairwise/tiled.cuh",
        "k, slot / kWarpSize,",
        "k, first_row / kWarpSize,",
    ),
    Mutant(
        "lists are summed twice",
        "lists/reduce.cuh",
        "#pragma unroll 1\n    for (int64_t first = warp_index() * kWarpSize; first < num_lists; "
        "first += kThreads)",
        "for (int64_t first = warp_index() * kWarpSize; first < num_lists; first += kThreads / 2)",
    ),
    Mutant(
        "padding gets a gradient",
        "lists/backward.cuh",
        "real ? slot_gradient(args, slot, list) : 0.0",
        "real || list != kNoList ? slot_gradient(args, slot, list) : 0.0",
    ),
    # Signs and comparisons.
    Mutant("gradient with the wrong sign", "pairwise/terms.cuh", "less - more;", "more - less;"),
    Mutant(
        "the boundary is left out",
        "pairwise/terms.cuh",
        "above & (row.score <= column.reach)",
        "above & (row.score < column.reach)",
    ),
    Mutant(
        "equal labels make a pair",
        "pairwise/terms.cuh",
        "const bool below = row.label < column.label;\n    sums.more",
        "const bool below = row.label <= column.label;\n    sums.more",
    ),
    Mutant(
        "the other boundary convention",
        "pairwise/terms.cuh",
        "inclusive_(args.boundary_grad == 1)",
        "inclusive_(args.boundary_grad == 0)",
    ),
    Mutant(
        "negative float labels above positive ones",
        "pairwise/terms.cuh",
        "static_cast<Key>(key - 0x80000000)",
        "static_cast<Key>(key)",
    ),
    Mutant(
        "the column's weight of the wrong side",
        "pairwise/terms.cuh",
        "sums.slope_as_less += column.weight_as_more * slope",
        "sums.slope_as_less += column.weight_as_less * slope",
    ),
    Mutant(
        "gap of the wrong side",
        "pairwise/terms.cuh",
        "const Gap gap = gap_of(row, column, column.weight_as_less);",
        "const Gap gap = gap_of(column, row, column.weight_as_less);",
    ),
    # Numbers that are none.
    Mutant(
        "NaN goes unnoticed",
        "pairwise/tiled.cuh",
        "if (real && term.holds_nan(row)) first_sums.poison();",
        "",
    ),
    Mutant(
        "equal infinities go unnoticed",
        "pairwise/tiled.cuh",
        "if (column.score == rows[r].score && column.label != rows[r].label) sums[r].poison();",
        "(void)column;",
    ),
    Mutant(
        "no count of an infinite score",
        "pairwise/terms.cuh",
        "if (count != 0) partial.value",
        "partial.value",
    ),
    Mutant(
        "rounding errors are dropped",
        "../common/compensated_sum.h",
        "      low = rounded_sum(low, error);\n",
        "      (void)error;\n",
    ),
    Mutant(
        "broken offsets go unnoticed",
        "lists/reduce.cuh",
        "broken || !lists.valid(list)",
        "!lists.valid(list)",
    ),
    Mutant(
        "a margin is added to a score",
        "pairwise/terms.cuh",
        "? margin_ - (more.score - less.score) : 0;",
        "? (less.score + margin_) - more.score : 0;",
    ),
    Mutant(
        "a weight below 0 is one",
        "pairwise/terms.cuh",
        "!is_weight(item.weight_as_more)",
        "item.weight_as_more != item.weight_as_more",
    ),
    Mutant(
        "a sum of weights that overflows",
        "lists/reduce.cuh",
        "!is_weight(weight) || !is_finite(sum.pairs)",
        "!is_weight(weight) || sum.pairs != sum.pairs",
    ),
    Mutant(
        "what is no list weight is one",
        "lists/reduce.cuh",
        "!is_weight(weight) || !is_finite(sum.pairs)",
        "!is_finite(sum.pairs)",
    ),
    Mutant(
        "infinite lists that weigh nothing",
        "lists/reduce.cuh",
        "if (!(sum.pairs > 0) || weight == 0)",
        "if (!(sum.pairs > 0))",
    ),
    Mutant(
        "means divide by pairs without list weights",
        "lists/reduce.cuh",
        "weight * value * scale, weight * pairs, weight}",
        "weight * value * scale, pairs, weight}",
    ),
    Mutant(
        "means divide by lists without list weights",
        "lists/reduce.cuh",
        "weight * value * scale, weight * pairs, weight}",
        "weight * value * scale, weight * pairs, 1}",
    ),
    Mutant(
        "gradients without list weights",
        "lists/reduce.cuh",
        "weighted(args.list_weight(list),",
        "weighted(1,",
    ),
    Mutant(
        "a NaN margin of a list without pairs",
        "lists/reduce.cuh",
        "if (!(sum.pairs > 0) || weight == 0) return {weight, 0, 0, 0, false};",
        "",
    ),
    Mutant(
        "gradients at a NaN margin",
        "lists/reduce.cuh",
        "if (slope != slope) args.list_scale[list] = kNan<double>;",
        "",
    ),
    Mutant(
        "an infinite margin beside an infinite score",
        "lists/partials.cuh",
        "return !is_finite(margin) && !is_finite(score);",
        "return false;",
    ),
    Mutant(
        "gradients without a unit",
        "pairwise/terms.cuh",
        "static_cast<Real>(totals.gradient / unit);",
        "static_cast<Real>(totals.gradient);",
    ),
    Mutant(
        "the sign of -0.0 in a unit",
        "lists/weight_units.cuh",
        " & 0x7ff",
        "",
    ),
    Mutant(
        "a warp's lists have one unit",
        "lists/weight_units.cuh",
        "if (value != 0 && (!is_one || lane_index() == 0)) {",
        "if (value != 0 && lane_index() == 0) {",
    ),
    Mutant(
        "a unit of the largest weight alone",
        "lists/weight_units.cuh",
        "if (!all_pairs && ordered_label(other) == ordered_label(slot)) return 0;",
        "",
    ),
    Mutant(
        "a unit of weights that no pair prefers",
        "lists/weight_units.cuh",
        "all_pairs || ordered_label(slot) > ~leader",
        "all_pairs || ordered_label(slot) >= ~leader",
    ),
    Mutant(
        "an infinite gap to what weighs nothing",
        "pairwise/terms.cuh",
        "column_weight != 0 ? margin_ - (more.score - less.score) : 0",
        "margin_ - (more.score - less.score)",
    ),
    Mutant(
        "an infinite gap of what weighs nothing",
        "pairwise/terms.cuh",
        "sum == 0 ? 0 : weighted(weight, sum)",
        "sum == 0 ? 0 : weight * sum",
    ),
]
