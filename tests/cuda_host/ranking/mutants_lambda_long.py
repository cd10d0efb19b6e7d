"""Bugs for the kernels of lambda losses over long lists."""

from __future__ import annotations

from cuda_host.mutant import Mutant

MUTANTS = [
    Mutant(
        "one list is long if its row is",
        "lambda/dispatch.cuh",
        "  run_short_lambda(queue, args, paths.longest_short, exponents, partials);",
        "  if (lists.num_lists > 1) {\n"
        "    run_short_lambda(queue, args, paths.longest_short, exponents, partials);\n"
        "  }",
    ),
    # Before the pairs.
    Mutant(
        "gains may be infinite",
        "lambda/lists.cuh",
        "(args.weighs_gains() && !finite_gain)",
        "false",
    ),
    Mutant(
        "gains that no loss needs poison it",
        "lambda/lists.cuh",
        "(args.weighs_gains() && !finite_gain)",
        "!finite_gain",
    ),
    Mutant(
        "weights may be negative",
        "lambda/lists.cuh",
        "!is_weight(load_weight<Real>(args, slot))",
        "false",
    ),
    Mutant(
        "weights of pairs may overflow",
        "lambda/long_finish.cuh",
        "facts.is_poisoned != 0 || !is_finite(facts.pair_weights)",
        "facts.is_poisoned != 0",
    ),
    Mutant(
        "the lowest label is the highest",
        "lambda/long_prepare.cuh",
        "(highest) < key) {",
        "(highest) < key && highest == 0) {",
    ),
    Mutant(
        "padding has no gradient",
        "lambda/long_prepare.cuh",
        "static_cast<Real*>(args.raw_grad)[slot] = 0;",
        "",
    ),
    Mutant(
        "deltas of the next distance",
        "lambda/long_prepare.cuh",
        "params.deltas[rank + 1] =",
        "params.deltas[rank] =",
    ),
    Mutant(
        "equal infinities never poison",
        "lambda/long_rank.cuh",
        "if (args_.all_pairs() || ranks[position] != ranks[first]) {",
        "if (args_.all_pairs()) {",
    ),
    Mutant(
        "infinities below the top poison",
        "lambda/long_rank.cuh",
        "if (first - begin >= top || (args_.both() && position - begin >= top)) return;",
        "",
    ),
    Mutant(
        "one barrier less before the table is read",
        "lambda/long_rank.cuh",
        "store_item(ranks[position], position); });\n    grid_.sync();",
        "store_item(ranks[position], position); });",
    ),
    Mutant(
        "discounts where the weight has none",
        "lambda/long_rank.cuh",
        "args_.weighs_discount(rank) ? params_.rank_discounts[rank] : 0;",
        "params_.rank_discounts[rank];",
    ),
    Mutant(
        "gains in ascending order",
        "lambda/long_rank.cuh",
        "inert ? ~uint64_t{0} : ~ordered_key(",
        "inert ? ~uint64_t{0} : ordered_key(",
    ),
    Mutant(
        "gains sorted across lists",
        "lambda/long_rank.cuh",
        "if (list_bits() == 0) return sorted;",
        "return sorted;",
    ),
    Mutant(
        "the best gain lies at the bottom",
        "lambda/long_rank.cuh",
        "rank : list.size - 1 - rank;",
        "rank : rank;",
    ),
    Mutant(
        "both counts pairs below the top",
        "lambda/long_rank.cuh",
        "if (!in_top && args_.both()) return totals;",
        "",
    ),
    Mutant(
        "ndcg_loss1 without its factor",
        "lambda/long_rank.cuh",
        "params_.weights[0][position] *= gain * params_.pair_discounts[position];",
        "",
    ),
    Mutant(
        "gradients of long lists have no unit",
        "lambda/long_finish.cuh",
        "factor * args.slope_scale() / unit;",
        "factor * args.slope_scale();",
    ),
    # Weights of pairs.
    Mutant(
        "a grade that two chunks share makes pairs",
        "lambda/list_totals.cuh",
        "shared ? a.other_less : a_less",
        "a_less",
    ),
    Mutant(
        "the rest meets the rest",
        "lambda/list_totals.cuh",
        "more.top * (less.top + less.rest) + more.rest * less.top",
        "(more.top + more.rest) * (less.top + less.rest)",
    ),
    Mutant(
        "the highest grade is forgotten",
        "lambda/list_totals.cuh",
        "sum.other_less = sum.other_less + a.highest_less;",
        ";",
    ),
    # Grades.
    Mutant(
        "grades of each tile begin at 0",
        "lambda/label_grades.cuh",
        "params_.label_changes[tile] + scan(changes)",
        "scan(changes)",
    ),
    Mutant(
        "one grade less",
        "lambda/label_grades.cuh",
        "&params_.table->most_grades, total + 1)",
        "&params_.table->most_grades, total)",
    ),
    # The table and its chunks.
    Mutant(
        "tiles of all lists begin at 0",
        "lambda/long_table.cuh",
        "own.first_tile = earlier.tiles;",
        "own.first_tile = 0 * earlier.tiles;",
    ),
    Mutant(
        "broken offsets",
        "lambda/long_table.cuh",
        "return poison_long_lists(params);",
        "poison_long_lists(params);",
    ),
    Mutant(
        "broken offsets leave statistics",
        "lists/reduce.cuh",
        "if (broken) poison_statistics(args, list);",
        "",
    ),
    Mutant(
        "broken offsets leave statistics of short lists",
        "lists/results.cuh",
        "poison_statistics(args, list);",
        "",
    ),
    Mutant(
        "rows of the rest meet everything",
        "lambda/long_table.cuh",
        "Lists::clamp(begin + kPairRows, 0, size)}, {0, top}, 0};",
        "Lists::clamp(begin + kPairRows, 0, size)}, {0, size}, 0};",
    ),
    Mutant(
        "segments leave a gap",
        "lambda/long_table.cuh",
        "(columns + segments - 1) / segments;",
        "columns / segments;",
    ),
    # Pairs.
    Mutant(
        "no barrier before the next columns of a long list",
        "lambda/long_pairs.cuh",
        "__syncthreads();  // all threads have read the previous columns",
        "",
    ),
    Mutant(
        "the loss counts twice",
        "lambda/long_pairs.cuh",
        "sums.gradient += weighted(weight * (column.more_weight * row.less_weight), term.slope);",
        "sums.gradient += weighted(weight * (column.more_weight * row.less_weight), term.slope);\n"
        "      sums.pairs.value += weight * term.value;",
    ),
    Mutant(
        "weights of the wrong role",
        "lambda/long_pairs.cuh",
        "column.more_weight * row.less_weight",
        "row.more_weight * column.less_weight",
    ),
    Mutant(
        "segments overwrite each other",
        "lambda/long_pairs.cuh",
        "row * chunks.segments + chunk.segment] =",
        "row * chunks.segments] =",
    ),
    Mutant(
        "constant scores are normalised",
        "lambda/long_pairs.cuh",
        "args_.score_normalization &&\n",
        "args_.score_normalization ||\n",
    ),
    Mutant(
        "an infinite value that weighs nothing in a long list",
        "lambda/long_pairs.cuh",
        "weighted(own, term.value)",
        "own * term.value",
    ),
    Mutant(
        "an infinite slope that weighs nothing",
        "lambda/long_pairs.cuh",
        "weighted(own, term.slope)",
        "own * term.slope",
    ),
    # The end.
    Mutant(
        "lists are not normalised",
        "lambda/long_finish.cuh",
        "factor *= list_normalizer(2 * args.scale * args.slope_scale() * sums.slope);",
        ";",
    ),
    Mutant(
        "no barrier before gradients are scaled",
        "lambda/long_finish.cuh",
        "  grid.sync();\n",
        "",
    ),
]
