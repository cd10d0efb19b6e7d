"""The command line: ``python -m benchmarks [run | check | plot | goals | list | contention]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

_DESCRIPTION = """\
Times the losses and measures their memory, beside what people write today.

    python -m benchmarks                 run the default preset, under 30 minutes on 2 cores
    python -m benchmarks run --quick     about a minute
    python -m benchmarks run --full      with lists of 1e7 and 1e8 scores: an hour, 16 GiB
    python -m benchmarks run --family ranking    only that family of losses
    python -m benchmarks check           only compare every provider with the exact loss
    python -m benchmarks plot            draw the figures from the CSV
    python -m benchmarks goals           print the goals and the last measurements
    python -m benchmarks list            print cases and providers
    python -m benchmarks contention      all threads against one, beside a busy process per core

Rows are appended to benchmarks/results/<device>.csv. Run it in the root of the repository, where
Python imports the source folder: build the package there first,

    pip install -e '.[bench]'                   or, with other packages' triplet losses to
    pip install -e '.[bench,bench-libraries]'   compare with
"""
_INSTALL = "pip install -e '.[bench]'"
_INSTALL_LIBRARIES = "pip install -e '.[bench-libraries]'"
_SECONDS = {"quick": 1.5, "default": 4.0, "full": 8.0}  # timing budget of a case
# Pairs in the matrices of quadratic baselines: beyond, one call takes many seconds on a CPU.
_MAX_PAIRS = {"quick": 1e8, "default": 2.4e8, "full": 5e8}
_MAX_PAIRS_CUDA = 5e9


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = ("run", "check", "plot", "goals", "list", "contention")
    parser.add_argument("command", nargs="?", choices=commands, default="run")
    preset = parser.add_mutually_exclusive_group()
    for name in ("quick", "full"):
        preset.add_argument(f"--{name}", dest="preset", action="store_const", const=name)
    parser.set_defaults(preset="default")
    parser.add_argument(
        "--only", action="append", default=[], metavar="TEXT",
        help="cases whose key has this in it, as 1e6 or squared (may be repeated: all of them)",
    )  # fmt: skip
    parser.add_argument(
        "--family", choices=("pairwise", "ranking", "triplet", "catalogue"),
        help="all-pairs hinges over lists, learning to rank, or triplets (default: all)",
    )  # fmt: skip
    parser.add_argument("--mode", choices=("forward", "full"), help="full: forward + backward")
    parser.add_argument("--providers", nargs="+", metavar="NAME", help="default: all that apply")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, help="default: as torch has it")
    parser.add_argument("--seconds", type=float, help="timing budget of a case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--memory", choices=("all", "fused", "none"),
        help="whose peak memory is measured (default: all, with --quick fused)",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="of the CSV and figures")
    return parser


def main() -> int:
    arguments = _parser().parse_args()
    try:
        import torch

        from benchmarks import families, goals, results
    except ImportError as error:  # fused_rankloss without its compiled module says what to do
        sys.exit(f"{error}\nThe benchmarks run after: {_INSTALL}")

    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("--device cuda: there is no CUDA device")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    folder = arguments.output or results.FOLDER
    environment = results.environment(arguments.device, arguments.seed)
    path = results.path_for(environment.device, folder)
    selected = families.select(
        arguments.preset, arguments.device, arguments.only, arguments.mode, arguments.family
    )

    if arguments.command == "list":
        for case in selected:
            family = families.family_of(case.loss)
            applying = [p.name for p in family.providers if p.applies(case, arguments.device)]
            print(f"{case.preset:<8} {case.key:<56} {' '.join(applying)}")
        return 0
    if arguments.command == "contention":
        from benchmarks import contention

        contended = path.with_name(f"{path.stem}-contention.csv")
        contention.run(selected, environment, contended)
        return 0
    if arguments.command in ("plot", "goals"):
        if not path.exists():
            sys.exit(f"no measurements in {path}; run `python -m benchmarks` first")
        rows = results.load(path)
        if arguments.command == "goals":
            print(goals.table(rows))
        else:
            from benchmarks import plot

            for figure in plot.draw(rows, folder):
                print(figure)
        return 0
    return _run(arguments, selected, environment, path)


def _run(arguments, selected, environment, path) -> int:
    from benchmarks import goals
    from benchmarks.families import FAMILIES, families_of, provider_names
    from benchmarks.family import FUSED
    from benchmarks.run import Options, Runner

    names = set(arguments.providers or provider_names())
    if unknown := names - set(provider_names()):
        known = ", ".join(provider_names())
        sys.exit(f"unknown providers {', '.join(sorted(unknown))}; there are {known}")
    providers = [provider for family in FAMILIES for provider in family.providers]
    if arguments.preset == "quick" and not arguments.providers:
        names -= {p.name for p in providers if p.compiles}  # seconds of compiling
        names -= {"eager_loop"}  # seconds per call
    if not selected:
        sys.exit("no such case; `python -m benchmarks list --full` prints all")
    on_cuda = arguments.device == "cuda"
    options = Options(
        device=arguments.device,
        seed=arguments.seed,
        seconds=arguments.seconds or _SECONDS[arguments.preset],
        max_pairs=int(_MAX_PAIRS_CUDA if on_cuda else _MAX_PAIRS[arguments.preset]),
        providers=frozenset(names),
        memory=arguments.memory or ("fused" if arguments.preset == "quick" else "all"),
        path=path,
    )
    print(
        f"fused_rankloss {environment.version} ({environment.commit}), "
        f"torch {environment.torch}, {environment.device}, {environment.threads} threads"
    )
    used = [provider for family in families_of(selected) for provider in family.providers]
    absent = {p.package for p in used if p.name in names and not p.installed}
    if absent:
        print(f"not compared with {', '.join(sorted(absent))}: {_INSTALL_LIBRARIES}")
    runner = Runner(options, environment)
    if arguments.command == "check":
        runner.check(selected)
    else:
        rows = runner.run(selected)
        print(f"\n{goals.table(rows, only_measured=True)}\n\nrows appended to {path}")
    for failure in runner.failed:
        print(f"NOT TIMED {failure}", file=sys.stderr)
    return 1 if any(f" {FUSED}: " in failure for failure in runner.failed) else 0


if __name__ == "__main__":
    sys.exit(main())
