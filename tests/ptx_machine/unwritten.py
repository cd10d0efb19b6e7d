"""Loads of bytes that nothing has written: those that are known, and what is left."""

from __future__ import annotations

from machine import Kernels

# The file of csrc, a part of the kernel's name, and why what is loaded is not used.
LOADS_OF_NOTHING: tuple[tuple[str, str, str], ...] = (
    (
        "triplet/mined_gradients.cuh",
        "",
        "slopes of terms without a pair, loaded before that is known",
    ),
    ("lists/score_order.cuh", "", "vectors of four; elements behind the end are left alone"),
    (
        "triplet/batch_hard/operands.cuh",
        "convert_kernel",
        "the centre of no references, which nothing meets",
    ),
    (
        "primitives/shared_array.cuh",
        "CountTerm<float",
        "an item of 12 bytes is loaded with its padding",
    ),
)


def unknown_loads(kernels: Kernels) -> list[str]:
    """Those of this process so far."""
    return [
        line
        for line in kernels.unwritten_loads()
        if not any(
            line.startswith(f"csrc/cuda/{file}:") and kernel in line
            for file, kernel, _ in LOADS_OF_NOTHING
        )
    ]
