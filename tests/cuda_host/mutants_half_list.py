"""Bugs for the kernels of one list of 16-bit scores."""

from __future__ import annotations

from mutant import Mutant

MUTANTS = [
    # Barriers.
    Mutant(
        "no grid barrier after counting",
        "half_list.cuh",
        "    count_items();\n    team_.sync();\n",
        "    count_items();\n",
    ),
    Mutant(
        "no grid barrier between two margins",
        "half_list.cuh",
        "      answer(k + 1);\n      team_.sync();\n",
        "      answer(k + 1);\n",
    ),
    Mutant(
        "counting begins before all is cleared",
        "half_list.cuh",
        "    __syncthreads();\n    for_slots(team_, args_.lists.num_slots, [this]",
        "    for_slots(team_, args_.lists.num_slots, [this]",
    ),
    # Indices and masks.
    Mutant(
        "cells that find no place are lost",
        "half_list.cuh",
        "      atomicAdd(&params_.counts[cell], 1u);\n",
        "      (void)cell;\n",
    ),
    Mutant(
        "levels in the order of a race",
        "half_list.cuh",
        "shared_.rows.store(static_cast<int>(levels.rank(levels.entries[row])), row);",
        "shared_.rows.store(row, row);",
    ),
    Mutant(
        "the lowest label has no row",
        "half_list.cuh",
        "int row = key == 0 ? LevelTable::kEntries : 0;",
        "int row = 0;",
    ),
    Mutant(
        "a list of many levels is not sorted",
        "long_lists.cuh",
        "&& *params.solved != 0",
        "&& *params.solved == 0",
    ),
    # Scores.
    Mutant(
        "NaN of one list of 16-bit scores goes unnoticed",
        "half_list.cuh",
        "nan_label || nans != 0 ||",
        "nan_label ||",
    ),
    Mutant(
        "equal infinities of 16-bit scores go unnoticed",
        "half_list.cuh",
        "at_bottom > 1 || at_top > 1",
        "at_bottom > 1",
    ),
    Mutant(
        "the boundary is never reached",
        "half_list.cuh",
        "!(value(key) <= limit)",
        "!(value(key) < limit)",
    ),
    Mutant(
        "no partner of an infinite 16-bit score counts",
        "../losses/hinge_counts.h",
        "    if (count == 0) return;",
        "    if (count < 0) return;",
        launcher="half_list_host.cpp",
    ),
    Mutant(
        "partners of the own level",
        "../losses/hinge_counts.h",
        "    more -= below(level, reach.last);\n    const int64_t gradient = more - less;\n",
        "    const int64_t gradient = more - less;\n    more -= below(level, reach.last);\n",
        launcher="half_list_host.cpp",
    ),
]
