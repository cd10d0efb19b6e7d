"""Bugs for the kernels of one list with a small class."""

from __future__ import annotations

from mutant import Mutant

MUTANTS = [
    # Barriers.
    *(
        Mutant(f"no grid barrier after {step}", "small_class.cuh", f"{call}team_.sync();\n", call)
        for step, call in {
            "counting levels": "    count_levels();\n    ",
            "collecting": "    collect();\n    ",
            "making bounds": "      start(k, slots.to.keys);\n      ",
            "answering the big class": "      answer_big(k);\n      ",
            "summing up tiles of counts": "      sum_tiles();\n      ",
            "answering the small class": "      answer_small(k);\n      ",
        }.items()
    ),
    Mutant(
        "pivots are read before all are there",
        "small_class.cuh",
        "    __syncthreads();\n    TeamSort::Count violate_all;",
        "    TeamSort::Count violate_all;",
    ),
    # Levels.
    Mutant(
        "the label met first is the more relevant one",
        "small_class.cuh",
        "small_is_more_ = is_smaller == (label > other);",
        "small_is_more_ = is_smaller;",
    ),
    Mutant(
        "the lowest label has the count of another",
        "small_class.cuh",
        "other == 0 ? LevelTable::kEntries : 1",
        "1",
    ),
    Mutant(
        "a third level is not noticed",
        "small_class.cuh",
        "if (levels.size() != 2 ||",
        "if (levels.size() < 2 ||",
    ),
    Mutant(
        "NaN labels are the lowest",
        "small_class.cuh",
        "levels.size() != 2 || nan_label)",
        "levels.size() != 2)",
    ),
    Mutant(
        "one item more than there is room for",
        "small_class.cuh",
        "size_ <= params_.most_items;",
        "size_ <= params_.most_items + 1;",
    ),
    Mutant(
        "padding joins the small class",
        "small_class.cuh",
        "slot < args_.lists.num_slots && is_item_of_one_list(args_, slot);",
        "slot < args_.lists.num_slots;",
    ),
    # Searches.
    Mutant(
        "the last group is as long as others",
        "small_class.cuh",
        "end < size_ ? end : size_",
        "end",
    ),
    Mutant(
        "scores beyond the last pivot are of its group",
        "small_class.cuh",
        "const Position begin = pivot * group,",
        "const Position begin = (pivot < num_pivots ? pivot : num_pivots - 1) * group,",
    ),
    Mutant(
        "equal scores do not reach",
        "small_class.cuh",
        "ordered_key(score) - 1;",
        "ordered_key(score);",
    ),
    Mutant(
        "what reaches nothing reaches all",
        "small_class.cuh",
        "limit == limit ? ordered_key(limit) : 0",
        "ordered_key(limit)",
    ),
    Mutant(
        "scores that are not finite go unnoticed",
        "small_class.cuh",
        "if (!is_finite(score)) atomicExch",
        "if (score != score) atomicExch",
    ),
    # Counts and sums.
    Mutant(
        "items that violate with all are counted where none are",
        "small_class.cuh",
        "params_.counts[small_is_more_ ? size_ : 0]",
        "params_.counts[small_is_more_ ? 0 : size_]",
    ),
    Mutant(
        "the tile's own items count as before it",
        "small_class.cuh",
        "if (other < tile) own_before",
        "if (other <= tile) own_before",
    ),
    Mutant(
        "the small class adds nothing to the loss",
        "small_class.cuh",
        "num_shares = params_.num_stretches() + num_count_tiles();",
        "num_shares = params_.num_stretches();",
    ),
    Mutant(
        "a list that is solved is sorted again",
        "small_class.cuh",
        "*params_.solved = 1;",
        "*params_.solved = 0;",
    ),
]
