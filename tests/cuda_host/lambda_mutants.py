"""Plants one bug at a time into the kernels of lambda losses, as mutants.py does.

python tests/cuda_host/lambda_mutants.py [NAME ...]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import host_build
from host_build import CSRC, HERE
from mutants import Mutant

EXPONENTIAL_SCAN = [
    Mutant(
        "steps between runs are left out",
        "exponential_scan.cuh",
        "previous = source_.position(sweep.before(place));",
        "previous = source_.position(place);",
    ),
    Mutant(
        "equal infinities are far apart",
        "exponential_scan.cuh",
        "opens || here == previous ? 0",
        "opens ? 0",
    ),
    Mutant(
        "infinite distances stay",
        "exponential_scan.cuh",
        "distance <= std::numeric_limits<double>::max() ? distance : kFar",
        "distance",
    ),
    Mutant(
        "powers go through segments' ends",
        "exponential_scan.cuh",
        "Run::bit(run.opens, t) ? 0 : exp_of_negative<13>",
        "exp_of_negative<13>",
    ),
    Mutant(
        "moments go through segments' ends between tiles",
        "exponential_scan.cuh",
        "own.closed = distance_at(sweep, tile).closed;",
        "own.closed = 0;",
    ),
    Mutant(
        "powers go through segments' ends between tiles",
        "exponential_scan.cuh",
        "step.closed != 0 ? 0 : exp_of_negative",
        "exp_of_negative",
    ),
    Mutant(
        "a lane takes a run twice",
        "sweep_steps.cuh",
        "if (met >= distance) through",
        "if (met > distance) through",
    ),
    Mutant(
        "the first lane has earlier ones",
        "sweep_steps.cuh",
        "  if (met == 0) before = State{};\n",
        "",
    ),
    Mutant(
        "an item sees itself",
        "exponential_scan.cuh",
        "          push(state, run.pushed_side(t), decays[t], pushes[t]);\n        }\n      }",
        "        }\n      }",
    ),
    Mutant(
        "sides are one",
        "exponential_scan.cuh",
        "s == side ? weight : 0);\n    }",
        "weight);\n    }",
    ),
    Mutant(
        "a power too few between tiles",
        "exponential_scan.cuh",
        "(power + 1) * step.distance",
        "power * step.distance",
    ),
    Mutant(
        "the second step of tiles starts anew",
        "sweep_steps.cuh",
        "earlier = State::combine(earlier, total);",
        "earlier = total;",
    ),
    Mutant(
        "a tile's distance is of all lanes but one",
        "exponential_scan.cuh",
        "tile.index) = {scanned.through.distance",
        "tile.index) = {scanned.before.distance",
    ),
]

LAMBDA_SCAN = [
    Mutant(
        "the wrong order for both sweeps",
        "lambda_scan_items.cuh",
        "return sweep.up == looks_more(event);",
        "return looks_more(event);",
    ),
    Mutant(
        "ranks beyond the top are upper ones",
        "lambda_scan_items.cuh",
        "return !pass.upper_in_top || is_top(event);",
        "return true;",
    ),
    Mutant(
        "only the way up is truncated",
        "lambda_scan_items.cuh",
        "!(may_be_upper(event) || sweep.up)",
        "false",
    ),
    Mutant(
        "parts of ranks are mixed up",
        "lambda_scan_items.cuh",
        "is_in(more ? pass.more_ranks : pass.less_ranks",
        "is_in(more ? pass.less_ranks : pass.more_ranks",
    ),
    Mutant(
        "segments do not end at the sweep's far side",
        "lambda_scan_items.cuh",
        "static_cast<Position>(sweep.up ? place : place + 1);",
        "static_cast<Position>(place);",
    ),
    Mutant(
        "no pair of an item with itself",
        "lambda_scan.cuh",
        "source.turn != Turn::kLooksMore || place >= tile.end",
        "true",
    ),
    Mutant("one turn", "lambda_scan.cuh", "params_.all_pairs ? 2 : 1;", "1;"),
    Mutant(
        "lists run into each other",
        "lambda_scan_rounds.cuh",
        "|| (inside && place == list.begin);",
        ";",
    ),
    Mutant(
        "items beyond the top are in pairs of both",
        "lambda_scan_rounds.cuh",
        "position - list.begin >= list.top) return",
        "position - list.begin > list.top) return",
    ),
    Mutant(
        "pairs on the margin are out",
        "lambda_scan_rounds.cuh",
        "return own > score(other) + params_.margin;",
        "return own >= score(other) + params_.margin;",
    ),
    Mutant(
        "no barrier before the margin's order is read",
        "lambda_scan.cuh",
        "order_by_margin(team_, order);\n      team_.sync();",
        "order_by_margin(team_, order);",
    ),
    Mutant(
        "no barrier before tiles are scanned",
        "lambda_scan.cuh",
        "    team_.sync();\n    scan_tiles(scan",
        "    scan_tiles(scan",
    ),
    Mutant(
        "no barrier before items look",
        "lambda_scan.cuh",
        "sweeps);\n    team_.sync();\n    for_tiles",
        "sweeps);\n    for_tiles",
    ),
    Mutant(
        "a round's sums take the place of those before",
        "lambda_scan.cuh",
        "if (!first) own.add(stored);",
        "",
    ),
    Mutant(
        "tiles are counted from the first list",
        "lambda_scan.cuh",
        "(tile - list.first_tile) * kWarps",
        "tile * kWarps",
    ),
    Mutant(
        "tiles are scanned across lists",
        "lambda_scan.cuh",
        "list.first_tile * kWarps,\n",
        "0,\n",
    ),
    Mutant(
        "the partition is not stable",
        "lambda_scan_rounds.cuh",
        "place + params_.segments.less_in(segment) - less",
        "segment.end - 1 - (place - segment.begin - less)",
    ),
    Mutant(
        "infinite losses are finite",
        "lambda_scan.cuh",
        "infinite ? double{kInfinite} : value",
        "value",
    ),
]

# By the launcher whose test must fail.
MUTANTS = {"exponential_scan_host.cpp": EXPONENTIAL_SCAN, "lambda_scan_host.cpp": LAMBDA_SCAN}


def survives(mutant: Mutant, host: str, folder: Path) -> bool:
    csrc = folder / "csrc"
    shutil.copytree(CSRC, csrc)
    file = csrc / "cuda" / mutant.file
    text = file.read_text()
    if text.count(mutant.old) != 1:
        raise SystemExit(f"{mutant.name}: expected its text once in {mutant.file}")
    file.write_text(text.replace(mutant.old, mutant.new))
    host_build.build(host, folder, uses_torch=True, csrc=csrc)
    test = HERE / f"test_{Path(host).stem}.py"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", str(test)],
        capture_output=True,
        text=True,
        cwd=HERE.parent,
        env={**os.environ, "FUSED_RANKLOSS_HOST_LIBRARIES": str(folder)},
    )
    survived = done.returncode == 0
    print(f"{'SURVIVED' if survived else 'killed'}: {mutant.name}", flush=True)
    return survived


def main() -> int:
    names = set(sys.argv[1:])
    chosen = [
        (mutant, host)
        for host, mutants in MUTANTS.items()
        for mutant in mutants
        if not names or mutant.name in names
    ]
    survivors = 0
    for mutant, host in chosen:
        with tempfile.TemporaryDirectory() as folder:
            survivors += survives(mutant, host, Path(folder))
    print(f"{len(chosen) - survivors} of {len(chosen)} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
