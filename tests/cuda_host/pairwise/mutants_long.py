"""Bugs for the kernels of long lists."""

from __future__ import annotations

from cuda_host.mutant import Mutant

MUTANTS = [
    # Barriers.
    Mutant(
        "no grid barrier before the scan over tiles",
        "pairwise/long.cuh",
        "    grid_.sync();\n    if (grid_.rank() == 0) scan_tiles(",
        "    if (grid_.rank() == 0) scan_tiles(",
    ),
    Mutant(
        "no grid barrier between two rounds",
        "pairwise/long.cuh",
        "partition_tile(round, next, tile);\n    }\n    grid_.sync();",
        "partition_tile(round, next, tile);\n    }",
    ),
    Mutant(
        "no barrier after the windows",
        "pairwise/long.cuh",
        ": reaches.first_beyond(segment, score));\n    }\n    __syncthreads();",
        ": reaches.first_beyond(segment, score));\n    }",
    ),
    Mutant(
        "no barrier between two scans",
        "primitives/block_scan.cuh",
        "  __syncthreads();  // all threads have read `shared` of an earlier scan\n",
        "",
    ),
    Mutant(
        "lanes go on before all have read a digit's place",
        "primitives/grid_radix_sort.cuh",
        "shared.counts.load(cell) : 0;\n    __syncwarp();",
        "shared.counts.load(cell) : 0;",
    ),
    Mutant(
        "a warp counts its next tile before all lanes have moved their items",
        "primitives/grid_radix_sort.cuh",
        "      __syncwarp();  // before the warp clears its counts for the next tile\n",
        "",
    ),
    Mutant(
        "a tile's items move before all of its warps are counted",
        "primitives/grid_radix_sort.cuh",
        "        facts[i] |= count_item(shared, own_digit) << 16;\n      }\n      __syncthreads();",
        "        facts[i] |= count_item(shared, own_digit) << 16;\n      }",
    ),
    Mutant(
        "no grid barrier after the last pass",
        "primitives/grid_radix_sort.cuh",
        "      grid.sync();\n      items.swap();",
        "      if (digits != 0) grid.sync();\n      items.swap();",
    ),
    Mutant(
        "flags are used before they are cleared",
        "pairwise/long_sort.cuh",
        "  grid.sync();\n\n  const Range tiles",
        "  const Range tiles",
    ),
    # Indices and masks.
    Mutant(
        "sorting is not stable",
        "primitives/grid_radix_sort.cuh",
        "return before + __popc(earlier);",
        "return before + __popc(peers) - 1 - __popc(earlier);",
    ),
    Mutant(
        "a digit that varies is skipped",
        "primitives/grid_radix_sort.cuh",
        "(varying >> 8 * digit & 0xff) != 0)",
        "(varying >> 8 * digit & 0xff) > 1)",
    ),
    Mutant(
        "a chunk counts its own items as earlier ones",
        "primitives/grid_radix_sort.cuh",
        "if (chunk < grid.rank()) before += count;",
        "if (chunk <= grid.rank()) before += count;",
    ),
    Mutant(
        "items are counted where they come from",
        "primitives/grid_radix_sort.cuh",
        "next[chunks.chunk_of(to) * kDigits",
        "next[grid.rank() * kDigits",
    ),
    Mutant(
        "counts of an earlier pass stay",
        "primitives/grid_radix_sort.cuh",
        "    histogram(following(following(turn)), grid.rank())[thread] = 0;\n",
        "",
    ),
    Mutant(
        "the next tile's items go where this one's did",
        "primitives/grid_radix_sort.cuh",
        "        place += count;\n",
        "        if (warp + 1 < kWarps || tile + 1 == tiles.end) place += count;\n",
    ),
    Mutant(
        "fp16 scores are bf16",
        "pairwise/long_sort.cuh",
        "if (score_type == ScoreType::kHalf) digits &= ~1u;",
        "if (score_type == ScoreType::kHalf) digits &= ~3u;",
    ),
    Mutant(
        "bf16 scores have no mantissa",
        "pairwise/long_sort.cuh",
        "if (score_type == ScoreType::kBFloat16) digits &= ~3u;",
        "if (score_type == ScoreType::kBFloat16) digits &= ~7u;",
    ),
    Mutant(
        "255 lists at most",
        "pairwise/long_sort.cuh",
        "num_lists > 1 && num_lists >> 8 * d != 0;",
        "num_lists > 1 && d < 1;",
    ),
    Mutant(
        "lists stay where scores were",
        "pairwise/long_sort.cuh",
        "    if (has_lists) to.ranks[place] = item.list;\n",
        "",
    ),
    Mutant(
        "lists without an item are not long",
        "lists/prepare.cuh",
        "if (params.is_long(list) && *static_cast",
        "if (params.is_long(list) && params.orders[0].keys[slot] != kInertKey<ScoreKey<Real>> &&\n"
        "            *static_cast",
    ),
    Mutant(
        "a ninth grade fits",
        "lists/label_ranks.cuh",
        "    atomicExch(&has_more, 1u);",
        "    (void)has_more;",
    ),
    Mutant(
        "the label 0 has no rank",
        "lists/label_ranks.cuh",
        "uint32_t rank = has_zero & (key != 0);",
        "uint32_t rank = 0;",
    ),
    Mutant(
        "lists run into each other",
        "pairwise/long.cuh",
        "unsigned more = 0, heads = starts;",
        "unsigned more = 0, heads = first == 0;",
    ),
    Mutant(
        "the segment's end is lost between tiles",
        "lists/score_order.cuh",
        "segments.tiles[tile].first_head = LessAndHead::combine(above, scanned.before).head;",
        "segments.tiles[tile].first_head = above.head;",
    ),
    Mutant(
        "tiles count from themselves",
        "lists/score_order.cuh",
        "segments.tiles[tile].less = before.less;",
        "segments.tiles[tile].less = before.less + own.less;",
    ),
    Mutant(
        "prefix counts are one behind",
        "lists/score_order.cuh",
        "const Position last = position - 1;\n"
        "    const RunRecord run = runs[last / kItemsPerThread];\n"
        "    const unsigned upto = (2u << place(last)) - 1;",
        "const Position last = position - 1;\n"
        "    const RunRecord run = runs[last / kItemsPerThread];\n"
        "    const unsigned upto = (1u << place(last)) - 1;",
    ),
    Mutant(
        "windows are those of the other class",
        "pairwise/long.cuh",
        "const int side = more ? 0 : 2;",
        "const int side = more ? 2 : 0;",
    ),
    Mutant(
        "windows of one boundary convention",
        "pairwise/long.cuh",
        "/*inclusive=*/more != last}",
        "/*inclusive=*/true}",
    ),
    Mutant(
        "short lists lose their gradients",
        "lists/prepare.cuh",
        "} else if (params.is_long(list) && args.raw_grad != nullptr) {",
        "} else if (args.raw_grad != nullptr) {",
    ),
    Mutant(
        "columns end with the first list before a long one",
        "pairwise/tiled.cuh",
        "crossover) ? last.begin : last.end",
        "crossover) ? first.end : last.end",
    ),
    Mutant(
        "gradients of earlier rounds are lost",
        "pairwise/long_terms.cuh",
        "(round_.first ? 0 : sum)",
        "0",
    ),
    Mutant(
        "values of earlier rounds are lost",
        "pairwise/long.cuh",
        "if (!round.first) sum.add(stored);",
        "",
    ),
    # Signs, comparisons and moments.
    Mutant(
        "more and less relevant items change places",
        "pairwise/long.cuh",
        "(rank >> bit & 1)) << p;",
        "(~rank >> bit & 1)) << p;",
    ),
    Mutant(
        "moments do not come into a tile",
        "lists/score_moments.cuh",
        "      moments.add(outside);\n",
        "",
    ),
    Mutant(
        "moments pass the end of a segment",
        "lists/score_moments.cuh",
        "if (later.closed == 0 && earlier.present != 0)",
        "if (earlier.present != 0)",
    ),
    Mutant(
        "moments stay where they are",
        "lists/score_moments.cuh",
        "before.advance(distance(earlier.score, later.score));",
        "",
    ),
    Mutant(
        "an infinite distance from nothing",
        "../losses/gap_moments.h",
        "if (!(count > 0 && distance > 0)) return;",
        "if (!(distance > 0)) return;",
    ),
    # Numbers that are none.
    Mutant(
        "sorted NaN goes unnoticed",
        "lists/prepare.cuh",
        "score != score || !is_weight(weight) ||",
        "!is_weight(weight) ||",
    ),
    Mutant(
        "a NaN that sorts like padding is padding",
        "lists/score_order.cuh",
        "return score == score ? ordered_key(score)\n",
        "return true ? ordered_key(score)\n",
    ),
    Mutant(
        "sorted equal infinities go unnoticed",
        "pairwise/long.cuh",
        "check_infinities(round, first + p);\n",
        "(void)0;\n",
    ),
]
