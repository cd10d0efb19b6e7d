"""Plants one bug at a time into csrc and shows that the machine's tests fail for each.

    python tests/ptx_machine/planted.py [NAME ...]

These are of the kinds that no compiler and no run of the source on a CPU shows: launches that a
GPU refuses, workspaces, NaN as a GPU has it, fragments of tensor cores. Every bug is a copy of csrc
with one piece of text replaced. What includes the file is compiled anew: minutes each.
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

import ptx_build
from ptx_build import CACHE, CSRC, HERE


class Planted(NamedTuple):
    """One piece of text of a file in csrc, and what takes its place."""

    name: str
    file: str
    old: str  # occurs once in the file
    new: str
    tests: str  # a file of this folder
    chosen: str  # and which of its tests, as pytest -k has it


PLANTED = [
    Planted(
        "the_canonical_nan_is_padding",
        "cuda/lists/prepare.cuh",
        "score != score || ",
        "(score != score && ordered_key(score) != ~decltype(ordered_key(score)){0}) || ",
        "test_pairwise_ptx.py",
        "nan_is_no_padding and float32",
    ),
    Planted(
        "a_workspace_is_short",
        "cuda/lists/short_batch.cuh",
        "workspace.take<BatchTotals>(num_blocks)",
        "workspace.take<BatchTotals>(num_blocks / 2)",
        "test_pairwise_ptx.py",
        "test_small",
    ),
    Planted(
        "two_registers_of_a_fragment_are_exchanged",
        "cuda/primitives/mma.cuh",
        '"r"(a.registers[0]), "r"(a.registers[1]), "r"(a.registers[2])',
        '"r"(a.registers[0]), "r"(a.registers[2]), "r"(a.registers[1])',
        "test_triplet_ptx.py",
        "test_batches and hard",
    ),
    Planted(
        "nobody_asks_for_shared_memory",
        "cuda/launch/launch.h",
        "static_cast<int>(shared_bytes)));",
        "static_cast<int>(shared_bytes / 8)));",
        "test_coverage.py",
        "test_hopper_search",
    ),
    Planted(
        "launch_bounds_are_too_small",
        "cuda/lists/backward.cuh",
        "__launch_bounds__(kBackwardThreads)",
        "__launch_bounds__(kBackwardThreads / 2)",
        "test_pairwise_ptx.py",
        "test_small",
    ),
    Planted(
        "two_arguments_of_a_kernel_are_exchanged",
        "cuda/triplet/label_order.cuh",
        "InverseNormsParams{rows, order, size, batch.dim, inverses}",
        "InverseNormsParams{rows, order, batch.dim, size, inverses}",
        "test_triplet_ptx.py",
        "test_batches and cosine",
    ),
]


def planted_copy(bug: Planted, folder: Path) -> Path:
    """A csrc with the bug."""
    csrc = folder / "csrc"
    shutil.copytree(CSRC, csrc)
    file = csrc / bug.file
    text = file.read_text()
    if text.count(bug.old) != 1:
        raise SystemExit(f"{bug.name}: expected its text once in {bug.file}")
    file.write_text(text.replace(bug.old, bug.new))
    return csrc


def first_failure(bug: Planted, library: Path) -> str | None:
    """The test that fails first and why, None where all pass."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=short"]
    done = subprocess.run(
        [*command, str(HERE / bug.tests), "-k", bug.chosen],
        capture_output=True,
        text=True,
        cwd=HERE.parent.parent,
        env={**os.environ, ptx_build.LIBRARY: str(library)},
    )
    if done.returncode == 0:
        return None
    if done.returncode != 1:
        raise SystemExit(f"the tests did not run:\n{done.stdout}{done.stderr}")
    failed = re.search(r"^FAILED \S*::(\S+)", done.stdout, re.MULTILINE)
    reason = re.search(r"^E +(.*)$", done.stdout, re.MULTILINE)
    return f"{failed[1] if failed else '?'}: {reason[1] if reason else '?'}"


def main() -> int:
    if reason := ptx_build.why_not():
        raise SystemExit(reason)
    chosen = [bug for bug in PLANTED if not sys.argv[1:] or bug.name in sys.argv[1:]]
    survivors = 0
    for bug in chosen:
        with tempfile.TemporaryDirectory() as folder:
            csrc = planted_copy(bug, Path(folder))
            library = ptx_build.build(Path(folder) / "build", csrc, kept=CACHE)
            failure = first_failure(bug, library)
        survivors += failure is None
        print(f"{'SURVIVED' if failure is None else 'found'}: {bug.name}: {failure}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} planted bugs found")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
