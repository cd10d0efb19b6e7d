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
        "if (lost != 0)",
        "if (false && lost != 0)",
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
    # Gradients.
    Mutant(
        "miners of the next row",
        "mined_gradients.cuh",
        "begin = first_of(row);",
        "begin = first_of(row + 1);",
    ),
    # Sweeps.
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
