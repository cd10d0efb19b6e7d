"""Bugs for the kernels of listwise losses."""

from __future__ import annotations

from cuda_host.mutant import Mutant

MUTANTS = [
    # Teams and the sort of short lists.
    Mutant(
        "the total of a warp is the first lane's",
        "listwise/team.cuh",
        "kSweep == Sweep::kUp ? kWarpSize - 1 : 0",
        "0",
    ),
    Mutant(
        "ties come backwards",
        "lists/shared_sort.cuh",
        "(other_key == key && other < lane)",
        "(other_key == key && other > lane)",
        "launchers/listwise_host.cpp",
    ),
    # Items.
    Mutant(
        "infinite scores are numbers",
        "listwise/items.cuh",
        "poisons = !is_finite(score)",
        "poisons = score != score",
    ),
    Mutant(
        "gains of a listwise loss may be infinite",
        "listwise/items.cuh",
        "!gain_is_finite(args, items.begin + slot, items.label(slot))",
        "false",
    ),
    Mutant(
        "weights of a listwise loss may be negative",
        "listwise/items.cuh",
        "!is_weight(items.weight(slot))",
        "false",
    ),
    Mutant(
        "given gains sort by label",
        "listwise/items.cuh",
        "kLoss == ListwiseLoss::kApproxNdcg && args.gains != nullptr",
        "false",
    ),
    Mutant(
        "labels from the bottom",
        "listwise/items.cuh",
        "return ~(static_cast<uint64_t>(label_key(slot)) ^",
        "return (static_cast<uint64_t>(label_key(slot)) ^",
    ),
    # Sums of runs.
    Mutant(
        "tops count once",
        "listwise/sums.cuh",
        "      tops += 1;",
        "      tops = 1;",
    ),
    Mutant(
        "sums are put together without their tops",
        "listwise/sums.cuh",
        "more + less * exponential<Real>(gap)",
        "more + less",
    ),
    Mutant(
        "what passes is put together backwards",
        "listwise/sums.cuh",
        "earlier.passed * later.decay + later.passed",
        "earlier.passed + later.passed * earlier.decay",
    ),
    Mutant(
        "an item does not decay what passes it",
        "listwise/sums.cuh",
        "      passed *= own.decay;\n",
        "",
    ),
    *(
        Mutant(f"scores of {length} lists are relative to the largest", file, old, new)
        for length, file, old, new in [
            (
                "short",
                "listwise/short.cuh",
                "shared_.scores.store(team_.cell(first_ + p), items_.score(slot));",
                "shared_.scores.store(team_.cell(first_ + p),\n"
                "                           items_.score(slot) - all_.top_score);",
            ),
            (
                "long",
                "listwise/long.cuh",
                "params_.scores[record.first + position] = items.score(slot);",
                "params_.scores[record.first + position] =\n"
                "          items.score(slot) - record.items.top_score;",
            ),
        ]
    ),
    Mutant("an item is no part of its own rank", "listwise/sums.cuh", "steps + 0.5", "steps"),
    # Short lists.
    Mutant(
        "short lists of a block are left out",
        "lists/short_batch.cuh",
        "if (!is_block && __syncthreads_or(longer) != 0) steps = 1 + own.size;",
        "",
        "launchers/listwise_host.cpp",
    ),
    Mutant(
        "no barrier before the soft ranks",
        "listwise/short.cuh",
        "team_.sync();  // scores",
        "",
    ),
    Mutant(
        "no barrier before the slopes are read",
        "listwise/short.cuh",
        "team_.sync();  // slopes",
        "",
    ),
    Mutant(
        "lists of one label count",
        "listwise/short.cuh",
        "kLoss == ListwiseLoss::kListMle && all_.varying() == 0",
        "false",
    ),
    # Long lists.
    Mutant(
        "broken offsets are trusted",
        "listwise/long_items.cuh",
        "if (!offsets_are_broken(lists)) {",
        "{",
    ),
    Mutant(
        "tiles of earlier steps are forgotten",
        "listwise/long_items.cuh",
        "states[at] = State::combine(total, scanned.before);",
        "states[at] = scanned.before;",
    ),
    Mutant(
        "items are not sorted back to their lists",
        "listwise/long_items.cuh",
        "if (totals.num_lists > 1) {",
        "if (false) {",
    ),
    Mutant(
        "a tile's later tiles are left out",
        "listwise/long.cuh",
        "LogSum<Real>::combine(log_sums[tile.id], later.before).log_sum()",
        "later.before.log_sum()",
    ),
    Mutant(
        "a tile's earlier tiles are left out",
        "listwise/long.cuh",
        "MleCarry::combine(carries[tile.id], carried.before).passed",
        "carried.before.passed",
    ),
    Mutant(
        "items above add what items below do",
        "listwise/long.cuh",
        "const double sign = up ? sign_above : 1;",
        "const double sign = 1;",
    ),
    Mutant(
        "the scores are not sorted by",
        "listwise/long.cuh",
        "this->sort_items(~uint64_t{0} >> (64 - 8 * sizeof(Real)));",
        "team_.sync();",
    ),
    Mutant(
        "gradients of lists that do not count stay",
        "listwise/long.cuh",
        "        this->clear_tile(tile);",
        "",
    ),
    *(
        Mutant(f"an infinite label makes a distribution of a {length} list", file, old, new)
        for length, file, old, new in [
            (
                "short",
                "listwise/short.cuh",
                "all_.template is_poisoned<kLoss>(args_.label_type)",
                "all_.poisoned != 0",
            ),
            (
                "long",
                "listwise/long_items.cuh",
                "total.template is_poisoned<kLoss>(args_.label_type)",
                "total.poisoned",
            ),
        ]
    ),
]
