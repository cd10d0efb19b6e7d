"""Bugs for the choice of kernels and for what they leave to each other."""

from __future__ import annotations

from cuda_host.mutant import Mutant

MUTANTS = [
    Mutant(
        "short lists are summed chunk by chunk",
        "pairwise/dispatch.cuh",
        "route.crossover, route.is_batch);",
        "route.crossover, false);",
    ),
    Mutant(
        "short lists that are longer",
        "pairwise/dispatch.cuh",
        "run_short_lists(queue, args, loss_name, route.crossover, partials);",
        "run_short_lists(queue, args, loss_name, 2 * route.crossover, partials);",
    ),
    Mutant(
        "long lists are forgotten",
        "pairwise/dispatch.cuh",
        "if (!any_longer) {",
        "if (!any_longer || route.is_batch) {",
    ),
    Mutant(
        "lists of wide padding are all long",
        "pairwise/dispatch.cuh",
        "!any_longer || lists.offsets || lists.lengths;",
        "!any_longer || lists.offsets;",
    ),
    Mutant(
        "more slots than 32 bits count",
        "lists/lists.cuh",
        "if (lists.num_slots <= INT32_MAX) return;",
        "if (lists.num_slots <= UINT32_MAX) return;",
    ),
    Mutant(
        "lists in a wide batch without any",
        "lists/lists.cuh",
        "lists.offsets || lists.num_slots == 0 ? ",
        "lists.offsets ? ",
        launcher="launchers/pairwise_host.cpp",
    ),
]
