"""Bugs for the kernels of long lists."""

from __future__ import annotations

from mutant import Mutant

MUTANTS = [
    # Barriers.
    Mutant(
        "no grid barrier before the scan over tiles",
        "long_lists.cuh",
        "    team_.sync();\n    if (team_.rank() == 0) scan_tiles(",
        "    if (team_.rank() == 0) scan_tiles(",
    ),
    Mutant(
        "no grid barrier between two rounds",
        "long_lists.cuh",
        "partition_tile(round, next, tile);\n    }\n    team_.sync();",
        "partition_tile(round, next, tile);\n    }",
    ),
    Mutant(
        "no barrier after the windows",
        "long_lists.cuh",
        ": reaches.first_beyond(segment, score));\n    }\n    __syncthreads();",
        ": reaches.first_beyond(segment, score));\n    }",
    ),
    Mutant(
        "no barrier between two scans",
        "block_scan.cuh",
        "  __syncthreads();  // of an earlier scan, everyone has read\n",
        "",
    ),
    Mutant(
        "lanes go on before all have read a digit's place",
        "team_radix_sort.cuh",
        "if (digit != kNoDigit) other[first + __popc(earlier)] = index;\n        __syncwarp();",
        "if (digit != kNoDigit) other[first + __popc(earlier)] = index;",
    ),
    # Indices and masks.
    Mutant(
        "sorting is not stable",
        "team_radix_sort.cuh",
        "other[first + __popc(earlier)] = index;",
        "other[first + __popc(peers) - 1 - __popc(earlier)] = index;",
    ),
    Mutant(
        "a digit that varies is skipped",
        "team_radix_sort.cuh",
        "if ((varying >> shift & (kDigits - 1)) == 0) continue;",
        "if ((varying >> shift & (kDigits - 1)) < 2) continue;",
    ),
    Mutant(
        "a ninth level fits",
        "label_ranks.cuh",
        "    atomicExch(&has_more, 1u);",
        "    (void)has_more;",
    ),
    Mutant(
        "the label 0 has no rank",
        "label_ranks.cuh",
        "uint32_t rank = has_zero & (key != 0);",
        "uint32_t rank = 0;",
    ),
    Mutant(
        "lists run into each other",
        "long_lists.cuh",
        "unsigned more = 0, heads = starts;",
        "unsigned more = 0, heads = first == 0;",
    ),
    Mutant(
        "the segment's end is lost between tiles",
        "score_order.cuh",
        "segments.tiles[tile].first_head = LessAndHead::combine(above, scanned.before).head;",
        "segments.tiles[tile].first_head = above.head;",
    ),
    Mutant(
        "tiles count from themselves",
        "score_order.cuh",
        "segments.tiles[tile].less = before.less;",
        "segments.tiles[tile].less = before.less + own.less;",
    ),
    Mutant(
        "prefix counts are one behind",
        "score_order.cuh",
        "const Position last = position - 1;\n    const RunRecord run = runs[last / kScanRun];\n"
        "    const unsigned upto = (2u << place(last)) - 1;",
        "const Position last = position - 1;\n    const RunRecord run = runs[last / kScanRun];\n"
        "    const unsigned upto = (1u << place(last)) - 1;",
    ),
    Mutant(
        "windows are those of the other class",
        "long_lists.cuh",
        "const int side = more ? 0 : 2;",
        "const int side = more ? 2 : 0;",
    ),
    Mutant(
        "windows of one boundary convention",
        "long_lists.cuh",
        "/*inclusive=*/more != last}",
        "/*inclusive=*/true}",
    ),
    Mutant(
        "short lists lose their gradients",
        "long_lists_prepare.cuh",
        "} else if (params.is_long(list) && args.raw_grad != nullptr) {",
        "} else if (args.raw_grad != nullptr) {",
    ),
    Mutant(
        "columns end with the first list before a long one",
        "pairwise.cuh",
        "crossover) ? last.begin : last.end",
        "crossover) ? first.end : last.end",
    ),
    Mutant(
        "gradients of earlier rounds are lost",
        "long_terms.cuh",
        "(round_.first ? Count{0} : sum)",
        "Count{0}",
    ),
    Mutant(
        "values of earlier rounds are lost",
        "long_lists.cuh",
        "if (!round.first) sum.add(stored);",
        "",
    ),
    # Signs, comparisons and moments.
    Mutant(
        "more and less relevant items change places",
        "long_lists.cuh",
        "(rank >> bit & 1)) << p;",
        "(~rank >> bit & 1)) << p;",
    ),
    Mutant(
        "moments do not come into a tile",
        "score_moments.cuh",
        "      moments.add(outside);\n",
        "",
    ),
    Mutant(
        "moments pass the end of a segment",
        "score_moments.cuh",
        "if (later.closed == 0 && earlier.present != 0)",
        "if (earlier.present != 0)",
    ),
    Mutant(
        "moments stay where they are",
        "score_moments.cuh",
        "advance_moments(before, distance(earlier.score, later.score));",
        "",
    ),
    Mutant(
        "an infinite distance from nothing",
        "score_moments.cuh",
        "if (moments.count != 0 || moments.first != 0) moments.advance(distance);",
        "moments.advance(distance);",
    ),
    # Numbers that are none.
    Mutant(
        "sorted NaN goes unnoticed",
        "long_lists_prepare.cuh",
        "score != score || weight != weight ||",
        "weight != weight ||",
    ),
    Mutant(
        "sorted equal infinities go unnoticed",
        "long_lists.cuh",
        "check_infinities(round, first + p);\n",
        "(void)0;\n",
    ),
]
