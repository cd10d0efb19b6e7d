"""A library is built anew exactly when a file that the compiler reads has changed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from cuda_host import host_build

LAUNCHERS = sorted(
    path.relative_to(host_build.HERE).as_posix() for path in host_build.HERE.rglob("*.cpp")
)

pytestmark = pytest.mark.skipif(not host_build.have_compiler(), reason="no C++ compiler")


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_sources_are_those_that_the_compiler_reads(launcher: str) -> None:
    """And those that it would read for the experimental kernels."""
    path = host_build.HERE / launcher
    command = [*host_build.CXX, "-std=c++20", "-MM", "-include", "harness/cuda_host.h", str(path)]
    command += [f"-I{host_build.CSRC}", f"-I{host_build.HERE}", *host_build.TORCH_FLAGS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    _, *files = done.stdout.replace("\\\n", " ").split()
    read = {Path(file).resolve() for file in files}
    assert {file for file in host_build.sources(path) if file.parent.name != "experimental"} == {
        file for file in read if file.parent.name != "experimental"
    }
    assert read <= host_build.sources(path)


def test_a_library_is_built_once(tmp_path: Path) -> None:
    """And again when a header of it has changed, but not when another one has."""
    source, header = tmp_path / "tiny.cpp", tmp_path / "tiny.h"
    source.write_text('#include "tiny.h"\n')
    header.write_text("int one;\n")

    def build() -> tuple[Path, int]:
        library = host_build.build(str(source), tmp_path, uses_torch=False, flags=("-O0",))
        return library, library.stat().st_mtime_ns

    first = build()
    (tmp_path / "other.h").write_text("int other;\n")
    assert build() == first
    header.write_text("int two;\n")
    assert build()[0] != first[0]
