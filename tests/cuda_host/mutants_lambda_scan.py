"""Bugs for the scans of lambda losses."""

from __future__ import annotations

from mutant import Mutant

MUTANTS = [
    Mutant(
        "the wrong order for both sweeps",
        "lambda_scan_items.cuh",
        "return sweep.up == looks_more(event);",
        "return looks_more(event);",
    ),
    Mutant(
        "ranks beyond the top are upper ones",
        "lambda_scan_items.cuh",
        "return !pass.upper_in_top || is_top(event);",
        "return true;",
    ),
    Mutant(
        "only the way up is truncated",
        "lambda_scan_items.cuh",
        "!(may_be_upper(event) || sweep.up)",
        "false",
    ),
    Mutant(
        "less relevant items are of the more relevant ones' ranks",
        "lambda_scan_items.cuh",
        "is_in(more ? pass.more_ranks : pass.less_ranks",
        "is_in(pass.more_ranks",
    ),
    Mutant(
        "segments do not end at the sweep's far side",
        "lambda_scan_items.cuh",
        "static_cast<Position>(sweep.up ? place : place + 1);",
        "static_cast<Position>(place);",
    ),
    Mutant(
        "no pair of an item with itself",
        "lambda_scan.cuh",
        "source.turn != Turn::kLooksMore || place >= tile.end",
        "true",
    ),
    Mutant("one turn", "lambda_scan.cuh", "params_.all_pairs ? 2 : 1;", "1;"),
    Mutant(
        "segments of two lists are one",
        "lambda_scan_rounds.cuh",
        "|| (inside && place == list.begin);",
        ";",
    ),
    Mutant(
        "items beyond the top are in pairs of both",
        "lambda_scan_rounds.cuh",
        "position - list.begin >= list.top) return",
        "position - list.begin > list.top) return",
    ),
    Mutant(
        "pairs on the margin are out",
        "lambda_scan_rounds.cuh",
        "return own > score(other) + params_.margin;",
        "return own >= score(other) + params_.margin;",
    ),
    Mutant(
        "no barrier before the margin's order is read",
        "lambda_scan.cuh",
        "order_by_margin(team_, order);\n      team_.sync();",
        "order_by_margin(team_, order);",
    ),
    Mutant(
        "no barrier before tiles are scanned",
        "lambda_scan.cuh",
        "    team_.sync();\n    scan_tiles(scan",
        "    scan_tiles(scan",
    ),
    Mutant(
        "no barrier before items look",
        "lambda_scan.cuh",
        "sweeps);\n    team_.sync();\n    for_tiles",
        "sweeps);\n    for_tiles",
    ),
    Mutant(
        "a round's sums take the place of those before",
        "lambda_scan.cuh",
        "if (!first) own.add(stored);",
        "",
    ),
    Mutant(
        "tiles are counted from the first list",
        "lambda_scan.cuh",
        "(tile - list.first_tile) * kWarps",
        "tile * kWarps",
    ),
    Mutant(
        "tiles are scanned across lists",
        "lambda_scan.cuh",
        "list.first_tile * kWarps,\n",
        "0,\n",
    ),
    Mutant(
        "the partition is not stable",
        "lambda_scan_rounds.cuh",
        "place + params_.segments.less_in(segment) - less",
        "segment.end - 1 - (place - segment.begin - less)",
    ),
    Mutant(
        "infinite losses are finite",
        "lambda_scan.cuh",
        "infinite ? double{kInfinite} : value",
        "value",
    ),
]
