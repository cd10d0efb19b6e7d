"""Bugs for the triplet kernels."""

from __future__ import annotations

from mutant import Mutant

MUTANTS = [
    # Tiles.
    Mutant("rows of the wrong cell", "tile_product.cuh", "chunk + lane / 16)", "chunk)"),
    Mutant("columns swapped", "tile_product.cuh", "lane / 16 * 8 + lane % 8", "lane % 16"),
    Mutant("a step of a slab is left out", "tile_product.cuh", "kPieces == 1 ? 2 : 1", "1"),
    Mutant("no wait for copies", "tile_product.cuh", "wait_for_copies<kTile.stages - 2>();", ""),
    Mutant(
        "no barrier before the next tile of a product",
        "tile_product.cuh",
        "__syncthreads();  // everyone has read the tile before",
        "",
    ),
    Mutant(
        "the low parts are left out",
        "tile_product.cuh",
        "mma(sums[m][n + i], rows[1][m], columns[0][i]);",
        "",
    ),
    # Search and choice.
    Mutant(
        "half a turn is missing",
        "search_plan.cuh",
        "(shared_last ? 0 : 1)",
        "0",
        "search_plan_host.cpp",
    ),
    Mutant(
        "both ends of a half turn are met",
        "search_plan.cuh",
        "shared_last ? 0 : 1",
        "1",
        "search_plan_host.cpp",
    ),
    Mutant(
        "half bands begin with the first column",
        "search_plan.cuh",
        "? first_row_ + column :",
        "? column :",
        "search_plan_host.cpp",
    ),
    Mutant(
        "a block's own pairs count twice",
        "search_plan.cuh",
        "params_.half_band && first_column / Product::kRows * Product::kRows != first_row_",
        "params_.half_band",
        "search_plan_host.cpp",
    ),
    Mutant(
        "all blocks have the first split",
        "search_plan.cuh",
        "const int64_t split = blockIdx.x % params_.splits",
        "const int64_t split = 0",
        "search_plan_host.cpp",
    ),
    Mutant(
        "columns get no candidates",
        "search_tiles.cuh",
        "if (reaches(tile[r][c], column_limit))",
        "if (false)",
    ),
    Mutant(
        "mixed tiles are negative",
        "search_tiles.cuh",
        "return inside && !diagonal && first_class_.size() > kDirectClass ? Kind::kPositive",
        "return true ? Kind::kNegative",
    ),
    Mutant(
        "what slots give up is forgotten",
        "search_candidates.cuh",
        "if (entry != 0) atomicMax(&to.rest",
        "if (false) atomicMax(&to.rest",
    ),
    Mutant(
        "ties go to the last", "hardest_choice.cuh", "other.index < index", "other.index > index"
    ),
    Mutant("wild references are forgotten", "hardest_choice.cuh", "t < num_wild", "t < 0"),
    Mutant(
        "no barrier after the warps' picks",
        "hardest_choice.cuh",
        "    __syncthreads();\n    if (threadIdx.x == 0)",
        "    if (threadIdx.x == 0)",
    ),
    # Operands.
    Mutant(
        "bounds without what rounding moved",
        "search_operands.cuh",
        "double{operand.residuals[t]} + bit_cast<float>(params.facts->residual)",
        "0.0",
    ),
    # Explicit triplets.
    Mutant(
        "p = 1 by powers", "triplet_rows.cuh", "rows_.p == 1 ? z : pow(z, rows_.p)", "pow(z, 1)"
    ),
    # Gradients.
    Mutant(
        "miners of the next row",
        "mined_gradients.cuh",
        "begin = first_of(row);",
        "begin = first_of(row + 1);",
    ),
    Mutant(
        "each round begins anew",
        "mined_gradients.cuh",
        "params.earlier_terms == 0 ? 0 : sums[row * batch.dim + d]",
        "0",
    ),
    Mutant(
        "a round leaves the last one's terms",
        "semi_hard_gradients.cuh",
        "      params.positive[to + k] = -1;\n",
        "",
    ),
    Mutant(
        "terms by position",
        "semi_hard_gradients.cuh",
        "to = state.first(ordered.anchors[anchor])",
        "to = first",
    ),
    # Sweeps.
    Mutant(
        "ties are those of products",
        "sweep_forward.cuh",
        "return reached < count && thresholds[reached] <=",
        "return false && thresholds[reached] <=",
    ),
    Mutant(
        "mined pairs stay unset without a request",
        "sweep_forward.cuh",
        "if (!params.mined_pairs) return;",
        "if (params.hardest == nullptr) return;",
    ),
    Mutant(
        "rows in no triplet are looked at",
        "sweep_gradients.cuh",
        "moves = __any_sync(kAllLanes, moves) != 0;",
        "moves = true;",
    ),
    Mutant(
        "a round's positives overlap",
        "sweep_state.cuh",
        "int64_t{round} * chunk + element;",
        "element;",
    ),
    Mutant(
        "equal keys are above",
        "sweep_forward.cuh",
        "return threshold < pick.key;",
        "return threshold <= pick.key;",
    ),
    Mutant(
        "kinks count in full", "sweep_forward.cuh", "active + term.boundary *", "active + 1.0 *"
    ),
    Mutant(
        "weights of one direction",
        "sweep_gradients.cuh",
        "if (params_.rows_are_refs) add(other, row);",
        "",
    ),
    Mutant(
        "no barrier of a warp before the next tile's weights",
        "sweep_gradients.cuh",
        "__syncwarp();  // before the next tile's weights",
        "",
    ),
]
