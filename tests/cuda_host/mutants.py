"""Plants one bug at a time into the kernels and shows that a test without a GPU fails for each.

    python tests/cuda_host/mutants.py [NAME ...]

Every mutant is a copy of csrc/ with one piece of text replaced. Takes some ten seconds each.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import host_build
from host_build import CSRC, HERE


class Mutant(NamedTuple):
    name: str
    file: str
    old: str  # occurs once in the file
    new: str


MUTANTS = [
    # Barriers and warps.
    Mutant(
        "no barrier after the rows are loaded",
        "pairwise.cuh",
        "const bool any_real = __syncthreads_or(real) != 0;",
        "const bool any_real = true;",
    ),
    Mutant(
        "no barrier after a tile is loaded",
        "pairwise.cuh",
        "    __syncthreads();\n    if (one_list)",
        "    if (one_list)",
    ),
    Mutant(
        "no barrier before the next tile",
        "pairwise.cuh",
        "__syncthreads();  // before the next tile overwrites this one, and the sums are read",
        "",
    ),
    Mutant(
        "no barrier between two block sums",
        "reduce_lists.cuh",
        "  __syncthreads();  // of an earlier call, everyone has read\n",
        "",
    ),
    Mutant(
        "no barrier within a block sum",
        "reduce_lists.cuh",
        "warp_totals.store(warp_index(), totals);\n  __syncthreads();",
        "warp_totals.store(warp_index(), totals);",
    ),
    Mutant(
        "divergent barrier",
        "reduce_lists.cuh",
        "const bool broken = offsets_are_broken(lists);",
        "const bool broken = threadIdx.x < num_lists + 1 && offsets_are_broken(lists);",
    ),
    Mutant(
        "shuffle by part of a warp",
        "list_partials.cuh",
        "= __shfl_down_sync(kAllLanes, list, 1);",
        "= lane < 31 ? __shfl_down_sync(kAllLanes, list, 1) : list;",
    ),
    Mutant(
        "wrong lane in the segmented scan",
        "list_partials.cuh",
        "if (lane >= distance && earlier_list == list)",
        "if (lane > distance && earlier_list == list)",
    ),
    Mutant(
        "segments run into each other",
        "list_partials.cuh",
        "if (lane >= distance && earlier_list == list)",
        "if (lane >= distance)",
    ),
    Mutant(
        "last lane's list is not stored",
        "list_partials.cuh",
        "lane == kWarpSize - 1 || next_list != list",
        "next_list != list",
    ),
    Mutant(
        "every list is the first of its warp",
        "list_partials.cuh",
        "first_list + owner)",
        "first_list)",
    ),
    Mutant(
        "a long list's chunks overlap",
        "list_partials.cuh",
        "for (int64_t i = lane; i < owner_chunks; i += kWarpSize)",
        "for (int64_t i = lane; i < owner_chunks; i += kWarpSize - 1)",
    ),
    Mutant(
        "the sum comes from the wrong lane",
        "list_partials.cuh",
        "return __shfl_sync(kAllLanes, value, 0); }",
        "return __shfl_sync(kAllLanes, value, 1); }",
    ),
    Mutant(
        "blocks are counted without an atomic",
        "pairwise.cuh",
        "atomicAdd(params.finished_blocks, 1u)",
        "(*params.finished_blocks)++",
    ),
    Mutant(
        "the last block but one sums up",
        "pairwise.cuh",
        "== gridDim.x - 1",
        "== gridDim.x - (gridDim.x > 1 ? 2 : 1)",
    ),
    # Indices and masks.
    Mutant(
        "columns end one too early",
        "pairwise.cuh",
        "for (int index = first; index < end; index += kWarps)",
        "for (int index = first; index < end - 1; index += kWarps)",
    ),
    Mutant(
        "warps overlap", "pairwise.cuh", "- begin % kWarps) % kWarps", "- begin % kWarps) % kRows"
    ),
    Mutant(
        "rows see the columns of other lists",
        "pairwise.cuh",
        "one_list = first_list == last_list;",
        "one_list = true;",
    ),
    Mutant(
        "columns of the first list only",
        "pairwise.cuh",
        "lists.num_slots} : lists.slots(last_list);",
        "lists.num_slots} : lists.slots(first_list);",
    ),
    Mutant(
        "masked columns count",
        "pairwise.cuh",
        "lists.is_real(slot) ? term.load(slot)",
        "true ? term.load(slot)",
    ),
    Mutant(
        "masked rows count",
        "lists.cuh",
        "slot < range.end && lists.is_real(slot);",
        "slot < range.end;",
    ),
    Mutant("slots belong to the list before", "lists.cuh", "<= slot) {", "< slot) {"),
    Mutant(
        "margins share one gradient",
        "pairwise.cuh",
        "term.store_gradient(k * lists.num_slots + slot, totals);",
        "term.store_gradient(slot, totals);",
    ),
    Mutant(
        "all rows write one chunk",
        "pairwise.cuh",
        "k, slot / kWarpSize,",
        "k, first_row / kWarpSize,",
    ),
    Mutant(
        "lists are summed twice",
        "reduce_lists.cuh",
        "#pragma unroll 1\n    for (int64_t first = warp_index() * kWarpSize; first < num_lists; "
        "first += kThreads)",
        "for (int64_t first = warp_index() * kWarpSize; first < num_lists; first += kThreads / 2)",
    ),
    Mutant(
        "padding gets a gradient",
        "lists_backward.cuh",
        "real ? slot_gradient(args, slot, list) : 0.0",
        "real || list != kNoList ? slot_gradient(args, slot, list) : 0.0",
    ),
    # Signs and comparisons.
    Mutant("gradient with the wrong sign", "pairwise_terms.cuh", "less - more;", "more - less;"),
    Mutant(
        "the boundary is left out",
        "pairwise_terms.cuh",
        "above & (row.score <= column.reach)",
        "above & (row.score < column.reach)",
    ),
    Mutant(
        "equal labels make a pair",
        "pairwise_terms.cuh",
        "const bool below = row.label < column.label;\n    sums.more",
        "const bool below = row.label <= column.label;\n    sums.more",
    ),
    Mutant(
        "the other boundary convention",
        "pairwise_terms.cuh",
        "inclusive_(args.boundary_grad == 1)",
        "inclusive_(args.boundary_grad == 0)",
    ),
    Mutant(
        "negative float labels above positive ones",
        "pairwise_terms.cuh",
        "static_cast<Key>(key - 0x80000000)",
        "static_cast<Key>(key)",
    ),
    Mutant(
        "the column's weight of the wrong side",
        "pairwise_terms.cuh",
        "sums.slope_as_less += column.weight_as_more * Loss",
        "sums.slope_as_less += column.weight_as_less * Loss",
    ),
    Mutant(
        "gap of the wrong side",
        "pairwise_terms.cuh",
        "const Number gap = column.reach - row.score;",
        "const Number gap = row.reach - column.score;",
    ),
    # Numbers that are none.
    Mutant(
        "NaN goes unnoticed",
        "pairwise.cuh",
        "if (real && term.holds_nan(row)) first_sums.poison();",
        "",
    ),
    Mutant(
        "equal infinities go unnoticed",
        "pairwise.cuh",
        "if (column.score == rows[r].score && column.label != rows[r].label) sums[r].poison();",
        "(void)column;",
    ),
    Mutant(
        "no count of an infinite score",
        "pairwise_terms.cuh",
        "if (count != 0) partial.value",
        "partial.value",
    ),
    Mutant(
        "rounding errors are dropped",
        "compensated_sum.cuh",
        "      low = __dadd_rn(low, error);\n",
        "      (void)error;\n",
    ),
    Mutant(
        "broken offsets go unnoticed",
        "reduce_lists.cuh",
        "broken || sum.pairs",
        "sum.pairs",
    ),
    # ---- Long lists ----
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
        "short lists are sorted, too",
        "long_lists_prepare.cuh",
        "if (!is_long(list) || real_range(",
        "if (real_range(",
    ),
    Mutant(
        "rows of long lists get a gradient twice",
        "pairwise.cuh",
        "slot < lists.num_slots && is_own)",
        "slot < lists.num_slots)",
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
        "if (score != score || weight != weight ||",
        "if (weight != weight ||",
    ),
    Mutant(
        "sorted equal infinities go unnoticed",
        "long_lists.cuh",
        "check_infinities(round, first + p);\n",
        "(void)0;\n",
    ),
    # Short lists.
    Mutant(
        "items are read before all are in their cells",
        "short_lists.cuh",
        "place(waiting, order.tail);\n  team.sync();",
        "place(waiting, order.tail);",
    ),
    Mutant(
        "no barrier within the sum of a list",
        "list_team.cuh",
        "store(warp_index(), total);\n    __syncthreads();",
        "store(warp_index(), total);",
    ),
    Mutant(
        "a partner of the row's own label",
        "short_lists.cuh",
        "column < rows[first].lower; ++column",
        "column <= rows[first].lower; ++column",
    ),
    Mutant(
        "partners of the first row only",
        "short_lists.cuh",
        "for (int r = first; r < kRows; ++r) term.add_lower",
        "for (int r = first; r <= first; ++r) term.add_lower",
    ),
    Mutant(
        "no pairs within the tail",
        "short_lists.cuh",
        "rows[r].tail = cell < order.tail ? order.size : order.tail;",
        "rows[r].tail = order.size;",
    ),
    Mutant(
        "rows that are none meet partners",
        "short_lists.cuh",
        "if (cell >= order.size) continue;",
        "if (cell > order.size) continue;",
    ),
    Mutant(
        "padding beyond the slots keeps its gradient",
        "short_lists.cuh",
        "slot < args.lists.width; slot +=",
        "slot < own.size; slot +=",
    ),
    Mutant(
        "nobody takes the blocks' lists",
        "short_lists.cuh",
        "__syncthreads_or(longer) != 0",
        "__syncthreads_or(false) != 0",
    ),
    Mutant(
        "sums of lists that were left to others",
        "short_lists.cuh",
        "if (lane_index() < num_lists && range.size() <= params.longest) {",
        "if (lane_index() < num_lists) {",
    ),
    Mutant(
        "the boundary is left out of a search",
        "short_lists.cuh",
        ".reach >= row.item.score;",
        ".reach > row.item.score;",
    ),
    Mutant(
        "the boundary is added to a search",
        "short_lists.cuh",
        ".score > row.item.reach;",
        ".score >= row.item.reach;",
    ),
    Mutant(
        "labels are mixed while sorting",
        "list_sort.cuh",
        "static_cast<uint64_t>(run) << 37 | ",
        "static_cast<uint64_t>(run & 0) << 37 | ",
    ),
    Mutant(
        "ties have one place while sorting",
        "list_sort.cuh",
        "static_cast<unsigned>(lane);",
        "static_cast<unsigned>(lane & 0);",
    ),
    Mutant(
        "ties have one place while merging",
        "list_sort.cuh",
        "keys[r].score + (own_edge > other_edge ? 1 : 0);",
        "keys[r].score;",
    ),
    Mutant(
        "a merge goes beyond its run",
        "list_sort.cuh",
        "edge > end ? end : edge",
        "edge > size ? size : edge",
    ),
    Mutant(
        "no barrier before a merge overwrites its input",
        "list_sort.cuh",
        "(first - other_begin);\n    }\n    __syncthreads();",
        "(first - other_begin);\n    }",
    ),
    Mutant(
        "a warp counts itself twice",
        "list_team.cuh",
        "if (warp < warp_index()) selection.before",
        "if (warp <= warp_index()) selection.before",
    ),
    Mutant(
        "one buffer for two exchanges",
        "list_team.cuh",
        "    turn_ = kListWarps - turn_;\n",
        "",
    ),
    Mutant(
        "no barrier within an exchange",
        "list_team.cuh",
        "next);\n    }\n    __syncthreads();",
        "next);\n    }",
    ),
    Mutant(
        "a poisoned short list",
        "list_results.cuh",
        "const bool poisoned = !valid || sum.pairs != sum.pairs;",
        "const bool poisoned = !valid;",
    ),
    Mutant(
        "broken offsets of short lists",
        "list_results.cuh",
        "  if (args.lists.offsets && !valid) totals.lists_with_pairs = kNan<double>;\n",
        "",
    ),
    Mutant(
        "scales stay numbers of pairs",
        "list_results.cuh",
        "args.list_scale[list] = pairs == pairs ? scale : pairs;",
        "args.list_scale[list] = pairs == pairs && list > 0 ? scale : pairs;",
    ),
    # Pairs of fp32 numbers.
    Mutant(
        "a sum's error is dropped",
        "two_float.cuh",
        "return (a - (sum - seen)) + (b - seen);",
        "return (void)a, (void)b, (void)sum, (void)seen, 0;",
    ),
    Mutant(
        "a product's error is dropped",
        "two_float.cuh",
        "const float error = fmaf(a.high, b.high, -product);",
        "const float error = 0;",
    ),
    Mutant(
        "the low part of a square is dropped",
        "two_float.cuh",
        "fmaf(a.high, b.low, fmaf(a.low, b.high, error))",
        "error",
    ),
    Mutant(
        "NaN reaches an infinite number",
        "two_float.cuh",
        "const float rest = fmaxf(low, -kLargest);",
        "const float rest = low;",
    ),
    Mutant(
        "a small margin is rounded away",
        "two_float.cuh",
        "    if (low == 0 && rest != 0) low = rest > 0 ? kSmallest : -kSmallest;\n",
        "",
    ),
    Mutant(
        "low parts do not decide",
        "two_float.cuh",
        "return a.high == b && a.low == 0;",
        "return a.high == b;",
    ),
]


# Launchers, and the tests that use them.
HOSTS = {
    "pairwise_host.cpp": (
        *("test_pairwise*_host.py", "test_two_float_host.py", "test_lists_backward_host.py"),
    ),
    "short_lists_host.cpp": ("test_short_lists_host.py",),
    "long_lists_host.cpp": ("test_long_lists_host.py",),
}


def includes(text: str, csrc: Path, found: set[str]) -> set[str]:
    """The files of csrc/cuda that a source includes, by themselves or through others."""
    for name in re.findall(r'#include "cuda/([^"]+)"', text):
        if name not in found:
            found.add(name)
            includes((csrc / "cuda" / name).read_text(), csrc, found)
    return found


def run_tests(libraries: Path, hosts: list[str]) -> tuple[bool, str]:
    """Whether all tests of these hosts pass, and if not, what failed first."""
    tests = {test for host in hosts for pattern in HOSTS[host] for test in HERE.glob(pattern)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "--tb=line", *sorted(tests)],
        capture_output=True,
        text=True,
        cwd=HERE.parent,
        env={**os.environ, "FUSED_RANKLOSS_HOST_LIBRARIES": str(libraries)},
    )
    failures = re.findall(r"^(?:FAILED .*|E  .*|/.*Error.*)$", done.stdout, re.MULTILINE)
    return done.returncode == 0, "\n    ".join(failures) or done.stdout


def survives(mutant: Mutant, folder: Path, originals: Path) -> bool:
    csrc = folder / "csrc"
    shutil.copytree(CSRC, csrc)
    file = csrc / "cuda" / mutant.file
    text = file.read_text()
    if text.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.name}: expected its text once in {mutant.file}")
    file.write_text(text.replace(mutant.old, mutant.new))
    hosts = [
        host
        for host in HOSTS
        if mutant.file in includes((HERE / host).read_text(), csrc, found=set())
    ]
    for host in HOSTS:
        if host in hosts:
            host_build.build(host, folder, uses_torch=True, csrc=csrc)
        else:
            shutil.copy(host_build.build(host, originals, uses_torch=True), folder)
    passed, failures = run_tests(folder, hosts)
    print(f"SURVIVED: {mutant.name}" if passed else f"killed: {mutant.name}\n    {failures}")
    return passed


def main() -> int:
    chosen = [mutant for mutant in MUTANTS if not sys.argv[1:] or mutant.name in sys.argv[1:]]
    survivors = 0
    with tempfile.TemporaryDirectory() as originals:
        for mutant in chosen:
            with tempfile.TemporaryDirectory() as folder:
                survivors += survives(mutant, Path(folder), Path(originals))
                sys.stdout.flush()
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
