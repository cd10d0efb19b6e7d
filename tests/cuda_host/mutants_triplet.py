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
        "the last cluster is as large as the others",
        "search_plan.cuh",
        "cluster + met < clusters ? 0 : clusters * kClusterRows - columns()",
        "0",
        "search_plan_host.cpp",
    ),
    Mutant(
        "half bands begin at a block's own rows",
        "search_plan.cuh",
        "? cluster_row() + column :",
        "? first_row() + column :",
        "search_plan_host.cpp",
    ),
    Mutant(
        "a cluster's own pairs count twice",
        "search_plan.cuh",
        "first_column / kClusterRows * kClusterRows != cluster_row()",
        "first_column / Product::kRows * Product::kRows != first_row()",
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
    # Hopper.
    Mutant(
        "products do not wait for columns",
        "hopper_search.cuh",
        "shared_.full[stage_of(use)].wait(parity_of(use));",
        "",
    ),
    Mutant("products do not wait for rows", "hopper_search.cuh", "shared_.rows_full.wait(0);", ""),
    Mutant(
        "copies do not wait for an empty place",
        "hopper_search.cuh",
        "shared_.empty[stage].wait(1 - parity_of(use));",
        "",
    ),
    Mutant(
        "copies wait for the phase to come",
        "hopper_search.cuh",
        "shared_.empty[stage].wait(1 - parity_of(use));",
        "shared_.empty[stage].wait(parity_of(use));",
    ),
    Mutant(
        "places are counted a tile too late",
        "hopper_search.cuh",
        "(index - range.begin) * chunks_, group)",
        "(index - range.begin + 1) * chunks_, group)",
    ),
    Mutant(
        "a place is given back with its products begun",
        "hopper_search.cuh",
        "wait_for_products<1>();",
        "wait_for_products<2>();",
    ),
    Mutant(
        "nobody waits for a tile's last products",
        "hopper_search.cuh",
        "wait_for_products<0>();",
        "",
    ),
    Mutant(
        "nobody has the other's turn",
        "hopper_search.cuh",
        "shared_.turns[1 - group]",
        "shared_.turns[group]",
    ),
    Mutant(
        "barriers for one warp",
        "hopper_search.cuh",
        "empty[stage].init(kGroupWarps * sharers_)",
        "empty[stage].init(sharers_)",
    ),
    Mutant(
        "stages are empty without the other block",
        "hopper_search.cuh",
        "empty[stage].init(kGroupWarps * sharers_)",
        "empty[stage].init(kGroupWarps)",
    ),
    Mutant(
        "stages are given back at home alone",
        "hopper_search.cuh",
        "empty[stage_of(use)].arrive_in(lane_index())",
        "empty[stage_of(use)].arrive()",
    ),
    Mutant(
        "stages are given back in one block alone",
        "hopper_search.cuh",
        "lane_index() < sharers_",
        "lane_index() == 0",
    ),
    Mutant(
        "a block expects what it copies",
        "hopper_search.cuh",
        "full[stage].arrive_expecting(kTileBytes)",
        "full[stage].arrive_expecting(kTileBytes / sharers_)",
    ),
    Mutant(
        "blocks expect what both of them copy twice",
        "hopper_search.cuh",
        "full[stage].arrive_expecting(kTileBytes)",
        "full[stage].arrive_expecting(kTileBytes * sharers_)",
    ),
    Mutant(
        "halves of columns stay at home",
        "hopper_search.cuh",
        "shared_.full[stage], sharers_);",
        "shared_.full[stage], 1);",
    ),
    Mutant(
        "columns go to blocks without rows",
        "hopper_search.cuh",
        "shared_.full[stage], sharers_);",
        "shared_.full[stage], kHopperClusterBlocks);",
    ),
    Mutant(
        "a block that is alone copies half",
        "hopper_search.cuh",
        "box += sharers_",
        "box += kHopperClusterBlocks",
    ),
    Mutant(
        "both blocks copy the first half",
        "hopper_search.cuh",
        "int box = tiles_.plan().rank();",
        "int box = 0;",
    ),
    Mutant(
        "the second half has the first one's columns",
        "hopper_search.cuh",
        "first_column + box * kBoxRows",
        "first_column",
    ),
    Mutant(
        "the second half has the first one's place",
        "hopper_search.cuh",
        "columns_at(stage) + box * kBoxBytes",
        "columns_at(stage)",
    ),
    Mutant(
        "barriers are for their block alone",
        "hopper_search.cuh",
        "publish_mbarriers();\n    }\n    sync_cluster();",
        "publish_mbarriers();\n    }\n    __syncthreads();",
    ),
    Mutant(
        "a block leaves before the other",
        "hopper_search.cuh",
        "search(range);\n    }\n    sync_cluster();",
        "search(range);\n    }",
    ),
    Mutant(
        "blocks of a cluster search alike",
        "search_plan.cuh",
        "cluster_row() + rank() * Product::kRows",
        "cluster_row()",
        "search_plan_host.cpp",
    ),
    Mutant(
        "each block of a cluster has a split of its own",
        "search_plan.cuh",
        "const int64_t split = blockIdx.x / kClusterBlocks % params_.splits",
        "const int64_t split = blockIdx.x % params_.splits",
        "search_plan_host.cpp",
    ),
    Mutant("no barrier for the column limits", "hopper_search.cuh", "sync_group();", ""),
    Mutant(
        "one place for both warpgroups' column limits",
        "hopper_search.cuh",
        "shared_.column_limits[group], turn",
        "shared_.column_limits[0], turn",
    ),
    Mutant(
        "the second warpgroup takes the first's tiles",
        "hopper_search.cuh",
        "index = range.begin + group;",
        "index = range.begin;",
    ),
    Mutant("tiles are not aligned", "hopper_search.cuh", " / kSwizzleBytes * kSwizzleBytes", ""),
    Mutant(
        "the lower half has the upper half's rows",
        "wgmma_product.cuh",
        "rows + m * kProductRows * kTileRowBytes + high",
        "rows + high",
    ),
    Mutant(
        "the rows' low parts are left out",
        "wgmma_product.cuh",
        "multiply_tiles(sums[m], matrix_descriptor(a + kPart), matrix_descriptor(b));",
        "",
    ),
    Mutant("products that do not begin", "wgmma_product.cuh", "    begin_products();\n", ""),
    Mutant(
        "steps of half the size", "wgmma_product.cuh", "kPart = 2 * kMmaDepth", "kPart = kMmaDepth"
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
