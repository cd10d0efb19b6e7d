"""Bugs for the kernel of lambda losses over short lists."""

from __future__ import annotations

from cuda_host.mutant import Mutant

MUTANTS = [
    # Barriers.
    Mutant(
        "no barrier of a warp after keys are read",
        "lists/shared_sort.cuh",
        "    __syncwarp();\n",
        "",
    ),
    Mutant(
        "no barrier between reads and writes of a merge",
        "lists/shared_sort.cuh",
        "    group.sync();\n#pragma unroll\n",
        "#pragma unroll\n",
    ),
    Mutant(
        "no barrier before sums overwrite keys",
        "lambda/short_cells.cuh",
        "  group.sync();\n  if (group.is_block()) {\n    const int thread",
        "  if (group.is_block()) {\n    const int thread",
    ),
    Mutant(
        "no barrier after the top is counted",
        "lambda/short_items.cuh",
        "    group_.sync();\n  }\n\n  // Puts the items",
        "  }\n\n  // Puts the items",
    ),
    Mutant(
        "no barrier between two lists of a block",
        "lambda/short.cuh",
        "    group.sync();  // before the next list's items overwrite this one's\n",
        "",
    ),
    # Order.
    Mutant(
        "merges are not stable",
        "lists/shared_sort.cuh",
        "own < other ? key >= keys[r] : key > keys[r]",
        "own < other ? key > keys[r] : key >= keys[r]",
    ),
    Mutant(
        "ranks ascend", "lambda/short_items.cuh", "(~ordered_key(score))", "(ordered_key(score))"
    ),
    Mutant(
        "ranks in the order of gains",
        "lambda/short_items.cuh",
        "if (pass == kByGain || !by_gain) place.rank",
        "place.rank",
    ),
    Mutant(
        "the top of earlier warps is forgotten",
        "lambda/short_items.cuh",
        "top_before += cells_.counts.load(counted);",
        "",
    ),
    # Gains and statistics.
    Mutant(
        "the maximal DCG of all ranks",
        "lambda/short_items.cuh",
        "by_label && best_rank < items.top",
        "by_label",
    ),
    Mutant(
        "gains relative to no label",
        "lambda/short_items.cuh",
        "gain_of(args_.gain, label, highest)",
        "gain_of(args_.gain, label, 0)",
    ),
    Mutant(
        "ties in the right order",
        "lambda/short_pairs.cuh",
        "(score > other) + (score >= other)",
        "2 * (score >= other)",
    ),
    # Pairs.
    Mutant(
        "the top meets the top alone",
        "lambda/short_pairs.cuh",
        "cell < items_.top && items_.top < items_.size ? 2 : 1",
        "1",
    ),
    Mutant(
        "columns of a row's own grade",
        "lambda/short_pairs.cuh",
        "first_of_grade(lower, end, grade + 1)",
        "first_of_grade(lower, end, grade)",
    ),
    Mutant(
        "lanes of a row meet the same columns",
        "lambda/short_pairs.cuh",
        "column = begin + share; column < lower; column += lanes",
        "column = begin; column < lower; column += lanes",
    ),
    Mutant(
        "lanes by the group's size",
        "lambda/short_pairs.cuh",
        "items_.n <= kWarpListItems ? kWarpSize : WarpOrBlock::kBlockThreads",
        "group_.size()",
    ),
    Mutant(
        "the rows of the top come last",
        "lambda/short_pairs.cuh",
        "const bool is_top = p == 0;",
        "const bool is_top = p == 1;",
    ),
    Mutant(
        "weights of the less relevant item alone",
        "lambda/short_pairs.cuh",
        "args_.preferred ? more.weight : more.weight",
        "args_.preferred ? less.weight : more.weight",
    ),
    Mutant(
        "distances are off by one",
        "lambda/short_pairs.cuh",
        "words_.load(first_ + distance - 1)",
        "words_.load(first_ + (distance > 1 ? distance - 2 : 0))",
    ),
    Mutant(
        "infinities do not poison",
        "lambda/short_pairs.cuh",
        "is_finite(score) ? end : begin",
        "end",
    ),
    Mutant(
        "normalised by scores that are all equal",
        "lambda/short_pairs.cuh",
        "args_.score_normalization && items_.spread",
        "args_.score_normalization",
    ),
    Mutant(
        "items in no pair keep what was there",
        "lambda/short_pairs.cuh",
        "store(cell, 0);",
        "(void)cell;",
    ),
    Mutant(
        "no gradient behind a length",
        "lambda/short.cuh",
        "has_tail ? args.lists.width : slots.size",
        "slots.size",
    ),
    Mutant(
        "the factor leaves sigma out",
        "lambda/short.cuh",
        "list_normalizer(2 * args.scale * args.slope_scale() * sums.slope)",
        "list_normalizer(2 * args.scale * sums.slope)",
    ),
    Mutant(
        "gradients of short lists have no unit",
        "lambda/short.cuh",
        "factor * args.slope_scale() / unit);",
        "factor * args.slope_scale());",
    ),
    Mutant(
        "an infinite value that weighs nothing",
        "lambda/short_pairs.cuh",
        "weighted(lambda, term.value)",
        "lambda * term.value",
    ),
    # Arithmetic in fp32.
    Mutant(
        "the argument's rest is forgotten",
        "../losses/logistic_float.h",
        "(-y - n) - rest",
        "(-y - n)",
    ),
    Mutant(
        "exponentials of fp32's range",
        "../losses/logistic_float.h",
        "1021.0f / high",
        "100.0f / high",
    ),
]
