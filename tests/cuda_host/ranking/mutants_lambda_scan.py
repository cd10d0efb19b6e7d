"""Bugs for the scans of lambda losses."""

from __future__ import annotations

from cuda_host.mutant import Mutant

MUTANTS = [
    Mutant(
        "the wrong order for both sweeps",
        "lambda/scan_items.cuh",
        "return sweep.up == is_more(place);",
        "return is_more(place);",
    ),
    Mutant(
        "ranks beyond the top are upper ones",
        "lambda/scan_items.cuh",
        "!(is_upper || params.both)",
        "!params.both",
    ),
    Mutant(
        "only the way up is truncated",
        "lambda/scan_items.cuh",
        "if (!takes_part(event, !sweep.up)) return 0;",
        "if (!takes_part(event, false)) return 0;",
    ),
    Mutant(
        "segments do not end at the sweep's far side",
        "lambda/scan_items.cuh",
        "static_cast<Position>(sweep.up ? place : place + 1);",
        "static_cast<Position>(place);",
    ),
    Mutant(
        "items beyond the top are in pairs of both",
        "lambda/scan_items.cuh",
        "!(is_upper || params.both)",
        "!is_upper",
    ),
    Mutant(
        "segments of two lists are one",
        "lambda/scan_rounds.cuh",
        "heads = list_starts(items_.lists, first);",
        "heads = 0;",
    ),
    Mutant(
        "no barrier before tiles are scanned",
        "lambda/scan.cuh",
        "    grid_.sync();\n    scan_tiles(scan",
        "    scan_tiles(scan",
    ),
    Mutant(
        "no barrier before items look",
        "lambda/scan.cuh",
        "sweeps);\n    grid_.sync();\n    for_parts",
        "sweeps);\n    for_parts",
    ),
    Mutant(
        "a round's sums take the place of those before",
        "lambda/scan.cuh",
        "if (!first) own.add(stored);",
        "",
    ),
    Mutant(
        "tiles are counted from the first list",
        "lambda/scan.cuh",
        "(tile - list.first_tile) * kScanTile",
        "tile * kScanTile",
    ),
    Mutant(
        "tiles are scanned across lists",
        "lambda/scan.cuh",
        "list.first_tile * kWarps,\n",
        "0,\n",
    ),
    Mutant(
        "the partition is not stable",
        "lambda/scan_rounds.cuh",
        "place + params_.segments.less_in(segment) - less",
        "segment.end - 1 - (place - segment.begin - less)",
    ),
    Mutant(
        "infinite losses are finite",
        "lambda/scan.cuh",
        "infinite ? kInfinity<double> : sum.value.total()",
        "sum.value.total()",
    ),
    Mutant(
        "infinite losses of pairs that weigh nothing",
        "lambda/scan.cuh",
        "if (items_.less_weights[position] != 0 && r < list.top) {",
        "if (r < list.top) {",
    ),
    Mutant(
        "infinite losses of relevant items that weigh nothing",
        "lambda/scan.cuh",
        "if (items_.more_weights[position] != 0) {",
        "if (true) {",
    ),
    Mutant(
        "infinite losses of equal gains",
        "lambda/scan.cuh",
        "if (items_.gains != nullptr) return ordered_key(items_.gains[position]);",
        "",
    ),
    # Counts.
    Mutant(
        "ties are in the right order",
        "lambda/scan.cuh",
        "2ull * more_in({segment.begin, ties})",
        "2ull * more_in({segment.begin, end})",
    ),
    Mutant(
        "all lanes of a warp add its counts",
        "lambda/scan.cuh",
        "if (lane_index() != 0) return;\n      OrderedPairs&",
        "OrderedPairs&",
    ),
]
