"""Plants one bug at a time into the kernels and shows that a test without a GPU fails for each.

    cd tests && python -m cuda_host.mutants [NAME or FILE ...]

Every mutant is a copy of csrc/ with one piece of text replaced (mutants_*.py). The launchers that
include its file are compiled and tested one after the other, until a test fails: half a minute for
most. One line says which test that was, or that the mutant survived.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from cuda_host import host_build
from cuda_host.experimental import mutants_hopper_search
from cuda_host.host_build import CSRC, HERE
from cuda_host.mutant import Mutant
from cuda_host.pairwise import mutants_dispatch, mutants_long, mutants_short, mutants_tiled
from cuda_host.ranking import (
    mutants_exponential_scan,
    mutants_lambda_long,
    mutants_lambda_scan,
    mutants_lambda_short,
    mutants_listwise,
)
from cuda_host.triplet import mutants_triplet

TABLES = (
    *(mutants_tiled, mutants_long, mutants_short, mutants_dispatch),
    *(mutants_lambda_short, mutants_lambda_long, mutants_lambda_scan, mutants_exponential_scan),
    *(mutants_listwise, mutants_triplet, mutants_hopper_search),
)
MUTANTS = [mutant for table in TABLES for mutant in table.MUTANTS]

# Launchers, and the tests that use them.
HOSTS = {
    "launchers/pairwise_host.cpp": ("pairwise/test_*.py",),
    "launchers/lambda_host.cpp": (
        *("ranking/test_lambda_short*.py", "ranking/test_lambda_long*.py"),
        "ranking/test_list_weights.py",
    ),
    "launchers/lambda_scan_host.cpp": ("ranking/test_lambda_scan.py",),
    "launchers/exponential_scan_host.cpp": ("ranking/test_exponential_scan.py",),
    "launchers/listwise_host.cpp": ("ranking/test_listwise.py", "ranking/test_list_weights.py"),
    "launchers/triplet_host.cpp": ("triplet/test_[!s]*.py", "triplet/test_sizes.py"),
    "launchers/schedule_host.cpp": ("triplet/test_schedule.py",),
    "experimental/hopper_search_host.cpp": ("experimental/test_hopper_search_host.py",),
}

HANGS_AFTER = 1800  # seconds


def includes(text: str, csrc: Path, found: set[str]) -> set[str]:
    """The headers that a source includes, directly or not, as seen from csrc/cuda."""
    for path in re.findall(r'#include "((?:cuda|losses|common|args|bind)/[^"]+)"', text):
        name = path.removeprefix("cuda/") if path.startswith("cuda/") else f"../{path}"
        if name not in found:
            found.add(name)
            includes((csrc / path).read_text(), csrc, found)
    return found


def tests_of(host: str, mutant: Mutant) -> list[Path]:
    """The tests of a launcher, with those of the mutated file's name first."""
    tests = {test for pattern in HOSTS[host] for test in HERE.glob(pattern)}
    stem = Path(mutant.file).stem
    return sorted(tests, key=lambda test: (stem not in test.name, test.name))


def first_failure(libraries: Path, tests: list[Path]) -> str | None:
    """What failed first when tests ran with these libraries, None where nothing did."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--tb=line"]
    try:
        done = subprocess.run(
            [*command, *tests],
            capture_output=True,
            text=True,
            cwd=HERE.parent,
            env={**os.environ, host_build.LIBRARIES: str(libraries)},
            timeout=HANGS_AFTER,
        )
    except subprocess.TimeoutExpired:
        return f"nothing ends within {HANGS_AFTER} s"
    if done.returncode == 0:
        return None
    # 2 to 5 are pytest's own: interrupted, broken, misused, no tests.
    if 2 <= done.returncode <= 5 or re.search(r"^ERROR ", done.stdout, re.MULTILINE):
        raise SystemExit(f"the tests did not run:\n{done.stdout}{done.stderr}")
    failures = re.findall(r"^FAILED \S*?(test_.*)$", done.stdout, re.MULTILINE)
    return failures[0] if failures else f"exit status {done.returncode}"


def killer(mutant: Mutant, folder: Path) -> str | None:
    """The test that fails for a mutant; None where it survives."""
    csrc = folder / "csrc"
    shutil.copytree(CSRC, csrc)
    file = csrc / "cuda" / mutant.file
    text = file.read_text()
    if text.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.name}: expected its text once in {mutant.file}")
    file.write_text(text.replace(mutant.old, mutant.new))
    for host in sorted(HOSTS, key=lambda host: host != mutant.launcher):
        if mutant.file not in includes((HERE / host).read_text(), csrc, found=set()):
            continue
        # Without debug information, which is half of the compiler's work.
        host_build.build(host, folder, uses_torch=True, csrc=csrc, flags=("-g0",))
        if failure := first_failure(folder, tests_of(host, mutant)):
            return failure
    return None


def main() -> int:
    chosen = [m for m in MUTANTS if not sys.argv[1:] or {m.name, m.file} & set(sys.argv[1:])]
    survivors = 0
    for mutant in chosen:
        with tempfile.TemporaryDirectory() as folder:
            failure = killer(mutant, Path(folder))
        survivors += failure is None
        verdict = f"killed: {mutant.name}: {failure}" if failure else f"SURVIVED: {mutant.name}"
        print(f"{mutant.file}: {verdict}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
