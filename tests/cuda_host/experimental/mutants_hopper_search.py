"""Bugs for the experimental search of Hopper."""

from __future__ import annotations

from cuda_host.mutant import Mutant

SEARCH = "experimental/hopper_search.cuh"
PRODUCT = "experimental/wgmma_tile.cuh"

MUTANTS = [
    Mutant(
        "products do not wait for columns",
        SEARCH,
        "shared_.full[stage_of(use)].wait(parity_of(use));",
        "",
    ),
    Mutant("products do not wait for rows", SEARCH, "shared_.rows_full.wait(0);", ""),
    Mutant(
        "copies do not wait for an empty place",
        SEARCH,
        "shared_.empty[stage].wait(1 - parity_of(use));",
        "",
    ),
    Mutant(
        "copies wait for the phase to come",
        SEARCH,
        "shared_.empty[stage].wait(1 - parity_of(use));",
        "shared_.empty[stage].wait(parity_of(use));",
    ),
    Mutant(
        "places are counted a tile too late",
        SEARCH,
        "(index - range.begin) * chunks_, group)",
        "(index - range.begin + 1) * chunks_, group)",
    ),
    Mutant(
        "a place is given back with its products begun",
        SEARCH,
        "wait_for_products<1>();",
        "wait_for_products<2>();",
    ),
    Mutant(
        "no wait for a tile's last products",
        SEARCH,
        "wait_for_products<0>();",
        "",
    ),
    Mutant(
        "no turns of the two warpgroups",
        SEARCH,
        "shared_.turns[1 - group]",
        "shared_.turns[group]",
    ),
    Mutant(
        "barriers for one warp",
        SEARCH,
        "empty[stage].init(kGroupWarps)",
        "empty[stage].init(1)",
    ),
    Mutant(
        "no wait for the barriers",
        SEARCH,
        "publish_mbarriers();\n    }\n    __syncthreads();",
        "publish_mbarriers();\n    }",
    ),
    Mutant("no barrier for the column limits", SEARCH, "sync_group();", ""),
    Mutant(
        "one place for both warpgroups' column limits",
        SEARCH,
        "shared_.column_limits[group], turn",
        "shared_.column_limits[0], turn",
    ),
    Mutant(
        "the second warpgroup takes the first's tiles",
        SEARCH,
        "index = range.begin + group;",
        "index = range.begin;",
    ),
    Mutant("tiles are not aligned", SEARCH, " / kSwizzleBytes * kSwizzleBytes", ""),
    Mutant(
        "the lower half has the upper half's rows",
        PRODUCT,
        "rows + m * kProductRows * kTileRowBytes + high",
        "rows + high",
    ),
    Mutant(
        "the rows' low parts are left out",
        PRODUCT,
        "multiply_tiles(sums[m], matrix_descriptor(a + kPart), matrix_descriptor(b));",
        "",
    ),
    Mutant("products that do not begin", PRODUCT, "    begin_products();\n", ""),
    Mutant("steps of half the size", PRODUCT, "kPart = 2 * kMmaDepth", "kPart = kMmaDepth"),
]
