"""Bugs for the exponential scan."""

from __future__ import annotations

from cuda_host.mutant import Mutant

MUTANTS = [
    Mutant(
        "steps between runs are left out",
        "lists/exponential_scan.cuh",
        "previous = source_.position(sweep.before(place));",
        "previous = source_.position(place);",
    ),
    Mutant(
        "equal infinities are far apart",
        "lists/exponential_scan.cuh",
        "opens || here == previous ? 0",
        "opens ? 0",
    ),
    Mutant(
        "infinite distances stay",
        "lists/exponential_scan.cuh",
        "is_finite(distance) ? distance : kFar",
        "distance",
    ),
    Mutant(
        "powers go through segments' ends",
        "lists/exponential_scan.cuh",
        "Run::bit(run.opens, t) ? 0 : exp_of_negative<13>",
        "exp_of_negative<13>",
    ),
    Mutant(
        "moments go through segments' ends between tiles",
        "lists/exponential_scan.cuh",
        "own.closed = distance_at(sweep, tile).closed;",
        "own.closed = 0;",
    ),
    Mutant(
        "powers go through segments' ends between tiles",
        "lists/exponential_scan.cuh",
        "step.closed != 0 ? 0 : exp_of_negative",
        "exp_of_negative",
    ),
    Mutant(
        "a lane takes a run twice",
        "lists/exponential_states.cuh",
        "if (met >= distance) through",
        "if (met > distance) through",
    ),
    Mutant(
        "the first lane has earlier ones",
        "lists/exponential_states.cuh",
        "  if (met == 0) before = State{};\n",
        "",
    ),
    Mutant(
        "an item sees itself",
        "lists/exponential_scan.cuh",
        "          push(state, run.pushed_side(t), decays[t], pushes[t]);\n        }\n      }",
        "        }\n      }",
    ),
    Mutant(
        "sides are one",
        "lists/exponential_scan.cuh",
        "s == side ? weight : 0);\n    }",
        "weight);\n    }",
    ),
    Mutant(
        "a power too few between tiles",
        "lists/exponential_scan.cuh",
        "(power + 1) * step.distance",
        "power * step.distance",
    ),
    Mutant(
        "the second step of tiles starts anew",
        "lists/exponential_states.cuh",
        "earlier = State::combine(earlier, total);",
        "earlier = total;",
    ),
    Mutant(
        "a tile's distance is of all lanes but one",
        "lists/exponential_scan.cuh",
        "tile.index) = {scanned.through.distance",
        "tile.index) = {scanned.before.distance",
    ),
]
