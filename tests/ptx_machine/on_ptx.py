"""The project's own tests, with the ops computed by the CUDA launchers and the machine.

    python tests/ptx_machine/on_ptx.py [--sample N] [--place DEVICE-SCHEDULE] [pytest arguments]

For instance `on_ptx.py --sample 8 tests/ranking/test_values.py -x`: every eighth test, by a hash of
its name.
What a test says of the CPU kernels alone (threads, instruction sets, memory) says nothing here.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Iterator

import machine
import ptx_build
import pytest


class OnPtx:
    """A plugin of pytest."""

    def __init__(self, sample: int, place: str):
        self.sample = sample
        self.place = place.split("-")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Tests of the CPU device, those that the sample has."""
        items[:] = [
            item
            for item in items
            if not item.get_closest_marker("gpu")
            and zlib.crc32(item.nodeid.encode()) % self.sample == 0
        ]

    @pytest.fixture(scope="session")
    def kernels_on_ptx(self, pytestconfig: pytest.Config) -> machine.Kernels:
        return machine.Kernels(ptx_build.library(pytestconfig.cache.mkdir("ptx_machine")))

    @pytest.fixture(autouse=True)
    def _on_ptx(
        self, kernels_on_ptx: machine.Kernels, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[None]:
        kernels_on_ptx.replace_ops(monkeypatch)
        kernels_on_ptx.use(*self.place)
        yield


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sample", type=int, default=1)
    parser.add_argument("--place", default="large-steady")
    own, arguments = parser.parse_known_args()
    if reason := ptx_build.why_not():
        raise SystemExit(reason)
    return pytest.main(arguments, plugins=[OnPtx(own.sample, own.place)])


if __name__ == "__main__":
    sys.exit(main())
