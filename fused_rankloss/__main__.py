"""``python -m fused_rankloss``: what is installed, and whether it computes what it should."""

from __future__ import annotations

import argparse
import sys

from fused_rankloss import _self_benchmark, _self_check


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m fused_rankloss",
        description="Prints what is installed and which devices can be used, then compares every "
        "loss with its reference (impl='reference') on each of them: seconds in all. "
        "The exit status is 1 if a comparison fails.",
        epilog="Put the output into a bug report.",
    )
    parser.add_argument(
        "--benchmark",
        action="store_true",
        help="also time the losses beside eager PyTorch on this machine: at most two minutes",
    )
    options = parser.parse_args(arguments)

    _self_check.print_installation()
    devices = _self_check.usable_devices()
    failed = _self_check.run(devices)
    if options.benchmark:
        _self_benchmark.run(devices)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
