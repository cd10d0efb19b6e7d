"""Bugs for the choice of kernels and for what they leave to each other."""

from __future__ import annotations

from mutant import Mutant

MUTANTS = [
    Mutant(
        "short lists are summed chunk by chunk",
        "pairwise_dispatch.cuh",
        "    params.partials.whole_lists = true;\n",
        "",
    ),
    Mutant(
        "one workspace for two kernels",
        "pairwise_dispatch.cuh",
        "plan.params(memory + long_bytes + short_bytes)",
        "plan.params(memory)",
    ),
    Mutant(
        "another crossover than that of short lists",
        "pairwise_dispatch.cuh",
        "are_short ? longest_short : kLongList",
        "are_short ? 2 * longest_short : kLongList",
    ),
    Mutant(
        "long lists are forgotten",
        "pairwise_dispatch.cuh",
        "if (are_short && !any_long) {",
        "if (are_short) {",
    ),
    Mutant(
        "lists in a wide batch without any",
        "lists.cuh",
        "lists.offsets || lists.num_slots == 0 ? ",
        "lists.offsets ? ",
        launcher="dispatch_host.cpp",
    ),
]
