"""Bugs for the triplet kernels."""

from __future__ import annotations

from cuda_host.mutant import Mutant

MUTANTS = [
    Mutant(
        "a grad_output of 0 hides NaN",
        "triplet/sweep/weights.cuh",
        "slope == 0 ? 0.0 : grad_output * slope;",
        "slope == 0 || grad_output == 0 ? 0.0 : grad_output * slope;",
    ),
    # Tiles.
    Mutant(
        "rows of the wrong cell", "triplet/batch_hard/mma_tile.cuh", "chunk + lane / 16)", "chunk)"
    ),
    Mutant(
        "columns swapped",
        "triplet/batch_hard/mma_tile.cuh",
        "lane / 16 * 8 + lane % 8",
        "lane % 16",
    ),
    Mutant(
        "a step of a slice is left out",
        "triplet/batch_hard/mma_tile.cuh",
        "kFp16Terms == 1 ? 2 : 1",
        "1",
    ),
    Mutant(
        "no wait for copies",
        "triplet/batch_hard/mma_tile.cuh",
        "wait_for_copies<kTile.stages - 2>();",
        "",
    ),
    Mutant(
        "no barrier before the next tile of a product",
        "triplet/batch_hard/mma_tile.cuh",
        "__syncthreads();  // all threads have read the previous tile",
        "",
    ),
    Mutant(
        "the low parts are left out",
        "triplet/batch_hard/mma_tile.cuh",
        "mma(sums[m][n + i], rows[1][m], columns[0][i]);",
        "",
    ),
    # Search and choice.
    Mutant(
        "half a turn is missing",
        "triplet/batch_hard/schedule.cuh",
        "(shared_last ? 0 : 1)",
        "0",
        "launchers/schedule_host.cpp",
    ),
    Mutant(
        "both ends of a half turn are met",
        "triplet/batch_hard/schedule.cuh",
        "shared_last ? 0 : 1",
        "1",
        "launchers/schedule_host.cpp",
    ),
    Mutant(
        "symmetric schedules begin with the first column",
        "triplet/batch_hard/schedule.cuh",
        "? first_row_ + column :",
        "? column :",
        "launchers/schedule_host.cpp",
    ),
    Mutant(
        "a block's own pairs count twice",
        "triplet/batch_hard/schedule.cuh",
        "params_.symmetric && first_column / Product::kRows * Product::kRows != first_row_",
        "params_.symmetric",
        "launchers/schedule_host.cpp",
    ),
    Mutant(
        "all blocks have the first split",
        "triplet/batch_hard/schedule.cuh",
        "const int64_t split = blockIdx.x % params_.splits",
        "const int64_t split = 0",
        "launchers/schedule_host.cpp",
    ),
    Mutant(
        "columns get no candidates",
        "triplet/batch_hard/epilogue.cuh",
        "if (reaches(tile[r][c], column_limit))",
        "if (false)",
    ),
    Mutant(
        "mixed tiles are negative",
        "triplet/batch_hard/epilogue.cuh",
        "return inside && !diagonal && first_class_.size() > kDirectClass ? Kind::kPositive",
        "return true ? Kind::kNegative",
    ),
    Mutant(
        "what slots give up is forgotten",
        "triplet/batch_hard/candidates.cuh",
        "if (entry != 0) atomicMax(&to.rest",
        "if (false) atomicMax(&to.rest",
    ),
    Mutant(
        "ties go to the last",
        "triplet/batch_hard/select.cuh",
        "other.index < index",
        "other.index > index",
    ),
    Mutant("outliers are forgotten", "triplet/batch_hard/select.cuh", "t < num_outliers", "t < 0"),
    Mutant(
        "no barrier after the warps' picks",
        "triplet/batch_hard/select.cuh",
        "    __syncthreads();\n    if (threadIdx.x == 0)",
        "    if (threadIdx.x == 0)",
    ),
    # Operands.
    Mutant(
        "bounds without what rounding moved",
        "triplet/batch_hard/operands.cuh",
        "double{operand.residuals[t]} + bit_cast<float>(params.facts->residual)",
        "0.0",
    ),
    # Explicit triplets.
    Mutant(
        "p = 1 by powers", "triplet/explicit.cuh", "rows_.p == 1 ? z : pow(z, rows_.p)", "pow(z, 1)"
    ),
    # Gradients.
    Mutant(
        "miners of the next row",
        "triplet/mined_gradients.cuh",
        "begin = first_of(row);",
        "begin = first_of(row + 1);",
    ),
    Mutant(
        "each round begins anew",
        "triplet/mined_gradients.cuh",
        "params.earlier_terms == 0 ? 0 : sums[row * batch.dim + d]",
        "0",
    ),
    Mutant(
        "a round leaves the last one's terms",
        "triplet/semi_hard_gradients.cuh",
        "      params.positive[to + k] = -1;\n",
        "",
    ),
    Mutant(
        "terms by position",
        "triplet/semi_hard_gradients.cuh",
        "to = state.first(ordered.anchors[anchor])",
        "to = first",
    ),
    # Sweeps.
    Mutant(
        "ties are those of products",
        "triplet/sweep/forward.cuh",
        "return reached < count && thresholds[reached] <=",
        "return false && thresholds[reached] <=",
    ),
    Mutant(
        "mined pairs stay unset without a request",
        "triplet/sweep/forward.cuh",
        "if (!params.mined_pairs) return;",
        "if (params.hardest == nullptr) return;",
    ),
    Mutant(
        "rows in no triplet are looked at",
        "triplet/sweep/gradients.cuh",
        "moves = __any_sync(kAllLanes, moves) != 0;",
        "moves = true;",
    ),
    Mutant(
        "a round's positives overlap",
        "triplet/sweep/state.cuh",
        "int64_t{round} * chunk + element;",
        "element;",
    ),
    Mutant(
        "equal keys are above",
        "triplet/sweep/forward.cuh",
        "return threshold < pick.key;",
        "return threshold <= pick.key;",
    ),
    Mutant(
        "kinks count in full",
        "triplet/sweep/forward.cuh",
        "active + term.boundary *",
        "active + 1.0 *",
    ),
    Mutant(
        "weights of one direction",
        "triplet/sweep/gradients.cuh",
        "if (params_.rows_are_refs) add(other, row);",
        "",
    ),
    Mutant(
        "no barrier of a warp before the next tile overwrites the weights",
        "triplet/sweep/gradients.cuh",
        "__syncwarp();  // before the next tile overwrites the weights",
        "",
    ),
]
