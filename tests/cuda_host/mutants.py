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
        "lists.slots(last_list).end;",
        "lists.slots(first_list).end;",
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
        "sums.slope_as_less += column.weight_as_more * slope;",
        "sums.slope_as_less += column.weight_as_less * slope;",
    ),
    Mutant(
        "gap of the wrong side",
        "pairwise_terms.cuh",
        "above ? column.reach - row.score : row.reach - column.score",
        "above ? row.reach - column.score : column.reach - row.score",
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
]


def run_tests(library: Path) -> tuple[bool, str]:
    """Whether all tests pass with that library, and if not, what failed first."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "--tb=line", *sorted(HERE.glob("*_host.py"))],
        capture_output=True,
        text=True,
        cwd=HERE.parent,
        env={**os.environ, "FUSED_RANKLOSS_HOST_LIBRARY": str(library)},
    )
    failures = re.findall(r"^(?:FAILED .*|E  .*|/.*Error.*)$", done.stdout, re.MULTILINE)
    return done.returncode == 0, "\n    ".join(failures) or done.stdout


def survives(mutant: Mutant, folder: Path) -> bool:
    csrc = folder / "csrc"
    shutil.copytree(CSRC, csrc)
    file = csrc / "cuda" / mutant.file
    text = file.read_text()
    if text.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.name}: expected its text once in {mutant.file}")
    file.write_text(text.replace(mutant.old, mutant.new))
    library = host_build.build("pairwise_host.cpp", folder, uses_torch=True, csrc=csrc)
    passed, failures = run_tests(library)
    print(f"SURVIVED: {mutant.name}" if passed else f"killed: {mutant.name}\n    {failures}")
    return passed


def main() -> int:
    chosen = [mutant for mutant in MUTANTS if not sys.argv[1:] or mutant.name in sys.argv[1:]]
    survivors = 0
    for mutant in chosen:
        with tempfile.TemporaryDirectory() as folder:
            survivors += survives(mutant, Path(folder))
            sys.stdout.flush()
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
